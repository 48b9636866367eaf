package sigma

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// values reads one written value: most give one, some modifiers several alternatives.
func (b *itemBuilder) values(n *yaml.Node) ([]Value, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return nil, errors.New("a value must be text, a number, true, false or null; lists and maps cannot be nested")
	case len(n.Value) > maxValueBytes:
		return nil, fmt.Errorf("a value has more than %d bytes; shorten it", maxValueBytes)
	}
	switch b.plan.op {
	case OpExists:
		return b.exists(n)
	case OpRegexp:
		return b.regexp(n)
	case OpCIDR:
		return b.cidr(n)
	case OpFieldRef:
		return b.fieldRef(n)
	case OpLT, OpLTE, OpGT, OpGTE:
		f, ok := numeric(n)
		if !ok {
			return nil, fmt.Errorf("modifier %q needs a number, not %q", b.plan.kind, clip(n.Value))
		}
		return []Value{{Kind: Number, Number: f, Text: n.Value}}, nil
	case OpTime:
		return b.timeValue(n)
	}
	return b.match(n)
}

// match reads a value that is compared: typed as written, or text if a modifier works on text.
func (b *itemBuilder) match(n *yaml.Node) ([]Value, error) {
	tag := n.ShortTag()
	asText := len(b.plan.steps) > 0 || b.plan.cased || b.field == ""
	switch {
	case tag == "!!null" && asText:
		return nil, errors.New("null can be compared only for a field without text modifiers; write 'null' in quotes for the word")
	case tag == "!!null":
		return []Value{{Kind: Null, Text: n.Value}}, nil
	case asText || tag == "!!str" || tag == "!!timestamp":
		return b.textValues(n.Value)
	case tag == "!!bool":
		var v bool
		if err := n.Decode(&v); err != nil {
			return nil, errors.New("not a boolean; write true or false")
		}
		return []Value{{Kind: Bool, Bool: v, Text: n.Value}}, nil
	}
	f, ok := number(n)
	if !ok {
		return nil, fmt.Errorf("%q is no finite number; write it in quotes to compare it as text", clip(n.Value))
	}
	return []Value{{Kind: Number, Number: f, Text: n.Value}}, nil
}

// textValues applies the steps of the plan, in the order written, to a Sigma string.
func (b *itemBuilder) textValues(text string) ([]Value, error) {
	if b.field == "" && text == "" {
		return nil, errors.New("an empty keyword would match every event; write one that says something")
	}
	variants := [][]Part{parseValue(text)}
	for _, step := range b.plan.steps {
		var next [][]Part
		for _, parts := range variants {
			got, err := b.step(parts, step)
			if err != nil {
				return nil, err
			}
			if len(next)+len(got) > maxItemValues {
				return nil, fmt.Errorf("modifier %q makes more than %d values; split them", step, maxItemValues)
			}
			next = append(next, got...)
		}
		variants = next
	}
	out := make([]Value, 0, len(variants))
	for _, parts := range variants {
		parts, err := readableText(parts)
		if err != nil {
			return nil, err
		}
		v := stringValue(parts)
		if n := wildcards(v.Pattern); n > maxWildcards {
			return nil, fmt.Errorf("a value has %d wildcards, more than %d; use fewer", n, maxWildcards)
		}
		out = append(out, v)
	}
	return out, nil
}

func (b *itemBuilder) step(parts []Part, step string) ([][]Part, error) {
	switch {
	case step == "expand":
		return b.doc.expand(parts)
	case slices.Contains(affixModifiers, step):
		return [][]Part{affix(parts, step)}, nil
	}
	return transform(parts, step)
}

func (b *itemBuilder) exists(n *yaml.Node) ([]Value, error) {
	switch strings.ToLower(n.Value) {
	case "true", "yes":
		return []Value{{Kind: Bool, Bool: true, Text: "true"}}, nil
	case "false", "no":
		return []Value{{Kind: Bool, Bool: false, Text: "false"}}, nil
	}
	return nil, fmt.Errorf("modifier \"exists\" takes true or false, not %q", clip(n.Value))
}

func (b *itemBuilder) regexp(n *yaml.Node) ([]Value, error) {
	if n.ShortTag() == "!!null" {
		return nil, errors.New("modifier \"re\" needs a regular expression, not null")
	}
	re, insts, err := compileRegexp(n.Value, b.plan.flags, b.plan.affix)
	if err != nil {
		return nil, err
	}
	if b.doc.insts += insts; b.doc.insts > maxDocInsts {
		return nil, fmt.Errorf("the regular expressions of the document compile to more than %d instructions; use fewer or simpler ones", maxDocInsts)
	}
	return []Value{{Kind: String, Text: n.Value, Regexp: re}}, nil
}

// cidr reads networks; expand may put a site's list of them in.
func (b *itemBuilder) cidr(n *yaml.Node) ([]Value, error) {
	texts := [][]Part{{{Literal: n.Value}}}
	if slices.Contains(b.plan.steps, "expand") {
		var err error
		if texts, err = b.doc.expand(texts[0]); err != nil {
			return nil, err
		}
	}
	out := make([]Value, 0, len(texts))
	for _, parts := range texts {
		text := stringValue(parts).Text
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, Value{Kind: String, Text: text, Prefix: prefix})
	}
	return out, nil
}

// parsePrefix reads a network, or an address as a network of one. IPv4 networks in IPv6 form become
// IPv4, as the addresses of events do.
func parsePrefix(text string) (netip.Prefix, error) {
	bad := fmt.Errorf("modifier \"cidr\" needs a network such as 10.0.0.0/8 or fd00::/8, not %q", clip(text))
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, bad
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, bad
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %s has bits beyond its prefix; write %s", clip(text), p.Masked())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

func (b *itemBuilder) fieldRef(n *yaml.Node) ([]Value, error) {
	parts := parseValue(n.Value)
	if n.ShortTag() == "!!null" || wildcards(parts) > 0 || strings.TrimSpace(n.Value) == "" {
		return nil, fmt.Errorf("modifier \"fieldref\" needs the name of a field without wildcards, not %q", clip(n.Value))
	}
	return []Value{{Kind: String, Text: strings.TrimSpace(stringValue(parts).Text)}}, nil
}

// timeRanges are the values that a part of a time can have; ISO weeks go to 53.
var timeRanges = map[string][2]float64{
	"minute": {0, 59}, "hour": {0, 23}, "day": {1, 31}, "week": {1, 53}, "month": {1, 12}, "year": {1, 9999},
}

func (b *itemBuilder) timeValue(n *yaml.Node) ([]Value, error) {
	part := b.plan.timePart
	limits := timeRanges[part]
	f, ok := numeric(n)
	if !ok || f != float64(int(f)) || f < limits[0] || f > limits[1] {
		return nil, fmt.Errorf("modifier %q needs a whole number from %s to %s, not %q", part,
			strconv.Itoa(int(limits[0])), strconv.Itoa(int(limits[1])), clip(n.Value))
	}
	return []Value{{Kind: Number, Number: f, Text: n.Value}}, nil
}
