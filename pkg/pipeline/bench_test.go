package pipeline

import (
	"context"
	"fmt"
	"testing"
)

type nothingMatches struct{}

func (nothingMatches) Process(_ context.Context, _ string, b *Batch, fx *Effects) {
	fx.Counts.Items += len(b.Records)
	fx.Counts.Evaluated += len(b.Records)
}

type repeated struct {
	n       int
	records []Record
}

func (r *repeated) Run(ctx context.Context, emit Emit) error {
	for range r.n {
		if err := emit(ctx, NewBatch(ctx, "bench", r.records, func(error) {})); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkBatchThatMatchesNothing is the pipeline's own cost for a batch of 500 records.
func BenchmarkBatchThatMatchesNothing(b *testing.B) {
	records := make([]Record, 500)
	for i := range records {
		records[i] = Record{Body: make([]byte, 1500), Pos: fmt.Sprint(i)}
	}
	c := config(Discard, newFakeSink())
	c.NewProcessor = func() Processor { return nothingMatches{} }
	c.Sources = []NamedSource{{"bench", &repeated{n: b.N, records: records}}}
	b.ReportAllocs()
	if err := mustNew(b, c).Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}
