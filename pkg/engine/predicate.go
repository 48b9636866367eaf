package engine

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// predicate is one compiled item. Equal items of all rules share one, and it is worked out once for each
// content of its slots.
type predicate struct {
	field    string // as written in the rule, for evidence
	slots    []int32
	scope    scope
	op       sigma.Op
	negate   bool
	cased    bool
	affix    string
	timePart string
	// alternatives are joined by and: one for all values, or one for each with the modifier all.
	alternatives []matcher
	// memo is the number of the memo that remembers the predicate as bit, -1 for none.
	memo, bit int32
	// plain is true where one field is compared with texts only, in any case.
	plain  bool
	want   bool    // OpExists
	wanted string  // the operator and the values as text, for explanations
	others []int32 // OpFieldRef
}

// test works the predicate out for the current content of its slots, or recalls it.
func (j *Judge) test(id int32) tri {
	p := &j.set.preds[id]
	if gen := j.gens[p.scope]; j.predGen[id] != gen {
		j.predGen[id] = gen
		j.predVal[id] = j.result(p)
	}
	return j.predVal[id]
}

func (j *Judge) result(p *predicate) tri {
	if p.memo >= 0 {
		if e := j.recall(p.memo); e != nil {
			return triOf(j.remembered(&j.set.memos[p.memo], e, p.bit))
		}
	}
	return j.evaluate(p)
}

func (j *Judge) evaluate(p *predicate) tri {
	result := no
	if p.field == "" {
		result = j.keywords(p)
	} else {
		result = triOf(j.holds(p))
	}
	// What is false, or true of an absent field, may be otherwise where the field is unknown.
	if j.incomplete && (result == no || j.allAbsent(p)) && j.anyUnknown(p) {
		return unknown
	}
	if len(j.env.Inferred) > 0 {
		result = j.doubt(p, result)
	}
	if p.negate {
		return result.not()
	}
	return result
}

func (j *Judge) allAbsent(p *predicate) bool {
	for _, id := range p.slots {
		if j.load(id).flags&present != 0 {
			return false
		}
	}
	return p.field != ""
}

func (j *Judge) anyUnknown(p *predicate) bool {
	if p.field == "" {
		return isIncomplete(j.env) // and not where the body is a patch: keywords are those of the event
	}
	if slices.ContainsFunc(p.slots, j.isUnknown) {
		return true
	}
	return slices.ContainsFunc(p.others, j.isUnknown)
}

// holds decides on what the slots have, as if nothing were unknown.
func (j *Judge) holds(p *predicate) bool {
	if p.plain {
		return j.isOneOf(p)
	}
	switch p.op {
	case sigma.OpExists:
		for _, id := range p.slots {
			if j.load(id).flags&present != 0 {
				return p.want
			}
		}
		return !p.want
	case sigma.OpFieldRef:
		return j.refers(p)
	}
	for i := range p.alternatives {
		if !j.anyValue(p, &p.alternatives[i]) {
			return false
		}
	}
	return true
}

// isOneOf is holds for a plain predicate, as most are.
func (j *Judge) isOneOf(p *predicate) bool {
	wanted := &p.alternatives[0].exact
	s := j.load(p.slots[0])
	for i := range s.vals {
		if wanted.find(j.fold(&s.vals[i])) >= 0 {
			return true
		}
	}
	return false
}

// anyValue is true if one of the slots' values fits one of m's.
func (j *Judge) anyValue(p *predicate, m *matcher) bool {
	absent, null, held := true, false, false
	for _, id := range p.slots {
		s := j.load(id)
		for i := range s.vals {
			if j.fits(p, m, &s.vals[i]) {
				return true
			}
		}
		absent = absent && s.flags&present == 0
		null = null || s.flags&nullSeen != 0
		held = held || s.flags&holder != 0
	}
	return m.null && (absent || null) || m.any && held
}

func (j *Judge) fits(p *predicate, m *matcher, v *value) bool {
	switch p.op {
	case sigma.OpMatch:
		return j.equals(p, m, v)
	case sigma.OpRegexp:
		return j.matches(m, v.text)
	case sigma.OpCIDR:
		if addr, ok := event.ParseAddrBytes(v.text); ok {
			for i := range m.items {
				if m.items[i].Prefix.Contains(addr) {
					return true
				}
			}
		}
	case sigma.OpTime:
		if n, ok := timePart(v.text, p.timePart); ok {
			for i := range m.items {
				if m.items[i].Number == n {
					return true
				}
			}
		}
	default:
		return compares(p.op, m, v)
	}
	return false
}

