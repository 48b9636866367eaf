package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// Compile makes a set of the collection's rules and filters. A rule that cannot be compiled is left out and
// told in the problems, all of them at once.
func Compile(c *sigma.Collection, o Options) (*Set, []sigma.Problem) {
	s := &Set{options: o, hash: c.Hash}
	for _, t := range s.tries() {
		*t = newTrie()
	}
	s.registerComputed()
	k := &compiler{set: s, resolver: resolver{set: s, byPath: make(map[string]int32)}, byKey: make(map[string]int32)}
	for i, field := range indexedFields {
		s.indexed[i] = k.resolver.slot(event.Request, field)
	}
	for _, r := range c.Rules {
		k.addRule(r, c.FiltersFor(r))
	}
	s.header.addOwn()
	s.container.addContainerMembers()
	for _, t := range s.tries() {
		s.guesses = (*t).freeze(s.guesses)
	}
	for i, key := range event.Members {
		s.tagged[i+1] = s.header.root.find([]byte(key))
	}
	s.inherited = s.inheritances()
	s.buildIndex()
	s.demanders = s.demandersOf()
	return s, k.problems
}

func (s *Set) tries() []**trie {
	return []**trie{&s.header, &s.requestBody, &s.responseBody, &s.metadata, &s.podMetadata, &s.pod, &s.podLists,
		&s.container, &s.volume, &s.subject, &s.roleRef, &s.policyRule}
}

type compiler struct {
	set      *Set
	resolver resolver
	byKey    map[string]int32 // predicates by their meaning
	matchers int32            // how many there are
	problems []sigma.Problem

	source   sigma.Position // of the document being compiled
	title    string
	own      bool
	category event.Category
	bad      bool
}

func (k *compiler) addRule(r *sigma.Rule, filters []*sigma.Filter) {
	category, ok := event.CategoryOf(r.Logsource.Category)
	k.begin(r.Source, r.Title, r.Own, category)
	if !ok {
		k.reject(r.Source.Line, "logsource.category %q is no record kind; use one of %s, or none", r.Logsource.Category, kinds())
		return
	}
	compiled := rule{source: r, category: category}
	compiled.program = k.program(&r.Detection)
	if r.Foretop != nil {
		for _, l := range r.Foretop.Levels {
			compiled.levels = append(compiled.levels, levelWhen{l.When, l.Level, l.Because})
		}
		compiled.templates = k.templates(r)
		compiled.skipControlled = r.Own && r.Foretop.Controlled != "judge"
	}
	k.checkWrite(&compiled)
	if k.bad {
		return
	}
	for _, f := range filters {
		compiled.filters = append(compiled.filters, k.filter(f, r, category)...)
	}
	k.markBodies(&compiled)
	compiled.demands = k.set.demandsOf(nil, &compiled.root)
	k.set.rules = append(k.set.rules, compiled)
	k.set.sources = append(k.set.sources, r)
}

// checkWrite holds rules of ours on derived records to saying which outcomes they mean and that dry runs do not
// count: forgetting either is how rule sets come to report refused and rehearsed requests.
func (k *compiler) checkWrite(r *rule) {
	if !r.source.Own || r.category == event.Request || k.bad {
		return
	}
	for _, field := range []string{"outcome", "dryRun"} {
		if k.set.demandedTree(&r.root, field) == nil {
			k.reject(r.source.Source.Line, "a rule on %s records must say %s in its condition, for example `outcome: [success, unknown]` and `dryRun: false`", r.category, field)
		}
	}
}

