package cloudwatch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// settings are those of the tests: everything a thousand times faster.
func settings(t *testing.T, groups ...string) Config {
	t.Helper()
	var cfg Config
	l := config.NewLoader([]string{"FORETOP_CLOUDWATCH_LOG_GROUPS=" + strings.Join(groups, ","), "FORETOP_CLOUDWATCH_GROUPS_FILE=unused"})
	l.Fill("FORETOP_CLOUDWATCH", &cfg)
	if err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	cfg.GroupsFile = ""
	cfg.MaxLateness, cfg.PollInterval, cfg.PollOverlap, cfg.SweepInterval = 600*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	cfg.CallsPerSecond, cfg.DiscoveryInterval, cfg.DrainTimeout = 1000, 50*time.Millisecond, time.Second
	return cfg
}

// newSource makes a source that retries quickly. Its log is returned with it.
func newSource(t *testing.T, cfg Config, o Options) (*Source, *sourcetest.Log) {
	t.Helper()
	text := &sourcetest.Log{}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(text, nil))
	}
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	s.tuning.retryMin, s.tuning.retryMax, s.tuning.save = 5*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond
	return s, text
}

func newStore(t *testing.T) *checkpoint.File {
	t.Helper()
	store, err := checkpoint.OpenFile(filepath.Join(t.TempDir(), "positions.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// reader runs a source and settles what it hands on.
type reader struct {
	t      *testing.T
	src    *Source
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu      sync.Mutex
	seen    map[string]int // deliveries by body
	records []pipeline.Record
	streams []string // of records
	held    []*pipeline.Batch
	settle  func(b *pipeline.Batch) error // nil: well
	hold    bool
}

func read(t *testing.T, src *Source) *reader {
	t.Helper()
	return readWith(t, src, func(*reader) {})
}

func readWith(t *testing.T, src *Source, configure func(*reader)) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{t: t, src: src, cancel: cancel, ended: make(chan struct{}), seen: make(map[string]int)}
	configure(r)
	go func() {
		defer close(r.ended)
		r.err = src.Run(ctx, r.emit)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
	})
	return r
}

func (r *reader) emit(_ context.Context, b *pipeline.Batch) error {
	r.mu.Lock()
	for _, record := range b.Records {
		r.seen[string(record.Body)]++
		r.records = append(r.records, record)
		r.streams = append(r.streams, b.Stream)
	}
	if r.hold {
		r.held = append(r.held, b)
		r.mu.Unlock()
		return nil
	}
	settle := r.settle
	r.mu.Unlock()
	var err error
	if settle != nil {
		err = settle(b)
	}
	b.Done(err)
	return nil
}

// count is how often a body was delivered.
func (r *reader) count(body string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[body]
}

// all waits until every body was delivered.
func (r *reader) all(bodies ...string) {
	r.t.Helper()
	for _, b := range bodies {
		r.eventually("delivery of "+b, func() bool { return r.count(b) > 0 })
	}
}

// once fails if a body was not delivered exactly once.
func (r *reader) once(bodies ...string) {
	r.t.Helper()
	for _, b := range bodies {
		if n := r.count(b); n != 1 {
			r.t.Errorf("%s was delivered %d times", b, n)
		}
	}
}

const patience = 10 * time.Second

func (r *reader) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %s; health: %v", patience, what, r.src.Health())
		}
		select {
		case <-r.ended:
			if !ok() {
				r.t.Fatalf("Run ended (%v) before: %s", r.err, what)
			}
			return
		default:
		}
	}
}

// stop ends the run, which must end well.
func (r *reader) stop() {
	r.t.Helper()
	r.cancel()
	r.end()
}

// end waits for the end of the run.
func (r *reader) end() {
	r.t.Helper()
	select {
	case <-r.ended:
		if r.err != nil {
			r.t.Errorf("Run: %v", r.err)
		}
	case <-time.After(patience):
		r.t.Fatal("Run has not ended")
	}
}

// sweptPast waits until the sweep has read and settled everything up to now.
func (r *reader) sweptPast(at time.Time) {
	r.t.Helper()
	r.eventually("the sweep comes past "+at.String(), func() bool {
		groups := r.src.running()
		return len(groups) > 0 && !slices.ContainsFunc(groups, func(g *group) bool {
			if s := g.session.Load(); s != nil {
				s.advance()
			}
			return g.settled.Load() <= at.UnixMilli()
		})
	})
}

// metric sums a metric over its labels.
func metric(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "foretop_cloudwatch_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "groups.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
