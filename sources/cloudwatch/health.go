package cloudwatch

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// healthGrace is how long trouble that waiting may cure is not reported: calls are throttled, connections break.
const healthGrace = 30 * time.Second

// health remembers what is wrong now, by what it is wrong with. The zero value is well.
type health struct {
	mu  sync.Mutex
	bad map[string]complaint
}

type complaint struct {
	err   error
	since time.Time
	sure  bool
}

// trouble notes what is wrong with key. sure says that waiting will not cure it, so that it shows at once.
func (h *health) trouble(key string, err error, sure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad == nil {
		h.bad = make(map[string]complaint)
	}
	since := time.Now()
	if was, ok := h.bad[key]; ok {
		since, sure = was.since, sure || was.sure
	}
	h.bad[key] = complaint{err: err, since: since, sure: sure}
}

// well ends the trouble with key.
func (h *health) well(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bad, key)
}

// get is one of the complaints that count by now, always the same one of several.
func (h *health) get(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(h.bad)) {
		if c := h.bad[key]; c.sure || now.Sub(c.since) >= healthGrace {
			return c.err
		}
	}
	return nil
}
