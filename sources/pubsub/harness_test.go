package pubsub

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/kelseyhightower/envconfig"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/foretop/foretop/pkg/pipeline"
)

const (
	auditTopic = "projects/prod/topics/audit"
	auditSub   = "projects/prod/subscriptions/audit"
)

// reactor answers a method of the fake instead of it, while it returns handled.
type reactor func(req any) (handled bool, ret any, err error)

func (r reactor) React(req any) (bool, any, error) { return r(req) }

func on(method string, r reactor) pstest.ServerReactorOption {
	return pstest.ServerReactorOption{FuncName: method, Reactor: r}
}

// newServer is Google's fake of the service with one topic and one subscription of it.
func newServer(t *testing.T, opts ...pstest.ServerReactorOption) *pstest.Server {
	t.Helper()
	srv := pstest.NewServer(opts...)
	t.Cleanup(func() { _ = srv.Close() })
	addTopic(t, srv, &pubsubpb.Topic{Name: auditTopic})
	subscribe(t, srv, &pubsubpb.Subscription{Name: auditSub, Topic: auditTopic})
	return srv
}

func addTopic(t *testing.T, srv *pstest.Server, topic *pubsubpb.Topic) {
	t.Helper()
	if _, err := srv.GServer.CreateTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}

func subscribe(t *testing.T, srv *pstest.Server, sub *pubsubpb.Subscription) {
	t.Helper()
	if sub.AckDeadlineSeconds == 0 {
		sub.AckDeadlineSeconds = 10
	}
	if _, err := srv.GServer.CreateSubscription(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
}

// settings are the defaults, for one subscription.
func settings(t *testing.T) Config {
	t.Helper()
	var cfg Config
	if err := envconfig.Process("test_unset", &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Subscriptions = []string{auditSub}
	cfg.Lease = 10 * time.Second
	cfg.DrainTimeout = time.Second
	return cfg
}

func newSource(t *testing.T, srv *pstest.Server, cfg Config, o Options) *Source {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	s.tuning.again, s.tuning.againMost = 20*time.Millisecond, 100*time.Millisecond
	s.tuning.client = clientOf(srv.Addr)
	return s
}

func clientOf(address string) []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint(address), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// sink stands in for the pipeline: it keeps batches until the test settles them, or settles them at once.
type sink struct {
	mu      sync.Mutex
	batches []*pipeline.Batch
	fate    func(b *pipeline.Batch) (settle bool, err error)
}

func (s *sink) emit(_ context.Context, b *pipeline.Batch) error {
	s.mu.Lock()
	s.batches = append(s.batches, b)
	fate := s.fate
	s.mu.Unlock()
	if fate == nil {
		b.Done(nil)
		return nil
	}
	if settle, err := fate(b); settle {
		b.Done(err)
	}
	return nil
}

// hold keeps all batches.
func hold(*pipeline.Batch) (bool, error) { return false, nil }

// records are the records of all batches so far.
func (s *sink) records() (all []pipeline.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		all = append(all, b.Records...)
	}
	return all
}

// settleAll settles what is held.
func (s *sink) settleAll(err error) {
	s.mu.Lock()
	held := s.batches
	s.batches = nil
	s.mu.Unlock()
	for _, b := range held {
		b.Done(err)
	}
}

// running is a source at work.
type running struct {
	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

func run(t *testing.T, src pipeline.Source, emit pipeline.Emit) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = src.Run(ctx, emit)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-r.ended:
		case <-time.After(20 * time.Second):
			t.Error("Run has not ended")
		}
	})
	return r
}

// end stops the source and waits for it.
func (r *running) end(t *testing.T, within time.Duration) {
	t.Helper()
	r.stop()
	select {
	case <-r.ended:
		if r.err != nil {
			t.Fatalf("Run: %v", r.err)
		}
	case <-time.After(within):
		t.Fatalf("Run has not ended within %s", within)
	}
}

func publish(srv *pstest.Server, topic string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = srv.Publish(topic, []byte(`{"n":`+strconv.Itoa(i)+`}`), nil)
	}
	return ids
}

// eventually waits until ok holds.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// acked says that each of the messages was acknowledged once.
func acked(srv *pstest.Server, ids []string) bool {
	for _, id := range ids {
		if srv.Message(id).Acks != 1 {
			return false
		}
	}
	return true
}

// count is the sum of a counter's values, of those with a label if one is given.
func (m *metrics) count(t *testing.T, name string, label ...string) (sum float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := m.register(registry, "test"); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, series := range f.GetMetric() {
			matches := len(label) == 0
			for _, l := range series.GetLabel() {
				matches = matches || l.GetName() == label[0] && l.GetValue() == label[1]
			}
			if matches {
				sum += series.GetCounter().GetValue()
			}
		}
	}
	return sum
}
