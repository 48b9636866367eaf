package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// deliverOnce runs a pipeline whose one batch has the given documents.
func deliverOnce(t *testing.T, c Config, src *memSource) *Pipeline {
	t.Helper()
	p := mustNew(t, c)
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkLaw(t, p)
	return p
}

func docs(first, n int) string {
	var words []string
	for i := range n {
		words = append(words, fmt.Sprintf("doc:%d", first+i))
	}
	return strings.Join(words, " ")
}

func TestBulksAreFilledOneAtATime(t *testing.T) {
	tests := []struct {
		name       string
		docs, size int
		wantBulks  []int
	}{
		{"up to the number of documents", 1000, 1 << 20, []int{1000, 1000, 500}},
		{"up to the number of bytes", 1 << 20, 13 * 700, []int{700, 700, 700, 400}},
		{"a document larger than a bulk goes alone", 1 << 20, 5, slices.Repeat([]int{1}, 2500)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := newFakeSink()
				sink.max = 1
				src := newMemSource([]string{strings.Join(slices.Repeat([]string{"doc:1000"}, 2500), " ")})
				c := config(sink, newFakeSink(), src)
				c.BulkDocs, c.BulkBytes = tt.docs, tt.size
				deliverOnce(t, c, src)
				sizes, _ := sink.calls()
				if diff := cmp.Diff(tt.wantBulks, sizes); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestABulkIsSentWhenItIsOldEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		src := newMemSource([]string{"doc:a"})
		src.finite = false
		c := config(sink, newFakeSink(), src)
		c.BulkDelay = 3 * time.Second
		p := mustNew(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		start := time.Now()
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		_, times := sink.calls()
		if took := times[0].Sub(start); took != 3*time.Second {
			t.Errorf("sent after %s", took)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestFlushersAreAsManyAsTheSinkAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		sink.max, sink.block = 3, make(chan struct{})
		src := newMemSource([]string{docs(0, 100)})
		c := config(sink, newFakeSink(), src)
		c.BulkDocs = 5
		p := mustNew(t, c)
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		synctest.Wait()
		if n := sink.busy.Load(); n != 3 {
			t.Errorf("%d writes in progress", n)
		}
		close(sink.block)
		if err := <-done; err != nil || sink.most.Load() != 3 {
			t.Errorf("Run: %v; at most %d writes at a time", err, sink.most.Load())
		}
	})
}

func TestOnlyTheDocumentsToRetryAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		attempts := map[string]int{}
		sink.write = func(docs []Document) ([]error, error) {
			return each(docs, func(d Document) error {
				if attempts[d.ID]++; d.ID == "3" && attempts["3"] <= 4 {
					return errors.New("429")
				}
				return nil
			})
		}
		sink.max = 1
		src := newMemSource([]string{docs(0, 10)})
		start := time.Now()
		p := deliverOnce(t, config(sink, newFakeSink(), src), src)
		sizes, _ := sink.calls()
		if diff := cmp.Diff([]int{10, 1, 1, 1, 1}, sizes); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(start); took < 2*time.Second || took > 2*time.Minute {
			t.Errorf("four pauses took %s", took)
		}
		if s := p.Stats().Sinks[0]; s.Stored != 10 || s.Retried != 4 || s.RetryWait == 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneDocumentThatIsRetriedForeverDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		sink.max = 1
		sink.write = func(docs []Document) ([]error, error) {
			return each(docs, func(d Document) error {
				if d.ID == "0" {
					return errors.New("503")
				}
				return nil
			})
		}
		var batches [][]string
		for i := range 500 {
			batches = append(batches, []string{fmt.Sprintf("doc:%d", i)})
		}
		src := newMemSource(batches...)
		src.finite = false
		p := mustNew(t, config(sink, newFakeSink(), src))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		if settled, _ := src.count(); settled != 499 {
			t.Errorf("%d of 499 settled", settled)
		}
		cancel()
		if err := <-done; !errors.Is(err, ErrUnsettled) {
			t.Error(err)
		}
		if settled, returned := src.count(); settled != 499 || returned != 1 {
			t.Errorf("%d settled, %d returned", settled, returned)
		}
		checkLaw(t, p)
	})
}

