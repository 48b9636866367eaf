package ruletest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// bench judges events with one rule and its filters.
type bench struct {
	rule    *sigma.Rule
	filters []*sigma.Filter
	options engine.Options
	bases   *bases
	set     *engine.Set
}

// compile makes the set of the rule with all its filters. The result says what is wrong, or is empty.
func (b *bench) compile() string {
	b.set = b.compileWith(b.filters)
	if len(b.set.Rules()) == 0 {
		return "the rule does not compile, so that its tests cannot run"
	}
	return ""
}

func (b *bench) compileWith(filters []*sigma.Filter) *engine.Set {
	set, _ := engine.Compile(&sigma.Collection{Rules: []*sigma.Rule{b.rule}, Filters: filters}, b.options)
	return set
}

// run judges one case. The second result is the filter that the case saw at work, if it is about one.
func (b *bench) run(c *testCase) (Result, *sigma.Filter) {
	result := Result{Name: c.name, Source: c.at, Matching: len(c.match) > 0, Near: c.near && len(c.match) == 0}
	doc, err := b.event(c)
	if err != nil {
		result.Detail = err.Error()
		return result, nil
	}
	canonical, err := encode(doc)
	if err != nil {
		result.Detail = err.Error()
		return result, nil
	}
	var v engine.Verdict
	b.set.NewJudge().Judge(canonical, &c.env, &v)
	found := &finding{doc: doc}
	if len(v.Matches) > 0 {
		found.match = &v.Matches[0]
	}
	lines := found.compare(c)
	if len(lines) > 0 {
		lines = append(lines, b.reasons(canonical, c, &v)...)
	}
	var exercised *sigma.Filter
	if c.filter != "" {
		var problem string
		exercised, problem = b.exercise(canonical, c)
		if exercised != nil {
			result.Filter = exercised.Title
		}
		if problem != "" {
			lines = append(lines, problem)
		}
	}
	if result.Passed = len(lines) == 0; !result.Passed {
		result.Detail = strings.Join(lines, "\n")
		return result, nil
	}
	return result, exercised
}

// event makes the event of a case: the base with the changes on top.
func (b *bench) event(c *testCase) (map[string]any, error) {
	doc, err := b.bases.load(c.base)
	if err != nil {
		return nil, err
	}
	for _, change := range c.changes {
		if _, err := apply(doc, change); err != nil {
			return nil, fmt.Errorf("line %d: %w", change.line, err)
		}
	}
	return doc, nil
}

// exercise judges with the named filter alone: beside others, a second filter that suppresses the same element
// would go unseen.
func (b *bench) exercise(canonical []byte, c *testCase) (*sigma.Filter, string) {
	var named *sigma.Filter
	for _, f := range b.filters {
		if c.filter == f.Title || c.filter == f.ID || c.filter == f.Name {
			named = f
		}
	}
	if named == nil {
		return nil, fmt.Sprintf("filter %q does not apply to the rule; correct the title or id", c.filter)
	}
	var v engine.Verdict
	b.compileWith([]*sigma.Filter{named}).NewJudge().Judge(canonical, &c.env, &v)
	if len(v.Suppressed) == 0 {
		return nil, fmt.Sprintf("filter %q suppressed nothing", named.Title)
	}
	return named, ""
}

// Bounds of an explanation in a failed case's detail.
const (
	maxReasonRecords = 3
	maxReasonItems   = 6
)

// reasons says why records did not match, or what removed them.
func (b *bench) reasons(canonical []byte, c *testCase, v *engine.Verdict) []string {
	var lines []string
	for _, p := range v.Panics {
		lines = append(lines, "  the rule panicked: "+p.Detail)
	}
	for _, s := range v.Suppressed {
		lines = append(lines, fmt.Sprintf("  suppressed by the filter %q", s.Filter))
	}
	for _, n := range v.ControlledMatches {
		lines = append(lines, fmt.Sprintf("  %d left out because the workload is controlled", n))
	}
	for _, blind := range v.Blind {
		lines = append(lines, fmt.Sprintf("  undecided: %s is unknown", blind.Field))
	}
	x, err := b.set.Explain(canonical, &c.env, b.rule.Key())
	if err != nil {
		return lines
	}
	if x.Note != "" {
		lines = append(lines, "  "+x.Note)
	}
	for i, record := range x.Records {
		if i == maxReasonRecords {
			lines = append(lines, fmt.Sprintf("  and %d more records", len(x.Records)-i))
			break
		}
		if record.Result != "true" {
			lines = append(lines, "  "+b.whyNot(record))
		}
	}
	return lines
}

// whyNot lists the items of a record that were not true, of the selections that the condition uses.
func (b *bench) whyNot(record engine.ExplainedRecord) string {
	name := record.Path
	if name == "" {
		name = "the request"
	}
	var items []string
	for i, s := range record.Selections {
		if !mentions(b.rule.Detection.Condition, sigma.Ref(i)) {
			continue
		}
		for _, item := range s.Items {
			if item.Result != "true" && len(items) < maxReasonItems {
				items = append(items, fmt.Sprintf("%s wants %s %s, has %s", s.Name, item.Field, item.Wanted, quoted(item.Found)))
			}
		}
	}
	return fmt.Sprintf("%s is %s: %s", name, record.Result, strings.Join(items, "; "))
}

func mentions(e sigma.Expr, selection sigma.Ref) bool {
	in := func(x sigma.Expr) bool { return mentions(x, selection) }
	switch e := e.(type) {
	case sigma.And:
		return slices.ContainsFunc(e, in)
	case sigma.Or:
		return slices.ContainsFunc(e, in)
	case sigma.Not:
		return in(e.X)
	}
	return e == selection
}

func quoted(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(out, ", ")
}
