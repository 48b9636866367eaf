package engine

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// bitSet is a set of numbers: of rules, of their alternatives, of members.
type bitSet []uint64

func (b bitSet) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitSet) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// axis narrows the alternatives by one field: those that demand one of its values, by value, and those that do not.
type axis struct {
	values  literals
	byValue []bitSet // by the number of the value; includes the alternatives that do not demand a value
	others  bitSet   // alternatives for every other value
}

func (a *axis) of(value []byte) bitSet {
	if i := a.values.find(value); i >= 0 {
		return a.byValue[i]
	}
	return a.others
}

// index names the rules that can be true for a verb, resource and subresource. It works on the alternatives of rules: a
// rule is a candidate if one of its alternatives is.
type index struct {
	verb, resource, subresource axis
	alternatives                []alternative
	every                       bitSet // all alternatives
	category                    map[event.Category]bitSet
	element                     bitSet // all rules on derived records
	early                       bitSet // rules that name the stage
}

var indexedFields = [...]string{"verb", "objectRef.resource", "objectRef.subresource"}

// buildIndex makes the index and the memos, once all rules are compiled.
func (s *Set) buildIndex() {
	x := &s.index
	axes := [...]*axis{&x.verb, &x.resource, &x.subresource}
	words := (len(s.rules) + 63) / 64
	var demands []demand
	x.element, x.early = make(bitSet, words), make(bitSet, words)
	x.category = make(map[event.Category]bitSet)
	for _, c := range event.Categories {
		x.category[c] = make(bitSet, words)
	}
	for i := range s.rules {
		r := &s.rules[i]
		x.category[r.category].set(i)
		if r.category != event.Request {
			x.element.set(i)
		}
		if r.namesStage {
			x.early.set(i)
		}
		whole := s.demandOf(&r.root)
		for _, preds := range alternatives(&r.root) {
			x.alternatives = append(x.alternatives, alternative{i, preds})
			demands = append(demands, whole.and(s.demandOfAll(preds)))
		}
	}
	words = (len(x.alternatives) + 63) / 64
	x.every = make(bitSet, words)
	for a := range x.alternatives {
		x.every.set(a)
	}
	for f, a := range axes {
		a.build(demands, f, words)
	}
	s.planMemos(s.wide(demands))
}

// alternative is one way for a rule to be true: its items are all demanded.
type alternative struct {
	rule  int
	preds []int32
}

const maxAlternatives = 16 // of a rule; one with more is taken as a whole where they part

// alternatives gives the ways for a tree to be true, each as the items that it demands. What cannot be told apart is
// an alternative without demands.
func alternatives(t *tree) [][]int32 {
	switch t.kind {
	case leafTree:
		return [][]int32{{t.pred}}
	case anyTree:
		var all [][]int32
		for i := range t.kids {
			all = append(all, alternatives(&t.kids[i])...)
		}
		if len(t.kids) == 0 || len(all) > maxAlternatives {
			return [][]int32{nil}
		}
		return all
	case allTree:
		all := [][]int32{nil}
		for i := range t.kids {
			more := alternatives(&t.kids[i])
			if len(all)*len(more) > maxAlternatives {
				continue
			}
			var product [][]int32
			for _, a := range all {
				for _, b := range more {
					product = append(product, slices.Concat(a, b))
				}
			}
			all = product
		}
		return all
	}
	return [][]int32{nil}
}

// demand are the values of indexedFields of which an event must have one.
type demand [len(indexedFields)]valueSet

func (s *Set) demandOf(t *tree) (d demand) {
	for f, field := range indexedFields {
		d[f] = s.demandedTree(t, field)
	}
	return d
}

func (s *Set) demandOfAll(preds []int32) (d demand) {
	for _, p := range preds {
		d = d.and(s.demandOf(&tree{kind: leafTree, pred: p}))
	}
	return d
}

func (d demand) and(other demand) demand {
	for f := range d {
		d[f] = intersect(d[f], other[f])
	}
	return d
}

func (a *axis) build(demands []demand, field, words int) {
	a.others = make(bitSet, words)
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
		b := append(make(bitSet, 0, words), a.others...)
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

func (s *Set) demandedTree(t *tree, field string) valueSet {
	switch t.kind {
	case allTree:
		var all valueSet
		for i := range t.kids {
			all = intersect(all, s.demandedTree(&t.kids[i], field))
		}
		return all
	case anyTree:
		return union(t.kids, func(kid tree) valueSet { return s.demandedTree(&kid, field) })
	case notTree:
		return nil
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

// demandsOf adds the items that the tree joins by and, however deep, but those that read bodies.
func (s *Set) demandsOf(all []int32, t *tree) []int32 {
	switch t.kind {
	case allTree:
		for i := range t.kids {
			all = s.demandsOf(all, &t.kids[i])
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
