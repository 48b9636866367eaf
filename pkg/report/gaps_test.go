package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/event"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// observe makes the traffic of one cluster with events at offsets from day.
func observe(offsets ...time.Duration) *Traffic {
	t := &Traffic{}
	for _, o := range offsets {
		t.Observe(&event.Envelope{Cluster: event.Cluster{Name: "c"}}, "Metadata", day.Add(o))
	}
	return t
}

// every is n events, step apart, from start on.
func every(start, step time.Duration, n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = start + time.Duration(i)*step
	}
	return out
}

func TestGaps(t *testing.T) {
	both := func(a, b []time.Duration) []time.Duration { return append(a, b...) }
	for _, c := range []struct {
		name   string
		events []time.Duration
		want   []Gap
	}{
		{"steady traffic has none", every(0, 10*time.Second, 1000), nil},
		{"a stop of an hour", both(every(0, 10*time.Second, 500), every(2*time.Hour+23*time.Minute+20*time.Second, 10*time.Second, 500)), []Gap{{"c", day.Add(83*time.Minute + 20*time.Second), day.Add(143*time.Minute + 20*time.Second), 10 * time.Second}}},
		{"the order of events does not matter", both(every(2*time.Hour+23*time.Minute+20*time.Second, 10*time.Second, 500), every(0, 10*time.Second, 500)), []Gap{{"c", day.Add(83*time.Minute + 20*time.Second), day.Add(143*time.Minute + 20*time.Second), 10 * time.Second}}},
		{"a short stop is none", both(every(0, 10*time.Second, 500), every(500*10*time.Second+4*time.Minute, 10*time.Second, 500)), nil},
		{"a quiet cluster with an event in half an hour has none", every(0, 30*time.Minute, 300), nil},
		{"a stop of a day on such a cluster", both(every(0, 30*time.Minute, 300), every(300*30*time.Minute+24*time.Hour, 30*time.Minute, 300)), []Gap{{"c", day.Add(149*time.Hour + 30*time.Minute + 40*time.Second), day.Add(173*time.Hour + 57*time.Minute + 20*time.Second), 320 * time.Second}}},
		{"too few events to say", both(every(0, time.Second, 50), every(9*time.Hour, time.Second, 40)), nil},
		{"none at all", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, observe(c.events...).Gaps()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTimelinesKeepEveryEventInBoundedMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offsets := rapid.SliceOfN(rapid.Int64Range(0, 5*365*24*3600), 1, 60).Draw(t, "offsets")
		cut := rapid.IntRange(0, len(offsets)).Draw(t, "cut")
		whole, a, b := timeline{width: firstWidth}, timeline{width: firstWidth}, timeline{width: firstWidth}
		for i, o := range offsets {
			at := day.Unix() + o
			whole.add(at, 1)
			if i < cut {
				a.add(at, 1)
			} else {
				b.add(at, 1)
			}
		}
		a.merge(&b)
		for name, l := range map[string]*timeline{"one": &whole, "merged": &a} {
			if l.total() != int64(len(offsets)) {
				t.Fatalf("%s: %d events of %d", name, l.total(), len(offsets))
			}
			if len(l.slots) > maxSlots {
				t.Fatalf("%s: %d slots", name, len(l.slots))
			}
			for _, o := range offsets {
				i := (day.Unix() + o - l.start) / l.width
				if i < 0 || int(i) >= len(l.slots) || l.slots[i] == 0 {
					t.Fatalf("%s: the event at %d is in no slot", name, o)
				}
			}
		}
	})
}

func TestTrafficIsMergedAndBounded(t *testing.T) {
	a, b := observe(every(0, time.Second, 100)...), observe(every(time.Hour, time.Second, 50)...)
	for i := range 1000 {
		b.Observe(&event.Envelope{Format: string(rune('a' + i)), Cluster: event.Cluster{Name: string(rune('A' + i))}, Truncated: i == 0}, "", day)
	}
	b.Observe(&event.Envelope{}, "", time.Time{})
	b.Observe(&event.Envelope{}, "", time.Unix(0, 0))
	a.Merge(b)
	levels, formats := a.Levels.Map(), a.Formats.Map()
	if a.Events != 1152 || a.Truncated != 1 || levels["Metadata"] != 150 || levels[notReported] != 1002 {
		t.Errorf("%d events, %d truncated, levels %v", a.Events, a.Truncated, levels)
	}
	if len(a.clusters) > maxTimelines || len(formats) > maxKinds+1 || formats[otherKinds] == 0 || sum(formats) != a.Events {
		t.Errorf("%d clusters, %d formats with %d others, of %d events", len(a.clusters), len(formats), formats[otherKinds], sum(formats))
	}
	var timed int64
	for _, l := range a.clusters {
		timed += l.total()
	}
	if timed+a.Without != a.Events {
		t.Errorf("%d with a time and %d without, of %d", timed, a.Without, a.Events)
	}
}

func TestObservingAllocatesNothing(t *testing.T) {
	traffic := observe(0)
	env := &event.Envelope{Format: "native", Provider: "eks", Cluster: event.Cluster{Name: "c"}}
	traffic.Observe(env, "Request", day)
	if n := testing.AllocsPerRun(100, func() { traffic.Observe(env, "Request", day) }); n != 0 {
		t.Errorf("%v allocations for an event", n)
	}
}
