package engine

import (
	"fmt"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// Explanation says why a rule did or did not match an event.
type Explanation struct {
	Rule *sigma.Rule
	// Note says why no record was judged at all; empty if Records holds some.
	Note    string
	Records []ExplainedRecord
}

// ExplainedRecord is the rule on one record: the request, or one derived element.
type ExplainedRecord struct {
	Category, Path, Name string
	Result               string // true, false or unknown
	// Controlled is true where the match is left out because the workload is controlled.
	Controlled bool
	Selections []ExplainedSelection
	Filters    []ExplainedFilter
	Level      sigma.Level
	Because    string
}

// ExplainedSelection is one selection with its items.
type ExplainedSelection struct {
	Name   string
	Result string
	Items  []ExplainedItem
}

// ExplainedItem is one compared field: what the rule wants and what the record has.
type ExplainedItem struct {
	Field  string
	Wanted string
	Found  []string
	Result string
}

// ExplainedFilter is one exception of the rule.
type ExplainedFilter struct {
	Title string
	// Excludes is true where the filter removes the record from the rule's match.
	Excludes   bool
	Selections []ExplainedSelection
}

// String names the truth value as explanations do.
func (t tri) String() string { return [...]string{"false", "unknown", "true"}[t] }

// Explain evaluates one rule (by id, name or title) on an event, whatever the index says of it.
func (s *Set) Explain(canonical []byte, env *event.Envelope, key string) (Explanation, error) {
	for i := range s.rules {
		r := s.rules[i].source
		if key != r.ID && key != r.Name && key != r.Title {
			continue
		}
		j := s.NewJudge()
		x := Explanation{Rule: r}
		j.explaining = &x
		j.verdict, j.env = new(Verdict), env
		doc := parsed(&j.index, canonical)
		j.scanHeader(doc)
		j.explainEvent(i)
		if j.duplicate {
			x.Records = nil
			j.scanHeader(j.withoutDuplicates(doc))
			j.explainEvent(i)
		}
		if len(x.Records) == 0 {
			x.Note = j.whyNoRecords(&s.rules[i])
		}
		return x, nil
	}
	return Explanation{}, fmt.Errorf("no rule %q is loaded; `foretop rules list` shows their names and ids", key)
}

func (j *Judge) explainEvent(i int) {
	clear(j.words)
	j.words.set(i)
	j.judgeRequest()
	j.judgeElements()
}

func (j *Judge) whyNoRecords(r *rule) string {
	verb := string(j.tops[topVerb].text())
	resource, group := j.textOf(j.members[refResource]), j.textOf(j.members[refGroup])
	switch {
	case !j.wantElements():
		return fmt.Sprintf("a %s rule judges the objects that create, update and patch requests write; this is %s of %q, subresource %q",
			r.category, verb, resource, j.subresource())
	case holds(resource, group) == holdsNothing:
		return fmt.Sprintf("%q in API group %q holds no %s", resource, group, r.category)
	case j.object.body.none():
		return "the event has no body to read: the audit level left it out, or it was removed"
	}
	return fmt.Sprintf("the %s holds no %s", j.object.source, r.category)
}

// explain records how the rule fares on the current record.
func (j *Judge) explain(r *rule, result tri) {
	e := ExplainedRecord{
		Category: string(r.category), Path: j.elementPath(r.category), Name: clip(j.elementName()), Result: result.String(),
		Controlled: result == yes && r.skipControlled && r.category != event.Request && j.isControlled(),
		Selections: j.explainSelections(&r.program),
	}
	decided := j.level(r)
	e.Level, e.Because = decided.level, decided.because
	for i := range r.filters {
		f := &r.filters[i]
		e.Filters = append(e.Filters, ExplainedFilter{Title: f.source.Title, Excludes: j.excluded(f), Selections: j.explainSelections(&f.program)})
	}
	j.explaining.Records = append(j.explaining.Records, e)
}

func (j *Judge) explainSelections(p *program) []ExplainedSelection {
	var all []ExplainedSelection
	for i := range p.selections {
		s := ExplainedSelection{Name: p.names[i], Result: j.tree(&p.selections[i]).String()}
		j.explainTree(&s, &p.selections[i])
		all = append(all, s)
	}
	return all
}

func (j *Judge) explainTree(s *ExplainedSelection, t *tree) {
	for i := range t.kids {
		j.explainTree(s, &t.kids[i])
	}
	if t.kind != leafTree {
		return
	}
	p := &j.set.preds[t.pred]
	item := ExplainedItem{Field: p.field, Wanted: p.wanted, Result: j.test(t.pred).String()}
	for _, id := range p.slots {
		for _, v := range j.load(id).vals {
			if len(item.Found) < maxEvidenceValues {
				item.Found = append(item.Found, clip(v.text))
			}
		}
	}
	s.Items = append(s.Items, item)
}