func kinds() string {
	var names []string
	for _, c := range event.Categories[1:] {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

func (k *compiler) begin(at sigma.Position, title string, own bool, c event.Category) {
	k.source, k.title, k.own, k.category, k.bad = at, title, own, c, false
}

func (k *compiler) reject(line int, format string, args ...any) {
	k.bad = true
	k.problem(line, false, format, args...)
}

func (k *compiler) problem(line int, warning bool, format string, args ...any) {
	at := k.source
	if line > 0 {
		at.Line = line
	}
	p := sigma.Problem{Source: at, Title: k.title, Message: fmt.Sprintf(format, args...), Warning: warning}
	if !slices.Contains(k.problems, p) {
		k.problems = append(k.problems, p)
	}
}

// filter compiles a filter in the category of the rule that it restricts. A filter that cannot be compiled is
// told and left out: it never takes its rule along.
func (k *compiler) filter(f *sigma.Filter, r *sigma.Rule, category event.Category) []filter {
	defer k.begin(r.Source, r.Title, r.Own, category)
	k.begin(f.Source, f.Title, f.Foretop != nil, category)
	compiled := filter{source: f, program: k.program(&f.Detection)}
	if k.bad {
		return nil
	}
	if f.Foretop != nil && !f.Foretop.Expires.IsZero() {
		compiled.expires = f.Foretop.Expires.UnixNano()
	}
	return []filter{compiled}
}

func (k *compiler) program(d *sigma.Detection) program {
	p := program{condition: d.Condition}
	for i := range d.Selections {
		p.names = append(p.names, d.Selections[i].Name)
		p.selections = append(p.selections, k.tree(d.Selections[i].Match))
	}
	p.root = p.treeOf(d.Condition)
	return p
}

// treeOf joins the selections as the condition does.
func (p *program) treeOf(e sigma.Expr) tree {
	kids := func(kind treeKind, list []sigma.Expr) tree {
		t := tree{kind: kind}
		for _, x := range list {
			t.kids = append(t.kids, p.treeOf(x))
		}
		return t
	}
	switch e := e.(type) {
	case sigma.And:
		return kids(allTree, e)
	case sigma.Or:
		return kids(anyTree, e)
	case sigma.Not:
		return tree{kind: notTree, kids: []tree{p.treeOf(e.X)}}
	case sigma.Ref:
		return p.selections[e]
	}
	return tree{kind: anyTree} // nothing else exists; it is never true
}

func (k *compiler) tree(n sigma.Node) tree {
	switch n := n.(type) {
	case sigma.AllOf:
		return tree{kind: allTree, kids: k.trees(n)}
	case sigma.AnyOf:
		return tree{kind: anyTree, kids: k.trees(n)}
	case *sigma.Item:
		return tree{kind: leafTree, pred: k.predicate(n)}
	}
	k.reject(0, "a selection holds neither fields nor keywords")
	return tree{kind: anyTree}
}

func (k *compiler) trees(nodes []sigma.Node) []tree {
	all := make([]tree, len(nodes))
	for i, n := range nodes {
		all[i] = k.tree(n)
	}
	return all
}

// predicate finds or makes the predicate of an item.
func (k *compiler) predicate(item *sigma.Item) int32 {
	p := predicate{wanted: wanted(item), field: item.Field, op: item.Op, negate: item.Neg, cased: item.Cased, affix: item.Affix, timePart: item.TimePart}
	if item.Field != "" {
		k.checkField(item.Field, item.Line)
		p.slots = k.resolver.fields(k.category, item.Field)
	}
	switch item.Op {
	case sigma.OpExists:
		p.want = len(item.Values) == 0 || item.Values[0].Bool
	case sigma.OpFieldRef:
		for _, v := range item.Values {
			k.checkField(v.Text, item.Line)
			p.others = append(p.others, k.resolver.fields(k.category, v.Text)...)
		}
	default:
		p.alternatives = matchers(item)
		for i := range p.alternatives {
			k.matchers++
			p.alternatives[i].number = k.matchers
		}
	}
	for _, id := range slices.Concat(p.slots, p.others) {
		p.scope = max(p.scope, k.set.slots[id].scope)
	}
	p.plain = p.isPlain()
	key := predicateKey(&p, item)
	if id, ok := k.byKey[key]; ok {
		return id
	}
	id := int32(len(k.set.preds))
	k.byKey[key] = id
	k.set.preds = append(k.set.preds, p)
	return id
}

// checkField holds rules of ours to the field table; in a third-party rule an unknown field is absent.
func (k *compiler) checkField(field string, line int) {
	if _, ok := aliases[field]; ok {
		return
	}
	if _, ok := event.Lookup(k.category, field); ok {
		return
	}
	what := "a request"
	if k.category != event.Request {
		what = "a " + string(k.category) + " record"
	}
	if k.own {
		k.reject(line, "%q is no field of %s; docs/reference/fields.md lists them", field, what)
		return
	}
	k.problem(line, true, "%q is no field of %s: it is taken as absent unless a record has it", field, what)
}

var opNames = map[sigma.Op]string{
	sigma.OpMatch: "is", sigma.OpRegexp: "matches", sigma.OpCIDR: "is in", sigma.OpExists: "exists", sigma.OpFieldRef: "is the field",
	sigma.OpLT: "<", sigma.OpLTE: "<=", sigma.OpGT: ">", sigma.OpGTE: ">=", sigma.OpTime: "has the time part",
}

const maxWanted = 8 // values that an explanation lists

// wanted is an item as a person reads it.
func wanted(item *sigma.Item) string {
	var values []string
	for i, v := range item.Values {
		if i == maxWanted {
			values = append(values, fmt.Sprintf("and %d more", len(item.Values)-i))
			break
		}
		values = append(values, valueText(item, v))
	}
	joint := " or "
	if item.All {
		joint = " and "
	}
	text := opNames[item.Op] + " " + strings.Join(values, joint)
	if item.Neg {
		text = "not: " + text
	}
	return text
}

func valueText(item *sigma.Item, v sigma.Value) string {
	switch {
	case v.Regexp != nil:
		return "/" + v.Regexp.String() + "/"
	case item.Op == sigma.OpCIDR:
		return v.Prefix.String()
	case v.Kind == sigma.Null:
		return "absent"
	case v.Pattern == nil:
		return fmt.Sprintf("%q", v.Text)
	}
	var b strings.Builder
	for _, part := range v.Pattern {
		switch part.Wild {
		case sigma.One:
			b.WriteByte('?')
		case sigma.Many:
			b.WriteByte('*')
		default:
			b.WriteString(part.Literal)
		}
	}
	return fmt.Sprintf("%q", b.String())
}

func predicateKey(p *predicate, item *sigma.Item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v %d %t %t %t %s %s %q", p.slots, p.others, p.op, p.negate, p.cased, item.All, p.affix, p.timePart, item.Field)
	for _, v := range item.Values {
		fmt.Fprintf(&b, "|%d %q %v %v %v %v", v.Kind, v.Text, v.Number, v.Bool, v.Pattern, v.Prefix)
		if v.Regexp != nil {
			b.WriteString(v.Regexp.String())
		}
	}
	return b.String()
}

var templateField = regexp.MustCompile(`\{([A-Za-z][A-Za-z0-9._/-]*)\}`)

// templates gives the fields that a rule's reason names, and rejects the rule if one does not exist.
func (k *compiler) templates(r *sigma.Rule) []string {
	var fields []string
	for _, m := range templateField.FindAllStringSubmatch(r.Foretop.Reason, -1) {
		if _, ok := event.Lookup(k.category, m[1]); !ok {
			k.reject(r.Source.Line, "x-foretop.reason names {%s}, which is no field of this record kind", m[1])
			continue
		}
		if !slices.Contains(fields, m[1]) {
			fields = append(fields, m[1])
		}
	}
	return fields
}

// markBodies notes which bodies the rule and its filters look into by path, and whether it names the stage.
func (k *compiler) markBodies(r *rule) {
	programs := []program{r.program}
	for _, f := range r.filters {
		programs = append(programs, f.program)
	}
	for i := range programs {
		for _, t := range programs[i].selections {
			k.set.eachPredicate(t, func(p *predicate) {
				r.namesStage = r.namesStage || p.field == "stage"
				for _, id := range slices.Concat(p.slots, p.others) {
					r.needsRequest = r.needsRequest || strings.HasPrefix(k.set.slots[id].path, "requestObject.")
					r.needsResponse = r.needsResponse || strings.HasPrefix(k.set.slots[id].path, "responseObject.")
				}
			})
		}
	}
}

func (s *Set) eachPredicate(t tree, f func(*predicate)) {
	if t.kind == leafTree {
		f(&s.preds[t.pred])
		return
	}
	for _, kid := range t.kids {
		s.eachPredicate(kid, f)
	}
}
