package file

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

// A batch is full with so many records or bytes, or when it is so old.
const (
	batchRecords = 500
	batchBytes   = 1 << 20
	batchAge     = 200 * time.Millisecond
)

// batcher collects the records of one file and emits them. What it does happens in the caller's goroutine.
type batcher struct {
	ctx     context.Context //nolint:containedctx // one run of the source, for which the batcher lives
	streams context.Context //nolint:containedctx // outlives ctx by the drain; the batches' own context
	emit    pipeline.Emit
	tracker *offsets.Tracker
	stream  string
	base    int64 // position in the stream of the framer's byte 0
	records *atomic.Int64
	checks  *checks // nil where positions are not saved

	pending []pipeline.Record
	// positions holds the texts of all Pos, one after the other, so that they cost one allocation.
	positions []byte
	ends      []int
	bytes     int
	next      int64
	check     []byte // what stands before next
	started   time.Time
}

// add takes over a record, and emits the batch if that makes it full.
func (b *batcher) add(f decode.Frame) error {
	if len(b.pending) > 0 && b.bytes+len(f.Bytes) > batchBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if len(b.pending) == 0 {
		b.started = time.Now()
	}
	r := pipeline.Record{Body: f.Bytes}
	if f.TooLarge {
		r.Meta = map[string]string{pipeline.MetaOversize: strconv.FormatInt(f.Length, 10)}
	}
	b.pending = append(b.pending, r)
	b.positions = strconv.AppendInt(b.positions, b.base+f.Offset, 10)
	b.ends = append(b.ends, len(b.positions))
	b.bytes += len(f.Bytes)
	b.next = b.base + f.Offset + f.Length
	b.check = f.Bytes[max(0, len(f.Bytes)-checkLength):]
	if f.TooLarge {
		b.check = nil // its end is not at hand
	}
	if len(b.pending) >= batchRecords || b.bytes >= batchBytes || len(b.pending)%16 == 0 && time.Since(b.started) >= batchAge {
		return b.flush()
	}
	return nil
}

// flush emits what is pending. It blocks while the pipeline is full.
func (b *batcher) flush() error {
	if len(b.pending) == 0 {
		return nil
	}
	records := make([]pipeline.Record, len(b.pending))
	copy(records, b.pending)
	text, start := string(b.positions), 0
	for i, end := range b.ends {
		records[i].Pos = text[start:end]
		start = end
	}
	clear(b.pending)
	b.pending, b.positions, b.ends, b.bytes = b.pending[:0], b.positions[:0], b.ends[:0], 0
	tok, err := b.tracker.Add(b.ctx, b.next)
	if err != nil {
		return err
	}
	if b.checks != nil {
		b.checks.add(b.next, b.check)
	}
	batch := pipeline.NewBatch(b.streams, b.stream, records, func(err error) { b.tracker.Settle(tok, err == nil) })
	if err := b.emit(b.ctx, batch); err != nil {
		b.tracker.Settle(tok, false)
		return err
	}
	b.records.Add(int64(len(records)))
	return nil
}

// drop forgets what is pending: it will be read again from the saved position.
func (b *batcher) drop() {
	clear(b.pending)
	b.pending, b.positions, b.ends, b.bytes = b.pending[:0], b.positions[:0], b.ends[:0], 0
}

// checks remembers, for the end of each batch that is not saved yet, what stands before it.
type checks struct {
	mu   sync.Mutex
	list []positionCheck
}

type positionCheck struct {
	next  int64
	check imprint
}

func (c *checks) add(next int64, before []byte) {
	check := imprint{}
	if len(before) > 0 {
		check = printOf(before)
	}
	c.mu.Lock()
	c.list = append(c.list, positionCheck{next, check})
	c.mu.Unlock()
}

// at returns the check of position next and forgets those before it.
func (c *checks) at(next int64) imprint {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		if c.list[i].next == next {
			check := c.list[i].check
			c.list = append([]positionCheck(nil), c.list[i:]...)
			return check
		}
	}
	return imprint{}
}
