package pipeline

import (
	"container/heap"
	"sync"
	"time"
)

// parcel is one document on its way to one sink, on behalf of a batch.
type parcel struct {
	to    *delivery
	doc   Document
	class string // the reason class of a dead letter; empty for a finding
	batch *inflight

	wait  time.Duration // the pause before the last attempt
	due   time.Time     // when the next attempt may be made
	fatal bool          // the last attempt failed with class Fatal
}

// parcelOverhead is what a waiting document costs beside its body and id.
const parcelOverhead = 256

func (x *parcel) size() int64 { return int64(len(x.doc.Body)+len(x.doc.ID)) + parcelOverhead }

// parcelQueue holds what waits for a sink: new parcels in order, and those to retry by their due time. It
// has no bound of its own: everything in it is covered by the pipeline's budget for effects.
type parcelQueue struct {
	mu    sync.Mutex
	fresh []*parcel
	later retryHeap
	bytes int64
	// wake has room for one, so that a signal is never lost and never blocks.
	wake chan struct{}
}

func (q *parcelQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *parcelQueue) enqueue(parcels ...*parcel) {
	q.mu.Lock()
	q.fresh = append(q.fresh, parcels...)
	for _, x := range parcels {
		q.bytes += x.size()
	}
	q.mu.Unlock()
	q.signal()
}

func (q *parcelQueue) retryAt(x *parcel, due time.Time) {
	x.due = due
	q.mu.Lock()
	heap.Push(&q.later, x)
	q.bytes += x.size()
	q.mu.Unlock()
	q.signal()
}

// pop takes the next parcel that may be sent now, if fits agrees to it. Without one it says when the
// earliest retry is due (zero: none).
func (q *parcelQueue) pop(now time.Time, fits func(*parcel) bool) (x *parcel, refused bool, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.later) > 0 && !q.later[0].due.After(now):
		if x = q.later[0]; !fits(x) {
			return nil, true, time.Time{}
		}
		heap.Pop(&q.later)
	case len(q.fresh) > 0:
		if x = q.fresh[0]; !fits(x) {
			return nil, true, time.Time{}
		}
		q.fresh[0] = nil
		q.fresh = q.fresh[1:]
	case len(q.later) > 0:
		return nil, false, q.later[0].due
	default:
		return nil, false, time.Time{}
	}
	q.bytes -= x.size()
	return x, false, time.Time{}
}

func (q *parcelQueue) length() (docs int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.fresh) + len(q.later), q.bytes
}

// retryHeap orders parcels by due time (container/heap).
type retryHeap []*parcel

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h retryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *retryHeap) Push(x any)        { *h = append(*h, x.(*parcel)) }

func (h *retryHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}
