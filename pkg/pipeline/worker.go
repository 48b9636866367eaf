package pipeline

import (
	"context"
	"log/slog"
	"runtime/debug"
)

// worker judges batches with a Processor of its own.
type worker struct {
	p    *Pipeline
	proc Processor
	fx   Effects
}

// work runs until the intake is closed and the queue is empty, or ctx ends.
func (w *worker) work(ctx context.Context) {
	w.proc = w.p.cfg.NewProcessor()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-w.p.queue:
			<-w.p.slots
			w.handle(ctx, f)
		case <-w.p.noMore:
			select {
			case f := <-w.p.queue:
				<-w.p.slots
				w.handle(ctx, f)
			default:
				return
			}
		}
	}
}

// handle judges one batch and hands its effects over. Without effects the batch is settled here.
func (w *worker) handle(ctx context.Context, f *inflight) {
	if err := f.lost(); err != nil {
		f.finish(err)
		return
	}
	panics := w.judge(ctx, f)
	fx := &w.fx
	f.source.judged(fx.Counts.Items, panics)
	w.checkCounts(f)
	f.judged(fx)
	parcels := w.parcels(f)
	if len(parcels) == 0 {
		f.finish(nil)
		return
	}
	cost := int64(0)
	for _, x := range parcels {
		cost += x.size()
	}
	cost = min(cost, w.p.cfg.Budget)
	if err := w.p.effects.Acquire(ctx, cost); err != nil {
		return // the drain timeout is over: Run gives the batch back
	}
	f.expect(len(parcels), cost)
	w.send(parcels)
}

// parcels makes one parcel for each document and sink, and one for each dead letter.
func (w *worker) parcels(f *inflight) []*parcel {
	fx, sinks := &w.fx, w.p.sinks
	n := len(fx.Documents)*len(sinks) + len(fx.DeadLetters)
	if n == 0 {
		return nil
	}
	out := make([]*parcel, 0, n)
	for _, d := range sinks {
		for _, doc := range fx.Documents {
			out = append(out, &parcel{to: d, doc: doc, batch: f})
		}
	}
	for _, letter := range fx.DeadLetters {
		out = append(out, &parcel{to: w.p.dead, doc: w.p.cfg.EncodeDeadLetter(letter), class: letter.Class, batch: f})
	}
	return out
}

// send hands parcels over, those of one sink together: they are in that order.
func (w *worker) send(parcels []*parcel) {
	for start := 0; start < len(parcels); {
		end := start + 1
		for end < len(parcels) && parcels[end].to == parcels[start].to {
			end++
		}
		parcels[start].to.enqueue(parcels[start:end]...)
		start = end
	}
}

// judge fills w.fx. If Process panics, the batch is judged again record by record, so that only the
// records that panic become dead letters. It returns their number.
func (w *worker) judge(ctx context.Context, f *inflight) int {
	if cause := w.try(ctx, f, f.batch); cause == nil {
		return 0
	}
	var all Effects
	panics := 0
	for i := range f.batch.Records {
		one := NewBatch(f.batch.Ctx, f.batch.Stream, f.batch.Records[i:i+1:i+1], func(error) {})
		if cause := w.try(ctx, f, one); cause != nil {
			panics++
			letter := panicked(f.source.Name, f.batch.Stream, &f.batch.Records[i], w.p.cfg.Redact, cause)
			all.DeadLetters = append(all.DeadLetters, letter)
			all.Counts.Items++
			continue
		}
		all.add(&w.fx)
	}
	w.fx = all
	return panics
}

// try calls Process and returns what it panicked with, or nil.
func (w *worker) try(ctx context.Context, f *inflight, b *Batch) (cause any) {
	w.fx.Reset()
	defer func() {
		if cause = recover(); cause == nil {
			return
		}
		// The stack names functions only; the value of the panic may quote the record.
		w.p.throttle.Log(slog.LevelError, "panic/"+f.source.Name, "judging panicked; the record goes to the dead letters",
			"source", f.source.Name, "stream", b.Stream, "records", len(b.Records),
			"stack", string(debug.Stack()))
		w.fx.Reset()
		w.proc = w.p.cfg.NewProcessor()
	}()
	w.proc.Process(ctx, f.source.Name, b, &w.fx)
	return nil
}

// checkCounts makes a processor that loses count visible: the conservation law rests on it.
func (w *worker) checkCounts(f *inflight) {
	c := &w.fx.Counts
	sum := c.Evaluated + c.Dropped + len(w.fx.DeadLetters)
	for _, n := range c.Skipped {
		sum += n
	}
	if sum != c.Items {
		w.p.throttle.Log(slog.LevelError, "counts/"+f.source.Name, "the judge's counts of a batch do not add up; please report it",
			"source", f.source.Name, "items", c.Items, "accounted", sum)
	}
}

// add appends the effects of other. Their bytes are owned by the effects, so nothing is copied.
func (e *Effects) add(other *Effects) {
	e.Documents = append(e.Documents, other.Documents...)
	e.DeadLetters = append(e.DeadLetters, other.DeadLetters...)
	e.Counts.Items += other.Counts.Items
	e.Counts.Evaluated += other.Counts.Evaluated
	e.Counts.Dropped += other.Counts.Dropped
	for class, n := range other.Counts.Skipped {
		if e.Counts.Skipped == nil {
			e.Counts.Skipped = make(map[string]int)
		}
		e.Counts.Skipped[class] += n
	}
}
