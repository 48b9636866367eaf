package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// storm is one random history of a pipeline. Everything is drawn before it starts, so that it can be shrunk.
type storm struct {
	batches [][]string
	workers int
	budget  int64
	seed    uint64        // of the sinks' moods
	trouble int           // percent of documents and requests that fail at an attempt
	calm    time.Duration // when the sinks become well
	cancel  time.Duration // when the context ends; 0: never
	lose    time.Duration // when one of three streams is lost; 0: never
	drain   time.Duration
}

func drawStorm(t *rapid.T) storm {
	word := rapid.SampledFrom([]string{"ok", "skip", "drop", "dead", "doc", "doc", "doc", "panic"})
	record := rapid.SliceOfN(word, 0, 4)
	s := storm{
		workers: rapid.IntRange(1, 3).Draw(t, "workers"),
		budget:  int64(rapid.IntRange(500, 5000).Draw(t, "budget")),
		seed:    rapid.Uint64().Draw(t, "seed"),
		trouble: rapid.IntRange(0, 60).Draw(t, "trouble"),
		calm:    time.Duration(rapid.IntRange(0, 300).Draw(t, "calm")) * time.Second,
		cancel:  time.Duration(rapid.IntRange(0, 120_000).Draw(t, "cancel")) * time.Millisecond,
		lose:    time.Duration(rapid.IntRange(0, 60_000).Draw(t, "lose")) * time.Millisecond,
		drain:   time.Duration(rapid.IntRange(1, 30_000).Draw(t, "drain")) * time.Millisecond,
	}
	id := 0
	for _, records := range rapid.SliceOfN(rapid.SliceOfN(record, 0, 3), 1, 12).Draw(t, "batches") {
		var bodies []string
		for _, words := range records {
			for i, w := range words {
				if w == "doc" {
					words[i] = fmt.Sprintf("doc:%d", id)
					id++
				}
			}
			bodies = append(bodies, strings.Join(words, " "))
		}
		s.batches = append(s.batches, bodies)
	}
	return s
}

// moody makes a sink fail in all ways at random until calm.
func (s storm) moody(rejects bool, salt uint64) *fakeSink {
	sink, random, start := newFakeSink(), rand.New(rand.NewPCG(s.seed, salt)), time.Now()
	moods := []error{errDown, errRefused, RetryAfter(errDown, 7*time.Second), errBad}
	if !rejects {
		moods = moods[:3]
	}
	sink.max = 1 // one caller, so that the random numbers come in order
	sink.write = func(docs []Document) ([]error, error) {
		mood := func() error {
			if time.Since(start) > s.calm || random.IntN(100) >= s.trouble {
				return nil
			}
			return moods[random.IntN(len(moods))]
		}
		if err := mood(); err != nil && random.IntN(2) == 0 {
			return nil, err
		}
		return each(docs, func(Document) error { return mood() })
	}
	return sink
}

// play runs the history and returns what is wrong.
func (s storm) play(t *testing.T) error {
	sinks := []*fakeSink{s.moody(true, 1), s.moody(true, 2)}
	dead := s.moody(false, 3)
	src := newMemSource(s.batches...)
	lost, lose := context.WithCancel(t.Context())
	defer lose()
	src.lose = func(stream string) context.Context {
		if stream == "mem/1" && s.lose > 0 {
			return lost
		}
		return t.Context()
	}
	c := config(sinks[0], dead, src)
	c.Sinks = append(c.Sinks, NamedSink{"second", sinks[1]})
	c.Workers, c.Budget, c.DrainTimeout, c.BulkDocs = s.workers, s.budget, s.drain, 3
	p := mustNew(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if s.cancel > 0 {
		time.AfterFunc(s.cancel, cancel)
	}
	if s.lose > 0 {
		time.AfterFunc(s.lose, lose)
	}
	if err := p.Run(ctx); err != nil && (s.cancel == 0 || !errors.Is(err, ErrUnsettled)) {
		return err
	}
	var bad complaints
	checkLaw(&bad, p)
	src.mu.Lock()
	defer src.mu.Unlock()
	for i, bodies := range s.batches {
		pos := fmt.Sprint(i)
		settled, returned := src.settled[pos], src.returned[pos]
		if settled+returned > 1 {
			bad.Errorf("batch %d was settled %d times", i, settled+returned)
		}
		if settled == 0 && s.cancel == 0 && s.lose == 0 {
			bad.Errorf("batch %d was not settled although nothing was stopped or lost", i)
		}
		if settled == 1 {
			s.checkKept(&bad, bodies, sinks, dead)
		}
	}
	return bad.err()
}

// checkKept checks that each document of a settled batch is in every sink, or in the dead letters.
func (s storm) checkKept(bad *complaints, bodies []string, sinks []*fakeSink, dead *fakeSink) {
	for _, body := range bodies {
		if strings.Contains(body, "panic") {
			continue // the record is one dead letter: none of its documents is made
		}
		for word := range strings.FieldsSeq(body) {
			id, isDoc := strings.CutPrefix(word, "doc:")
			if !isDoc {
				continue
			}
			for i, sink := range sinks {
				name := []string{"es", "second"}[i]
				if sink.ids()[id] == 0 && dead.ids()[rejectedID(dead, name, id)] == 0 {
					bad.Errorf("document %s of a settled batch is neither in sink %s nor in the dead letters", id, name)
				}
			}
		}
	}
}

// rejectedID finds the dead letter of a document: its id is derived from origin and key.
func rejectedID(dead *fakeSink, sink, id string) string {
	dead.mu.Lock()
	defer dead.mu.Unlock()
	return dead.byKey[sink+"/"+id]
}

type complaints struct{ list []error }

func (c *complaints) Helper() {}

func (c *complaints) Errorf(format string, args ...any) {
	c.list = append(c.list, fmt.Errorf(format, args...))
}

func (c *complaints) err() error { return errors.Join(c.list...) }

func TestEachBatchIsSettledOnceAndKeptWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawStorm(rt)
		var err error
		synctest.Test(t, func(t *testing.T) { err = s.play(t) })
		if err != nil {
			rt.Fatalf("%v\nin %+v", err, s)
		}
	})
}
