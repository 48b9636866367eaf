package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryItemEndsInOneOfFourWaysAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, dead := newFakeSink(), newFakeSink()
		src := newMemSource([]string{"ok doc:a", "skip", "drop dead"}, []string{"ok ok"}, []string{}, []string{"doc:b doc:c"})
		p := mustNew(t, config(sink, dead, src))
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, sink.ids()); diff != "" {
			t.Error(diff)
		}
		if len(dead.ids()) != 1 {
			t.Errorf("dead letters: %v", dead.ids())
		}
		if settled, returned := src.count(); settled != 4 || returned != 0 {
			t.Errorf("%d settled, %d returned", settled, returned)
		}
		got := p.Stats().Sources[0]
		want := SourceStats{
			Name: "src0", Records: 5, RecordsSettled: 5, Bytes: got.Bytes, Items: 9, Evaluated: 6, DeadLettered: 1, Dropped: 1,
			Skipped: map[string]int64{"stage": 1}, Batches: 4,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]int64{"not_json": 1}, p.Stats().DeadLetters); diff != "" {
			t.Error(diff)
		}
		checkLaw(t, p)
	})
}

func TestADocumentIsSettledWhenAllSinksHaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := newFakeSink(), newFakeSink()
		slow.block = make(chan struct{})
		src := newMemSource([]string{"doc:a"})
		c := config(fast, newFakeSink(), src)
		c.Sinks = append(c.Sinks, NamedSink{"slow", slow})
		p := mustNew(t, c)
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(time.Hour)
		if settled, _ := src.count(); settled != 0 || fast.ids()["a"] != 1 {
			t.Fatalf("%d settled while one sink has not stored; the other has %v", settled, fast.ids())
		}
		close(slow.block)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		checkLaw(t, p)
	})
}

func TestOnlyTheRecordThatPanicsIsDeadLettered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sink, dead := newFakeSink(), newFakeSink()
		var letters []DeadLetter
		src := newMemSource([]string{"doc:a", "ok panic", "doc:b skip"}, []string{"panic"})
		c := config(sink, dead, src)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Redact = func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("panic"), []byte("*****")) }
		c.EncodeDeadLetter = func(d DeadLetter) Document {
			letters = append(letters, d)
			return EncodeDeadLetter(d)
		}
		c.Workers = 1
		p := mustNew(t, c)
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, sink.ids()); diff != "" {
			t.Error(diff)
		}
		if len(letters) != 2 || letters[0].Class != ClassPanic || letters[0].Origin.Pos != "0.1" ||
			string(letters[0].Body) != "ok *****" || letters[0].Length != 8 || len(letters[0].SHA256) != 64 {
			t.Errorf("letters %+v", letters)
		}
		if s := p.Stats().Sources[0]; s.Panics != 2 || s.DeadLettered != 2 || s.Items != 5 {
			t.Errorf("%+v", s)
		}
		if strings.Contains(log.String()+letters[0].Detail, "secret") {
			t.Errorf("the value of the panic, which may quote a record, was logged: %s", log.String())
		}
		checkLaw(t, p)
	})
}

func TestAPanicWithoutAWorkingRedactionKeepsNoBody(t *testing.T) {
	for name, redact := range map[string]func([]byte) []byte{
		"none configured": nil,
		"it panics too":   func([]byte) []byte { panic("again") },
	} {
		t.Run(name, func(t *testing.T) {
			d := panicked("s", "stream", &Record{Body: []byte("password"), Pos: "1"}, redact, "x")
			if d.Body != nil || d.Length != 8 || !strings.Contains(d.Detail, "body is left out") {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestTheBudgetStopsConsumptionWhileASinkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		var up atomic.Bool
		sink.write = func(docs []Document) ([]error, error) {
			if !up.Load() {
				return nil, errDown
			}
			return make([]error, len(docs)), nil
		}
		var batches [][]string
		for i := range 100 {
			batches = append(batches, []string{fmt.Sprintf("doc:%d", i) + strings.Repeat(" ", 1000)})
		}
		src := newMemSource(batches...)
		c := config(sink, newFakeSink(), src)
		c.Budget = 10_000
		p := mustNew(t, c)
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(10 * time.Minute)
		stats := p.Stats()
		if s := stats.Sources[0]; s.Batches < 2 || s.Batches > 10 || stats.InFlightBytes > c.Budget {
			t.Errorf("%d batches, %d bytes in flight with a budget of %d", s.Batches, stats.InFlightBytes, c.Budget)
		}
		if h := p.Health(); h.OK() || h.Sinks[0].OK || h.Sinks[0].Reason != "connection refused" || !h.Sinks[1].OK {
			t.Errorf("health %+v", h)
		}
		up.Store(true)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(sink.ids()) != 100 {
			t.Errorf("%d of 100 stored", len(sink.ids()))
		}
		if h := p.Health(); !h.OK() {
			t.Errorf("health %+v", h)
		}
		checkLaw(t, p)
	})
}

func TestABatchLargerThanTheBudgetIsAdmittedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := "doc:big" + strings.Repeat(" ", 5000)
		src := newMemSource([]string{"doc:a"}, []string{big}, []string{"doc:b"}, []string{big})
		c := config(newFakeSink(), newFakeSink(), src)
		c.Budget = 2000
		p := mustNew(t, c)
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkLaw(t, p)
	})
}

