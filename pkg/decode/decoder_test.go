package decode

import (
	"bytes"
	"testing"
)

func TestDecoderAllocatesNothingForNativeEvents(t *testing.T) {
	d := New(Options{})
	body := []byte(nativeEvent)
	events := 0
	emit := func(it *Item) {
		if it.Kind == Event {
			events++
		}
	}
	d.Decode(body, nil, emit)
	if n := testing.AllocsPerRun(100, func() { d.Decode(body, nil, emit) }); n != 0 {
		t.Errorf("%v allocations for each event, want none", n)
	}
	if events != 102 {
		t.Errorf("%d events, want 102", events)
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
