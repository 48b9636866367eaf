package pubsub

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// healthGrace is how long trouble that waiting may cure is not reported: Google ends each stream now and then.
const healthGrace = 30 * time.Second

// health remembers which subscriptions cannot be read, and why. The zero value is well.
type health struct {
	mu  sync.Mutex
	bad map[string]complaint
}

type complaint struct {
	err   error
	since time.Time
	sure  bool
}

// trouble notes what is wrong with a subscription. sure says that waiting will not cure it, so that it shows at once.
func (h *health) trouble(subscription string, err error, sure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad == nil {
		h.bad = make(map[string]complaint)
	}
	since := time.Now()
	if was, ok := h.bad[subscription]; ok {
		since = was.since
	}
	h.bad[subscription] = complaint{err: err, since: since, sure: sure}
}

// well ends the trouble with a subscription and reports whether there was any.
func (h *health) well(subscription string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, was := h.bad[subscription]
	delete(h.bad, subscription)
	return was
}

// get is one of the complaints that count by now, always the same one of several.
func (h *health) get(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(h.bad)) {
		if c := h.bad[name]; c.sure || now.Sub(c.since) >= healthGrace {
			return c.err
		}
	}
	return nil
}
