package pipeline

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	retryMin   = 500 * time.Millisecond
	retryMax   = 60 * time.Second
	fatalRetry = 30 * time.Second
	// longestDelay bounds what a server may ask for, so that a broken header cannot stop a sink for days.
	longestDelay = 10 * time.Minute
)

// nextWait is the pause before the next attempt after err, given the pause before this one (zero at
// first). The jitter is decorrelated: each pause is drawn between the least one and three times the last,
// so that writers which failed together do not come back together. An error that names a delay is obeyed.
func nextWait(last time.Duration, err error) time.Duration {
	asked := min(DelayOf(err), longestDelay)
	if ClassOf(err) == Fatal {
		return max(fatalRetry, asked)
	}
	upper := max(min(3*last, retryMax), retryMin)
	wait := retryMin + rand.N(upper-retryMin+1) //nolint:gosec // jitter needs no secrecy
	return max(wait, asked)
}

// Sleep waits for d and reports whether it did, which it did not if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
