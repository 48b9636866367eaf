package eventhubs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const example = "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=" + policyName + ";SharedAccessKey=right-key+/=="

// load reads a configuration as the program does.
func load(environ ...string) (Config, error) {
	var cfg Config
	l := config.NewLoader(environ)
	l.Fill("FORETOP_EVENTHUBS", &cfg)
	cfg.ConnectionStringFile = l.FileOf("FORETOP_EVENTHUBS_CONNECTION_STRING")
	return cfg, l.Finish()
}

// settings are those for a namespace, with times for tests.
func settings(t *testing.T, n *namespace, environ ...string) Config {
	t.Helper()
	cfg, err := load(append(environ, "FORETOP_EVENTHUBS_HUBS=insights", "FORETOP_EVENTHUBS_BROKERS="+strings.Join(n.brokers, ","), "FORETOP_EVENTHUBS_TLS_CA_FILE="+n.ca)...)
	if err != nil {
		t.Fatal(err)
	}
	cfg.SessionTimeout, cfg.RebalanceTimeout, cfg.HeartbeatInterval = 6*time.Second, 6*time.Second, 200*time.Millisecond
	cfg.CommitInterval, cfg.FetchMaxWait, cfg.BatchDelay, cfg.DrainTimeout = 50*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond, 2*time.Second
	return cfg
}

func withKey(t *testing.T, n *namespace) Config {
	t.Helper()
	return settings(t, n, "FORETOP_EVENTHUBS_CONNECTION_STRING="+example)
}

func withToken(t *testing.T, n *namespace) Config {
	t.Helper()
	return settings(t, n, "FORETOP_EVENTHUBS_NAMESPACE=example.servicebus.windows.net")
}

func rightIdentity() *identity {
	return &identity{audience: "https://example.servicebus.windows.net", life: time.Hour}
}

// consumer runs a source and settles everything at once.
type consumer struct {
	t      *testing.T
	src    *Source
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
	log    *sourcetest.Log

	mu   sync.Mutex
	seen map[string]int
	gate chan struct{} // batches are settled when it is closed, if there is one
}

func start(t *testing.T, cfg Config, o Options) *consumer {
	t.Helper()
	c := &consumer{t: t, ended: make(chan struct{}), seen: make(map[string]int), log: &sourcetest.Log{}}
	o.Logger = slog.New(slog.NewTextHandler(c.log, nil))
	var err error
	if c.src, err = New(cfg, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.ended)
		c.err = c.src.Run(ctx, c.emit)
	}()
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			t.Logf("log:\n%s", c.log)
		}
	})
	return c
}

func (c *consumer) emit(_ context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	for _, r := range b.Records {
		c.seen[string(r.Body)]++
	}
	gate := c.gate
	c.mu.Unlock()
	if gate == nil {
		b.Done(nil)
		return nil
	}
	go func() {
		<-gate
		b.Done(nil)
	}()
	return nil
}

func (c *consumer) stop() {
	c.cancel()
	select {
	case <-c.ended:
	case <-time.After(30 * time.Second):
		c.t.Error("Run has not ended")
	}
}

func (c *consumer) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// has waits until n different records came.
func (c *consumer) has(n int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d records come", n), func() bool { return c.count() >= n })
	if got := c.count(); got != n {
		c.t.Errorf("%d records, want %d", got, n)
	}
}

func (c *consumer) health(want string) {
	c.t.Helper()
	eventually(c.t, "health says "+want, func() bool {
		err := c.src.Health()
		return err != nil && strings.Contains(err.Error(), want)
	})
}

func (c *consumer) logged(want string) {
	c.t.Helper()
	eventually(c.t, "the log says "+want, func() bool { return strings.Contains(c.log.String(), want) })
}

func (c *consumer) well() {
	c.t.Helper()
	eventually(c.t, "all is well", func() bool { return c.src.Health() == nil })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within 30s: %s", what)
		}
	}
}

// put writes numbered records round robin over the partitions.
func put(t *testing.T, cl *kgo.Client, first, n int) {
	t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: "insights", Partition: int32(i % 2), Value: fmt.Appendf(nil, "%d", first+i)}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// fakes are the goroutines of the namespace and the producer of a test, which end after it.
var fakes = append([]goleak.Option{
	goleak.IgnoreAnyFunction("github.com/foretop/foretop/sources/eventhubs.(*namespace).welcome"),
	goleak.IgnoreAnyFunction("github.com/foretop/foretop/sources/eventhubs.(*namespace).welcome.func1"),
}, sourcetest.KafkaFakes...)
