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

// ruleSet is a set of rules by its name in the rows.
type ruleSet struct {
	name  string
	rules func() (*engine.Set, error)
}

// BenchmarkEngine decodes and judges, by the number of rules. Findings are not built.
func BenchmarkEngine(b *testing.B) {
	sets := []ruleSet{
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
