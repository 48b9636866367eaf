package app

import (
	"fmt"
	"slices"
	"sync"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/report"
)

// observer counts what one worker of a scan sees.
type observer struct {
	clock      clock
	traffic    report.Traffic
	blind      map[engine.Blind]int64
	suppressed map[string]int64
	controlled map[string]int64
	panics     map[string]int64
}

// see counts one event. The names of rules come out of rule files, and so outlive the event.
func (o *observer) see(j *Judged) {
	level, at := o.clock.glance(j.Item)
	o.traffic.Observe(&j.Item.Envelope, level, at)
	v := j.Verdict
	for i := range v.Blind {
		bump(&o.blind, v.Blind[i], 1)
	}
	for i := range v.Suppressed {
		bump(&o.suppressed, v.Suppressed[i].Filter, 1)
	}
	for rule, n := range v.ControlledMatches {
		bump(&o.controlled, rule, int64(n))
	}
	for i := range v.Panics {
		bump(&o.panics, v.Panics[i].Rule, 1)
	}
}

func bump[K comparable](m *map[K]int64, key K, n int64) {
	if *m == nil {
		*m = make(map[K]int64)
	}
	(*m)[key] += n
}

// observers are those of all workers of a scan.
type observers struct {
	mu  sync.Mutex
	all []*observer
}

// add makes the observer of one more worker.
func (os *observers) add() *observer {
	o := &observer{}
	os.mu.Lock()
	defer os.mu.Unlock()
	os.all = append(os.all, o)
	return o
}

// fill puts what all workers saw into q. Rules are called by their titles. The workers have ended.
func (os *observers) fill(q *report.Quality, rules *Rules) {
	titles := make(map[string]string)
	for _, r := range rules.Set.Rules() {
		titles[r.Key()] = r.Title
	}
	q.Traffic = &report.Traffic{}
	q.Blind = make(map[engine.Blind]int64)
	q.Suppressed, q.Controlled, q.Panics = make(map[string]int64), make(map[string]int64), make(map[string]int64)
	for _, o := range os.all {
		q.Traffic.Merge(&o.traffic)
		for b, n := range o.blind {
			q.Blind[engine.Blind{Rule: titles[b.Rule], Field: b.Field}] += n
		}
		for title, n := range o.suppressed {
			q.Suppressed[title] += n
		}
		for rule, n := range o.controlled {
			q.Controlled[titles[rule]] += n
		}
		for rule, n := range o.panics {
			q.Panics[titles[rule]] += n
		}
	}
	q.Rules = len(rules.Set.Rules())
	q.Waiting = make(map[string]string)
	for _, r := range rules.Collection.WaitingRules {
		q.Waiting[r.Title] = rules.Collection.Waiting[r.Key()]
	}
	q.CannotFire = cannotFire(rules, q.Traffic)
}

// auditLevels are in ascending order; each carries what the one before it does.
var auditLevels = []string{"Metadata", "Request", "RequestResponse"}

// cannotFire names the rules that want what none of the events can have, by what the rules say they need.
func cannotFire(rules *Rules, t *report.Traffic) []report.CannotFire {
	var out []report.CannotFire
	highest := -1
	for level := range t.Levels.Map() {
		highest = max(highest, slices.Index(auditLevels, level))
		if !slices.Contains(auditLevels, level) {
			highest = len(auditLevels) // a form that does not report its level may carry bodies
		}
	}
	for _, r := range rules.Set.Rules() {
		if r.Foretop == nil || t.Events == 0 {
			continue
		}
		need := slices.Index(auditLevels, r.Foretop.Needs.Level)
		if need > highest && highest >= 0 {
			out = append(out, report.CannotFire{
				Rule: r.Title, Why: fmt.Sprintf("needs audit level %s, this data has at most %s", auditLevels[need], auditLevels[highest]),
			})
			continue
		}
		if provider := onlyProvider(t); provider != "" && r.Foretop.Needs.Providers[provider] == "no" {
			out = append(out, report.CannotFire{Rule: r.Title, Why: provider + " does not report what it needs"})
		}
	}
	return out
}

// onlyProvider is the provider that all events come from, empty if there are several or none is known.
func onlyProvider(t *report.Traffic) string {
	providers := t.Providers.Map()
	if len(providers) != 1 {
		return ""
	}
	for name := range providers {
		return name
	}
	return ""
}
