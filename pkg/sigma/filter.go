package sigma

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// readFilter reads a filter and adds it to the collection.
func (d *document) readFilter(ls Logsource) {
	n := value(d.root, "filter")
	f := &Filter{
		Title:       d.readTitle(),
		ID:          d.readID(false),
		Name:        d.readName(),
		Description: d.text(value(d.root, "description"), "description"),
		Logsource:   ls,
		Source:      d.pos(d.root),
	}
	d.readExtension(filterExtension)
	f.Foretop = d.extension
	f.Detection = d.readDetection(n, "filter", "rules")
	rules := value(n, "rules")
	switch f.Rules = d.texts(rules, "filter.rules"); {
	case rules == nil:
		d.fail(n, "filter.rules is missing; list the ids or names of rules, or write any")
	case len(f.Rules) == 0:
		f.All = true
	case len(f.Rules) == 1 && (strings.EqualFold(f.Rules[0], "any") || strings.EqualFold(f.Rules[0], "all")):
		f.All, f.Rules = true, nil
	}
	if c := value(n, "condition"); c != nil && len(c.Content) > 0 {
		d.fail(c, "a filter has one condition, not a list; join them by and")
	}
	if d.own && f.Foretop != nil {
		if f.Foretop.Owner == "" {
			d.fail(d.root, "x-foretop.owner is missing; name who answers for the exception")
		}
		if f.Foretop.Reason == "" {
			d.fail(d.root, "x-foretop.reason is missing; say why the exception exists")
		}
	}
	if d.failed {
		return
	}
	if !hasNot(f.Detection.Condition) {
		d.warn(value(n, "condition"), "the filter's condition holds no not: it narrows the rules to the selection; to exclude what is selected, write not %s",
			clip(f.Detection.Selections[0].Name))
	}
	d.checkUnused(&f.Detection)
	d.loader.collection.Filters = append(d.loader.collection.Filters, f)
}

func hasNot(e Expr) bool {
	switch e := e.(type) {
	case And:
		return slices.ContainsFunc(e, hasNot)
	case Or:
		return slices.ContainsFunc(e, hasNot)
	case Not:
		return true
	}
	return false
}

// checkFilters warns of references that lead nowhere, once every document is read.
func (l *loader) checkFilters() {
	byRef := map[string][]*Rule{}
	for _, r := range l.collection.Rules {
		for _, ref := range []string{r.ID, r.Name} {
			if ref != "" {
				byRef[refKey(ref)] = append(byRef[refKey(ref)], r)
			}
		}
	}
	for _, f := range l.collection.Filters {
		for _, ref := range f.Rules {
			if problem := l.unresolved(ref); problem != "" {
				l.warnAt(f.Source, f.Title, "the filter names the rule "+clip(ref)+", which "+problem)
			}
			for _, r := range byRef[refKey(ref)] {
				if !r.Logsource.within(f.Logsource) {
					l.warnAt(f.Source, f.Title, "the filter names the rule "+clip(r.Title)+", but its log source does not cover the rule's category; give both the same category, or the filter none")
				}
			}
		}
	}
}

// unresolved says why a reference to a rule leads nowhere; it is empty for a rule that is there.
func (l *loader) unresolved(ref string) string {
	switch l.state[refKey(ref)] {
	case refLoaded, refWaiting:
		return ""
	case refRejected:
		return "was rejected"
	}
	if key, ok := l.skippedRef[refKey(ref)]; ok {
		return "is for another log source (" + clip(key) + ")"
	}
	return "is not loaded; correct the id or name, or remove it"
}

func (l *loader) warnAt(p Position, title, message string) {
	l.problemAt(p, title, message, true)
}

func (l *loader) problemAt(p Position, title, message string, warning bool) {
	file := slices.IndexFunc(l.files, func(f File) bool { return f.Name == p.File })
	l.tell(file, Problem{Source: p, Title: title, Message: message, Warning: warning})
}

// FiltersFor are the filters that apply to a rule, in file order: those that name it, or all rules, and
// whose log source covers the rule's.
func (c *Collection) FiltersFor(r *Rule) []*Filter {
	var out []*Filter
	for _, f := range c.Filters {
		if (f.All || f.names(r)) && r.Logsource.within(f.Logsource) {
			out = append(out, f)
		}
	}
	return out
}

func (f *Filter) names(r *Rule) bool {
	return slices.ContainsFunc(f.Rules, func(ref string) bool {
		return r.ID != "" && strings.EqualFold(ref, r.ID) || r.Name != "" && ref == r.Name
	})
}

// within is true if other covers ls. Both are of Kubernetes audit here, so that only the category can
// differ: none covers all, and "application" is the same as a rule's none.
func (ls Logsource) within(other Logsource) bool {
	if other.Category == "" {
		return true
	}
	a, _ := event.CategoryOf(ls.Category)
	b, _ := event.CategoryOf(other.Category)
	return a == b
}
