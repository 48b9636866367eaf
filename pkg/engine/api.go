// Package engine judges canonical events with a compiled, immutable set of rules.
package engine

import "github.com/foretop/foretop/pkg/sigma"

// Match is one rule that is true for one event, with the elements it is true for. It owns its bytes.
type Match struct {
	Rule  *sigma.Rule
	Level sigma.Level
	// Because is the text of the x-foretop.levels row that decided the level, if one did.
	Because string
	// Elements are the first MaxElements matching elements; a rule without category has one, the request.
	Elements []Element
	// Count is the number of all matching elements.
	Count int
	// BodySource says which body the derived records were read from: "responseObject",
	// "requestObject", or "" for rules that read none.
	BodySource string
	// Suppressed are the titles of filters that removed other elements of this match.
	Suppressed []string
}

// MaxElements bounds Match.Elements.
const MaxElements = 100

// Element is one derived record (or the request itself) on which the rule is true.
type Element struct {
	// Category is the record kind: "" for the request, else pod, container, volume, subject, policy_rule.
	Category string
	// Path is where the element stands in the event, for example
	// "requestObject.spec.template.spec.containers[1]".
	Path string
	// Name is the element's own name (container, volume, subject), empty if it has none.
	Name string
	// Injected is true for what admission added beyond the request.
	Injected bool
	// Evidence are the fields that the true selections compared, with their values, in rule order: those of the
	// condition, then those of the row that decided the level.
	Evidence []Evidence
	// Fields are values for the reason template and the finding, by field path.
	Fields map[string][]string
}

// Evidence is one compared field.
type Evidence struct {
	Selection string
	Field     string
	Values    []string
}

// Blind counts unknown results: Rule could not be decided because Field is unknown.
type Blind struct {
	Rule, Field string
}

// Verdict is what judging one event gave. Judge resets it; its Matches own their bytes.
type Verdict struct {
	// SkippedStage is true for an event at RequestReceived, which is no request to judge.
	SkippedStage bool
	Matches      []Match
	// Panics are the rules that panicked on this event.
	Panics []RulePanic
	// Blind are rules that could not be decided for want of a field.
	Blind []Blind
	// Suppressed are the elements that a filter removed, one entry each, also where nothing of the match is
	// left.
	Suppressed []Suppression
	// ControlledMatches counts matches left out because the workload is controlled, by rule key.
	ControlledMatches map[string]int
}

// Suppression is one element that a filter removed from a rule's match.
type Suppression struct {
	Rule   string // the rule's key
	Filter string // the filter's title
}

func (v *Verdict) reset() {
	v.SkippedStage = false
	clear(v.Matches)
	v.Matches, v.Panics, v.Blind, v.Suppressed = v.Matches[:0], v.Panics[:0], v.Blind[:0], v.Suppressed[:0]
	clear(v.ControlledMatches)
}

func (v *Verdict) addBlind(rule, field string) {
	for i := range v.Blind {
		if v.Blind[i].Rule == rule {
			return
		}
	}
	v.Blind = append(v.Blind, Blind{Rule: rule, Field: field})
}

func (v *Verdict) addControlled(rule string) {
	if v.ControlledMatches == nil {
		v.ControlledMatches = make(map[string]int)
	}
	v.ControlledMatches[rule]++
}

// RulePanic is a recovered panic of one rule.
type RulePanic struct {
	Rule   string
	Detail string
}
