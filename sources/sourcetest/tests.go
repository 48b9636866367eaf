package sourcetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

var errGivenBack = errors.New("given back by the conformance suite")

func testDelivers(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, nil)
	c.all(0, s.Records)
	if s.Finite {
		c.end(s.Patience)
	} else {
		c.stop(s.DrainLimit + slack)
	}
	c.mu.Lock()
	for text, n := range c.seen {
		if n > 1 && !s.Repeats {
			t.Errorf("settled, and delivered %d times: %s", n, text)
		}
	}
	if len(c.seen) != s.Records {
		t.Errorf("%d different records, put %d", len(c.seen), s.Records)
	}
	positions := make(map[string]string)
	for _, d := range c.got {
		for i, r := range d.Records {
			key, text := d.Stream+"\x00"+r.Pos, string(d.copies[i])
			if was, ok := positions[key]; ok && was != text {
				t.Errorf("position %s of %s names two records", r.Pos, d.Stream)
			}
			positions[key] = text
		}
	}
	c.mu.Unlock()
	if s.Volatile {
		return
	}
	s.fill(t, s.Records, 1)
	next := s.start(t, nil)
	next.all(s.Records, 1)
	next.mu.Lock()
	if len(next.seen) != 1 && !s.Repeats {
		t.Errorf("a new source delivered %d records, one is new", len(next.seen))
	}
	next.mu.Unlock()
	next.stop(s.DrainLimit + slack)
}

func testOwnership(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, func(c *consumer) { c.hold = func(*delivery) bool { return true } })
	settled := 0
	settle := func(from int) { // the last first, each from a goroutine of its own
		c.mu.Lock()
		batch := c.got[from:]
		settled = len(c.got)
		c.mu.Unlock()
		done := make(chan struct{}, len(batch))
		for _, b := range slices.Backward(batch) {
			go func() {
				c.done(b, nil)
				done <- struct{}{}
			}()
		}
		for range batch {
			<-done
		}
	}
	// A source may wait for settlements before it reads on, so settle whenever nothing more comes.
	for {
		c.eventually("more batches", func() bool { return len(c.got) > settled })
		c.quiet(100 * time.Millisecond)
		settle(settled)
		c.mu.Lock()
		complete := len(c.seen) == s.Records
		c.mu.Unlock()
		if complete {
			break
		}
	}
	c.stop(s.DrainLimit + slack)
}

// quiet waits until nothing was delivered for d.
func (c *consumer) quiet(d time.Duration) {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(d):
			return
		}
	}
}

func testRedelivers(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	failed := false
	c := s.start(t, func(c *consumer) {
		c.settle = func(*delivery) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if failed {
				return nil
			}
			failed = true
			return errGivenBack
		}
	})
	given := c.first()
	c.quiet(max(s.SaveInterval, 200*time.Millisecond))
	c.cancel()
	<-c.ended // a finite source may report what it could not bring to its end
	if c.again(given) {
		return
	}
	if s.Volatile && !s.Finite {
		t.Fatal("the source has no position that outlives it, and did not deliver the batch again itself")
	}
	next := s.start(t, nil)
	next.eventually("the batch that was given back comes again", func() bool { return next.has(given) })
	next.stop(s.DrainLimit + slack)
}

// again says that every record of d was delivered more than once.
func (c *consumer) again(d *delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range d.copies {
		if c.seen[string(r)] < 2 {
			return false
		}
	}
	return true
}

// has says that every record of d was delivered; the caller holds c.mu.
func (c *consumer) has(d *delivery) bool {
	for _, r := range d.copies {
		if c.seen[string(r)] == 0 {
			return false
		}
	}
	return true
}

func testGap(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, func(c *consumer) { c.hold = func(*delivery) bool { return len(c.got) == 1 } })
	held := c.first()
	c.quiet(max(2*s.SaveInterval, 200*time.Millisecond))
	c.cancel()
	c.ends(fmt.Sprintf("beyond its drain limit of %s", s.DrainLimit))
	c.done(held, errGivenBack) // late, as after a drain timeout: it must do no harm
	next := s.start(t, nil)
	next.eventually("the batch that was never settled comes again", func() bool { return next.has(held) })
	next.stop(s.DrainLimit + slack)
}

func testRefusedEmit(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, func(c *consumer) { c.refuse = true })
	c.eventually("a batch is offered", func() bool { return c.most > 0 })
	c.cancel()
	select {
	case <-c.ended:
	case <-time.After(s.DrainLimit + slack):
		t.Fatal("Run goes on although the pipeline has stopped")
	}
	next := s.start(t, nil)
	next.all(0, s.Records)
	next.stop(s.DrainLimit + slack)
}

func testBackPressure(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, func(c *consumer) { c.gate = make(chan struct{}) })
	c.eventually("a batch is offered", func() bool { return c.emitting > 0 })
	c.never(500*time.Millisecond, "more calls of emit in progress than the source declares", func() bool {
		return c.emitting > s.MaxEmits
	})
	c.mu.Lock()
	got := len(c.got)
	c.mu.Unlock()
	if got > 0 {
		t.Fatal("the gate of the suite is broken")
	}
	c.cancel()
	c.ends("because a blocked emit was not given a context that ends with the source's")
	next := s.start(t, nil)
	next.all(0, s.Records)
	next.stop(s.DrainLimit + slack)
}

func testDrain(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, func(c *consumer) { c.hold = func(*delivery) bool { return len(c.got) == 1 } })
	held := c.first()
	c.quiet(100 * time.Millisecond)
	c.cancel()
	select { // a little of the drain passes: the batch must not be told that its stream is lost
	case <-held.Ctx.Done():
		t.Fatal("the batch's context ended with the source's: work in flight would be thrown away at each stop")
	case <-c.ended:
		t.Fatal("Run did not wait for the batch in flight")
	case <-time.After(min(s.DrainLimit/4, 200*time.Millisecond)):
	}
	c.done(held, nil)
	c.end(s.DrainLimit + slack)
	if s.Volatile {
		return
	}
	s.fill(t, s.Records, 1)
	next := s.start(t, nil)
	next.all(s.Records, 1)
	next.mu.Lock()
	for _, r := range held.copies {
		if next.seen[string(r)] > 0 && !s.Repeats {
			t.Errorf("settled in the drain, and delivered again: %s", r)
		}
	}
	next.mu.Unlock()
	next.stop(s.DrainLimit + slack)
}

func testDrainLimit(t *testing.T, s *suite) {
	s.fill(t, 0, s.Records)
	c := s.start(t, func(c *consumer) { c.hold = func(*delivery) bool { return true } })
	c.first()
	c.quiet(100 * time.Millisecond)
	c.cancel()
	c.ends(fmt.Sprintf("beyond its drain limit of %s", s.DrainLimit))
	next := s.start(t, nil)
	next.all(0, s.Records)
	next.stop(s.DrainLimit + slack)
}

func testIdleEnd(t *testing.T, s *suite) {
	c := s.start(t, nil)
	if s.Finite {
		c.end(s.Patience)
		return
	}
	c.quiet(300 * time.Millisecond)
	c.stop(min(s.DrainLimit, 3*time.Second) + slack)
}
