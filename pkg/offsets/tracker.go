// Package offsets orders the settlement of one stream: batches settle in any order, and the position that
// may be saved is the end of the contiguous settled prefix. It does no I/O.
package offsets

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrPinned is returned by Add after a settlement failed: the prefix can never grow beyond that point, so
// the source must read again from Ready (in a new Tracker) instead of reading on.
var ErrPinned = errors.New("offsets: a batch was not handled; the stream must be read again from the last saved position")

// DefaultMax is a cap for New that bounds what is replayed after a crash without slowing a healthy stream.
const DefaultMax = 10_000

// Token names one added position until it is settled.
type Token uint64

// Tracker follows one stream. Its methods are safe for concurrent use; Add is called in source order.
type Tracker struct {
	mu  sync.Mutex
	max int
	// entries are the positions behind the prefix, oldest first; the first has token base.
	entries []entry
	base    Token
	ready   int64
	moved   bool // ready holds a position
	pinned  bool
	open    int           // entries not settled yet
	changed chan struct{} // closed and replaced whenever a waiter may go on
}

type entry struct {
	next    int64
	settled bool
	ok      bool
}

// New makes a Tracker that holds at most limit positions behind the saved one; beyond that Add blocks. The
// cap counts settled positions behind an unsettled one too, since all of them are read again after a crash.
// A limit below one means DefaultMax.
func New(limit int) *Tracker {
	if limit < 1 {
		limit = DefaultMax
	}
	return &Tracker{max: limit, changed: make(chan struct{})}
}

// Add takes over a batch that ends before next, the position to resume from once the batch and all before
// it are settled. It blocks while the cap is reached, until ctx ends. It returns ErrPinned after a failure.
func (t *Tracker) Add(ctx context.Context, next int64) (Token, error) {
	for {
		t.mu.Lock()
		if t.pinned {
			t.mu.Unlock()
			return 0, ErrPinned
		}
		if len(t.entries) < t.max {
			tok := t.base + Token(len(t.entries))
			t.entries = append(t.entries, entry{next: next})
			t.open++
			t.mu.Unlock()
			return tok, nil
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Settle ends the life of tok: ok says that everything up to its position was handled. ok=false pins the
// prefix before it for good. Settling a token twice, or one that Add never gave, is a bug and panics: going
// on would mean to save a position that nobody vouches for.
func (t *Tracker) Settle(tok Token, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tok < t.base || tok-t.base >= Token(len(t.entries)) || t.entries[tok-t.base].settled {
		panic(fmt.Sprintf("offsets: token %d settled twice or never added", tok))
	}
	e := &t.entries[tok-t.base]
	e.settled, e.ok = true, ok
	t.open--
	if !ok {
		t.pinned = true
	}
	n := 0
	for n < len(t.entries) && t.entries[n].settled && t.entries[n].ok {
		n++
	}
	if n > 0 {
		t.ready, t.moved = t.entries[n-1].next, true
		t.base += Token(n)
		t.shift(n)
	}
	if n > 0 || !ok || t.open == 0 {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// shift drops the first n entries. It copies only when more than half of the array is dead, so that a
// long queue behind a stuck batch is not moved at every step.
func (t *Tracker) shift(n int) {
	t.entries = t.entries[n:]
	if cap(t.entries) < len(t.entries)*2 {
		return
	}
	t.entries = append(make([]entry, 0, len(t.entries)+len(t.entries)/2+8), t.entries...)
}

// Ready is the position to save: everything before it is settled. ok is false until a first batch is.
func (t *Tracker) Ready() (next int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready, t.moved
}

// Unsettled is the number of added positions that nobody has settled yet.
func (t *Tracker) Unsettled() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// Pinned tells whether a settlement failed.
func (t *Tracker) Pinned() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pinned
}

// Wait blocks until every added position is settled, well or not, or ctx ends. A source that drains calls
// it between its last Add and its last Ready.
func (t *Tracker) Wait(ctx context.Context) error {
	for {
		t.mu.Lock()
		open, changed := t.open, t.changed
		t.mu.Unlock()
		if open == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
