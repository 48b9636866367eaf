package pipeline

import (
	"fmt"
	"sync"
	"time"
)

// HealthReporter is what a Source or Sink may implement to report trouble that it cures by waiting. Health
// returns nil while all is well, and is called at any time from any goroutine; it must not block.
type HealthReporter interface {
	Health() error
}

// Health is a read-only view of a pipeline for the readiness endpoint.
type Health struct {
	Sources []Component
	// Sinks has the sinks in configured order, the dead-letter sink last.
	Sinks []Component
	// InFlightBytes is what the budget of BudgetBytes holds.
	InFlightBytes, BudgetBytes int64
	InFlightBatches            int
	// Draining is true from the end of Run's context, or of the last source, on.
	Draining bool
}

// OK says that every source and sink is well.
func (h Health) OK() bool {
	for _, list := range [][]Component{h.Sources, h.Sinks} {
		for _, c := range list {
			if !c.OK {
				return false
			}
		}
	}
	return true
}

// Component is the state of one source or sink.
type Component struct {
	Name string
	OK   bool
	// Reason says what is wrong, or for a source that is well and ended, that it ended.
	Reason string
	// Since is when the component came into this state.
	Since time.Time
	// DeadLetterShare of a source is the part of its items in the last five to ten minutes that went to
	// the dead letters, 0 to 1. It never makes a source unwell: junk stops nothing.
	DeadLetterShare float64
}

// sinkGrace is how long a sink may fail with errors of class Retry before it counts as unwell.
const sinkGrace = time.Minute

// Health describes the pipeline now.
func (p *Pipeline) Health() Health {
	h := Health{BudgetBytes: p.cfg.Budget, Draining: p.draining.Load()}
	p.mu.Lock()
	h.InFlightBytes, h.InFlightBatches = p.openBytes, len(p.open)
	p.mu.Unlock()
	for _, s := range p.sources {
		h.Sources = append(h.Sources, s.health())
	}
	for _, d := range p.deliveries() {
		h.Sinks = append(h.Sinks, d.state.health(d.sink))
	}
	return h
}

func (s *sourceState) health() Component {
	s.mu.Lock()
	c := Component{Name: s.Name, OK: s.err == nil, Since: s.since, DeadLetterShare: s.recent.share(time.Now())}
	switch {
	case s.err != nil:
		c.Reason = s.err.Error()
	case s.ended:
		c.Reason = "ended"
	}
	s.mu.Unlock()
	if r, ok := s.Source.(HealthReporter); ok && c.OK {
		if err := r.Health(); err != nil {
			c.OK, c.Reason = false, err.Error()
		}
	}
	return c
}

func (s *sourceState) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err, s.since = true, err, time.Now()
}

// sinkState counts what a sink answers and derives its health from it.
type sinkState struct {
	mu    sync.Mutex
	n     SinkStats
	since time.Time // start of the present state: well, or failing
	err   error     // the last failure, nil while well
	// refused is set while the whole sink refuses us, held counts single documents that it refuses
	// with class Fatal and that wait for somebody to act.
	refused bool
	held    int
}

// failed books an attempt that got nothing through.
func (s *sinkState) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.RequestErrors++
	if s.err == nil {
		s.since = time.Now()
	}
	s.err, s.refused = err, ClassOf(err) == Fatal
}

// reached books an attempt that got something through.
func (s *sinkState) reached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.Bulks++
	s.refused = false
	if s.err != nil && s.held == 0 {
		s.err, s.since = nil, time.Now()
	}
}

// result books the fate of one document.
func (s *sinkState) result(x *parcel, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unhold(x)
	switch {
	case err == nil:
		s.n.Stored++
	case ClassOf(err) == Reject:
		s.n.Rejected++
	case ClassOf(err) == Fatal:
		s.n.Refused++
		x.fatal = true
		s.held++
		if s.err == nil {
			s.since = time.Now()
		}
		s.err = err
	default:
		s.n.Retried++
	}
}

// letGo books a document that is no longer anybody's concern.
func (s *sinkState) letGo(x *parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unhold(x)
}

func (s *sinkState) unhold(x *parcel) {
	if x.fatal {
		x.fatal = false
		s.held--
	}
}

func (s *sinkState) waited(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.RetryWait += d
}

func (s *sinkState) health(sink Sink) Component {
	s.mu.Lock()
	c := Component{Name: s.n.Name, OK: true, Since: s.since}
	if s.err != nil && (s.refused || s.held > 0 || time.Since(s.since) >= sinkGrace) {
		c.OK, c.Reason = false, s.err.Error()
		if s.held > 0 {
			c.Reason = fmt.Sprintf("%d documents are held: %s", s.held, c.Reason)
		}
	}
	s.mu.Unlock()
	if r, ok := sink.(HealthReporter); ok && c.OK {
		if err := r.Health(); err != nil {
			c.OK, c.Reason = false, err.Error()
		}
	}
	return c
}

func (s *sinkState) stats() SinkStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}
