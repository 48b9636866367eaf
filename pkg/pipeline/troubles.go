package pipeline

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// TroubleGrace is how long trouble that waiting may cure is not reported: brokers restart, calls are throttled,
// streams are ended now and then.
const TroubleGrace = 30 * time.Second

// Troubles remembers what is wrong with an adapter now, by what it is wrong with, for its HealthReporter. The
// zero value is well. It is safe for concurrent use.
type Troubles struct {
	mu  sync.Mutex
	bad map[string]trouble
}

type trouble struct {
	err   error
	since time.Time
	sure  bool
}

// Note says what is wrong with key. sure says that waiting will not cure it, so that it shows at once, until Clear.
func (h *Troubles) Note(key string, err error, sure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad == nil {
		h.bad = make(map[string]trouble)
	}
	since := time.Now()
	if was, ok := h.bad[key]; ok {
		since, sure = was.since, sure || was.sure
	}
	h.bad[key] = trouble{err: err, since: since, sure: sure}
}

// Clear ends the trouble with key and reports whether there was any.
func (h *Troubles) Clear(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, was := h.bad[key]
	delete(h.bad, key)
	return was
}

// Err is one of the troubles that count at now, always the same one of several.
func (h *Troubles) Err(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(h.bad)) {
		if c := h.bad[key]; c.sure || now.Sub(c.since) >= TroubleGrace {
			return c.err
		}
	}
	return nil
}
