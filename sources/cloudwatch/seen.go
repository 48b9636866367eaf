package cloudwatch

import (
	"hash/maphash"
	"sync/atomic"
)

// seenWidth is the event time that one set of ids covers, in milliseconds.
const seenWidth = 60_000

// seen remembers which events were handed on, by 64 bits of a hash of their ids, for as long as one of the two
// passes may still meet them. It is guarded by its session.
type seen struct {
	seed    maphash.Seed
	buckets map[int64]map[uint64]struct{} // by event time / seenWidth
	// total counts the ids of all groups of a source; limit bounds it.
	total *atomic.Int64
	limit int64
}

func newSeen(total *atomic.Int64, limit int) *seen {
	return &seen{seed: maphash.MakeSeed(), buckets: make(map[int64]map[uint64]struct{}), total: total, limit: int64(limit)}
}

func (s *seen) hash(id string) uint64 { return maphash.String(s.seed, id) }

func bucketOf(at int64) int64 {
	if at < 0 {
		return at/seenWidth - 1
	}
	return at / seenWidth
}

func (s *seen) has(at int64, id uint64) bool {
	_, ok := s.buckets[bucketOf(at)][id]
	return ok
}

// mark remembers an event, and reports whether it was new. At the limit the oldest ids of this group make room.
func (s *seen) mark(at int64, id uint64) bool {
	if s.has(at, id) {
		return false
	}
	for s.total.Load() >= s.limit && len(s.buckets) > 0 {
		s.dropOldest()
	}
	b := s.buckets[bucketOf(at)]
	if b == nil {
		b = make(map[uint64]struct{})
		s.buckets[bucketOf(at)] = b
	}
	b[id] = struct{}{}
	s.total.Add(1)
	return true
}

func (s *seen) dropOldest() {
	first, oldest := true, int64(0)
	for n := range s.buckets {
		if first || n < oldest {
			first, oldest = false, n
		}
	}
	s.drop(oldest)
}

func (s *seen) drop(bucket int64) {
	s.total.Add(-int64(len(s.buckets[bucket])))
	delete(s.buckets, bucket)
}

// forget drops the ids of events before at, as far as whole buckets go.
func (s *seen) forget(at int64) {
	for n := range s.buckets {
		if n < bucketOf(at) {
			s.drop(n)
		}
	}
}

// clear drops all ids.
func (s *seen) clear() {
	for n := range s.buckets {
		s.drop(n)
	}
}
