package pipeline

import (
	"context"
	"sync/atomic"
)

// Batch is consecutive records of one stream and the promise to settle them.
//
// Done must be called exactly once. Done(nil) means that every record was handled: its findings are
// durable in the sink, or it was dead-lettered, or it matched nothing. Done(err) means that at least one
// was not, and the source must deliver the batch again. Done never blocks for long and may be called from
// any goroutine.
type Batch struct {
	// Stream is the ordering and commit domain: "kafka/audit/3", a file's path.
	Stream  string
	Records []Record
	// Ctx ends when the stream is lost (revoked, lease gone): work on the batch may stop.
	Ctx context.Context //nolint:containedctx // the batch outlives the call that emitted it; its own end is what counts

	done    func(error)
	settled atomic.Bool
}

// NewBatch makes a batch; done is called once, with the outcome, when it is settled.
func NewBatch(ctx context.Context, stream string, records []Record, done func(error)) *Batch {
	return &Batch{Stream: stream, Records: records, Ctx: ctx, done: done}
}

// Done settles the batch. A second call is a bug in the pipeline: it panics.
func (b *Batch) Done(err error) {
	if b.settled.Swap(true) {
		panic("pipeline: batch of " + b.Stream + " settled twice")
	}
	b.done(err)
}

// Bytes is the memory that the batch's bodies hold.
func (b *Batch) Bytes() int64 {
	var n int64
	for i := range b.Records {
		n += int64(len(b.Records[i].Body))
	}
	return n
}
