package sigma

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const correlationDoc = `title: Many namespaces deleted
id: 77777777-7777-4777-8777-777777777777
name: ns-burst
level: high
tags: [attack.impact]
correlation:
    type: value_count
    rules: [22222222-2222-4222-8222-222222222222]
    group-by: [user.username]
    timespan: 6m
    condition: {field: objectRef.name, gte: 3}
`

const correlationDocs = thirdParty + "---\n" + correlationDoc

func TestACorrelationIsReadInFull(t *testing.T) {
	text := replaced(t, correlationDocs, "condition: {field: objectRef.name, gte: 3}",
		"condition: {field: [objectRef.name, objectRef.namespace], gt: 3, lte: 10}\n    aliases: {who: {22222222-2222-4222-8222-222222222222: user.username}}\ngenerate: true")
	c := load(t, text)
	if len(c.Problems) > 0 {
		t.Error(c.Problems)
	}
	want := []*Correlation{{
		Title: "Many namespaces deleted", ID: "77777777-7777-4777-8777-777777777777", Name: "ns-burst", Level: High,
		Tags: []string{"attack.impact"}, Type: "value_count", Rules: []string{"22222222-2222-4222-8222-222222222222"},
		GroupBy: []string{"user.username"}, Timespan: 6 * time.Minute, Field: "objectRef.name",
		Fields: []string{"objectRef.name", "objectRef.namespace"}, Bounds: map[string]float64{"gt": 3, "lte": 10},
		Aliases:  map[string]map[string]string{"who": {"22222222-2222-4222-8222-222222222222": "user.username"}},
		Generate: true, Source: Position{"rules.yml", strings.Count(thirdParty, "\n") + 2},
	}}
	if diff := cmp.Diff(want, c.Correlations); diff != "" {
		t.Error(diff)
	}
}

func TestEveryCorrelationTypeLoadsWithWhatItNeeds(t *testing.T) {
	for kind, condition := range map[string]string{
		"event_count": "{gte: 5}", "value_count": "{field: a, gt: 5}", "temporal": "", "temporal_ordered": "{gte: 2}",
		"value_sum": "{field: a, gt: 1.5}", "value_avg": "{field: a, lt: 5, gte: 1}",
		"value_percentile": "{field: a, gt: 5, percentile: 95}", "new_value": "{field: a}",
	} {
		text := replaced(t, correlationDocs, "value_count", kind)
		if condition == "" {
			text = replaced(t, text, "    condition: {field: objectRef.name, gte: 3}\n", "")
		} else {
			text = replaced(t, text, "{field: objectRef.name, gte: 3}", condition)
		}
		if c := load(t, text); len(c.Correlations) != 1 || c.Correlations[0].Type != kind {
			t.Errorf("%s: %d correlations", kind, len(c.Correlations))
		}
	}
	withoutGroup := replaced(t, correlationDocs, "    group-by: [user.username]\n", "")
	if c := load(t, withoutGroup); len(c.Correlations) != 1 {
		t.Error("a correlation without group-by was not loaded")
	}
}

func TestWrongCorrelationsAreRejectedWithAReason(t *testing.T) {
	const cond = "{field: objectRef.name, gte: 3}"
	tests := []struct{ name, old, new, want string }{
		{"an unknown type", "value_count", "value_median", `correlation.type is "value_median"; use one of event_count`},
		{"no type", "    type: value_count\n", "", `correlation.type is ""`},
		{"no rules", "    rules: [22222222-2222-4222-8222-222222222222]\n", "", "correlation.rules is missing"},
		{"no timespan", "    timespan: 6m\n", "", `correlation.timespan is ""`},
		{"a timespan without unit", "timespan: 6m", "timespan: 6", `correlation.timespan is "6"; write a number and one of s, m, h, d`},
		{"a timespan in months", "timespan: 6m", "timespan: 6M", `correlation.timespan is "6M"`},
		{"a timespan of nothing", "timespan: 6m", "timespan: 0s", "out of range"},
		{"a timespan of decades", "timespan: 6m", "timespan: 999999999d", "out of range"},
		{"no field", cond, "{gte: 3}", "condition.field is missing; value_count needs"},
		{"no bound", cond, "{field: a}", "missing a bound"},
		{"no condition", "    condition: " + cond + "\n", "", "condition.field is missing"},
		{"three bounds", cond, "{field: a, gte: 3, lt: 5, neq: 4}", "has 3 bounds"},
		{"an unknown bound", cond, "{field: a, ge: 3}", `unknown key "ge"`},
		{"a bound that is no number", cond, "{field: a, gte: x}", "must be a number"},
		{"a condition as text", cond, "a and b", "conditions as text are not supported"},
		{"a field for events", "value_count", "event_count", "belongs to the value types"},
		{"a bound for new values", "value_count", "new_value", "new_value has no bounds"},
		{"no percentile", "value_count", "value_percentile", "percentile is missing"},
		{"a percentile of counts", cond, "{field: a, gte: 3, percentile: 5}", "belongs to value_percentile"},
		{"a percentile out of range", cond, "{field: a, gte: 3, percentile: 101}", "whole number from 1 to 100"},
		{"an unknown key", "    group-by:", "    groupby:", `unknown key "groupby"`},
		{"a wrong generate", "level: high", "level: high\ngenerate: maybe", "generate must be true or false"},
		{"wrong aliases", "    timespan", "    aliases: [x]\n    timespan", "aliases must map"},
		{"a text as correlation", correlationDoc[strings.Index(correlationDoc, "correlation:"):], "correlation: x\n", "correlation must be a mapping"},
		{"a circle", "[22222222-2222-4222-8222-222222222222]", "[ns-burst]", "refers to itself"},
		{"ours without respond", "level: high", "level: high\nx-foretop: {reason: x}", "respond is missing"},
		{"an alias", "level: high", "level: high\na: &x 1\nb: *x", "aliases (*x) are not read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Load([]File{{"rules.yml", []byte(thirdParty + "---\n" + replaced(t, correlationDoc, tt.old, tt.new))}}, Options{})
			if len(c.Correlations) != 0 || !mentions(c.Problems, tt.want) {
				t.Errorf("%d correlations, problems %v", len(c.Correlations), c.Problems)
			}
		})
	}
}

func TestACorrelationOverForeignRulesIsForeign(t *testing.T) {
	windows := "title: w\nname: win_logon\nlogsource: {product: windows, service: security}\ndetection: {}\n"
	chained := "title: chain\nname: chain\nlevel: low\ncorrelation: {type: nonsense, rules: [win_burst]}\n"
	burst := "title: burst\nname: win_burst\nlevel: low\ncorrelation: {type: nonsense, rules: [win_logon]}\n"
	c := load(t, chained+"---\n"+burst+"---\n"+windows)
	if c.Skipped["windows/security"] != 3 || len(c.Problems) > 0 {
		t.Errorf("skipped %v, problems %v", c.Skipped, c.Problems)
	}
}

func TestACorrelationOverMissingRulesIsWarnedOf(t *testing.T) {
	c := load(t, replaced(t, correlationDoc, "22222222-2222-4222-8222-222222222222", "22222222-2222-4222-8222-222222222222, nobody"))
	if len(c.Correlations) != 1 || len(c.Problems) != 2 || !strings.Contains(c.Problems[1].Message, "nobody, which is not loaded") {
		t.Errorf("problems %v", c.Problems)
	}
}
