package app

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
)

// TestGlanceFindsTheLastTime compares with the plain search over texts in which keys, parts of them and times stand
// anywhere, also across the ends of the stretches that are searched.
func TestGlanceFindsTheLastTime(t *testing.T) {
	pieces := []string{
		`"stageTimestamp":`, `"stageTimestamp" :`, `"stageT`, `Timestamp":`, `T`, `"`, `"level":"Request",`, `"level":"other"`,
		`"2026-03-04T10:15:20.151515Z"`, `"2026-03-04T10:15:20.9Z"`, `"2026-03-04T10:15:20Z"`, `"2026-03-04T10:15:20"`, `"2026-03-04T10:15:20.Z"`,
		`"2026-03-04T10:15:20.1+02:00"`, `"2026-03-04T10:15:2"`, `"2026-03-04T10:15:20x1Z"`, `"2026-02-30T10:15:20Z"`, `"2026-03-04T10:15:60Z"`, `"2026-03-05T00:00:00Z"`,
		` `, strings.Repeat("x", 500), strings.Repeat("xT", 2000),
	}
	rapid.Check(t, func(t *rapid.T) {
		var c clock // one for all texts, as a worker has one for all events
		for range 5 {
			text := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "pieces"), ""))
			var want time.Time
			if i := bytes.LastIndex(text, stageTimeKey); i >= 0 {
				want, _ = event.ParseTime(textAt(text, i+len(stageTimeKey)))
			}
			if _, got := c.glance(text); !got.Equal(want.Truncate(time.Second)) {
				t.Fatalf("%s of %q, want %s", got, text, want)
			}
		}
	})
}

// observed gives the recorded story's events to fn, over and over until n have been given.
func observed(tb testing.TB, n int, fn func(*Judged)) {
	tb.Helper()
	z, err := gzip.NewReader(bytes.NewReader(detections.Story))
	if err != nil {
		tb.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	var kept []decode.Item
	for line := range bytes.Lines(all) {
		decode.New(decode.Options{}).Decode(line, nil, func(it *decode.Item) { kept = append(kept, *it) })
	}
	j := Judged{Verdict: &engine.Verdict{}}
	if b, ok := tb.(*testing.B); ok {
		b.ResetTimer()
	}
	for i := range n {
		j.Item = &kept[i%len(kept)]
		fn(&j)
	}
}

// BenchmarkObserver is what a scan's statistics cost beside judging.
func BenchmarkObserver(b *testing.B) {
	b.ReportAllocs()
	var o observer
	observed(b, b.N, o.see)
	if o.traffic.Events != int64(b.N) || o.traffic.Without != 0 {
		b.Fatalf("%d events of %d, %d without a time", o.traffic.Events, b.N, o.traffic.Without)
	}
}

func TestObserverAllocatesNothing(t *testing.T) {
	var o observer
	observed(t, 5000, o.see)
	observed(t, 1, func(j *Judged) {
		if n := testing.AllocsPerRun(1000, func() { o.see(j) }); n != 0 {
			t.Errorf("%v allocations for an event", n)
		}
	})
}
