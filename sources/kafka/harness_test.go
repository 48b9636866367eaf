package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCluster starts a fake cluster with short timeouts allowed.
func newCluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// settings is the default configuration, read as the program reads it, with times for tests on top.
func settings(t *testing.T, brokers []string, topics ...string) Config {
	t.Helper()
	cfg := loaded(t, "FORETOP_KAFKA_BROKERS="+strings.Join(brokers, ","), "FORETOP_KAFKA_TOPICS="+strings.Join(topics, ","))
	cfg.SessionTimeout, cfg.RebalanceTimeout, cfg.HeartbeatInterval = 3*time.Second, 3*time.Second, 200*time.Millisecond
	cfg.CommitInterval, cfg.FetchMaxWait, cfg.BatchDelay = 50*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond
	return cfg
}

func loaded(t *testing.T, environ ...string) Config {
	t.Helper()
	var cfg Config
	l := config.NewLoader(environ)
	l.Fill("FORETOP_KAFKA", &cfg)
	if err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// newSource makes a source with the waits of tests.
func newSource(t *testing.T, cfg Config, o Options) *Source {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	s.tuning.refusals = 2
	s.tuning.watch, s.tuning.redelivery, s.tuning.rejoin = 200*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond
	s.tuning.beyondPause = 10 * time.Millisecond
	s.transport.MetadataTTL = 200 * time.Millisecond
	return s
}

// consumer runs a source and plays the pipeline behind it.
type consumer struct {
	t      *testing.T
	src    *Source
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu      sync.Mutex
	changed chan struct{}
	got     []*pipeline.Batch
	seen    map[string]int // deliveries by body
	fate    func(*pipeline.Batch) (settle bool, err error)
	gate    chan struct{} // emit blocks until it is closed
}

// accept settles everything at once.
func accept(*pipeline.Batch) (bool, error) { return true, nil }

// hold leaves every batch to the test.
func hold(*pipeline.Batch) (bool, error) { return false, nil }

// start runs a source until the test ends; gate, if given, blocks emit until it is closed.
func start(t *testing.T, src *Source, fate func(*pipeline.Batch) (bool, error), gate ...chan struct{}) *consumer {
	t.Helper()
	c := &consumer{t: t, src: src, fate: fate, ended: make(chan struct{}), changed: make(chan struct{}), seen: make(map[string]int)}
	if len(gate) > 0 {
		c.gate = gate[0]
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.ended)
		c.err = src.Run(ctx, c.emit)
	}()
	t.Cleanup(func() {
		cancel()
		c.wait(time.Minute)
	})
	return c
}

func (c *consumer) emit(ctx context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.mu.Lock()
	c.got = append(c.got, b)
	for _, r := range b.Records {
		c.seen[string(r.Body)]++
	}
	fate := c.fate
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	if settle, err := fate(b); settle {
		b.Done(err)
	}
	return nil
}

// until waits for ok, which is called with c.mu held after each batch and now and then.
func (c *consumer) until(what string, ok func() bool) {
	c.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		c.mu.Lock()
		good, changed := ok(), c.changed
		c.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond):
		case <-limit.C:
			c.t.Fatalf("not within 30s: %s (seen %d records in %d batches, health %v)", what, len(c.seen), len(c.got), c.src.Health())
		case <-c.ended:
			c.t.Fatalf("Run ended with %v before: %s", c.err, what)
		}
	}
}

// records waits until all of the numbered bodies were delivered.
func (c *consumer) records(first, n int) {
	c.t.Helper()
	c.until(fmt.Sprintf("records %d to %d are delivered", first, first+n-1), func() bool {
		for i := range n {
			if c.seen[string(body(first+i))] == 0 {
				return false
			}
		}
		return true
	})
}

// stop ends the source and waits for it.
func (c *consumer) stop() {
	c.t.Helper()
	c.cancel()
	c.wait(30 * time.Second)
	if c.err != nil {
		c.t.Fatalf("Run: %v", c.err)
	}
}

func (c *consumer) wait(d time.Duration) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(d):
		c.t.Fatalf("Run has not ended after %s", d)
	}
}

func (c *consumer) twice() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for text, n := range c.seen {
		if n > 1 {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}

func body(i int) []byte { return []byte(`{"n":` + strconv.Itoa(i) + `}`) }

// producer makes an independent client for tests.
func producer(t *testing.T, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// produce writes the numbered bodies to one partition.
func produce(t *testing.T, cl *kgo.Client, topic string, partition int32, first, n int) {
	t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Value: body(first + i)}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// committed is the saved position of a partition, -1 if there is none.
func committed(c *kfake.Cluster, group, topic string, partition int32) int64 {
	info := c.GroupInfo(group)
	if info == nil {
		return -1
	}
	if at, ok := info.Commits[topic][partition]; ok {
		return at.Offset
	}
	return -1
}

// metric sums the values of a metric over its labels.
func metric(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

var errNotHandled = errors.New("not handled, says the test")

func (c *consumer) batches() []*pipeline.Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

func (c *consumer) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func (c *consumer) setFate(fate func(*pipeline.Batch) (bool, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fate = fate
}
