package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// ErrStopped is what emit returns when the pipeline takes nothing more.
var ErrStopped = errors.New("pipeline: stopped, the batch is not taken over")

// ErrUnsettled is in the error of Run when the drain timeout ended before every batch was settled; the
// batches were given back to their sources.
var ErrUnsettled = errors.New("pipeline: batches were left unsettled at the end of the drain timeout")

// What a batch costs of the budget beside its bodies, so that a flood of empty records is bounded too.
const (
	recordOverhead = 128
	batchOverhead  = 512
)

// inflight is a batch between emit and Done. left counts the effects that are not durable yet; the one
// that brings it to zero settles the batch.
type inflight struct {
	p      *Pipeline
	batch  *Batch
	source *sourceState
	cost   int64

	left     atomic.Int64
	finished atomic.Bool

	mu          sync.Mutex
	counts      Counts
	deadLetters int
	effectCost  int64
	rejected    map[Origin]struct{} // items that became dead letters because a sink refused their finding
	unwatch     func() bool
}

// judged keeps what the worker counted. The worker reuses fx before the batch is settled.
func (f *inflight) judged(fx *Effects) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts, f.deadLetters = fx.Counts, len(fx.DeadLetters)
	f.counts.Skipped = maps.Clone(fx.Counts.Skipped)
}

// expect says how many effects have to become durable and what they cost of the budget for effects. From
// here on nobody reads the records, so that the loss of the stream may settle the batch at any moment.
func (f *inflight) expect(effects int, cost int64) {
	f.left.Store(int64(effects))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.effectCost = cost
	if ctx := f.batch.Ctx; ctx != nil {
		f.unwatch = context.AfterFunc(ctx, func() { f.finish(ctx.Err()) })
	}
}

func (f *inflight) release() {
	if f.left.Add(-1) == 0 {
		f.finish(nil)
	}
}

func (f *inflight) reject(origin Origin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rejected == nil {
		f.rejected = make(map[Origin]struct{})
	}
	f.rejected[origin] = struct{}{}
}

// lost says that the source no longer owns the stream, so that nobody waits for the batch.
func (f *inflight) lost() error {
	if f.batch.Ctx == nil {
		return nil
	}
	return f.batch.Ctx.Err()
}

// finish settles the batch, whoever comes first: its last effect, the loss of its stream, or the end of
// the drain timeout. Later calls do nothing, since the effects that are still on their way report too.
func (f *inflight) finish(err error) {
	if f.finished.Swap(true) {
		return
	}
	f.mu.Lock()
	f.source.settled(f, err)
	effectCost := f.effectCost
	if f.unwatch != nil {
		f.unwatch()
	}
	f.mu.Unlock()
	f.p.forget(f, effectCost)
	f.batch.Done(err)
	f.p.openWG.Done()
}

// emitter makes the Emit of one source.
func (p *Pipeline) emitter(s *sourceState) Emit {
	return func(ctx context.Context, b *Batch) error {
		cost := min(b.Bytes()+int64(len(b.Records))*recordOverhead+batchOverhead, p.cfg.Budget)
		if err := p.reserve(ctx, b, cost); err != nil {
			return err
		}
		f := &inflight{p: p, batch: b, source: s, cost: cost}
		if !p.remember(f) {
			<-p.slots
			p.budget.Release(cost)
			return ErrStopped
		}
		p.queue <- f // never blocks: a slot is a place in it
		return nil
	}
}

// reserve blocks until the budget has room for the batch and the queue a place.
func (p *Pipeline) reserve(ctx context.Context, b *Batch, cost int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.stopped, func() { cancel(ErrStopped) })()
	if b.Ctx != nil {
		defer context.AfterFunc(b.Ctx, func() { cancel(context.Cause(b.Ctx)) })()
	}
	if err := p.budget.Acquire(ctx, cost); err != nil {
		return fmt.Errorf("pipeline: batch of %s not taken over: %w", b.Stream, context.Cause(ctx))
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		p.budget.Release(cost)
		return fmt.Errorf("pipeline: batch of %s not taken over: %w", b.Stream, context.Cause(ctx))
	}
}

// remember enters f into the books, unless the intake is closed.
func (p *Pipeline) remember(f *inflight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.open[f] = struct{}{}
	p.openBytes += f.cost
	p.openWG.Add(1)
	f.source.accepted(f.batch)
	return true
}

func (p *Pipeline) forget(f *inflight, effectCost int64) {
	p.mu.Lock()
	delete(p.open, f)
	p.openBytes -= f.cost
	p.mu.Unlock()
	p.budget.Release(f.cost)
	if effectCost > 0 {
		p.effects.Release(effectCost)
	}
}

// abandon gives every open batch back to its source and returns their number.
func (p *Pipeline) abandon(err error) int {
	p.mu.Lock()
	p.closed = true
	left := make([]*inflight, 0, len(p.open))
	for f := range p.open {
		left = append(left, f)
	}
	p.mu.Unlock()
	for _, f := range left {
		f.finish(err)
	}
	return len(left)
}
