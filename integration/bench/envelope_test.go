package bench

import (
	"testing"

	"github.com/foretop/foretop/integration/bench/envelopes"
	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/integration/bench/traffic"
)

// envelopeEvents of each file are put into every form.
const envelopeEvents = 8_000

// BenchmarkEnvelope decodes and judges the same events in the form of every shipper and cloud. Megabytes are those of the
// events, so that the rows of all forms can be compared.
func BenchmarkEnvelope(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		part := &traffic.File{Name: f.Name, Lines: f.Lines[:min(envelopeEvents, len(f.Lines))]}
		for _, line := range part.Lines {
			part.Bytes += int64(len(line)) + 1
		}
		for _, form := range envelopes.Forms() {
			b.Run(form.Name, func(b *testing.B) {
				records, err := form.Wrap(part.Lines)
				if err != nil {
					b.Fatal(err)
				}
				perRecord(b, part, records)
			})
		}
	})
}

// perRecord is perEvent for records that hold several events.
func perRecord(b *testing.B, f *traffic.File, records []envelopes.Record) {
	b.Helper()
	w := newWorker(b, ruleset.Shipped)
	for _, r := range records {
		w.decoder.Decode(r.Body, r.Meta, w.emit)
	}
	if w.events != len(f.Lines) {
		b.Fatalf("%d of %d events were judged", w.events, len(f.Lines))
	}
	w.events = 0
	m, next, left := start(b), 0, 0
	for b.Loop() {
		if left == 0 {
			w.decoder.Decode(records[next].Body, records[next].Meta, w.emit)
			left = records[next].Events
			next = (next + 1) % len(records)
		}
		left--
	}
	if w.events != b.N+left {
		b.Fatalf("%d of %d events were judged", w.events, b.N+left)
	}
	m.report(b, f, w.events) // with the rest of the last record, which was decoded, too
}
