package pipeline

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Throttle logs a repeated condition at its first occurrence and then at most once a minute, with the
// number of occurrences since. It is safe for concurrent use.
type Throttle struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]*occurrences
}

type occurrences struct {
	last  time.Time
	since int
}

// throttleInterval is the least time between two lines with one key.
const throttleInterval = time.Minute

// throttleKeys bounds the memory for keys, whatever callers make them from.
const throttleKeys = 1000

// NewThrottle makes a Throttle that writes to log.
func NewThrottle(log *slog.Logger) *Throttle {
	return &Throttle{log: log, seen: make(map[string]*occurrences)}
}

// Log writes msg unless key was logged less than a minute ago. Attribute "repeated" counts the lines left
// out since.
func (t *Throttle) Log(level slog.Level, key, msg string, args ...any) {
	now := time.Now()
	t.mu.Lock()
	o := t.seen[key]
	switch {
	case o == nil:
		if len(t.seen) >= throttleKeys {
			clear(t.seen)
		}
		o = &occurrences{last: now}
		t.seen[key] = o
	case now.Sub(o.last) < throttleInterval:
		o.since++
		t.mu.Unlock()
		return
	default:
		args = append(slices.Clip(args), "repeated", o.since)
		o.last, o.since = now, 0
	}
	t.mu.Unlock()
	t.log.Log(context.Background(), level, msg, args...) // no caller's context carries log values
}

// Forget makes the next occurrence of key a first one again, after the condition has ended.
func (t *Throttle) Forget(key string) {
	t.mu.Lock()
	delete(t.seen, key)
	t.mu.Unlock()
}
