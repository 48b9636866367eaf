package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// This file: the comparisons.

// expected is what the reference says of one event: by rule and path of the element.
type expected struct {
	truths     map[string]truth
	controlled map[string]int // by rule, and perhaps more
	maybe      map[string]bool
	source     string
	decided    bool // nothing is left open
	rules      []*sigma.Rule
}

func key(rule, path string) string { return rule + " at " + path }

// judgeByReference evaluates all rules on doc, which must be JSON.
func judgeByReference(rules []*sigma.Rule, doc map[string]any, env *event.Envelope) expected {
	want := expected{truths: make(map[string]truth), controlled: make(map[string]int), maybe: make(map[string]bool), decided: true, rules: rules}
	whole := newRequest(doc, env)
	records, bodyless := recordsOf(whole)
	want.decided = !bodyless
	early := textAt(doc, "stage") == "RequestReceived"
	for _, r := range rules {
		if early && !namesStage(&r.Detection) {
			continue
		}
		if r.Logsource.Category == "" {
			want.truths[key(r.ID, "")] = referenceExpr(whole, &r.Detection, r.Detection.Condition)
			continue
		}
		for _, record := range records {
			if string(record.category) != r.Logsource.Category {
				continue
			}
			want.source = record.source
			result := referenceExpr(record, &r.Detection, r.Detection.Condition)
			want.decided = want.decided && result != perhaps
			if r.Own && record.controlledWorkload() {
				if result == yes {
					want.controlled[r.ID]++
				}
				want.maybe[r.ID] = want.maybe[r.ID] || result == perhaps
				result = no
			}
			want.truths[key(r.ID, record.path)] = result
		}
	}
	return want
}

func (r *record) controlledWorkload() bool {
	return len(r.own["workload.controlled"]) > 0 && r.own["workload.controlled"][0] == true
}

// shown writes the detection of a rule for the reader of a failure.
func shown(rules []*sigma.Rule, at string) string {
	for _, r := range rules {
		if strings.HasPrefix(at, r.ID+" ") {
			text, err := json.Marshal(r.Detection.Selections)
			return fmt.Sprintf("%s %#v %v", text, r.Detection.Condition, err)
		}
	}
	return ""
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// agree fails unless the engine's verdict is what the reference says.
func agree(t fataler, v *engine.Verdict, want expected, doc []byte) {
	t.Helper()
	got := make(map[string]bool)
	for _, m := range v.Matches {
		certain := 0
		for _, e := range m.Elements {
			got[key(m.Rule.ID, e.Path)] = true
			if e.Category != m.Rule.Logsource.Category {
				t.Fatalf("%s matched an element of category %q on\n%s", m.Rule.Title, e.Category, doc)
			}
		}
		for at, result := range want.truths {
			if result == yes && len(at) > len(m.Rule.ID) && at[:len(m.Rule.ID)+1] == m.Rule.ID+" " {
				certain++
			}
		}
		if m.Count < certain || want.decided && m.Count != certain {
			t.Fatalf("%s: the engine counts %d elements, the reference %d on\n%s\nThe rule: %s", m.Rule.Title, m.Count, certain, doc, shown(want.rules, key(m.Rule.ID, "")))
		}
		if m.Rule.Logsource.Category != "" && m.BodySource != want.source {
			t.Fatalf("%s: read from %q, want %q, on\n%s", m.Rule.Title, m.BodySource, want.source, doc)
		}
	}
	for at, result := range want.truths {
		if result != perhaps && got[at] != (result == yes) {
			t.Fatalf("rule %s: engine %t, reference %t on\n%s\nThe rule: %s", at, got[at], result == yes, doc, shown(want.rules, at))
		}
		delete(got, at)
	}
	if len(got) > 0 {
		t.Fatalf("the engine matches elements that do not exist for the reference: %v on\n%s", got, doc)
	}
	for rule, n := range v.ControlledMatches {
		if n != want.controlled[rule] && !want.maybe[rule] {
			t.Fatalf("rule %s: %d matches on controlled workloads, want %d on\n%s", rule, n, want.controlled[rule], doc)
		}
	}
	for rule, n := range want.controlled {
		if v.ControlledMatches[rule] < n {
			t.Fatalf("rule %s: %d matches on controlled workloads, want %d on\n%s", rule, v.ControlledMatches[rule], n, doc)
		}
	}
	if len(v.Panics) > 0 || want.decided && len(v.Blind) > 0 {
		t.Fatalf("panics %v, blind %v on\n%s", v.Panics, v.Blind, doc)
	}
}

// compiled makes a set of rules, and fails if one of them is refused.
func compiled(t fataler, rules []*sigma.Rule) *engine.Set {
	t.Helper()
	set, problems := engine.Compile(&sigma.Collection{Rules: rules}, engine.Options{})
	for _, p := range problems {
		if !p.Warning {
			t.Fatalf("%v", p)
		}
	}
	return set
}

// drawText draws the JSON text of an event.
func drawText(t *rapid.T, duplicates bool) []byte {
	var e any
	switch rapid.IntRange(0, 7).Draw(t, "form") {
	case 7:
		var object members
		for _, k := range []string{"verb", "objectRef", "user", "responseStatus", "requestObject", "responseObject", "sourceIPs", "annotations", "stage", "level", "user.username", "other"} {
			if oneIn(t, 3) {
				object = append(object, namedValue{k, drawJunk(t, 4)})
			}
		}
		e = rapid.Permutation(object).Draw(t, "order")
	case 6:
		e = drawEvent(t).with("requestObject", members{{"data", wide(t)}, {"spec", drawJunk(t, 2)}})
	default:
		e = drawEvent(t)
	}
	var seed uint64
	if rapid.Bool().Draw(t, "spelled") {
		seed = rapid.Uint64().Draw(t, "seed")
	}
	s := newSpelling(seed, duplicates)
	s.value(e)
	return s.out
}

var envelopes = []event.Envelope{
	{Provider: "aks", Cluster: event.Cluster{ID: "arn:c1", Name: "c1"}},
	{Cluster: event.Cluster{ID: "unknown", Name: "unknown"}},
}

// checkVerdicts draws rules and events and compares. Keywords are looked for in the text of the event, where the last
// of two equal keys does not hide the first: there are rules with keywords or duplicate keys, not both.
func checkVerdicts(t *rapid.T) {
	duplicates := rapid.Bool().Draw(t, "duplicates")
	var rules []*sigma.Rule
	for i := range rapid.IntRange(1, 8).Draw(t, "rules") {
		rules = append(rules, drawRule(t, i, !duplicates))
	}
	set := compiled(t, rules)
	j, v := set.NewJudge(), new(engine.Verdict)
	for range rapid.IntRange(1, 4).Draw(t, "events") {
		doc := drawText(t, duplicates)
		checkVerdict(t, rules, j, v, doc, &envelopes[rapid.IntRange(0, 1).Draw(t, "envelope")])
	}
}

func checkVerdict(t fataler, rules []*sigma.Rule, j *engine.Judge, v *engine.Verdict, doc []byte, env *event.Envelope) {
	t.Helper()
	whole, err := decoded(doc)
	if err != nil {
		t.Fatalf("the generator wrote %s: %v", doc, err)
	}
	before := slices.Clone(doc)
	j.Judge(doc, env, v)
	agree(t, v, judgeByReference(rules, whole.(map[string]any), env), doc)
	if string(before) != string(doc) {
		t.Fatalf("the event was written to: %s", before)
	}
}

func TestTheEngineAgreesWithTheReference(t *testing.T) {
	rapid.Check(t, checkVerdicts)
}
