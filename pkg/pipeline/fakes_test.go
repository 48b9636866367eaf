package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// memSource emits the given batches of records and then, unless it is finite, waits for its context. It
// redelivers what is given back, except while it drains.
type memSource struct {
	batches [][]string
	finite  bool
	fail    error // returned instead of nil at the end

	mu       sync.Mutex
	settled  map[string]int // batches settled, by position of the first record
	returned map[string]int
	open     int
	idle     chan struct{}
	lose     func(stream string) context.Context
}

func newMemSource(batches ...[]string) *memSource {
	return &memSource{batches: batches, finite: true, settled: map[string]int{}, returned: map[string]int{}}
}

func (s *memSource) Run(ctx context.Context, emit Emit) error {
	for i, bodies := range s.batches {
		if err := s.emit(ctx, emit, i, bodies); err != nil {
			break
		}
	}
	if !s.finite {
		<-ctx.Done()
	}
	s.mu.Lock()
	idle := make(chan struct{})
	s.idle = idle
	if s.open == 0 {
		close(idle)
		s.idle = nil
	}
	s.mu.Unlock()
	<-idle // the pipeline promises to settle every batch
	return s.fail
}

func (s *memSource) emit(ctx context.Context, emit Emit, i int, bodies []string) error {
	records := make([]Record, len(bodies))
	for j, body := range bodies {
		records[j] = Record{Body: []byte(body), Pos: fmt.Sprintf("%d.%d", i, j)}
	}
	stream, streamCtx := fmt.Sprintf("mem/%d", i%3), context.Background()
	if s.lose != nil {
		streamCtx = s.lose(stream)
	}
	pos := fmt.Sprint(i)
	s.mu.Lock()
	s.open++
	s.mu.Unlock()
	err := emit(ctx, NewBatch(streamCtx, stream, records, func(err error) {
		for j := range records { // the buffers are reused: whatever still reads them is wrong from here on
			clear(records[j].Body)
		}
		s.done(pos, err)
	}))
	if err != nil {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}
	return err
}

func (s *memSource) done(pos string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.settled[pos]++
	} else {
		s.returned[pos]++
	}
	s.open--
	if s.open == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

func (s *memSource) count() (settled, returned int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.settled), len(s.returned)
}

// scripted is a Processor that does what each record says: words separated by spaces, of which "doc:ID"
// makes a document, "dead" a dead letter, "skip" and "drop" count, "ok" is one item evaluated, "panic" panics.
type scripted struct{}

func (scripted) Process(_ context.Context, source string, b *Batch, fx *Effects) {
	for i := range b.Records {
		origin := Origin{Source: source, Stream: b.Stream, Pos: b.Records[i].Pos}
		for word := range strings.FieldsSeq(string(b.Records[i].Body)) {
			fx.Counts.Items++
			id, isDoc := strings.CutPrefix(word, "doc:")
			switch {
			case word == "panic":
				panic("secret " + word)
			case isDoc:
				fx.Counts.Evaluated++
				fx.Documents = append(fx.Documents, Document{ID: id, Body: fmt.Appendf(nil, `{"id":%q}`, id), Origin: origin})
			case word == "dead":
				fx.DeadLetters = append(fx.DeadLetters, DeadLetter{Origin: origin, Class: "not_json", SHA256: "00", Length: 4})
			case word == "skip":
				fx.Counts.Skip("stage")
			case word == "drop":
				fx.Counts.Dropped++
			default:
				fx.Counts.Evaluated++
			}
		}
	}
}

// fakeSink stores by id and answers as told.
type fakeSink struct {
	max   int
	write func(docs []Document) ([]error, error) // nil: store all
	block chan struct{}                          // Write waits for it or its context

	mu     sync.Mutex
	stored map[string]int
	byKey  map[string]string // ids of dead letters by their key
	writes []int             // documents in each write
	times  []time.Time
	busy   atomic.Int32
	most   atomic.Int32
}

func newFakeSink() *fakeSink {
	return &fakeSink{max: 2, stored: map[string]int{}, byKey: map[string]string{}}
}

func (s *fakeSink) MaxInFlight() int { return s.max }

func (s *fakeSink) Write(ctx context.Context, docs []Document) ([]error, error) {
	s.most.Store(max(s.most.Load(), s.busy.Add(1)))
	defer s.busy.Add(-1)
	s.mu.Lock()
	s.writes, s.times = append(s.writes, len(docs)), append(s.times, time.Now())
	s.mu.Unlock()
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	results := make([]error, len(docs))
	if s.write != nil {
		var err error
		if results, err = s.write(docs); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range docs {
		if i < len(results) && results[i] == nil {
			s.stored[d.ID]++
			if letter, err := DecodeDeadLetter(d.Body); err == nil {
				s.byKey[letter.Key] = d.ID
			}
		}
	}
	return results, nil
}

// calls are the sizes and times of the writes so far.
func (s *fakeSink) calls() ([]int, []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes), slices.Clone(s.times)
}

func (s *fakeSink) attempts() int {
	sizes, _ := s.calls()
	return len(sizes)
}

func (s *fakeSink) ids() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int, len(s.stored))
	maps.Copy(out, s.stored)
	return out
}

var (
	errDown    = errors.New("connection refused")
	errRefused = FatalError(errors.New("401"))
	errBad     = Rejected(errors.New("mapping"))
)

func each(docs []Document, f func(d Document) error) ([]error, error) {
	out := make([]error, len(docs))
	for i, d := range docs {
		out[i] = f(d)
	}
	return out, nil
}

// config wires fakes with short, exact settings.
func config(sink, dead Sink, sources ...*memSource) Config {
	c := Config{
		NewProcessor: func() Processor { return scripted{} },
		Sinks:        []NamedSink{{Name: "es", Sink: sink}},
		DeadLetters:  NamedSink{Name: "dlq", Sink: dead},
		Workers:      2,
		Logger:       slog.New(slog.DiscardHandler),
	}
	for i, s := range sources {
		c.Sources = append(c.Sources, NamedSource{Name: fmt.Sprintf("src%d", i), Source: s})
	}
	return c
}

func mustNew(t testing.TB, c Config) *Pipeline {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkLaw fails if the conservation law does not hold, or something is in flight although nothing should be.
func checkLaw(t interface {
	Helper()
	Errorf(string, ...any)
}, p *Pipeline) {
	t.Helper()
	stats := p.Stats()
	for i := range stats.Sources {
		s := &stats.Sources[i]
		if err := s.Check(); err != nil {
			t.Errorf("%v", err)
		}
		if s.RecordsInFlight != 0 || s.ItemsInFlight != 0 || s.BatchesInFlight != 0 {
			t.Errorf("%s: %d records, %d items, %d batches in flight at the end", s.Name, s.RecordsInFlight, s.ItemsInFlight, s.BatchesInFlight)
		}
	}
	if stats.InFlightBatches != 0 || stats.InFlightBytes != 0 {
		t.Errorf("%d batches, %d bytes in flight at the end", stats.InFlightBatches, stats.InFlightBytes)
	}
	if !p.budget.TryAcquire(p.cfg.Budget) || !p.effects.TryAcquire(p.cfg.Budget) {
		t.Errorf("the byte budget was not given back whole")
	}
}