func TestADeadLetterSinkThatIsDownStopsConsumption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := newFakeSink()
		dead.write = func([]Document) ([]error, error) { return nil, errDown }
		var batches [][]string
		for range 50 {
			batches = append(batches, []string{"dead" + strings.Repeat(" ", 1000)})
		}
		src := newMemSource(batches...)
		c := config(newFakeSink(), dead, src)
		c.Budget = 10_000
		c.DrainTimeout = time.Second
		p := mustNew(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := p.Run(ctx)
		if !errors.Is(err, ErrUnsettled) {
			t.Fatalf("Run: %v", err)
		}
		settled, returned := src.count()
		if settled != 0 || returned == 0 || returned > 10 {
			t.Errorf("%d settled, %d returned", settled, returned)
		}
		checkLaw(t, p)
	})
}

func TestTheSourceThatFailsDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := newMemSource(), newMemSource([]string{"doc:a"})
		bad.fail = errors.New("no such topic")
		good.finite = false
		p := mustNew(t, config(newFakeSink(), newFakeSink(), bad, good))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		h := p.Health()
		if h.Sources[0].OK || h.Sources[0].Reason != "source src0: no such topic" || !h.Sources[1].OK || h.Draining {
			t.Errorf("health %+v", h)
		}
		if settled, _ := good.count(); settled != 1 {
			t.Error("the other source's batch is not settled")
		}
		cancel()
		if err := <-done; !errors.Is(err, bad.fail) || errors.Is(err, ErrUnsettled) {
			t.Errorf("Run: %v", err)
		}
		checkLaw(t, p)
	})
}

type panickySource struct{}

func (panickySource) Run(context.Context, Emit) error { panic("x") }

func TestASourceThatPanicsEndsWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(newFakeSink(), newFakeSink())
		c.Sources = []NamedSource{{"p", panickySource{}}}
		if err := mustNew(t, c).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "source p panicked") {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestAStreamThatIsLostIsGivenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink()
		sink.write = func([]Document) ([]error, error) { return nil, errDown }
		lost, lose := context.WithCancel(t.Context())
		src := newMemSource([]string{"doc:a"}, []string{"doc:b"})
		src.lose = func(string) context.Context { return lost }
		p := mustNew(t, config(sink, newFakeSink(), src))
		done := make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(time.Minute)
		start := time.Now()
		lose()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("given up after %s", took)
		}
		if settled, returned := src.count(); settled != 0 || returned != 2 {
			t.Errorf("%d settled, %d returned", settled, returned)
		}
		checkLaw(t, p)
	})
}

func TestEmitAfterTheEndIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, config(newFakeSink(), newFakeSink(), newMemSource()))
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := NewBatch(t.Context(), "s", []Record{{Body: []byte("x")}}, func(error) { t.Error("settled") })
		if err := p.emitter(p.sources[0])(t.Context(), b); !errors.Is(err, ErrStopped) {
			t.Errorf("emit: %v", err)
		}
		if len(p.slots) != 0 {
			t.Error("a place in the queue was not given back")
		}
		if err := p.Run(t.Context()); err == nil {
			t.Error("a second Run was allowed")
		}
		checkLaw(t, p)
	})
}

func TestConfigSaysWhatIsMissing(t *testing.T) {
	_, err := New(Config{})
	for _, want := range []string{"no processor", "no source", "no sink", "no dead-letter sink"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	twice := config(newFakeSink(), newFakeSink(), newMemSource(), newMemSource())
	twice.Sources[1].Name = twice.Sources[0].Name
	twice.DeadLetters.Name = twice.Sinks[0].Name
	if _, err := New(twice); err == nil || strings.Count(err.Error(), "name of its own") != 2 {
		t.Errorf("names used twice: %v", err)
	}
}
