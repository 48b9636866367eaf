package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestWhatIsInFlightAtTheEndIsSettledAndAnswered(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	s := serve(t, plain(), c.emit)
	answers := make(chan answer, 1)
	go func() { answers <- s.post(list("1")) }()
	b := c.await(t, 1)
	s.cancel()
	time.Sleep(100 * time.Millisecond)
	b.Done(nil)
	if a := <-answers; a.StatusCode != http.StatusOK {
		t.Errorf("%d %q, want 200", a.StatusCode, a.text)
	}
	s.stop()
	if resp, err := client(t, nil, nil).Do(request(t, s.url, secretToken, list("2"))); err == nil {
		resp.Body.Close()
		t.Error("it still listens")
	}
}

func TestWhatIsNotSettledByTheEndOfTheDrainIsAnsweredWith503(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	cfg := plain()
	cfg.DrainTimeout = 200 * time.Millisecond
	s := serve(t, cfg, c.emit)
	answers := make(chan answer, 1)
	go func() { answers <- s.post(list("1")) }()
	b := c.await(t, 1)
	s.cancel()
	if a := <-answers; a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !a.Close {
		t.Errorf("%d, Retry-After %q, close %t", a.StatusCode, a.Header.Get("Retry-After"), a.Close)
	}
	s.stop()
	if b.Ctx.Err() == nil {
		t.Error("the batch is not told that nobody waits any longer")
	}
	b.Done(errors.New("late")) // as after the pipeline's drain timeout
}

func TestAConnectionThatStaysOpenIsSentAwayAtTheEnd(t *testing.T) {
	ca := newAuthority(t, "servers")
	cfg := plain()
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
	c := newConsumer()
	c.hold = func(b *pipeline.Batch) bool { return strings.Contains(string(b.Records[0].Body), "first") }
	s := serve(t, cfg, c.emit)
	hc := client(t, ca, nil) // HTTP/2: the second request goes over the same connection
	answers := make(chan answer, 1)
	go func() { answers <- do(t, hc, request(t, s.url, secretToken, list("first"))) }()
	b := c.await(t, 1)
	r := &run{Source: s.source, ctx: t.Context(), streams: t.Context(), over: t.Context(), emit: c.emit}
	s.source.draining.Store(true)
	if refused := r.check(request(t, s.url, secretToken, "")); refused == nil || refused.code != http.StatusServiceUnavailable || !refused.again {
		t.Errorf("%+v, want 503 and Retry-After", refused)
	}
	if a := do(t, hc, request(t, s.url, secretToken, list("second"))); a.StatusCode != http.StatusServiceUnavailable || a.ProtoMajor != 2 {
		t.Errorf("%s %d", a.Proto, a.StatusCode)
	}
	b.Done(nil)
	if a := <-answers; a.StatusCode != http.StatusOK {
		t.Errorf("the first: %d", a.StatusCode)
	}
	if len(c.got()) != 1 {
		t.Error("more was taken during the drain")
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	s := serve(t, plain(), newConsumer().emit)
	cfg := plain()
	cfg.Address = strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/audit")
	second, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ADDRESS") {
		t.Errorf("Run: %v", err)
	}
}

// everyBody makes a document of each record.
type everyBody struct{}

func (everyBody) Process(_ context.Context, _ string, b *pipeline.Batch, fx *pipeline.Effects) {
	for _, r := range b.Records {
		fx.Counts.Items++
		fx.Counts.Evaluated++
		fx.Documents = append(fx.Documents, pipeline.Document{ID: string(r.Body), Body: []byte(string(r.Body))})
	}
}

// flaky is a sink that is down at times, and stores by id.
type flaky struct {
	mu     sync.Mutex
	down   bool
	stored map[string]bool
}

func (*flaky) MaxInFlight() int { return 2 }

func (s *flaky) Write(_ context.Context, docs []pipeline.Document) ([]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	for _, d := range docs {
		s.stored[d.ID] = true
	}
	return make([]error, len(docs)), nil
}

func (s *flaky) set(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
}

func (s *flaky) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored)
}

func TestNothingIsLostBetweenAPIServersAndASinkThatIsDownAtTimes(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"answered when settled": func(*Config) {},
		"answered when queued":  func(c *Config) { c.QueueDir = t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			u := &apiServer{t: t, more: make(chan struct{}, 1)}
			ctx, cancel := context.WithCancel(t.Context())
			var posting sync.WaitGroup
			for range 8 {
				posting.Go(func() { u.run(ctx) })
			}
			defer posting.Wait()
			defer cancel()
			cfg := plain()
			cfg.SettleTimeout, cfg.DrainTimeout = 300*time.Millisecond, 300*time.Millisecond
			change(&cfg)
			store := &flaky{stored: make(map[string]bool)}
			const records = 400
			var bodies [][]byte
			for i := range records {
				bodies = append(bodies, []byte(list(strings.Repeat("x", i%7)+"-"+string(rune('a'+i%26))+time.Duration(i).String())))
			}
			during := func(ctx context.Context, d time.Duration) {
				ctx, cancel := context.WithTimeout(ctx, d)
				defer cancel()
				source, err := New(cfg, Options{Name: "w", Cluster: "prod", Listening: func(a net.Addr) { u.listening(a) }, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				err = pipeline.Run(ctx, pipeline.Config{
					Sources:      []pipeline.NamedSource{{Name: "w", Source: source}},
					NewProcessor: func() pipeline.Processor { return everyBody{} },
					Sinks:        []pipeline.NamedSink{{Name: "s", Sink: store}},
					DeadLetters:  pipeline.NamedSink{Name: "d", Sink: pipeline.Discard},
					Budget:       20_000, DrainTimeout: 300 * time.Millisecond, BulkDelay: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
				})
				if err != nil && !errors.Is(err, pipeline.ErrUnsettled) {
					t.Fatal(err)
				}
			}
			u.put(t, bodies[:100]...)
			during(t.Context(), 300*time.Millisecond)
			store.set(true)
			u.put(t, bodies[100:300]...)
			during(t.Context(), time.Second) // ends while the sink is down
			u.put(t, bodies[300:]...)
			time.AfterFunc(500*time.Millisecond, func() { store.set(false) })
			last, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				during(last, time.Minute)
			}()
			defer func() { <-done }()
			defer stop()
			eventually(t, "all is stored", func() bool { return store.count() == records })
		})
	}
}
