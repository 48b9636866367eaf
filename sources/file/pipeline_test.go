package file

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// everyRecord makes a document of each record.
type everyRecord struct{}

func (everyRecord) Process(_ context.Context, _ string, b *pipeline.Batch, fx *pipeline.Effects) {
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
	stored map[string]int
}

func (*flaky) MaxInFlight() int { return 2 }

func (s *flaky) Write(_ context.Context, docs []pipeline.Document) ([]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	for _, d := range docs {
		s.stored[d.ID]++
	}
	return make([]error, len(docs)), nil
}

func (s *flaky) set(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
}

func TestNothingIsLostBetweenFilesAndASinkThatIsDownAtTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		store := &flaky{stored: make(map[string]int)}
		run := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			err := pipeline.Run(ctx, pipeline.Config{
				Sources:      []pipeline.NamedSource{{Name: "f", Source: newSource(t, w.cfg, Options{Name: "f", Store: w.store})}},
				NewProcessor: func() pipeline.Processor { return everyRecord{} },
				Sinks:        []pipeline.NamedSink{{Name: "s", Sink: store}},
				DeadLetters:  pipeline.NamedSink{Name: "d", Sink: pipeline.Discard},
				Budget:       10_000, DrainTimeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil && !errors.Is(err, pipeline.ErrUnsettled) {
				t.Fatal(err)
			}
		}
		appendTo(t, w.path("audit.log"), lines(0, 1000))
		run(time.Minute)
		store.set(true)
		appendTo(t, w.path("audit.log"), lines(1000, 1000))
		run(time.Minute) // ends while the sink is down: what is in flight is given back
		w.rename("audit.log", "audit.log.1")
		appendTo(t, w.path("audit.log"), lines(2000, 1000))
		go func() {
			time.Sleep(30 * time.Second)
			store.set(false)
		}()
		run(10 * time.Minute)
		for id := range strings.FieldsSeq(numbers(0, 3000)) {
			if store.stored[id] != 1 {
				t.Fatalf("%s was stored %d times", id, store.stored[id])
			}
		}
	})
}
