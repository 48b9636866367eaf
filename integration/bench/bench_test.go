package bench

import (
	"testing"

	"github.com/foretop/foretop/integration/bench/readers"
	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
)

// BenchmarkNewlines finds the end of every line: the floor.
func BenchmarkNewlines(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		lines, size := readers.NewNewlines(ndjson(b, f)), 0
		perEvent(b, f, func([]byte) { size += lines.Next() })
		if size == 0 {
			b.Fatal("no bytes were seen")
		}
	})
}

// BenchmarkFastjson takes twenty fields with the fastest ready-made reader in pure Go, and evaluates nothing.
func BenchmarkFastjson(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		var reader readers.Fastjson
		perEvent(b, f, func(line []byte) {
			if _, err := reader.Read(line); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkEncodingJSON decodes into a map, and evaluates nothing.
func BenchmarkEncodingJSON(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		perEvent(b, f, func(line []byte) {
			if _, err := readers.Map(line); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkCEL decodes into a map and evaluates one program for each shipped rule that has no site list.
func BenchmarkCEL(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		reader, err := readers.NewCEL(ruleset.CEL())
		if err != nil {
			b.Fatal(err)
		}
		matches := 0
		perEvent(b, f, func(line []byte) {
			if err := reader.Judge(line, func(string) { matches++ }); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkDecode is Foretop's decoding alone: form found, JSON validated, envelope filled.
func BenchmarkDecode(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		decoder, decoded, records := decode.New(decode.Options{}), 0, 0
		emit := func(it *decode.Item) {
			if it.Kind == decode.Event {
				decoded++
			}
		}
		perEvent(b, f, func(line []byte) {
			records++
			decoder.Decode(line, nil, emit)
		})
		if decoded != records {
			b.Fatalf("%d records gave %d events", records, decoded)
		}
	})
}

// BenchmarkEngine decodes and judges, by the number of rules. Findings are not built.
func BenchmarkEngine(b *testing.B) {
	sets := []struct {
		name  string
		rules func() (*engine.Set, error)
	}{
		{"none", ruleset.None},
		{"shipped", ruleset.Shipped},
		{"generated200", func() (*engine.Set, error) { return ruleset.Generated(200) }},
		{"generated1000", func() (*engine.Set, error) { return ruleset.Generated(1000) }},
	}
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		for _, s := range sets {
			b.Run(s.name, func(b *testing.B) {
				w := newWorker(b, s.rules)
				perEvent(b, f, w.record)
				w.check(b)
			})
		}
	})
}

// worker decodes and judges as one worker of the product does, up to the verdict.
type worker struct {
	decoder *decode.Decoder
	judge   *engine.Judge
	verdict engine.Verdict
	emit    func(*decode.Item)

	records, events, matches int
}

func newWorker(tb testing.TB, rules func() (*engine.Set, error)) *worker {
	tb.Helper()
	set, err := rules()
	if err != nil {
		tb.Fatal(err)
	}
	w := &worker{decoder: decode.New(decode.Options{}), judge: set.NewJudge()}
	w.emit = w.item
	return w
}

func (w *worker) record(body []byte) {
	w.records++
	w.decoder.Decode(body, nil, w.emit)
}

func (w *worker) item(it *decode.Item) {
	if it.Kind != decode.Event {
		return
	}
	w.events++
	w.judge.Judge(it.Canonical, &it.Envelope, &w.verdict)
	w.matches += len(w.verdict.Matches)
}

// check fails a row that did not do its work.
func (w *worker) check(tb testing.TB) {
	tb.Helper()
	if w.events != w.records {
		tb.Fatalf("%d records gave %d events", w.records, w.events)
	}
}
