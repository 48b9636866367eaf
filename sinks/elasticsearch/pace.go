package elasticsearch

import "sync"

// pace bounds the bytes of documents in one request. It halves when the server refuses a request for its
// size, is too busy, or does not answer in time, and grows back by steps while it keeps up: a request
// that is repeated at the same size could time out for ever.
type pace struct {
	mu       sync.Mutex
	now, max int
}

const minPace = 64 << 10

func newPace(most int) *pace { return &pace{now: most, max: most} }

func (p *pace) limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *pace) shrink() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = max(p.now/2, min(minPace, p.max))
}

func (p *pace) grow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = min(p.now+p.max/16+1, p.max)
}
