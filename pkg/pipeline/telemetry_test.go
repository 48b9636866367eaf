package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRepeatedLinesAreCountedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		th := NewThrottle(slog.New(slog.NewTextHandler(&log, nil)))
		for range 200 { // one a second
			th.Log(slog.LevelWarn, "a", "down", "sink", "es")
			time.Sleep(time.Second)
		}
		th.Log(slog.LevelWarn, "b", "other")
		th.Forget("a")
		th.Log(slog.LevelWarn, "a", "down", "sink", "es")
		var got []string
		for line := range strings.Lines(log.String()) {
			_, rest, _ := strings.Cut(line, "msg=")
			got = append(got, strings.TrimSpace(rest))
		}
		want := []string{
			"down sink=es", "down sink=es repeated=59", "down sink=es repeated=59", "down sink=es repeated=59",
			"other", "down sink=es",
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestThrottleKeysAreBounded(t *testing.T) {
	th := NewThrottle(slog.New(slog.DiscardHandler))
	for i := range 10 * throttleKeys {
		th.Log(slog.LevelInfo, fmt.Sprint(i), "x")
	}
	if len(th.seen) > throttleKeys {
		t.Errorf("%d keys", len(th.seen))
	}
}

func TestMetricsSayWhatStatsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		sink := newFakeSink()
		sink.write = func(docs []Document) ([]error, error) {
			if sink.attempts() == 1 {
				return nil, RetryAfter(errDown, 10*time.Second)
			}
			return each(docs, func(d Document) error {
				if d.ID == "b" {
					return errBad
				}
				return nil
			})
		}
		src := newMemSource([]string{"ok doc:a doc:b", "skip drop", "dead panic"})
		c := config(sink, newFakeSink(), src)
		c.Registerer = registry
		p := deliverOnce(t, c, src)
		want := `
# HELP foretop_dead_letters_total Dead letters that the dead-letter sink has, by reason class.
# TYPE foretop_dead_letters_total counter
foretop_dead_letters_total{class="panic"} 1
foretop_dead_letters_total{class="sink_rejected"} 1
# HELP foretop_items_total Items (events and undecodable stretches) by what became of them.
# TYPE foretop_items_total counter
foretop_items_total{result="dead_lettered",source="src0"} 2
foretop_items_total{result="dropped",source="src0"} 1
foretop_items_total{result="evaluated",source="src0"} 2
foretop_items_total{result="skipped",source="src0"} 1
# HELP foretop_records_total Records taken in from a source, redelivered ones again.
# TYPE foretop_records_total counter
foretop_records_total{source="src0"} 3
# HELP foretop_sink_docs_total Results of documents: stored, rejected (to the dead letters), retried, refused (held until somebody acts).
# TYPE foretop_sink_docs_total counter
foretop_sink_docs_total{result="refused",sink="dlq"} 0
foretop_sink_docs_total{result="refused",sink="es"} 0
foretop_sink_docs_total{result="rejected",sink="dlq"} 0
foretop_sink_docs_total{result="rejected",sink="es"} 1
foretop_sink_docs_total{result="retried",sink="dlq"} 0
foretop_sink_docs_total{result="retried",sink="es"} 0
foretop_sink_docs_total{result="stored",sink="dlq"} 2
foretop_sink_docs_total{result="stored",sink="es"} 1
# HELP foretop_sink_retry_seconds_total Time spent waiting between attempts.
# TYPE foretop_sink_retry_seconds_total counter
foretop_sink_retry_seconds_total{sink="dlq"} 0
foretop_sink_retry_seconds_total{sink="es"} 10
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "foretop_dead_letters_total",
			"foretop_items_total", "foretop_records_total", "foretop_sink_docs_total", "foretop_sink_retry_seconds_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Error(err, problems)
		}
		if _, err := New(c); err == nil {
			t.Error("a second pipeline on one registry would be counted twice, and was allowed")
		}
		_ = p
	})
}

func TestTheShareOfDeadLettersIsShownAndForgotten(t *testing.T) {
	var w junkWindow
	start := time.Now()
	w.add(start, 100, 50)
	if got := w.share(start.Add(4 * time.Minute)); got != 0.5 {
		t.Errorf("share %v", got)
	}
	w.add(start.Add(6*time.Minute), 100, 0)
	if got := w.share(start.Add(7 * time.Minute)); got != 0.25 {
		t.Errorf("share over two spans %v", got)
	}
	if got := w.share(start.Add(time.Hour)); got != 0 {
		t.Errorf("share after a quiet hour %v", got)
	}
}

func TestClassesAreBounded(t *testing.T) {
	known := map[string]int64{}
	for i := range 1000 {
		known[boundedClass(known, fmt.Sprint(i))]++
	}
	if len(known) > maxClasses+1 || known["other"] == 0 {
		t.Errorf("%d classes, %d other", len(known), known["other"])
	}
}

func TestErrorsClassifyThemselves(t *testing.T) {
	plain := errors.New("x")
	for _, tt := range []struct {
		err   error
		class Class
		delay time.Duration
	}{
		{plain, Retry, 0},
		{fmt.Errorf("write: %w", Rejected(plain)), Reject, 0},
		{fmt.Errorf("write: %w", FatalError(plain)), Fatal, 0},
		{fmt.Errorf("write: %w", RetryAfter(plain, time.Second)), Retry, time.Second},
		{errors.Join(plain, Rejected(plain)), Reject, 0},
	} {
		if ClassOf(tt.err) != tt.class || DelayOf(tt.err) != tt.delay || !errors.Is(tt.err, plain) {
			t.Errorf("%v: %v, %v", tt.err, ClassOf(tt.err), DelayOf(tt.err))
		}
	}
}
