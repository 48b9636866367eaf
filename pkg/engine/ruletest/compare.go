package ruletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/engine"
)

// finding is what the rule made of an event; match is nil for nothing.
type finding struct {
	doc   map[string]any
	match *engine.Match
}

// compare gives the differences between what a case wants and what was found, one a line.
func (f *finding) compare(c *testCase) []string {
	var elements []engine.Element
	if f.match != nil {
		elements = f.match.Elements
	}
	missing, surplus := f.assign(c.match, elements)
	var lines []string
	if len(missing)+len(surplus) > 0 {
		lines = append(lines, fmt.Sprintf("want %s, got %s", count(len(c.match)), count(len(elements))))
	}
	for _, i := range missing {
		lines = append(lines, "- "+c.match[i].String())
	}
	for _, i := range surplus {
		lines = append(lines, "+ "+f.describe(&elements[i], c.match))
	}
	if c.level != nil && f.match != nil && f.match.Level != *c.level {
		line := fmt.Sprintf("want level %s, got %s", *c.level, f.match.Level)
		if f.match.Because != "" {
			line += fmt.Sprintf(" (%s)", f.match.Because)
		}
		lines = append(lines, line)
	}
	return lines
}

func count(n int) string {
	switch n {
	case 0:
		return "no match"
	case 1:
		return "1 element"
	}
	return fmt.Sprintf("%d elements", n)
}

// assign pairs descriptions with elements, each with one of its own, so that as many as possible have a
// partner. It returns the descriptions and the elements left over.
func (f *finding) assign(want []expectation, got []engine.Element) (missing, surplus []int) {
	partner := make([]int, len(got)) // index into want, -1 for none
	for i := range partner {
		partner[i] = -1
	}
	var place func(w int, tried []bool) bool
	place = func(w int, tried []bool) bool {
		for e := range got {
			if tried[e] || !f.fits(want[w], &got[e]) {
				continue
			}
			tried[e] = true
			if partner[e] < 0 || place(partner[e], tried) {
				partner[e] = w
				return true
			}
		}
		return false
	}
	for w := range want {
		if !place(w, make([]bool, len(got))) {
			missing = append(missing, w)
		}
	}
	for e := range got {
		if partner[e] < 0 {
			surplus = append(surplus, e)
		}
	}
	return missing, surplus
}

func (f *finding) fits(want expectation, e *engine.Element) bool {
	for _, w := range want {
		have := f.values(e, w.field)
		if len(w.values) == 0 && len(have) > 0 {
			return false
		}
		for _, v := range w.values {
			if !slices.Contains(have, v) {
				return false
			}
		}
	}
	return true
}

// values gives a field of an element: what the engine copied for the finding, else what it compared, else the
// event's own field of that path.
func (f *finding) values(e *engine.Element, field string) []string {
	switch field {
	case "path":
		return []string{e.Path}
	case "name":
		return []string{e.Name}
	}
	if v, ok := e.Fields[field]; ok {
		return v
	}
	var all []string
	for _, ev := range e.Evidence {
		if ev.Field == field {
			all = append(all, ev.Values...)
		}
	}
	if len(all) > 0 {
		return all
	}
	return leaves(nil, f.doc, strings.Split(field, "."))
}

// leaves collects the scalars at a dotted path through objects and lists; a key may hold dots itself.
func leaves(all []string, at any, path []string) []string {
	switch at := at.(type) {
	case []any:
		for _, v := range at {
			all = leaves(all, v, path)
		}
	case map[string]any:
		for n := 1; n <= len(path); n++ {
			if child, ok := at[strings.Join(path[:n], ".")]; ok {
				all = leaves(all, child, path[n:])
			}
		}
	case nil:
	default:
		if len(path) > 0 {
			return all
		}
		switch v := at.(type) {
		case string:
			all = append(all, v)
		case json.Number:
			all = append(all, v.String())
		default:
			all = append(all, fmt.Sprint(v))
		}
	}
	return all
}

// describe names an element by its path and by the fields that the case speaks of.
func (f *finding) describe(e *engine.Element, want []expectation) string {
	name := e.Path
	if name == "" {
		name = "the request"
	}
	var has expectation
	for _, w := range want {
		for _, field := range w {
			if !slices.ContainsFunc(has, func(h fieldWant) bool { return h.field == field.field }) {
				has = append(has, fieldWant{field.field, f.values(e, field.field)})
			}
		}
	}
	if len(has) == 0 && e.Name != "" {
		has = expectation{{"name", []string{e.Name}}}
	}
	if len(has) == 0 {
		return name
	}
	return name + " " + has.String()
}

func (e expectation) String() string {
	parts := make([]string, len(e))
	for i, w := range e {
		parts[i] = w.field + ": " + quoted(w.values)
		if len(w.values) > 1 {
			parts[i] = w.field + ": [" + quoted(w.values) + "]"
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
