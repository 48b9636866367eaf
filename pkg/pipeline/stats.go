package pipeline

import (
	"fmt"
	"maps"
	"sync"
	"time"
)

// Stats is a snapshot of what a pipeline has counted since it was made.
type Stats struct {
	Sources []SourceStats
	// Sinks has the sinks in configured order, the dead-letter sink last.
	Sinks []SinkStats
	// DeadLetters counts dead letters that the dead-letter sink has, by reason class.
	DeadLetters map[string]int64
	// InFlightBytes is what the budget holds, InFlightBatches the number of unsettled batches.
	InFlightBytes   int64
	InFlightBatches int64
}

// SourceStats is the conservation law of one source, in numbers. A batch that was given back
// (Done with an error) counts as Returned here and again when it is delivered again.
type SourceStats struct {
	Name string

	Records, RecordsSettled, RecordsReturned, RecordsInFlight int64
	// Bytes is the length of all record bodies taken in.
	Bytes int64

	Items, Evaluated, DeadLettered, Dropped, ItemsReturned, ItemsInFlight int64
	Skipped                                                               map[string]int64

	Batches, BatchesReturned, BatchesInFlight int64
	// Panics counts records whose decoding panicked.
	Panics int64
}

// SkippedTotal is the number of items skipped, over all classes.
func (s *SourceStats) SkippedTotal() int64 {
	var n int64
	for _, v := range s.Skipped {
		n += v
	}
	return n
}

// Check says whether the conservation law holds: every record is settled, returned or in flight, and
// every item evaluated, dead-lettered, skipped, dropped, returned or in flight.
func (s *SourceStats) Check() error {
	if sum := s.RecordsSettled + s.RecordsReturned + s.RecordsInFlight; s.Records != sum {
		return fmt.Errorf("source %s: %d records came in, %d are accounted for", s.Name, s.Records, sum)
	}
	sum := s.Evaluated + s.DeadLettered + s.Dropped + s.SkippedTotal() + s.ItemsReturned + s.ItemsInFlight
	if s.Items != sum {
		return fmt.Errorf("source %s: %d items were found, %d are accounted for", s.Name, s.Items, sum)
	}
	return nil
}

// SinkStats counts the documents of one sink. Stored are durable; Rejected went to the dead letters;
// Retried and Refused count attempts that will be repeated (Refused: with an error of class Fatal).
type SinkStats struct {
	Name                               string
	Stored, Rejected, Retried, Refused int64
	Bulks, RequestErrors, QueuedDocs   int64
	RetryWait                          time.Duration // time spent between attempts
	QueuedBytes                        int64
}

// sourceState is the live form of SourceStats and of the source's health.
type sourceState struct {
	NamedSource
	mu     sync.Mutex
	n      SourceStats
	ended  bool
	err    error
	since  time.Time
	recent junkWindow
}

func (s *sourceState) accepted(b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.Records += int64(len(b.Records))
	s.n.RecordsInFlight += int64(len(b.Records))
	s.n.Bytes += b.Bytes()
	s.n.Batches++
	s.n.BatchesInFlight++
}

func (s *sourceState) judged(items, panics int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.Items += int64(items)
	s.n.ItemsInFlight += int64(items)
	s.n.Panics += int64(panics)
}

// settled books the end of a batch; the caller holds f.mu. Items that judging counted as evaluated and that
// became dead letters since, because a sink refused their finding, are booked as dead letters.
func (s *sourceState) settled(f *inflight, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records, items := int64(len(f.batch.Records)), int64(f.counts.Items)
	s.n.RecordsInFlight -= records
	s.n.BatchesInFlight--
	s.n.ItemsInFlight -= items
	if err != nil {
		s.n.RecordsReturned += records
		s.n.BatchesReturned++
		s.n.ItemsReturned += items
		return
	}
	s.n.RecordsSettled += records
	moved := min(len(f.rejected), f.counts.Evaluated)
	dead := int64(f.deadLetters + moved)
	s.n.Evaluated += int64(f.counts.Evaluated - moved)
	s.n.DeadLettered += dead
	s.n.Dropped += int64(f.counts.Dropped)
	for class, n := range f.counts.Skipped {
		if s.n.Skipped == nil {
			s.n.Skipped = make(map[string]int64)
		}
		s.n.Skipped[boundedClass(s.n.Skipped, class)] += int64(n)
	}
	s.recent.add(time.Now(), items, dead)
}

func (s *sourceState) stats() SourceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.n
	n.Skipped = maps.Clone(n.Skipped)
	return n
}

// maxClasses bounds the number of reason classes that are told apart, so that a processor which makes
// one up from an event cannot make the metrics grow.
const maxClasses = 64

func boundedClass(known map[string]int64, class string) string {
	if _, ok := known[class]; ok || len(known) < maxClasses {
		return class
	}
	return "other"
}

// junkWindow remembers the share of dead letters among the items of the last minutes.
type junkWindow struct {
	start       time.Time
	items, dead [2]int64 // the current span and the one before
}

const junkSpan = 5 * time.Minute

func (w *junkWindow) roll(now time.Time) {
	switch age := now.Sub(w.start); {
	case age < junkSpan:
		return
	case age < 2*junkSpan:
		w.items[1], w.dead[1] = w.items[0], w.dead[0]
	default:
		w.items[1], w.dead[1] = 0, 0
	}
	w.items[0], w.dead[0], w.start = 0, 0, now
}

func (w *junkWindow) add(now time.Time, items, dead int64) {
	w.roll(now)
	w.items[0] += items
	w.dead[0] += dead
}

func (w *junkWindow) share(now time.Time) float64 {
	w.roll(now)
	if n := w.items[0] + w.items[1]; n > 0 {
		return float64(w.dead[0]+w.dead[1]) / float64(n)
	}
	return 0
}
