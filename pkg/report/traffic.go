package report

import (
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// Traffic counts what events there were, whatever rules said of them: by audit level, form and provider,
// and when, per cluster. It is not safe for concurrent use: each worker has one, and Merge joins them.
type Traffic struct {
	Events    int64
	Truncated int64 // events judged on their prefix
	Levels    map[string]int64
	Formats   map[string]int64
	Providers map[string]int64
	clusters  map[string]*timeline
	// Without counts events of clusters beyond maxTimelines and events without a time: their gaps are
	// not looked for.
	Without int64
}

const (
	maxTimelines = 256
	maxKinds     = 64
	notReported  = "not reported"
)

// Observe counts one event. level and at are the event's audit level and stage timestamp, empty and zero
// where it has none. Once a kind has been seen it allocates nothing.
func (t *Traffic) Observe(env *event.Envelope, level string, at time.Time) {
	t.Events++
	if env.Truncated {
		t.Truncated++
	}
	count(&t.Levels, level, 1)
	count(&t.Formats, env.Format, 1)
	count(&t.Providers, env.Provider, 1)
	line := t.timeline(env.Cluster.Name)
	if line == nil || !plausible(at) {
		t.Without++
		return
	}
	line.add(at.Unix(), 1)
}

// plausible bounds times to those that an audit log can hold (Kubernetes is of 2014): a single stray one
// would make every gap's measure coarse.
func plausible(at time.Time) bool {
	return at.Year() >= 2014 && at.Year() < 2100
}

func (t *Traffic) timeline(cluster string) *timeline {
	if line := t.clusters[cluster]; line != nil {
		return line
	}
	if len(t.clusters) == maxTimelines {
		return nil
	}
	if t.clusters == nil {
		t.clusters = map[string]*timeline{}
	}
	line := &timeline{width: firstWidth}
	t.clusters[strings.Clone(cluster)] = line
	return line
}

// Merge adds what o counted.
func (t *Traffic) Merge(o *Traffic) {
	t.Events += o.Events
	t.Truncated += o.Truncated
	t.Without += o.Without
	for _, m := range []struct {
		to   *map[string]int64
		from map[string]int64
	}{{&t.Levels, o.Levels}, {&t.Formats, o.Formats}, {&t.Providers, o.Providers}} {
		for name, n := range m.from {
			count(m.to, name, n)
		}
	}
	for cluster, line := range o.clusters {
		if to := t.timeline(cluster); to != nil {
			to.merge(line)
		} else {
			t.Without += line.total()
		}
	}
}

func count(m *map[string]int64, name string, n int64) {
	if name == "" {
		name = notReported
	}
	if _, ok := (*m)[name]; ok {
		(*m)[name] += n
		return
	}
	if len(*m) >= maxKinds {
		name = "other"
	}
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[strings.Clone(name)] += n
}