func TestARequestThatFailsIsRepeatedForeverWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		sink.max = 1
		start := time.Now()
		sink.write = func(docs []Document) ([]error, error) {
			if time.Since(start) < 24*time.Hour {
				return nil, errDown
			}
			return make([]error, len(docs)), nil
		}
		src := newMemSource([]string{docs(0, 3)})
		deliverOnce(t, config(sink, newFakeSink(), src), src)
		if len(sink.ids()) != 3 {
			t.Errorf("stored %v", sink.ids())
		}
		if n := sink.attempts(); n < 24*60 || n > 24*60*8 {
			t.Errorf("%d attempts in a day", n)
		}
		_, times := sink.calls()
		for i := 1; i < len(times); i++ {
			if pause := times[i].Sub(times[i-1]); pause < retryMin || pause > retryMax+retryMin {
				t.Fatalf("pause %d was %s", i, pause)
			}
		}
	})
}

func TestTheDelayThatASinkAsksForIsObeyed(t *testing.T) {
	tests := []struct {
		name  string
		write func([]Document) ([]error, error)
	}{
		{"for the request", func([]Document) ([]error, error) { return nil, RetryAfter(errDown, 95*time.Second) }},
		{"for a document", func(docs []Document) ([]error, error) {
			return each(docs, func(Document) error { return RetryAfter(errDown, 95*time.Second) })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := newFakeSink()
				sink.write = func(docs []Document) ([]error, error) {
					if sink.attempts() == 1 {
						return tt.write(docs)
					}
					return make([]error, len(docs)), nil
				}
				src := newMemSource([]string{"doc:a"})
				deliverOnce(t, config(sink, newFakeSink(), src), src)
				_, times := sink.calls()
				if pause := times[1].Sub(times[0]); pause < 95*time.Second || pause > 96*time.Second { // a bulk may wait a second for more
					t.Errorf("tried again after %s", pause)
				}
			})
		})
	}
}

func TestRefusedCredentialsAreTriedSlowlyAndShowInHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sink := newFakeSink()
		sink.max = 1
		start := time.Now()
		sink.write = func(docs []Document) ([]error, error) {
			if time.Since(start) < 10*time.Minute {
				return nil, errRefused
			}
			return make([]error, len(docs)), nil
		}
		src := newMemSource([]string{"doc:a"})
		c := config(sink, newFakeSink(), src)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		p := mustNew(t, c)
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(5 * time.Second)
		if h := p.Health().Sinks[0]; h.OK || h.Reason != "401" || !h.Since.Equal(start.Add(time.Second)) {
			t.Errorf("health %+v", h)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if h := p.Health().Sinks[0]; !h.OK {
			t.Errorf("health %+v", h)
		}
		if n := sink.attempts(); n != 21 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 10 || !strings.Contains(log.String(), "repeated=1") {
			t.Errorf("%d lines in ten minutes:\n%s", n, log.String())
		}
		checkLaw(t, p)
	})
}

func TestADocumentRefusedForNowByCredentialsIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		start := time.Now()
		sink.write = func(docs []Document) ([]error, error) {
			return each(docs, func(d Document) error {
				if d.ID == "a" && time.Since(start) < 5*time.Minute {
					return errRefused
				}
				return nil
			})
		}
		src := newMemSource([]string{"doc:a"}, []string{"doc:b"})
		p := mustNew(t, config(sink, newFakeSink(), src))
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(2 * time.Minute)
		if h := p.Health().Sinks[0]; h.OK || h.Reason != "1 documents are held: 401" {
			t.Errorf("health %+v", h)
		}
		if settled, _ := src.count(); settled != 1 {
			t.Errorf("%d settled", settled)
		}
		if err := <-done; err != nil || !p.Health().OK() {
			t.Errorf("Run: %v, health %+v", err, p.Health())
		}
		checkLaw(t, p)
	})
}

