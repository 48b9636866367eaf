package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/offsets"
)

// window follows the batches of one partition between its saved position and where it reads. It adds to
// the order of settlement, which offsets.Tracker keeps, what that does not count: records, and their age.
type window struct {
	tracker *offsets.Tracker
	base    int64 // position before the first batch
	limit   int   // records that may lie behind the saved position

	mu      sync.Mutex
	open    []stretch
	records int
	moved   chan struct{} // closed and replaced when records leave
}

// stretch is what one add covers.
type stretch struct {
	next    int64
	records int
	oldest  time.Time
}

func newWindow(base int64, limit int) *window {
	// The limit on records is the smaller one, but for stretches without any.
	return &window{tracker: offsets.New(2 * limit), base: base, limit: limit, moved: make(chan struct{})}
}

// add takes over n records that end before next. It blocks while they do not fit, until ctx ends.
func (w *window) add(ctx context.Context, next int64, n int, oldest time.Time) (offsets.Token, error) {
	if err := w.reserve(ctx, n); err != nil {
		return 0, err
	}
	w.mu.Lock()
	w.open = append(w.open, stretch{next: next, records: n, oldest: oldest})
	w.mu.Unlock()
	tok, err := w.tracker.Add(ctx, next)
	if err != nil {
		w.mu.Lock()
		w.open = w.open[:len(w.open)-1] // the last one still: there is one caller of add, and next is not settled
		w.records -= n
		w.mu.Unlock()
	}
	return tok, err
}

// reserve waits until n records fit. A single add always fits into an empty window.
func (w *window) reserve(ctx context.Context, n int) error {
	for {
		w.mu.Lock()
		fits, moved := w.records == 0 || w.records+n <= w.limit, w.moved
		if fits {
			w.records += n
		}
		w.mu.Unlock()
		if fits {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle ends what add began.
func (w *window) settle(tok offsets.Token, ok bool) {
	w.tracker.Settle(tok, ok)
	ready := w.ready()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.open) && w.open[n].next <= ready {
		w.records -= w.open[n].records
		n++
	}
	if n > 0 {
		w.open = append(w.open[:0], w.open[n:]...)
		close(w.moved)
		w.moved = make(chan struct{})
	}
}

// ready is the position that may be saved.
func (w *window) ready() int64 {
	if next, ok := w.tracker.Ready(); ok {
		return next
	}
	return w.base
}

// behind is the number of records read beyond ready, and the time of the oldest of them.
func (w *window) behind() (records int, oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.open {
		if !s.oldest.IsZero() && (oldest.IsZero() || s.oldest.Before(oldest)) {
			oldest = s.oldest
		}
	}
	return w.records, oldest
}
