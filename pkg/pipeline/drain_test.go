package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsInFlightAtTheEndIsFinishedWithoutWaitingForFullerBulks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		src := newMemSource([]string{"doc:a"})
		src.finite = false
		c := config(sink, newFakeSink(), src)
		c.BulkDelay = time.Hour
		p := mustNew(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		start := time.Now()
		cancel()
		if err := <-done; err != nil || sink.ids()["a"] != 1 || time.Since(start) > 0 {
			t.Errorf("Run: %v after %s, stored %v", err, time.Since(start), sink.ids())
		}
		checkLaw(t, p)
	})
}

func TestTheDrainEndsAfterItsTimeoutAndGivesTheRestBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		sink.block = make(chan struct{})
		src := newMemSource([]string{"doc:a"}, []string{"ok"}, []string{"dead"})
		src.finite = false
		p := mustNew(t, config(sink, newFakeSink(), src))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		start := time.Now()
		cancel()
		err := <-done
		if took := time.Since(start); took != defaultDrainTimeout {
			t.Errorf("the drain took %s", took)
		}
		if !errors.Is(err, ErrUnsettled) || !strings.Contains(err.Error(), "1 batches after 25s") {
			t.Errorf("Run: %v", err)
		}
		if settled, returned := src.count(); settled != 2 || returned != 1 {
			t.Errorf("%d settled, %d returned", settled, returned)
		}
		if s := p.Stats().Sources[0]; s.RecordsReturned != 1 || s.ItemsReturned != 1 || s.RecordsSettled != 2 {
			t.Errorf("%+v", s)
		}
		checkLaw(t, p)
	})
}

// deaf is a source, a sink and a processor that ignore that their context has ended, until they are woken.
type deaf struct{ wake chan struct{} }

func (d deaf) Run(context.Context, Emit) error {
	<-d.wake
	return nil
}

func (d deaf) Write(_ context.Context, docs []Document) ([]error, error) {
	<-d.wake
	return make([]error, len(docs)), nil
}

func (deaf) MaxInFlight() int { return 1 }

func (d deaf) Process(context.Context, string, *Batch, *Effects) { <-d.wake }

func TestWhoeverIgnoresTheEndDoesNotKeepRunFromReturning(t *testing.T) {
	tests := []struct {
		name string
		put  func(*Config, deaf)
		want string
	}{
		{"a source", func(c *Config, d deaf) { c.Sources = append(c.Sources, NamedSource{"hung", d}) }, "sources ignore that their context has ended: [hung]"},
		{"a sink", func(c *Config, d deaf) { c.Sinks[0].Sink = d }, "left unsettled"},
		{"a judge", func(c *Config, d deaf) { c.NewProcessor = func() Processor { return d } }, "left unsettled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deaf{make(chan struct{})}
				src := newMemSource([]string{"doc:a"})
				src.finite = false
				c := config(newFakeSink(), newFakeSink(), src)
				tt.put(&c, d)
				p := mustNew(t, c)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				err := p.Run(ctx)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Run: %v", err)
				}
				if took := time.Since(start) - time.Minute; took > defaultDrainTimeout+3*hungGrace {
					t.Errorf("the end took %s", took)
				}
				close(d.wake)
				synctest.Wait()
				if settled, returned := src.count(); settled+returned != 1 {
					t.Errorf("%d settled, %d returned", settled, returned)
				}
			})
		})
	}
}

func TestEmitReturnsWhenThePipelineStopsWhileItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		sink.block = make(chan struct{})
		src := newMemSource([]string{"doc:a"}, []string{"doc:b"}, []string{"doc:c"})
		c := config(sink, newFakeSink(), src)
		c.Budget, c.DrainTimeout = 1, time.Second // one batch at a time
		p := mustNew(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Run(ctx); !errors.Is(err, ErrUnsettled) {
			t.Errorf("Run: %v", err)
		}
		if s := p.Stats().Sources[0]; s.Records != 1 || s.RecordsReturned != 1 {
			t.Errorf("%+v", s)
		}
		checkLaw(t, p)
	})
}
