package engine_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// probes are rules of one item each: for every field of every record kind, whether it is there, and each value that
// events have. Where the engine reads one field otherwise than the reference, one of them tells.
func probes() []*sigma.Rule {
	var rules []*sigma.Rule
	for _, c := range event.Categories {
		fields := ofCategory[c]
		if c == event.Request {
			fields = requestAsked
		}
		add := func(item sigma.Item) {
			r := &sigma.Rule{Title: fmt.Sprintf("%s %s %v", c, item.Field, item.Values), ID: fmt.Sprint(len(rules)), Logsource: sigma.Logsource{Category: string(c)}}
			r.Detection = sigma.Detection{Selections: []sigma.Selection{{Match: &item}}, Condition: sigma.Ref(0)}
			rules = append(rules, r)
		}
		for _, of := range fields {
			add(sigma.Item{Field: of.field, Op: sigma.OpExists, Values: []sigma.Value{{Kind: sigma.Bool, Bool: true}}})
			add(sigma.Item{Field: of.field, Values: []sigma.Value{{Kind: sigma.Null}}})
			add(sigma.Item{Field: of.field, Values: []sigma.Value{{Pattern: []sigma.Part{{Wild: sigma.Many}}}}})
			add(sigma.Item{Field: of.field, Op: sigma.OpLT, Values: []sigma.Value{{Kind: sigma.Number, Text: "403", Number: 403}}})
			for _, v := range of.values {
				add(sigma.Item{Field: of.field, Cased: true, Values: []sigma.Value{{Text: v}}})
			}
		}
	}
	return rules
}

func TestEveryFieldIsReadAsTheReferenceReadsIt(t *testing.T) {
	rules := probes()
	set := compiled(t, rules)
	j, v := set.NewJudge(), new(engine.Verdict)
	rapid.Check(t, func(t *rapid.T) {
		doc := drawText(t, rapid.Bool().Draw(t, "duplicates"))
		checkVerdict(t, rules, j, v, doc, &envelopes[rapid.IntRange(0, 1).Draw(t, "envelope")])
	})
}
