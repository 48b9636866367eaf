package sigma

import (
	"fmt"
	"slices"
	"strings"
)

// plan is what the modifiers of one item amount to.
type plan struct {
	op       Op
	kind     string // the modifier that sets op, "" for OpMatch
	all, neg bool
	cased    bool
	affix    string
	timePart string
	flags    string   // of re: some of i, m, s
	steps    []string // transforming modifiers and the affix, in the order written
}

// Modifiers by what they do. At most one of kindModifiers and one of affixModifiers may be given.
var (
	kindModifiers = map[string]Op{
		"exists": OpExists, "re": OpRegexp, "cidr": OpCIDR, "fieldref": OpFieldRef,
		"lt": OpLT, "lte": OpLTE, "gt": OpGT, "gte": OpGTE,
		"minute": OpTime, "hour": OpTime, "day": OpTime, "week": OpTime, "month": OpTime, "year": OpTime,
	}
	affixModifiers     = []string{"startswith", "endswith", "contains"}
	transformModifiers = []string{"windash", "base64", "base64offset", "utf16le", "utf16be", "utf16", "wide", "expand"}
	regexpFlags        = []string{"i", "m", "s"}
	allModifiers       = []string{
		"all", "startswith", "endswith", "contains", "exists", "cased", "neq", "windash", "re", "i", "m", "s",
		"base64", "base64offset", "utf16le", "utf16be", "utf16", "wide", "lt", "lte", "gt", "gte",
		"minute", "hour", "day", "week", "month", "year", "cidr", "expand", "fieldref",
	}
)

// companions are the modifiers that may stand beside one that sets the operation.
func companions(kind string) []string {
	switch kindModifiers[kind] {
	case OpExists:
		return nil
	case OpRegexp:
		return []string{"i", "m", "s", "startswith", "endswith", "contains", "all", "neq"}
	case OpCIDR:
		return []string{"expand", "all", "neq"}
	case OpFieldRef:
		return []string{"startswith", "endswith", "contains", "all", "neq"}
	}
	return []string{"all", "neq"}
}

// parseModifiers reads the modifiers of a key, in order.
func parseModifiers(modifiers []string) (plan, error) {
	var p plan
	for i, m := range modifiers {
		if slices.Contains(modifiers[:i], m) {
			return p, fmt.Errorf("modifier %q stands twice; remove one", clip(m))
		}
		switch op, sets := kindModifiers[m]; {
		case m == "all":
			p.all = true
		case m == "neq":
			p.neg = true
		case m == "cased":
			p.cased = true
		case slices.Contains(affixModifiers, m):
			if p.affix != "" {
				return p, fmt.Errorf("modifiers %q and %q exclude each other; use contains, or two items", p.affix, m)
			}
			p.affix = m
			p.steps = append(p.steps, m)
		case slices.Contains(transformModifiers, m):
			p.steps = append(p.steps, m)
		case slices.Contains(regexpFlags, m):
			if p.op != OpRegexp {
				return p, fmt.Errorf("modifier %q belongs after re, as in field|re|%s", m, m)
			}
			p.flags += m
		case sets:
			if p.kind != "" {
				return p, fmt.Errorf("modifiers %q and %q exclude each other; allowed beside %s: %s", p.kind, m, p.kind, listed(companions(p.kind)))
			}
			p.kind, p.op = m, op
			if op == OpTime {
				p.timePart = m
			}
		default:
			return p, fmt.Errorf("unknown modifier %q; Sigma has %s", clip(m), strings.Join(allModifiers, ", "))
		}
	}
	return p, p.checkCompanions(modifiers)
}

func (p plan) checkCompanions(modifiers []string) error {
	if p.kind == "" {
		return nil
	}
	allowed := companions(p.kind)
	for _, m := range modifiers {
		if m != p.kind && !slices.Contains(allowed, m) {
			return fmt.Errorf("modifier %q cannot stand beside %q; allowed there: %s", m, p.kind, listed(allowed))
		}
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// keywordModifiers are those that make sense without a field.
var keywordModifiers = append([]string{"all", "cased", "re", "i", "m", "s", "contains"}, transformModifiers...)

func checkKeyword(modifiers []string) error {
	for _, m := range modifiers {
		if slices.Contains(allModifiers, m) && !slices.Contains(keywordModifiers, m) {
			return fmt.Errorf("modifier %q needs a field before it; allowed for keywords: %s", m, strings.Join(keywordModifiers, ", "))
		}
	}
	return nil
}
