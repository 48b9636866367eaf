package engine

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// ruleSet is a set of rule numbers.
type ruleSet []uint64

func (b ruleSet) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b ruleSet) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// axis narrows the rules by one field: those that demand one of its values, by value, and those that do not.
type axis struct {
	values  literals
	byValue []ruleSet // by the number of the value; includes the rules that do not demand a value
	others  ruleSet   // rules for every other value
}

func (a *axis) of(value []byte) ruleSet {
	if i := a.values.find(value); i >= 0 {
		return a.byValue[i]
	}
	return a.others
}

// index names the rules that can be true for a verb, resource and subresource.
type index struct {
	verb, resource, subresource axis
	category                    map[event.Category]ruleSet
	element                     ruleSet // all rules on derived records
	early                       ruleSet // rules that name the stage
	all                         ruleSet
}

var indexedFields = [...]string{"verb", "objectRef.resource", "objectRef.subresource"}

// buildIndex makes the index and the memos, once all rules are compiled.
func (s *Set) buildIndex() {
	x := &s.index
	axes := [...]*axis{&x.verb, &x.resource, &x.subresource}
	words := (len(s.rules) + 63) / 64
	x.element, x.early, x.all = make(ruleSet, words), make(ruleSet, words), make(ruleSet, words)
	x.category = make(map[event.Category]ruleSet)
	for _, c := range event.Categories {
		x.category[c] = make(ruleSet, words)
	}
	demands := make([][len(indexedFields)]valueSet, len(s.rules))
	for i := range s.rules {
		r := &s.rules[i]
		x.all.set(i)
		x.category[r.category].set(i)
		if r.category != event.Request {
			x.element.set(i)
		}
		if r.namesStage {
			x.early.set(i)
		}
		for f, field := range indexedFields {
			demands[i][f] = s.demanded(r, r.condition, field)
		}
	}
	for f, a := range axes {
		a.build(demands, f, words)
	}
	s.planMemos(wide(s, demands))
}

func (a *axis) build(demands [][len(indexedFields)]valueSet, field, words int) {
	a.others = make(ruleSet, words)
	known := make(valueSet)
	for i := range demands {
		if demands[i][field] == nil {
			a.others.set(i)
		}
		for v := range demands[i][field] {
			if _, ok := known[v]; !ok {
				known[v] = struct{}{}
				a.values.add(v)
			}
		}
	}
	a.values.freeze()
	for _, v := range a.values.all {
		b := append(make(ruleSet, 0, words), a.others...)
		for i := range demands {
			if _, ok := demands[i][field][v]; ok {
				b.set(i)
			}
		}
		a.byValue = append(a.byValue, b)
	}
}

// valueSet are values of which a field must have one for a condition to be true; nil means any.
type valueSet map[string]struct{}

func (s *Set) demanded(r *rule, e sigma.Expr, field string) valueSet {
	switch e := e.(type) {
	case sigma.And:
		var all valueSet
		for _, x := range e {
			all = intersect(all, s.demanded(r, x, field))
		}
		return all
	case sigma.Or:
		return union(e, func(x sigma.Expr) valueSet { return s.demanded(r, x, field) })
	case sigma.Ref:
		return s.demandedTree(r.selections[e], field)
	}
	return nil
}

func (s *Set) demandedTree(t tree, field string) valueSet {
	switch t.kind {
	case allTree:
		var all valueSet
		for _, kid := range t.kids {
			all = intersect(all, s.demandedTree(kid, field))
		}
		return all
	case anyTree:
		return union(t.kids, func(kid tree) valueSet { return s.demandedTree(kid, field) })
	}
	p := &s.preds[t.pred]
	if len(p.slots) != 1 || s.slots[p.slots[0]].path != field || p.op != sigma.OpMatch || p.negate || len(p.alternatives) != 1 {
		return nil
	}
	m := &p.alternatives[0]
	if m.any || len(m.globs) > 0 || len(m.numbers) > 0 {
		return nil
	}
	values := make(valueSet)
	for _, v := range m.exact.all {
		// Audit events write these fields in lower case; a rule that demands another spelling with the
		// modifier cased is left to the predicate.
		values[strings.ToLower(v)] = struct{}{}
	}
	if m.null {
		values[""] = struct{}{}
	}
	return values
}

func intersect(a, b valueSet) valueSet {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	both := make(valueSet)
	for v := range a {
		if _, ok := b[v]; ok {
			both[v] = struct{}{}
		}
	}
	return both
}

func union[T any](parts []T, of func(T) valueSet) valueSet {
	all := make(valueSet)
	for _, p := range parts {
		values := of(p)
		if values == nil {
			return nil
		}
		for v := range values {
			all[v] = struct{}{}
		}
	}
	return all
}

// demandsOf adds the items that the condition joins by and, however deep.
func (s *Set) demandsOf(all []int32, p *program, e sigma.Expr) []int32 {
	switch e := e.(type) {
	case sigma.And:
		for _, x := range e {
			all = s.demandsOf(all, p, x)
		}
	case sigma.Ref:
		all = s.demandsOfTree(all, &p.selections[e])
	}
	return all
}

func (s *Set) demandsOfTree(all []int32, t *tree) []int32 {
	switch t.kind {
	case allTree:
		for i := range t.kids {
			all = s.demandsOfTree(all, &t.kids[i])
		}
	case leafTree:
		if !slices.Contains(all, t.pred) && !s.readsBody(t.pred) {
			all = append(all, t.pred)
		}
	}
	return all
}

// readsBody is true for an item that looks into a body by path, or at all of the event.
func (s *Set) readsBody(pred int32) bool {
	p := &s.preds[pred]
	inBody := func(id int32) bool { return s.slots[id].inBody() }
	return p.field == "" || slices.ContainsFunc(p.slots, inBody) || slices.ContainsFunc(p.others, inBody)
}