func compares(op sigma.Op, m *matcher, v *value) bool {
	n, ok := parseNumber(v.text)
	if !ok || v.kind == boolValue {
		return false
	}
	for i := range m.items {
		want := m.items[i].Number
		switch op {
		case sigma.OpLT:
			ok = n < want
		case sigma.OpLTE:
			ok = n <= want
		case sigma.OpGT:
			ok = n > want
		default:
			ok = n >= want
		}
		if ok {
			return true
		}
	}
	return false
}

func (j *Judge) equals(p *predicate, m *matcher, v *value) bool {
	if m.any {
		return true
	}
	if len(m.numbers) > 0 {
		if n, ok := parseNumber(v.text); ok {
			if slices.Contains(m.numbers, n) {
				return true
			}
		}
	}
	var text []byte
	if p.cased {
		text = wellFormed(v.text)
	} else {
		text = j.fold(v)
	}
	if m.exact.find(text) >= 0 {
		return true
	}
	for i := range m.globs {
		if m.globs[i].match(text) {
			return true
		}
	}
	return false
}

// refers is true if a value of the field and a value of the other field are equal (or related by the affix).
func (j *Judge) refers(p *predicate) bool {
	for _, id := range p.slots {
		for _, v := range j.load(id).vals {
			left := foldUnless(p.cased, v.text)
			for _, other := range p.others {
				for _, w := range j.load(other).vals {
					if related(p.affix, left, foldUnless(p.cased, w.text)) {
						return true
					}
				}
			}
		}
	}
	return false
}

func foldUnless(cased bool, text []byte) string {
	if cased {
		return string(text)
	}
	return strings.ToLower(string(text))
}

func related(affix, left, right string) bool {
	switch affix {
	case "startswith":
		return strings.HasPrefix(left, right)
	case "endswith":
		return strings.HasSuffix(left, right)
	case "contains":
		return strings.Contains(left, right)
	}
	return left == right
}

// keywords looks for the values in every scalar of the event.
func (j *Judge) keywords(p *predicate) tri {
	for i := range p.alternatives {
		m := &p.alternatives[i]
		found := eachScalar(j.doc, func(text []byte) bool {
			return j.fits(p, m, &value{text: text})
		})
		if !found {
			return no
		}
	}
	return yes
}

// eachScalar calls f with the decoded text of each scalar and each key until it returns true.
func eachScalar(v span, f func([]byte) bool) bool {
	switch {
	case v.isObject():
		for c := open(v); ; {
			key, ok := c.key()
			if !ok {
				return false
			}
			if f(key) || eachScalar(c.value(), f) {
				return true
			}
		}
	case v.isArray():
		for c := open(v); c.element(); {
			if eachScalar(c.value(), f) {
				return true
			}
		}
		return false
	}
	t := v.text()
	return t != nil && f(t)
}

// wellFormed gives text as encoding/json reads it: each byte that is no UTF-8 is U+FFFD. Folding does the same.
func wellFormed(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return bytes.Map(func(r rune) rune { return r }, text)
}

// fold gives v's text in lower case. What has to change is copied into the arena.
func (j *Judge) fold(v *value) []byte {
	if v.folded == nil {
		v.folded = j.lower(v.text)
	}
	return v.folded
}

func (j *Judge) lower(text []byte) []byte {
	for i, c := range text {
		if c >= utf8.RuneSelf {
			return bytes.ToLower(text)
		}
		if c >= 'A' && c <= 'Z' {
			return j.lowerFrom(text, i)
		}
	}
	return text
}

// lowerFrom copies text, of which the first n bytes are in lower case.
func (j *Judge) lowerFrom(text []byte, n int) []byte {
	start := len(j.arena)
	j.arena = append(j.arena, text...)
	folded := j.arena[start:len(j.arena):len(j.arena)]
	for k := n; k < len(folded); k++ {
		switch c := folded[k]; {
		case c >= utf8.RuneSelf:
			return bytes.ToLower(text)
		case c >= 'A' && c <= 'Z':
			folded[k] = c + 'a' - 'A'
		}
	}
	return folded
}

// timePart reads one part of an RFC 3339 time in UTC.
func timePart(text []byte, part string) (float64, bool) {
	t, ok := event.ParseTime(text)
	if !ok {
		return 0, false
	}
	t = t.UTC()
	switch part {
	case "minute":
		return float64(t.Minute()), true
	case "hour":
		return float64(t.Hour()), true
	case "day":
		return float64(t.Day()), true
	case "week":
		_, week := t.ISOWeek()
		return float64(week), true
	case "month":
		return float64(t.Month()), true
	case "year":
		return float64(t.Year()), true
	}
	return 0, false
}
