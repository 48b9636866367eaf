package engine_test

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/foretop/foretop/pkg/sigma"
)

// The files reference_*_test.go hold a slow, obvious evaluator of rules on values of encoding/json, and compare the
// engine with it over generated rules and hostile events. They use what the package exports and nothing else.
// This file: conditions, items and values.

// truth has three values: what a patch does not say, and what this reference leaves open, is perhaps.
type truth int

const (
	no truth = iota
	perhaps
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// leaves are what a path leads to: scalars, and whether there was a null or a container that is not empty.
type leaves struct {
	present, null, holder bool
	scalars               []any
}

// lead walks v along a dotted path. Lists on the way are flattened, and a key may take several segments. Below
// annotations keys are also known by the spellings of shippers that cannot store dots.
func (l *leaves) lead(v any, path string) {
	segments := strings.Split(path, ".")
	l.follow(v, segments, false, segments[0] == "annotations")
}

func (l *leaves) follow(v any, segments []string, dedot, dedotBelow bool) {
	if list, ok := v.([]any); ok {
		if len(segments) == 0 {
			l.present = true
			l.holder = l.holder || len(list) > 0
		}
		for _, e := range list {
			l.follow(e, segments, dedot, dedotBelow)
		}
		return
	}
	if len(segments) == 0 {
		l.present = true
		switch v := v.(type) {
		case nil:
			l.null = true
		case map[string]any:
			l.holder = l.holder || len(v) > 0
		default:
			l.scalars = append(l.scalars, v)
		}
		return
	}
	object, ok := v.(map[string]any)
	for n := 1; ok && n <= len(segments); n++ {
		for _, key := range spellings(strings.Join(segments[:n], "."), dedot) {
			if child, has := object[key]; has {
				l.follow(child, segments[n:], dedotBelow, dedotBelow)
			}
		}
	}
}

// spellings of a key: a.b/c is a_b/c or a_b_c where dots, or dots and slashes, mean nesting.
func spellings(key string, dedot bool) []string {
	if !dedot {
		return []string{key}
	}
	underscored := strings.ReplaceAll(key, ".", "_")
	all := []string{key, underscored, strings.ReplaceAll(underscored, "/", "_")}
	return slices.Compact(all)
}

// scalarText is a scalar as rules compare it.
func scalarText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

var numberText = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// numberOf reads a number of JSON, also from text; what has more than 64 digits, or does not fit, is none.
func numberOf(text string) (float64, bool) {
	if len(text) > 64 || !numberText.MatchString(text) {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// view is what a rule sees of one record.
type view interface {
	// at gives what a field leads to; open is true where the reference does not say.
	at(field string) (l leaves, open bool)
	// whole is the event, for keywords.
	whole() any
}

func (l *leaves) add(other leaves) {
	l.present, l.null, l.holder = l.present || other.present, l.null || other.null, l.holder || other.holder
	l.scalars = append(l.scalars, other.scalars...)
}

// names are fields that stand for others.
var names = map[string][]string{
	"apiGroup": {"objectRef.apiGroup"}, "resource": {"objectRef.resource"}, "subresource": {"objectRef.subresource"},
	"namespace": {"objectRef.namespace"}, "name": {"objectRef.name"}, "username": {"user.username"}, "groups": {"user.groups"},
	"hostPath":     anywhereInPods("volumes.hostPath.path"),
	"image":        anywhereInPods("containers.image", "initContainers.image", "ephemeralContainers.image"),
	"privileged":   anywhereInPods("containers.securityContext.privileged", "initContainers.securityContext.privileged", "ephemeralContainers.securityContext.privileged"),
	"capabilities": anywhereInPods("containers.securityContext.capabilities.add", "initContainers.securityContext.capabilities.add", "ephemeralContainers.securityContext.capabilities.add"),
	// A rule written for a log without dots.
	"annotations.authorization_k8s_io/decision": {"annotations.authorization.k8s.io/decision"},
	"annotations.authorization_k8s_io_decision": {"annotations.authorization.k8s.io/decision"},
}

func anywhereInPods(paths ...string) []string {
	var all []string
	for _, body := range []string{"requestObject", "responseObject"} {
		for _, spec := range []string{"spec", "spec.template.spec", "spec.jobTemplate.spec.template.spec", "template.spec"} {
			for _, path := range paths {
				all = append(all, body+"."+spec+"."+path)
			}
		}
	}
	return all
}

func fieldOf(r view, name string) (l leaves, open bool) {
	paths := names[name]
	if paths == nil {
		paths = []string{name}
	}
	for _, path := range paths {
		more, o := r.at(path)
		l.add(more)
		open = open || o
	}
	return l, open
}

func referenceItem(r view, item *sigma.Item) truth {
	if item.Field == "" {
		return truthOf(referenceKeywords(r.whole(), item) != item.Neg)
	}
	l, open := fieldOf(r, item.Field)
	var others leaves
	if item.Op == sigma.OpFieldRef {
		for _, v := range item.Values {
			more, o := fieldOf(r, v.Text)
			others.add(more)
			open = open || o
		}
	}
	result := item.All
	if item.Op == sigma.OpFieldRef {
		result = refersTo(item, &l, &others)
	} else {
		for _, v := range item.Values {
			if holds := l.hold(item, v); item.All {
				result = result && holds
			} else {
				result = result || holds
			}
		}
	}
	if open && (!result || !l.present) {
		return perhaps
	}
	return truthOf(result != item.Neg)
}

func (l *leaves) hold(item *sigma.Item, v sigma.Value) bool {
	if item.Op == sigma.OpExists {
		return l.present == v.Bool
	}
	core := item.Op == sigma.OpMatch && (item.Field == "objectRef.apiGroup" || item.Field == "apiGroup") && v.Kind == sigma.String && v.Pattern == nil && v.Text == ""
	if (v.Kind == sigma.Null || core) && (!l.present || l.null) {
		return true // audit events leave out the group of the core API
	}
	if v.Kind == sigma.Null {
		return false
	}
	if len(v.Pattern) == 1 && v.Pattern[0].Wild == sigma.Many && item.Op == sigma.OpMatch {
		return len(l.scalars) > 0 || l.holder
	}
	for _, s := range l.scalars {
		if referenceValue(item, v, s) {
			return true
		}
	}
	return false
}

func referenceValue(item *sigma.Item, v sigma.Value, scalar any) bool {
	text := scalarText(scalar)
	switch item.Op {
	case sigma.OpRegexp:
		return v.Regexp.MatchString(text)
	case sigma.OpCIDR:
		address, ok := addressOf(text)
		return ok && v.Prefix.Contains(address)
	case sigma.OpLT, sigma.OpLTE, sigma.OpGT, sigma.OpGTE:
		number, ok := numberOf(text)
		if _, isBool := scalar.(bool); !ok || isBool {
			return false
		}
		return map[sigma.Op]bool{sigma.OpLT: number < v.Number, sigma.OpLTE: number <= v.Number, sigma.OpGT: number > v.Number, sigma.OpGTE: number >= v.Number}[item.Op]
	}
	want := v.Text
	if v.Kind == sigma.Bool {
		want = strconv.FormatBool(v.Bool)
	}
	if v.Pattern == nil && v.Kind != sigma.Bool {
		a, ok := numberOf(text)
		if b, ok2 := numberOf(want); ok && ok2 && a == b {
			return true
		}
	}
	if !item.Cased {
		text, want = strings.ToLower(text), strings.ToLower(want)
	}
	if v.Pattern == nil {
		return text == want
	}
	return patternOf(v.Pattern, item.Cased).MatchString(text)
}

// patterns keeps what has been compiled: the same few are asked for again and again.
var patterns sync.Map

func patternOf(parts []sigma.Part, cased bool) *regexp.Regexp {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for _, p := range parts {
		switch p.Wild {
		case sigma.Many:
			re.WriteString(".*")
		case sigma.One:
			re.WriteString(".")
		default:
			literal := p.Literal
			if !cased {
				literal = strings.ToLower(literal)
			}
			re.WriteString(regexp.QuoteMeta(literal))
		}
	}
	pattern, ok := patterns.Load(re.String())
	if !ok {
		pattern, _ = patterns.LoadOrStore(re.String(), regexp.MustCompile(re.String()+`\z`))
	}
	return pattern.(*regexp.Regexp)
}

// addressOf reads an IP address as it stands in sourceIPs: perhaps in brackets, with a zone, or IPv4 within IPv6.
func addressOf(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return address.WithZone("").Unmap(), err == nil
}

func refersTo(item *sigma.Item, l, others *leaves) bool {
	for _, a := range l.scalars {
		for _, b := range others.scalars {
			left, right := scalarText(a), scalarText(b)
			if !item.Cased {
				left, right = strings.ToLower(left), strings.ToLower(right)
			}
			switch item.Affix {
			case "startswith":
				left = left[:min(len(left), len(right))]
			case "endswith":
				left = left[max(0, len(left)-len(right)):]
			case "contains":
				if strings.Contains(left, right) {
					return true
				}
			}
			if left == right {
				return true
			}
		}
	}
	return false
}

// referenceKeywords looks in every key and every scalar of the event.
func referenceKeywords(event any, item *sigma.Item) bool {
	var texts []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				texts = append(texts, key)
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		case nil:
		default:
			texts = append(texts, scalarText(v))
		}
	}
	walk(event)
	one := func(v sigma.Value) bool {
		parts := v.Pattern
		if parts == nil {
			parts = []sigma.Part{{Literal: v.Text}}
		}
		parts = append(append([]sigma.Part{{Wild: sigma.Many}}, parts...), sigma.Part{Wild: sigma.Many})
		pattern := patternOf(parts, item.Cased)
		for _, text := range texts {
			if !item.Cased {
				text = strings.ToLower(text)
			}
			if pattern.MatchString(text) {
				return true
			}
		}
		return false
	}
	result := item.All
	for _, v := range item.Values {
		if item.All {
			result = result && one(v)
		} else {
			result = result || one(v)
		}
	}
	return result
}

func referenceNode(r view, n sigma.Node) truth {
	switch n := n.(type) {
	case sigma.AllOf:
		result := yes
		for _, x := range n {
			result = min(result, referenceNode(r, x))
		}
		return result
	case sigma.AnyOf:
		result := no
		for _, x := range n {
			result = max(result, referenceNode(r, x))
		}
		return result
	}
	return referenceItem(r, n.(*sigma.Item))
}

func referenceExpr(r view, d *sigma.Detection, e sigma.Expr) truth {
	switch e := e.(type) {
	case sigma.And:
		result := yes
		for _, x := range e {
			result = min(result, referenceExpr(r, d, x))
		}
		return result
	case sigma.Or:
		result := no
		for _, x := range e {
			result = max(result, referenceExpr(r, d, x))
		}
		return result
	case sigma.Not:
		return yes - referenceExpr(r, d, e.X)
	}
	return referenceNode(r, d.Selections[e.(sigma.Ref)].Match)
}