func TestARefusedDocumentBecomesADeadLetter(t *testing.T) {
	tests := []struct {
		name  string
		write func([]Document) ([]error, error)
	}{
		{"refused by itself", func(docs []Document) ([]error, error) {
			return each(docs, func(d Document) error {
				if d.ID == "5" {
					return errBad
				}
				return nil
			})
		}},
		{"refused with the whole request, which is halved until it stands alone", func(docs []Document) ([]error, error) {
			for _, d := range docs {
				if d.ID == "5" {
					return nil, errBad
				}
			}
			return make([]error, len(docs)), nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink, dead := newFakeSink(), newFakeSink()
				sink.write = tt.write
				src := newMemSource([]string{docs(0, 20)})
				c := config(sink, dead, src)
				var letters []DeadLetter
				c.EncodeDeadLetter = func(d DeadLetter) Document {
					letters = append(letters, d)
					return EncodeDeadLetter(d)
				}
				p := deliverOnce(t, c, src)
				if len(sink.ids()) != 19 || len(dead.ids()) != 1 || len(letters) != 1 {
					t.Fatalf("%d stored, %d dead letters", len(sink.ids()), len(dead.ids()))
				}
				l := letters[0]
				if l.Class != ClassSinkRejected || l.Key != "es/5" || string(l.Body) != `{"id":"5"}` || l.Origin.Pos != "0.0" {
					t.Errorf("%+v", l)
				}
				if s := p.Stats().Sources[0]; s.DeadLettered != 1 || s.Evaluated != 19 {
					t.Errorf("%+v", s)
				}
				if n := p.Stats().DeadLetters[ClassSinkRejected]; n != 1 {
					t.Errorf("%d dead letters counted", n)
				}
			})
		})
	}
}

func TestADeadLetterThatItsSinkRefusesIsHeldAndNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := newFakeSink()
		start := time.Now()
		dead.write = func(docs []Document) ([]error, error) {
			return each(docs, func(Document) error {
				if time.Since(start) < time.Hour {
					return errBad
				}
				return nil
			})
		}
		src := newMemSource([]string{"dead"})
		p := mustNew(t, config(newFakeSink(), dead, src))
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(30 * time.Minute)
		if h := p.Health().Sinks[1]; h.OK || !strings.Contains(h.Reason, "refuses a dead letter") {
			t.Errorf("health %+v", h)
		}
		if err := <-done; err != nil || len(dead.ids()) != 1 {
			t.Errorf("Run: %v, stored %v", err, dead.ids())
		}
		checkLaw(t, p)
	})
}

func TestWhatASinkMustNotDoIsARequestToRepeat(t *testing.T) {
	tests := []struct {
		name  string
		write func([]Document) ([]error, error)
		want  string
	}{
		{"it panics", func([]Document) ([]error, error) { panic("secret") }, "panicked"},
		{"it answers for fewer documents", func(docs []Document) ([]error, error) { return make([]error, len(docs)-1), nil }, "2 results for 3 documents"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				sink := newFakeSink()
				sink.write = func(docs []Document) ([]error, error) {
					if sink.attempts() < 3 {
						return tt.write(docs)
					}
					return make([]error, len(docs)), nil
				}
				src := newMemSource([]string{docs(0, 3)})
				c := config(sink, newFakeSink(), src)
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				deliverOnce(t, c, src)
				if len(sink.ids()) != 3 || !strings.Contains(log.String(), tt.want) || strings.Contains(log.String(), "secret") {
					t.Errorf("stored %v, log:\n%s", sink.ids(), log.String())
				}
			})
		})
	}
}

func TestWaitsGrowAreBoundedAndDiffer(t *testing.T) {
	var wait time.Duration
	longest, distinct := time.Duration(0), map[time.Duration]bool{}
	for range 1000 {
		wait = nextWait(wait, errDown)
		if wait < retryMin || wait > retryMax {
			t.Fatalf("pause of %s", wait)
		}
		longest, distinct[wait] = max(longest, wait), true
	}
	if longest < 30*time.Second || len(distinct) < 500 {
		t.Errorf("longest %s, %d different", longest, len(distinct))
	}
	if got := nextWait(0, RetryAfter(errDown, 1000*time.Hour)); got != longestDelay {
		t.Errorf("a delay of weeks became %s", got)
	}
	if got := nextWait(0, errRefused); got != fatalRetry {
		t.Errorf("fatal: %s", got)
	}
}
