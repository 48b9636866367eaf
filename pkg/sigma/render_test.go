package sigma

import (
	"fmt"
	"strings"
)

// render writes a selection's tree on one line, for tables and goldens.
func render(n Node) string {
	switch n := n.(type) {
	case nil:
		return "<nil>"
	case AllOf:
		return "all(" + renderAll(n) + ")"
	case AnyOf:
		return "any(" + renderAll(n) + ")"
	case *Item:
		return renderItem(n)
	}
	return fmt.Sprintf("%T", n)
}

func renderAll(nodes []Node) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = render(n)
	}
	return strings.Join(parts, " & ")
}

var opNames = map[Op]string{
	OpMatch: "=", OpRegexp: "=~", OpCIDR: "in", OpExists: "exists", OpFieldRef: "ref",
	OpLT: "<", OpLTE: "<=", OpGT: ">", OpGTE: ">=", OpTime: "time",
}

func renderItem(i *Item) string {
	var flags []string
	for _, f := range []struct {
		on   bool
		name string
	}{{i.All, "all"}, {i.Neg, "neq"}, {i.Cased, "cased"}, {i.Affix != "", i.Affix}, {i.TimePart != "", i.TimePart}} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	values := make([]string, len(i.Values))
	for j, v := range i.Values {
		values[j] = renderValue(v)
	}
	op := opNames[i.Op]
	if len(flags) > 0 {
		op += "[" + strings.Join(flags, ",") + "]"
	}
	return i.Field + " " + op + " " + strings.Join(values, " , ")
}

func renderValue(v Value) string {
	switch {
	case v.Regexp != nil:
		return "/" + v.Regexp.String() + "/"
	case v.Prefix.IsValid():
		return v.Prefix.String()
	case v.Kind == Number:
		return fmt.Sprint(v.Number)
	case v.Kind == Bool:
		return fmt.Sprint(v.Bool)
	case v.Kind == Null:
		return "null"
	case v.Pattern != nil:
		return renderParts(v.Pattern)
	}
	return fmt.Sprintf("%q", v.Text)
}

func renderParts(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		switch p.Wild {
		case Many:
			b.WriteByte('*')
		case One:
			b.WriteByte('?')
		default:
			fmt.Fprintf(&b, "%q", p.Literal)
		}
	}
	return b.String()
}

// renderExpr writes a condition with all brackets.
func renderExpr(e Expr, names []string) string {
	join := func(all []Expr, word string) string {
		parts := make([]string, len(all))
		for i, x := range all {
			parts[i] = renderExpr(x, names)
		}
		return "(" + strings.Join(parts, word) + ")"
	}
	switch e := e.(type) {
	case And:
		return join(e, " and ")
	case Or:
		return join(e, " or ")
	case Not:
		return "not " + renderExpr(e.X, names)
	case Ref:
		return names[e]
	}
	return "<nil>"
}
