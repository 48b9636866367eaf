package report

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/sigma"
)

// stories are what each identity did, by cluster and actor. When there are more actors than room, a more
// severe one takes the place of a less severe one.
type stories struct {
	byActor map[string]*story
	levels  [sigma.Critical + 1]int // stories by worst level
	leftOut int64                   // findings of actors without a story
}

// story is the findings of one identity on one cluster.
type story struct {
	actor, cluster string
	worst          sigma.Level
	hits           int64
	first, last    time.Time
	addresses      []located
	steps          []step
	leftOut        int64 // findings without a step
}

// step is one thing that an identity did, once or several times.
type step struct {
	level       sigma.Level
	rule        string
	reason      string
	request     uint64 // of the first time
	first, last time.Time
	count       int64
}

// moment is what one request did: its most severe step, and the other rules that it made true.
type moment struct {
	step
	also []step
}

func (ss *stories) add(f *finding.Finding) {
	actor, cluster, level := f.Actor(), f.Orchestrator.Cluster.Name, clamp(f.Level())
	key := f.Orchestrator.Cluster.ID + "\x00" + actor
	st := ss.byActor[key]
	if st == nil {
		if len(ss.byActor) >= maxStories && !ss.evictBelow(level) {
			ss.leftOut++
			return
		}
		st = &story{actor: strings.Clone(actor), cluster: strings.Clone(cluster), worst: level}
		ss.byActor[key] = st
		ss.levels[level]++
	}
	if level > st.worst {
		ss.levels[st.worst]--
		ss.levels[level]++
		st.worst = level
	}
	st.add(f, level)
}

// evictBelow makes room for a story of a level by giving up the shortest of the lowest level below it.
// Each place can be given up a few times only, since its level rises: the search over all is bounded.
func (ss *stories) evictBelow(level sigma.Level) bool {
	lowest := sigma.Informational
	for lowest < level && ss.levels[lowest] == 0 {
		lowest++
	}
	if lowest >= level {
		return false
	}
	victim := ""
	for key, st := range ss.byActor {
		if st.worst != lowest {
			continue
		}
		if v := ss.byActor[victim]; v == nil || st.hits < v.hits || st.hits == v.hits && key > victim {
			victim = key
		}
	}
	ss.leftOut += ss.byActor[victim].hits
	ss.levels[lowest]--
	delete(ss.byActor, victim)
	return true
}

func (st *story) add(f *finding.Finding, level sigma.Level) {
	st.hits++
	at := f.Timestamp
	if st.first.IsZero() || at.Before(st.first) {
		st.first = at
	}
	if at.After(st.last) {
		st.last = at
	}
	if len(st.addresses) <= maxAddresses && f.Source.Address != "" {
		if a := locate(f); !slices.Contains(st.addresses, a) {
			st.addresses = append(st.addresses, a)
		}
	}
	reason := shorten(f.Event.Reason)
	for i := range st.steps {
		if s := &st.steps[i]; s.level == level && s.rule == f.Message && s.reason == reason {
			s.count++
			if request := requestOf(f); at.Before(s.first) || at.Equal(s.first) && request < s.request {
				s.first, s.request = at, request
			}
			if at.After(s.last) {
				s.last = at
			}
			return
		}
	}
	s := step{level: level, rule: f.Message, reason: strings.Clone(reason), request: requestOf(f), first: at, last: at, count: 1}
	if len(st.steps) < maxSteps {
		st.steps = append(st.steps, s)
		return
	}
	// Full: the least important step, old or new, is only counted.
	worst := slices.MaxFunc(st.steps, byImportance)
	if byImportance(s, worst) >= 0 {
		st.leftOut++
		return
	}
	i := slices.IndexFunc(st.steps, func(o step) bool { return o == worst })
	st.leftOut += worst.count
	st.steps[i] = s
}

// requestOf tells the request of a finding from others: several rules may be true for one.
func requestOf(f *finding.Finding) uint64 {
	h := fnv.New64a()
	for _, id := range f.Kubernetes.Audit.AuditID {
		h.Write([]byte(id))
	}
	return h.Sum64()
}

// byImportance orders steps: more severe first, then earlier.
func byImportance(a, b step) int {
	return cmp.Or(cmp.Compare(b.level, a.level), a.first.Compare(b.first), strings.Compare(a.rule, b.rule), strings.Compare(a.reason, b.reason))
}

func shorten(s string) string {
	if len(s) <= maxTextOfAStep {
		return s
	}
	return strings.ToValidUTF8(s[:maxTextOfAStep], "") + "…"
}

// sorted are the n most severe stories, those with most findings first.
func (ss *stories) sorted(n int) []*story {
	list := make([]*story, 0, len(ss.byActor))
	for _, st := range ss.byActor {
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b *story) int {
		return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(b.severe(), a.severe()), cmp.Compare(b.hits, a.hits),
			strings.Compare(a.actor, b.actor), strings.Compare(a.cluster, b.cluster))
	})
	return list[:min(n, len(list))]
}

// severe counts the steps at the story's worst level.
func (st *story) severe() int {
	n := 0
	for _, s := range st.steps {
		if s.level == st.worst {
			n++
		}
	}
	return n
}

// timeline are the n most important moments in the order of time, and the number of findings that they
// leave out.
func (st *story) timeline(n int) (moments []moment, leftOut int64) {
	steps := slices.SortedFunc(slices.Values(st.steps), byImportance)
	for _, s := range steps {
		i := slices.IndexFunc(moments, func(m moment) bool { return m.request == s.request && m.first.Equal(s.first) })
		switch {
		case i >= 0:
			moments[i].also = append(moments[i].also, s)
		case len(moments) < n:
			moments = append(moments, moment{step: s})
		default:
			leftOut += s.count
		}
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Or(a.first.Compare(b.first), byImportance(a.step, b.step)) })
	return moments, leftOut + st.leftOut
}
