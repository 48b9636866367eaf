package ruletest

import (
	"slices"

	"github.com/foretop/foretop/pkg/sigma"
)

// minCases is how many matching cases and how many near misses a rule of ours must have: one of each shows
// that a rule can fire and can stay silent, the second that this is no accident of the first.
const minCases = 2

// coverage counts the cases of one rule.
type coverage struct {
	matching, near int
}

func (c *coverage) add(r Result) {
	switch {
	case r.Matching:
		c.matching++
	case r.Near:
		c.near++
	}
}

func (r *runner) exercise(f *sigma.Filter) {
	// A test file with site lists has its own copy of the collection: the place tells which filter it is.
	r.exercised[f.Source] = true
}

// checkCoverage demands tests of the rules and filters of ours in the tested directories.
func (r *runner) checkCoverage() {
	for _, rule := range slices.Concat(r.rules.Rules, r.rules.WaitingRules) {
		if !rule.Own || !r.tested[rule.Source.File] || !r.selected(rule) {
			continue
		}
		c := r.covered[rule.Key()]
		if c == nil {
			c = &coverage{}
		}
		if c.matching < minCases || c.near < minCases {
			r.problem(rule.Source, rule.Title,
				"the rule has %d matching cases and %d near misses; write at least %d of each (the name of a near miss begins with \"near\")",
				c.matching, c.near, minCases)
		}
	}
	for _, f := range r.rules.Filters {
		if f.Foretop == nil || !r.tested[f.Source.File] || r.exercised[f.Source] || !r.filterSelected(f) {
			continue
		}
		r.problem(f.Source, f.Title, "no passing case shows the exception at work; write one with filter: %s and match: []", f.Title)
	}
}

func (r *runner) selected(rule *sigma.Rule) bool {
	return r.options.Rule == "" || findRule([]*sigma.Rule{rule}, r.options.Rule) != nil
}

// filterSelected is true for a filter that only the selected rules use.
func (r *runner) filterSelected(f *sigma.Filter) bool {
	if r.options.Rule == "" {
		return true
	}
	rule := findRule(slices.Concat(r.rules.Rules, r.rules.WaitingRules), r.options.Rule)
	return rule != nil && !f.All && len(f.Rules) == 1 && slices.Contains(r.rules.FiltersFor(rule), f)
}
