package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// suite is a harness with its defaults filled in.
type suite struct{ Harness }

// body makes the unique body of record i.
func body(i int) []byte { return fmt.Appendf(nil, `{"record":%d,"text":"the quick brown fox"}`, i) }

// fill puts n records, numbered from first on.
func (s *suite) fill(t *testing.T, first, n int) {
	t.Helper()
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = body(first + i)
	}
	s.Put(t, bodies...)
}

// delivery is a batch as the suite got it, with a copy of the bodies at that moment.
type delivery struct {
	*pipeline.Batch
	copies [][]byte
}

// consumer stands in for the pipeline behind one run of a source.
type consumer struct {
	t      *testing.T
	s      *suite
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu       sync.Mutex
	changed  chan struct{}
	got      []*delivery
	emitting int
	most     int                   // the most emits in progress at a time
	gate     chan struct{}         // emit blocks until it is closed; nil: it does not block
	refuse   bool                  // emit returns an error
	settle   func(*delivery) error // the fate of a batch at once
	hold     func(*delivery) bool  // batches left to the test
	seen     map[string]int        // deliveries by body
	settled  map[string]bool       // bodies settled with nil
	problems []string
}

// start runs a new source. Batches are settled with nil at once unless hold or settle say otherwise.
func (s *suite) start(t *testing.T, configure func(*consumer)) *consumer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &consumer{
		t: t, s: s, cancel: cancel, ended: make(chan struct{}), changed: make(chan struct{}),
		seen: make(map[string]int), settled: make(map[string]bool),
		hold: func(*delivery) bool { return false }, settle: func(*delivery) error { return nil },
	}
	if configure != nil {
		configure(c)
	}
	src := s.NewSource(t)
	go func() {
		defer close(c.ended)
		c.err = src.Run(ctx, c.emit)
	}()
	t.Cleanup(func() {
		c.open()
		cancel()
		select {
		case <-c.ended:
		case <-time.After(s.DrainLimit + s.Patience):
			t.Error("Run has not ended")
		}
	})
	return c
}

func (c *consumer) emit(ctx context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	c.emitting++
	c.most = max(c.most, c.emitting)
	gate, refuse := c.gate, c.refuse
	c.notify()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.emitting--
		c.notify()
		c.mu.Unlock()
	}()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if refuse {
		return pipeline.ErrStopped
	}
	d := &delivery{Batch: b}
	for _, r := range b.Records {
		d.copies = append(d.copies, bytes.Clone(r.Body))
	}
	c.mu.Lock()
	c.inspect(d)
	c.got = append(c.got, d)
	for _, r := range d.copies {
		c.seen[string(r)]++
	}
	held := c.hold(d)
	c.notify()
	c.mu.Unlock()
	if !held {
		c.done(d, c.settle(d))
	}
	return nil
}

// done settles d.
func (c *consumer) done(d *delivery, err error) {
	c.mu.Lock()
	for i, r := range d.Records {
		if !bytes.Equal(r.Body, d.copies[i]) {
			c.problem("record %s of %s changed before its batch was settled", r.Pos, d.Stream)
		}
		if err == nil {
			c.settled[string(d.copies[i])] = true
		}
	}
	c.mu.Unlock()
	d.Done(err)
}

// inspect checks the form of a batch.
func (c *consumer) inspect(d *delivery) {
	if d.Stream == "" {
		c.problem("a batch without a stream")
	}
	if d.Ctx == nil || d.Ctx.Err() != nil {
		c.problem("batch of %s: its context is missing or has ended", d.Stream)
	}
	if len(d.Records) == 0 {
		c.problem("batch of %s without records", d.Stream)
	}
	positions := make(map[string]bool)
	for _, r := range d.Records {
		if r.Pos == "" || positions[r.Pos] {
			c.problem("batch of %s: position %q is empty or not unique", d.Stream, r.Pos)
		}
		positions[r.Pos] = true
	}
}

func (c *consumer) problem(format string, args ...any) {
	if len(c.problems) < 10 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// notify wakes waitFor; the caller holds c.mu.
func (c *consumer) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// open lets blocked emits go on.
func (c *consumer) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gate != nil {
		close(c.gate)
		c.gate = nil
	}
}

// eventually waits until ok holds; ok is called with c.mu held.
func (c *consumer) eventually(what string, ok func() bool) {
	c.t.Helper()
	limit := time.NewTimer(c.s.Patience)
	defer limit.Stop()
	for {
		c.mu.Lock()
		good, changed := ok(), c.changed
		c.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			c.t.Fatalf("not within %s: %s", c.s.Patience, what)
		case <-c.ended:
			c.mu.Lock()
			good = ok()
			c.mu.Unlock()
			if !good {
				c.t.Fatalf("Run ended (%v) before: %s", c.err, what)
			}
			return
		}
	}
}

// never waits for d and fails if bad holds meanwhile.
func (c *consumer) never(d time.Duration, what string, bad func() bool) {
	c.t.Helper()
	limit := time.NewTimer(d)
	defer limit.Stop()
	for {
		c.mu.Lock()
		isBad, changed := bad(), c.changed
		c.mu.Unlock()
		if isBad {
			c.t.Fatal(what)
		}
		select {
		case <-changed:
		case <-limit.C:
			return
		}
	}
}

// all waits until every record of the range was delivered.
func (c *consumer) all(first, n int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("records %d to %d are delivered", first, first+n-1), func() bool {
		for i := range n {
			if c.seen[string(body(first+i))] == 0 {
				return false
			}
		}
		return true
	})
}

// ends waits for the end of Run after its context was cancelled.
func (c *consumer) ends(why string) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(c.s.DrainLimit + slack):
		c.t.Fatalf("Run goes on %s", why)
	}
	if c.err != nil {
		c.t.Fatalf("Run returned %v after its context had ended, want nil", c.err)
	}
}

// stop ends the source's context.
func (c *consumer) stop(within time.Duration) {
	c.t.Helper()
	c.cancel()
	c.end(within)
}

// end waits for the end of Run, which must return nil, and reports what the batches had wrong.
func (c *consumer) end(within time.Duration) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(within):
		c.t.Fatalf("Run has not ended after %s", within)
	}
	if c.err != nil {
		c.t.Fatalf("Run returned %v, want nil", c.err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) > 0 {
		c.t.Fatalf("batches: %q", c.problems)
	}
}

// first is the first batch delivered, waited for.
func (c *consumer) first() *delivery {
	c.t.Helper()
	c.eventually("a first batch", func() bool { return len(c.got) > 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[0]
}

// slack is what the suite grants beyond a limit, for a slow machine.
const slack = 2 * time.Second
