package engine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/sigma"
)

// matcher is a set of values of which one must fit.
type matcher struct {
	exact   literals // folded to lower case unless cased
	globs   []glob
	numbers []float64
	null    bool
	any     bool // the pattern "*"
	items   []sigma.Value
	number  int32 // among those of all predicates, for matches
}

func matchers(item *sigma.Item) []matcher {
	if !item.All {
		return []matcher{newMatcher(item, item.Values)}
	}
	all := make([]matcher, len(item.Values))
	for i := range item.Values {
		all[i] = newMatcher(item, item.Values[i:i+1])
	}
	return all
}

func (p *predicate) isPlain() bool {
	if p.op != sigma.OpMatch || p.cased || len(p.slots) != 1 || len(p.alternatives) != 1 {
		return false
	}
	m := &p.alternatives[0]
	return !m.any && !m.null && len(m.globs) == 0 && len(m.numbers) == 0
}

func newMatcher(item *sigma.Item, values []sigma.Value) matcher {
	m := matcher{items: values}
	if item.Op != sigma.OpMatch {
		return m
	}
	for _, v := range values {
		m.addValue(item, v)
	}
	m.exact.freeze()
	return m
}

func (m *matcher) addValue(item *sigma.Item, v sigma.Value) {
	text := v.Text
	if !item.Cased {
		text = strings.ToLower(text)
	}
	switch {
	case v.Kind == sigma.Null:
		m.null = true
	case v.Kind == sigma.Bool:
		m.exact.add(strconv.FormatBool(v.Bool))
	case v.Kind == sigma.Number:
		m.numbers = append(m.numbers, v.Number)
		m.exact.add(text)
	case item.Field == "":
		parts := v.Pattern
		if parts == nil {
			parts = []sigma.Part{{Literal: v.Text}}
		}
		many := sigma.Part{Wild: sigma.Many}
		m.globs = append(m.globs, newGlob(slices.Concat([]sigma.Part{many}, parts, []sigma.Part{many}), item.Cased))
	case len(v.Pattern) == 1 && v.Pattern[0].Wild == sigma.Many:
		m.any = true
	case v.Pattern != nil:
		m.globs = append(m.globs, newGlob(v.Pattern, item.Cased))
	default:
		m.exact.add(text)
		if n, ok := parseNumber([]byte(v.Text)); ok {
			m.numbers = append(m.numbers, n)
		}
		// Audit events leave out apiGroup for the core group.
		if text == "" && (item.Field == "objectRef.apiGroup" || item.Field == "apiGroup") {
			m.null = true
		}
	}
}
