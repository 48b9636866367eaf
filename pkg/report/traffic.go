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
	Levels    Kinds
	Formats   Kinds
	Providers Kinds
	clusters  map[string]*timeline
	last      *timeline // of the event before, whose cluster the next one mostly has too
	// Without counts events of clusters beyond maxTimelines and events without a time: their gaps are
	// not looked for.
	Without int64
}

const (
	maxTimelines = 256
	maxKinds     = 64
	otherKinds   = "other"
	notReported  = "not reported"
)

// Observe counts one event. level and at are the event's audit level and stage timestamp, empty and zero
// where it has none. Once a kind has been seen it allocates nothing.
func (t *Traffic) Observe(env *event.Envelope, level string, at time.Time) {
	t.Events++
	if env.Truncated {
		t.Truncated++
	}
	t.Levels.add(level, 1)
	t.Formats.add(env.Format, 1)
	t.Providers.add(env.Provider, 1)
	line, seconds := t.timeline(env.Cluster.Name), at.Unix()
	if line == nil || seconds < earliest || seconds >= latest {
		t.Without++
		return
	}
	line.add(seconds, 1)
}

// Times that an audit log can hold, in Unix seconds: from 2014, the year of Kubernetes, up to 2100. A single stray one
// would make every gap's measure coarse.
var (
	earliest = time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
)

func (t *Traffic) timeline(cluster string) *timeline {
	if t.last != nil && t.last.cluster == cluster {
		return t.last
	}
	line := t.clusters[cluster]
	if line == nil {
		if len(t.clusters) == maxTimelines {
			return nil
		}
		if t.clusters == nil {
			t.clusters = map[string]*timeline{}
		}
		line = &timeline{cluster: strings.Clone(cluster), width: firstWidth}
		t.clusters[line.cluster] = line
	}
	t.last = line
	return line
}

// Merge adds what o counted.
func (t *Traffic) Merge(o *Traffic) {
	t.Events += o.Events
	t.Truncated += o.Truncated
	t.Without += o.Without
	t.Levels.merge(&o.Levels)
	t.Formats.merge(&o.Formats)
	t.Providers.merge(&o.Providers)
	for cluster, line := range o.clusters {
		if to := t.timeline(cluster); to != nil {
			to.merge(line)
		} else {
			t.Without += line.total()
		}
	}
}

// Kinds counts by a name of which there are few: events by their audit level. The most are counted apart that maxKinds
// allows, the rest as "other".
type Kinds struct {
	// In lists, since the few names are compared faster than one is hashed, and mostly by their address alone.
	names  []string
	counts []int64
}

func (k *Kinds) add(name string, n int64) {
	if name == "" {
		name = notReported
	}
	for i := range k.names {
		if k.names[i] == name {
			k.counts[i] += n
			return
		}
	}
	if len(k.names) >= maxKinds && name != otherKinds {
		k.add(otherKinds, n)
		return
	}
	k.names, k.counts = append(k.names, strings.Clone(name)), append(k.counts, n)
}

func (k *Kinds) merge(o *Kinds) {
	for i, name := range o.names {
		k.add(name, o.counts[i])
	}
}

// Map is the numbers by their names.
func (k *Kinds) Map() map[string]int64 {
	m := make(map[string]int64, len(k.names))
	for i, name := range k.names {
		m[name] = k.counts[i]
	}
	return m
}
