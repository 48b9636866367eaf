package sigma

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readDetection reads the selections and the condition of a rule's detection or a filter's filter.
// reserved are keys beside the condition that are no selections.
func (d *document) readDetection(n *yaml.Node, where string, reserved ...string) Detection {
	var det Detection
	if n == nil || n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a mapping of selections and a condition", where)
		return det
	}
	var condition *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Value == "condition":
			condition = v
			continue
		case slices.Contains(reserved, k.Value):
			continue
		case k.Value == "timeframe":
			d.warn(k, "timeframe is ignored; write a correlation for counts over time")
			continue
		case len(det.Selections) == maxSelections:
			d.fail(k, "%s has more than %d selections; split the document", where, maxSelections)
			return det
		}
		s := Selection{Name: k.Value, Line: d.pos(k).Line}
		s.Match = d.selection(v, k.Value)
		det.Selections = append(det.Selections, s)
	}
	if len(det.Selections) == 0 {
		d.fail(n, "%s has no selection; add one such as selection: {verb: delete}", where)
	}
	if isNull(condition) {
		d.fail(n, "%s has no condition; add one such as condition: selection", where)
		return det
	}
	det.Condition = d.condition(condition, &det, condition)
	return det
}

// selection reads a map (all items), a list of maps (any), or keywords. It returns nil after a problem.
func (d *document) selection(n *yaml.Node, name string) Node {
	name = clip(name)
	switch {
	case isNull(n), n.Kind != yaml.ScalarNode && len(n.Content) == 0:
		d.fail(n, "selection %s is empty; give it fields, or remove it", name)
	case n.Kind == yaml.MappingNode:
		return d.items(n, name)
	case n.Kind == yaml.ScalarNode:
		return d.item(n, "", []*yaml.Node{n})
	case n.Kind == yaml.SequenceNode:
		return d.list(n, name)
	}
	return nil
}

func (d *document) list(n *yaml.Node, name string) Node {
	var maps AnyOf
	var keywords []*yaml.Node
	for _, e := range n.Content {
		switch {
		case e.Kind == yaml.ScalarNode:
			keywords = append(keywords, e)
		case e.Kind == yaml.MappingNode && len(e.Content) > 0:
			if m := d.items(e, name); m != nil {
				maps = append(maps, m)
			}
		default:
			d.fail(e, "selection %s: a list holds maps or keywords, no lists and nothing empty", name)
		}
	}
	if len(keywords) > 0 {
		item := d.item(n, "", keywords)
		if len(maps) == 0 {
			return item
		}
		if item != nil {
			maps = append(maps, item)
		}
	}
	return maps
}

func (d *document) items(m *yaml.Node, name string) Node {
	all := make(AllOf, 0, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		var values []*yaml.Node
		switch {
		case v.Kind == yaml.ScalarNode:
			values = []*yaml.Node{v}
		case v.Kind == yaml.MappingNode:
			d.fail(v, "selection %s: the value of %s is a mapping; write the nested field with dots, as %s.name: value", name, clip(k.Value), clip(k.Value))
			continue
		case len(v.Content) == 0:
			d.fail(v, "selection %s: the list of %s is empty; give it values, or remove the field", name, clip(k.Value))
			continue
		default:
			values = v.Content
		}
		if item := d.item(k, k.Value, values); item != nil {
			all = append(all, item)
		}
	}
	return all
}

// item reads one field with its modifiers and values. It returns nil after a problem.
func (d *document) item(at *yaml.Node, key string, values []*yaml.Node) Node {
	parts := strings.Split(key, "|")
	field, modifiers := strings.TrimSpace(parts[0]), parts[1:]
	if field == "" {
		if err := checkKeyword(modifiers); err != nil {
			d.fail(at, "%s", err)
			return nil
		}
	}
	p, err := parseModifiers(modifiers)
	if err != nil {
		d.fail(at, "field %s: %s", clip(field), err)
		return nil
	}
	if p.op == OpExists && len(values) != 1 {
		d.fail(at, "field %s: exists takes one value, true or false", clip(field))
		return nil
	}
	b := itemBuilder{doc: d, field: field, plan: p}
	groups := make([][]Value, 0, len(values))
	total := 0
	for _, n := range values {
		group, err := b.values(n)
		if err != nil {
			d.fail(n, "field %s: %s", clip(field), err)
			return nil
		}
		if total += len(group); total > maxItemValues {
			d.fail(at, "field %s has more than %d values after expansion; split it", clip(field), maxItemValues)
			return nil
		}
		groups = append(groups, group)
	}
	if d.values += total; d.values > maxDocValues {
		d.fail(at, "the document has more than %d values after expansion; split it", maxDocValues)
		d.values = 0 // said once
		return nil
	}
	if p.all && len(groups) == 1 && len(values) == 1 {
		d.warn(at, "field %s: all with a single value has no effect; remove it, or add values", clip(field))
	}
	return b.assemble(groups, d.pos(at).Line)
}

// itemBuilder turns the values of one item into its normal form.
type itemBuilder struct {
	doc   *document
	field string
	plan  plan
}

// assemble joins the groups: each group holds the alternatives that one written value expands to.
func (b *itemBuilder) assemble(groups [][]Value, line int) Node {
	p := b.plan
	single := true
	for _, g := range groups {
		single = single && len(g) == 1
	}
	item := func(values []Value) *Item {
		return &Item{
			Field: b.field, Op: p.op, Neg: p.neg, Cased: p.cased, Affix: b.fieldAffix(),
			TimePart: p.timePart, Values: values, Line: line,
		}
	}
	if !p.all || len(groups) == 1 || single && !p.neg {
		var flat []Value
		for _, g := range groups {
			flat = append(flat, g...)
		}
		it := item(flat)
		it.All = p.all && len(groups) > 1
		return it
	}
	// Every value must be met by one of its alternatives; with neq, one value must be met by none.
	nodes := make([]Node, len(groups))
	for i, g := range groups {
		nodes[i] = item(g)
	}
	if p.neg {
		return AnyOf(nodes)
	}
	return AllOf(nodes)
}

func (b *itemBuilder) fieldAffix() string {
	if b.plan.op == OpFieldRef {
		return b.plan.affix
	}
	return ""
}

// number reads a YAML number. ok is false for anything else, infinities and NaN included.
func number(n *yaml.Node) (f float64, ok bool) {
	if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" {
		return 0, false
	}
	if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false
	}
	return f, true
}

// numeric also takes a number in quotes.
func numeric(n *yaml.Node) (f float64, ok bool) {
	if f, ok := number(n); ok {
		return f, true
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(n.Value), 64)
	return f, err == nil && n.ShortTag() == "!!str" && !math.IsInf(f, 0) && !math.IsNaN(f)
}
