package decode

import (
	"bytes"
	"testing"
	"time"
)

func TestDecoderAllocatesNothingOnceWarm(t *testing.T) {
	record := func(log string) string {
		return `{"records":[{"category":"kube-audit","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/C","time":"2026-03-04T10:15:20.1Z","properties":{"log":` + log + `}}]}`
	}
	for name, body := range map[string]string{
		"a native event":           nativeEvent,
		"an event in an array":     "[" + nativeEvent + "]",
		"an event list":            `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + nativeEvent + "," + event1 + "]}",
		"an event as JSON text":    `{"@timestamp":1772619320.15,"log":` + quote(nativeEvent) + `,"cluster":"c"}`,
		"an event as an object":    `{"kubernetes":{"audit":` + nativeEvent + `}}`,
		"an event beside metadata": `{"@timestamp":"2026-03-04T10:15:20Z",` + nativeEvent[1:],
		"a diagnostic record":      record(quote(nativeEvent)),
		"gzip":                     string(gzipped([]byte(nativeEvent))),
	} {
		t.Run(name, func(t *testing.T) {
			mapping, err := ParseMapping("topic:^audit-(.*)$", "envelope:cluster")
			if err != nil {
				t.Fatal(err)
			}
			d := New(Options{ClusterFrom: mapping})
			meta := with(auditStream, "topic", "other")
			b, events := []byte(body), 0
			emit := func(it *Item) {
				if it.Kind == Event {
					events++
				}
			}
			d.Decode(b, meta, emit)
			if events == 0 {
				t.Fatal("no event")
			}
			if n := testing.AllocsPerRun(100, func() { d.Decode(b, meta, emit) }); n != 0 {
				t.Errorf("%v allocations for each record, want none", n)
			}
		})
	}
}

// Time must follow the bytes, whatever they are. The budget is some twenty times what is needed; work that
// grows with the square of the record takes longer.
func TestHostileBytesCostLinearTime(t *testing.T) {
	// Quadratic time would be a quarter of an hour; a machine that does much else is no quarter as slow as that.
	const size, budget = 2 << 20, time.Minute
	for _, unit := range []string{
		"{}", "[{},", "[", "{\"a\":[", "[1,\n", "x {\"a\":[\n", "1,{\"a\":[1,\n", `"{`, `x {"`, "{\"log\":\"\\n{\"", `\`, "\"a\":{\n",
	} {
		body := bytes.Repeat([]byte(unit), size/len(unit))
		start := time.Now()
		New(Options{MaxItems: 10 * size}).Decode(body, nil, func(*Item) {})
		if took := time.Since(start); took > budget {
			t.Errorf("decoding %d times %q took %v", size/len(unit), unit, took)
		}
		start = time.Now()
		frames(t, bytes.NewReader(body), 16<<20)
		if took := time.Since(start); took > budget {
			t.Errorf("cutting %d times %q into records took %v", size/len(unit), unit, took)
		}
	}
}

func BenchmarkDecodeNative(b *testing.B) {
	d := New(Options{})
	body := []byte(nativeEvent)
	emit := func(it *Item) {}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(body, nil, emit)
	}
}

func BenchmarkDecodeLogKey(b *testing.B) {
	d := New(Options{})
	body := append(appendQuoted([]byte(`{"@timestamp":1772619320.15,"log":`), []byte(nativeEvent)), '}')
	emit := func(it *Item) {}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(body, nil, emit)
	}
}

func BenchmarkDecodeEventList(b *testing.B) {
	d := New(Options{})
	item := []byte(nativeEvent)
	body := append([]byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[`), bytes.Repeat(append(item, ','), 100)...)
	body = append(body[:len(body)-1], "]}"...)
	emit := func(it *Item) {}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(body, nil, emit)
	}
}
