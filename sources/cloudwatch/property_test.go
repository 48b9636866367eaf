package cloudwatch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// TestNothingIsLostWhateverTheServiceDoes lets events arrive late and out of order while calls fail in every way,
// batches are given back and the reader is replaced without a drain. Every event has to be settled by one of them.
func TestNothingIsLostWhateverTheServiceDoes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var mu sync.Mutex // guards random
	random := rand.New(rand.NewPCG(seed, 1))
	chance := func(n int) bool { mu.Lock(); defer mu.Unlock(); return random.IntN(n) == 0 }

	s := newService(t)
	s.pageSize, s.emptyPages = 5, 1
	s.fault = func(r *request) *apiError {
		switch {
		case r.op != "FilterLogEvents":
		case chance(20):
			return throttled()
		case r.page > 1 && chance(40):
			return &apiError{400, "InvalidParameterException", "The specified nextToken is invalid."}
		case chance(40):
			return &apiError{503, "ServiceUnavailable", ""}
		case chance(60):
			return &apiError{400, "ExpiredTokenException", ""}
		}
		return nil
	}
	store := newStore(t)
	cfg := settings(t, testGroup)
	cfg.MaxLateness, cfg.BatchRecords, cfg.DrainTimeout, cfg.SweepInterval = time.Second, 7, 0, 30*time.Millisecond

	settled := make(map[string]bool)
	run := func() *reader {
		src, _ := newSource(t, cfg, Options{Store: store})
		return readWith(t, src, func(r *reader) {
			r.settle = func(b *pipeline.Batch) error {
				if chance(60) {
					return errors.New("given back")
				}
				mu.Lock()
				defer mu.Unlock()
				for i := range b.Records {
					settled[string(b.Records[i].Body)] = true
				}
				return nil
			}
		})
	}
	r := run()
	const events = 800
	var last time.Time
	for i := range events {
		mu.Lock()
		behind, delay := time.Duration(random.IntN(100))*time.Millisecond, time.Duration(random.IntN(500))*time.Millisecond
		mu.Unlock()
		last = time.Now()
		s.put(testGroup, fmt.Sprint(auditStream, i%3), fmt.Sprint("e", i), last.Add(-behind), last.Add(delay-behind))
		if i%200 == 199 {
			r.stop()
			r = run()
		}
		time.Sleep(3 * time.Millisecond)
	}
	r.sweptPast(last)
	r.stop()
	mu.Lock()
	defer mu.Unlock()
	for i := range events {
		if !settled[fmt.Sprint("e", i)] {
			t.Errorf("event %d was never settled", i)
		}
	}
}
