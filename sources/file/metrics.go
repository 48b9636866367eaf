package file

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// followStats is what a Source with Follow counts, and what troubles it now.
type followStats struct {
	open, lag                                          atomic.Int64
	rotations, truncations, skipped, failures, saveErr atomic.Int64

	mu       sync.Mutex
	problems map[string]error // by path
	saving   error
}

// Health implements pipeline.HealthReporter: it reports paths that cannot be followed at present.
func (s *Source) Health() error {
	s.follow.mu.Lock()
	defer s.follow.mu.Unlock()
	if s.follow.saving != nil {
		return fmt.Errorf("positions cannot be saved: %w", s.follow.saving)
	}
	paths := slices.Sorted(maps.Keys(s.follow.problems))
	if len(paths) == 0 {
		return nil
	}
	err := PathError{paths[0], s.follow.problems[paths[0]]}
	if more := len(paths) - 1; more > 0 {
		return fmt.Errorf("%w, and %d paths more", err, more)
	}
	return err
}

func (s *followStats) setProblems(problems map[string]error) {
	s.mu.Lock()
	s.problems = problems
	s.mu.Unlock()
}

func (s *followStats) setSaving(err error) {
	if err != nil {
		s.saveErr.Add(1)
	}
	s.mu.Lock()
	s.saving = err
	s.mu.Unlock()
}

func (s *Source) register(r prometheus.Registerer) error {
	if r == nil || !s.cfg.Follow {
		return nil
	}
	labels := prometheus.Labels{"source": s.opt.Name}
	counter := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "foretop_file_" + name, Help: help, ConstLabels: labels},
			func() float64 { return float64(v.Load()) })
	}
	gauge := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "foretop_file_" + name, Help: help, ConstLabels: labels},
			func() float64 { return float64(v.Load()) })
	}
	f := &s.follow
	for _, c := range []prometheus.Collector{
		gauge("open", "Followed files that are held open.", &f.open),
		gauge("lag_bytes", "Bytes of followed files that were not read yet at the last look.", &f.lag),
		counter("rotations_total", "Followed files that were renamed.", &f.rotations),
		counter("truncations_total", "Followed files that were cut and are read from their beginning again.", &f.truncations),
		counter("skipped_bytes_total", "Bytes that START=end left unread at the first start.", &f.skipped),
		counter("failures_total", "Attempts to read a followed file that failed.", &f.failures),
		counter("save_failures_total", "Attempts to save a position that failed.", &f.saveErr),
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
