package report

import (
	"cmp"
	"slices"
	"time"
)

// timeline counts events in slots of equal width over the whole span of a cluster's events. When the
// span outgrows the slots, pairs of slots become one: memory stays the same, the measure gets coarser.
type timeline struct {
	cluster string
	width   int64 // seconds per slot
	start   int64 // Unix seconds of slot 0, a multiple of width
	slots   []int64
}

const (
	firstWidth = 10 // seconds
	maxSlots   = 4096
)

func (l *timeline) add(at, n int64) {
	if i := at - l.start; i >= 0 && i < int64(len(l.slots))*l.width {
		l.slots[i/l.width] += n
		return
	}
	if len(l.slots) == 0 {
		l.start = floor(at, l.width)
		l.slots = append(l.slots, n)
		return
	}
	for {
		low, high := min(l.start, floor(at, l.width)), max(l.start+int64(len(l.slots)-1)*l.width, floor(at, l.width))
		if (high-low)/l.width+1 <= maxSlots {
			l.grow(low, high)
			l.slots[(floor(at, l.width)-l.start)/l.width] += n
			return
		}
		l.coarsen()
	}
}

// grow makes the slots reach from low to high.
func (l *timeline) grow(low, high int64) {
	if before := (l.start - low) / l.width; before > 0 {
		l.slots = slices.Insert(l.slots, 0, make([]int64, before)...)
		l.start = low
	}
	if after := (high-l.start)/l.width + 1 - int64(len(l.slots)); after > 0 {
		l.slots = append(l.slots, make([]int64, after)...)
	}
}

// coarsen doubles the width.
func (l *timeline) coarsen() {
	old := *l
	l.width, l.start = old.width*2, floor(old.start, old.width*2)
	l.slots = make([]int64, (old.start+int64(len(old.slots)-1)*old.width-l.start)/l.width+1)
	for i, n := range old.slots {
		l.slots[(old.start+int64(i)*old.width-l.start)/l.width] += n
	}
}

func (l *timeline) merge(o *timeline) {
	for l.width < o.width && len(l.slots) > 0 {
		l.coarsen()
	}
	for i, n := range o.slots {
		if n > 0 {
			l.add(o.start+int64(i)*o.width, n)
		}
	}
}

func (l *timeline) total() int64 {
	var n int64
	for _, k := range l.slots {
		n += k
	}
	return n
}

func floor(at, width int64) int64 {
	m := at % width
	if m < 0 {
		m += width
	}
	return at - m
}

// Gap is a stretch without events on a cluster that is much longer than usual there. The times are
// exact to Precision.
type Gap struct {
	Cluster   string
	From, To  time.Time
	Precision time.Duration
}

const (
	minGap       = 5 * time.Minute
	gapFactor    = 10 // times the usual stretch
	minGapEvents = 100
	maxGaps      = 10
)

// Gaps are the longest gaps of all clusters, in the order of time.
func (t *Traffic) Gaps() []Gap {
	var all []Gap
	for cluster, line := range t.clusters {
		for _, g := range line.gaps() {
			g.Cluster = cluster
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(b.To.Sub(b.From), a.To.Sub(a.From)), a.From.Compare(b.From), cmp.Compare(a.Cluster, b.Cluster))
	})
	all = all[:min(len(all), maxGaps)]
	slices.SortFunc(all, func(a, b Gap) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Cluster, b.Cluster)) })
	return all
}

// gaps are the runs of empty slots that are gapFactor times as long as nearly all (95 of 100) stretches
// between slots with events, and at least minGap.
func (l *timeline) gaps() []Gap {
	if l.total() < minGapEvents {
		return nil // too few to say what is usual
	}
	type run struct{ at, length int }
	var runs []run
	var lengths []int
	last := -1
	for i, n := range l.slots {
		if n == 0 {
			continue
		}
		if last >= 0 {
			lengths = append(lengths, i-last)
			if i-last > 1 {
				runs = append(runs, run{last + 1, i - last - 1})
			}
		}
		last = i
	}
	if len(runs) == 0 {
		return nil
	}
	slices.Sort(lengths)
	usual := lengths[(len(lengths)-1)*95/100]
	var out []Gap
	for _, r := range runs {
		length := time.Duration(r.length) * time.Duration(l.width) * time.Second
		if r.length >= gapFactor*usual && length >= minGap {
			from := l.start + int64(r.at)*l.width
			out = append(out, Gap{
				From: time.Unix(from, 0).UTC(), To: time.Unix(from+int64(r.length)*l.width, 0).UTC(),
				Precision: time.Duration(l.width) * time.Second,
			})
		}
	}
	return out
}
