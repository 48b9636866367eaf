package sigma

import "strings"

// parseValue reads a Sigma string: `*` and `?` are wildcards, a backslash makes a wildcard or a backslash
// plain, and stands for itself before anything else. The result has no empty and no adjacent literals.
func parseValue(text string) []Part {
	var parts []Part
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			parts = append(parts, Part{Literal: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && strings.IndexByte(`\*?`, text[i+1]) >= 0:
			i++
			lit.WriteByte(text[i])
		case c == '*':
			flush()
			parts = append(parts, Part{Wild: Many})
		case c == '?':
			flush()
			parts = append(parts, Part{Wild: One})
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return parts
}

// joinParts merges adjacent literals and repeated `*`.
func joinParts(parts []Part) []Part {
	out := make([]Part, 0, len(parts))
	for _, p := range parts {
		last := len(out) - 1
		switch {
		case p.Wild == Literal && p.Literal == "":
		case last >= 0 && p.Wild == Literal && out[last].Wild == Literal:
			out[last].Literal += p.Literal
		case last >= 0 && p.Wild == Many && out[last].Wild == Many:
		default:
			out = append(out, p)
		}
	}
	return out
}

func wildcards(parts []Part) int {
	n := 0
	for _, p := range parts {
		if p.Wild != Literal {
			n++
		}
	}
	return n
}

// stringValue is the final form of a text: Text holds the literals, Pattern is set if there are wildcards.
func stringValue(parts []Part) Value {
	parts = joinParts(parts)
	v := Value{Kind: String}
	for _, p := range parts {
		v.Text += p.Literal
	}
	if wildcards(parts) > 0 {
		v.Pattern = parts
	}
	return v
}

// affix puts the wildcards of contains, startswith or endswith around a value.
func affix(parts []Part, modifier string) []Part {
	many := Part{Wild: Many}
	out := make([]Part, 0, len(parts)+2)
	if modifier != "startswith" {
		out = append(out, many)
	}
	out = append(out, parts...)
	if modifier != "endswith" {
		out = append(out, many)
	}
	return joinParts(out)
}
