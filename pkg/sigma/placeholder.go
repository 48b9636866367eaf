package sigma

import (
	"fmt"
	"regexp"
	"slices"
)

var placeholder = regexp.MustCompile(`\\%|%([A-Za-z0-9_][A-Za-z0-9_.-]*)%`)

// expand replaces the %placeholders% of a value by the site's lists: each combination is an alternative.
// \% is a plain percent sign.
func (d *document) expand(parts []Part) ([][]Part, error) {
	variants := [][]Part{nil}
	extend := func(alternatives ...[]Part) error {
		if len(variants)*len(alternatives) > maxItemValues {
			return fmt.Errorf("modifier \"expand\" makes more than %d values; use fewer placeholders", maxItemValues)
		}
		next := make([][]Part, 0, len(variants)*len(alternatives))
		for _, v := range variants {
			for _, a := range alternatives {
				next = append(next, append(slices.Clip(v), a...))
			}
		}
		variants = next
		return nil
	}
	for _, p := range parts {
		if p.Wild != Literal {
			if err := extend([]Part{p}); err != nil {
				return nil, err
			}
			continue
		}
		pos := 0
		for _, m := range placeholder.FindAllStringSubmatchIndex(p.Literal, -1) {
			alternatives := [][]Part{{{Literal: "%"}}}
			if m[2] >= 0 {
				var err error
				if alternatives, err = d.siteList(p.Literal[m[2]:m[3]]); err != nil {
					return nil, err
				}
			}
			if err := extend([]Part{{Literal: p.Literal[pos:m[0]]}}); err != nil {
				return nil, err
			}
			if err := extend(alternatives...); err != nil {
				return nil, err
			}
			pos = m[1]
		}
		if err := extend([]Part{{Literal: p.Literal[pos:]}}); err != nil {
			return nil, err
		}
	}
	for i := range variants {
		variants[i] = joinParts(variants[i])
	}
	return variants, nil
}

// siteList gives the values of one placeholder. One that the rule declares and the site does not give
// leaves the rule waiting; its value here does not matter then.
func (d *document) siteList(name string) ([][]Part, error) {
	values := d.loader.options.Placeholders[name]
	if len(values) == 0 {
		if d.extension != nil && slices.Contains(d.extension.Needs.Placeholders, name) {
			d.missing = append(d.missing, name)
			return [][]Part{{{Literal: "0.0.0.0"}}}, nil
		}
		return nil, fmt.Errorf("placeholder %%%s%% has no values; give the site list %s, or escape the percent signs as \\%%", clip(name), clip(name))
	}
	out := make([][]Part, len(values))
	for i, v := range values {
		if len(v) > maxValueBytes {
			return nil, fmt.Errorf("a value of the site list %s has more than %d bytes; shorten it", clip(name), maxValueBytes)
		}
		out[i] = parseValue(v)
	}
	return out, nil
}
