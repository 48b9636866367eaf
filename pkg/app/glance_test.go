package app

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
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

// TestGlance compares with encoding/json over events in which level and time stand anywhere, in bodies too, and in every
// spelling.
func TestGlance(t *testing.T) {
	members := []string{
		`"stageTimestamp":"2026-03-04T10:15:20.151515Z"`, `"stageTimestamp" : "2026-03-04T10:15:20.9Z"`, `"stageTimestamp":"2026-03-04T10:15:20Z"`,
		`"stageTimestamp":"2026-03-04T10:15:20.1+02:00"`, `"stageTimestamp":"2026-02-30T10:15:20Z"`, `"stageTimestamp":"2026-03-05T00:00:00Z"`,
		`"stage\u0054imestamp":"2026-03-04T10:15:21Z"`, `"level":"Request"`, `"level":"other"`, `"level":7`,
		`"requestObject":{"stageTimestamp":"2025-01-01T00:00:00Z","level":"Metadata"}`,
	}
	var c clock // one for all events, as a worker has
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(`{"auditID":"1","requestURI":"/","verb":"get","user":{},` + strings.Join(rapid.SliceOfN(rapid.SampledFrom(members), 1, 6).Draw(t, "members"), ",") + `}`)
		var want struct {
			Level          any
			StageTimestamp string
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		time, _ := event.ParseTime([]byte(want.StageTimestamp))
		wantLevel, _ := want.Level.(string)
		decode.New(decode.Options{}).Decode(text, nil, func(it *decode.Item) {
			if it.Kind != decode.Event {
				t.Fatalf("%+v", it)
			}
			if level, at := c.glance(it); !at.Equal(time.Truncate(second)) || level != levelOf([]byte(wantLevel)) {
				t.Fatalf("%q %s of %s, want %q %s", level, at, text, wantLevel, time)
			}
		})
	})
}

const second = time.Second

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
	lines, d := bytes.Split(bytes.TrimSpace(all), []byte{'\n'}), decode.New(decode.Options{})
	j := Judged{Verdict: &engine.Verdict{}}
	for i := range n {
		d.Decode(lines[i%len(lines)], nil, func(it *decode.Item) {
			j.Item = it
			fn(&j)
		})
	}
}

// BenchmarkObserver is decoding and what a scan's statistics cost.
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
