// Package sourcetest is the conformance suite of sources: what package pipeline promises rests on every
// source keeping these rules.
package sourcetest

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
)

// Harness is one upstream (a topic, a directory, a log group) and the means to make sources that read it.
type Harness struct {
	// NewSource makes a source. All sources of one harness are one consumer: what the first saved (its
	// consumer group, its checkpoint) is where the next resumes. At most one runs at a time.
	NewSource func(t *testing.T) pipeline.Source
	// Put makes the bodies available upstream, in this order. It may return before a source can see them.
	Put func(t *testing.T, bodies ...[]byte)
	// DrainLimit is the longest that Run may go on after its context ended while batches are unsettled.
	DrainLimit time.Duration
	// SaveInterval is how long after a settlement its position is saved at the latest. Zero means at once,
	// or only at the end of Run.
	SaveInterval time.Duration
	// Patience is how long the suite waits for what must happen, 10 s by default.
	Patience time.Duration
	// MaxEmits is how many calls of emit may be in progress at a time, 1 by default.
	MaxEmits int
	// Records is how many records the suite puts, 300 by default.
	Records int

	// Finite says that Run ends by itself once everything is read and settled. Then everything has to be
	// put before Run, and the suite does so.
	Finite bool
	// Volatile says that no position outlives a source: the next one reads from the beginning.
	Volatile bool
	// Repeats says that a record may be delivered again although it was settled.
	Repeats bool
	// LeakOptions are for goroutines that are not the source's: of a fake server, of a shared client.
	LeakOptions []goleak.Option
}

// Factory makes a fresh upstream with nothing in it.
type Factory func(t *testing.T) Harness

// Run runs the suite.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"every record arrives whole, in well-formed batches, and is not delivered again once settled", testDelivers},
		{"what a batch holds is not touched before the batch is settled", testOwnership},
		{"a batch that is given back comes again", testRedelivers},
		{"the saved position never passes an unsettled batch", testGap},
		{"a batch that emit refuses comes again", testRefusedEmit},
		{"a full pipeline stops the source, and does not keep it from ending", testBackPressure},
		{"a batch in flight at the end can still be settled, and is not delivered again", testDrain},
		{"Run ends within the drain limit whatever is unsettled", testDrainLimit},
		{"Run ends at once where nothing is in flight", testIdleEnd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			h := factory(t)
			s := &suite{Harness: h}
			if s.Patience == 0 {
				s.Patience = 10 * time.Second
			}
			if s.MaxEmits == 0 {
				s.MaxEmits = 1
			}
			if s.Records == 0 {
				s.Records = 300
			}
			tt.run(t, s)
			if !t.Failed() {
				goleak.VerifyNone(t, append(h.LeakOptions, leaks)...)
			}
		})
	}
}
