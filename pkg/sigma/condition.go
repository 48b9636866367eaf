package sigma

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// condition reads one condition, or a list of them, over the selections of det. It returns nil after a
// problem. at is where a missing condition is reported.
func (d *document) condition(n *yaml.Node, det *Detection, at *yaml.Node) Expr {
	if isNull(n) {
		d.fail(at, "the condition is missing; write one over the selections, such as selection and not filter")
		return nil
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	names := make([]string, len(det.Selections))
	for i, s := range det.Selections {
		names[i] = s.Name
	}
	p := parser{names: names}
	var conditions Or
	for _, c := range nodes {
		if c.Kind != yaml.ScalarNode || isNull(c) {
			d.fail(c, "a condition must be text such as selection and not filter")
			return nil
		}
		e, err := p.parse(c.Value)
		if err != nil {
			d.fail(c, "condition: %s", err)
			return nil
		}
		conditions = append(conditions, e)
	}
	switch len(conditions) {
	case 0:
		d.fail(n, "the list of conditions is empty; write one")
		return nil
	case 1:
		return conditions[0]
	}
	return conditions
}

// parser is a recursive descent over one condition. Precedence, loosest first: or, and, not.
type parser struct {
	names  []string
	tokens []token
	pos    int
	depth  int
	nodes  int // so far, over all conditions of the document
}

type token struct {
	text string
	at   int // byte offset in the condition
}

// parse reads a whole condition.
func (p *parser) parse(text string) (Expr, error) {
	if len(text) > maxCondBytes {
		return nil, fmt.Errorf("it has more than %d bytes; split the rule", maxCondBytes)
	}
	if i := strings.IndexByte(text, '|'); i >= 0 {
		return nil, fmt.Errorf("the pipe at character %d: aggregations such as | count() were removed from Sigma; write a correlation that refers to this rule", i+1)
	}
	p.tokens, p.pos, p.depth = tokenize(text), 0, 0
	if len(p.tokens) == 0 {
		return nil, fmt.Errorf("it is empty; name a selection: %s", p.known())
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if t, more := p.peek(); more {
		return nil, fmt.Errorf("%q at character %d is one too many; join selections by and, or", clip(t.text), t.at+1)
	}
	return e, nil
}

func tokenize(text string) []token {
	var tokens []token
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '(' || c == ')':
			tokens = append(tokens, token{text[i : i+1], i})
			i++
		default:
			end := i
			for end < len(text) && strings.IndexByte(" \t\r\n()", text[end]) < 0 {
				end++
			}
			tokens = append(tokens, token{text[i:end], i})
			i = end
		}
	}
	return tokens
}

func (p *parser) peek() (token, bool) {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos], true
	}
	return token{}, false
}

// accept takes the next token if it is this keyword, in any case.
func (p *parser) accept(keyword string) bool {
	t, ok := p.peek()
	if ok && strings.EqualFold(t.text, keyword) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) or() (Expr, error) {
	return p.chain("or", p.and, func(x []Expr) Expr { return Or(x) })
}

func (p *parser) and() (Expr, error) {
	return p.chain("and", p.unary, func(x []Expr) Expr { return And(x) })
}

func (p *parser) chain(keyword string, next func() (Expr, error), join func([]Expr) Expr) (Expr, error) {
	first, err := next()
	if err != nil {
		return nil, err
	}
	all := []Expr{first}
	for p.accept(keyword) {
		e, err := next()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 1 {
		return first, nil
	}
	return join(all), p.count(1)
}

func (p *parser) count(n int) error {
	if p.nodes += n; p.nodes > maxCondNodes {
		return fmt.Errorf("it has more than %d parts; split the rule", maxCondNodes)
	}
	return nil
}

func (p *parser) unary() (Expr, error) {
	if p.depth++; p.depth > maxCondDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels; simplify it", maxCondDepth)
	}
	defer func() { p.depth-- }()
	t, ok := p.peek()
	if !ok {
		return nil, fmt.Errorf("it ends where a selection should stand; known are %s", p.known())
	}
	switch {
	case p.accept("not"):
		x, err := p.unary()
		if err != nil {
			return nil, err
		}
		return Not{x}, p.count(1)
	case p.accept("("):
		x, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.accept(")") {
			return nil, fmt.Errorf("the bracket at character %d is not closed", t.at+1)
		}
		return x, nil
	case p.pos+1 < len(p.tokens) && strings.EqualFold(p.tokens[p.pos+1].text, "of"):
		return p.quantifier(t)
	}
	return p.name(t)
}

func (p *parser) name(t token) (Expr, error) {
	p.pos++
	for i, name := range p.names {
		if name == t.text {
			return Ref(i), p.count(1)
		}
	}
	switch lower := strings.ToLower(t.text); {
	case lower == ")" || lower == "and" || lower == "or" || lower == "of" || lower == "them":
		return nil, fmt.Errorf("%q at character %d stands where a selection should; known are %s", clip(t.text), t.at+1, p.known())
	case strings.Contains(t.text, "*"):
		return nil, fmt.Errorf("%q at character %d needs \"1 of\" or \"all of\" before it", clip(t.text), t.at+1)
	}
	return nil, fmt.Errorf("unknown selection %q; known are %s", clip(t.text), p.known())
}

// quantifier reads `1 of`, `any of` or `all of` with them, a name, or a pattern.
func (p *parser) quantifier(t token) (Expr, error) {
	all := strings.EqualFold(t.text, "all")
	if !all && t.text != "1" && !strings.EqualFold(t.text, "any") {
		return nil, fmt.Errorf("\"%s of\" at character %d: Sigma has only 1 of and all of; count with a correlation", clip(t.text), t.at+1)
	}
	p.pos += 2
	pattern, ok := p.peek()
	if !ok || pattern.text == "(" || pattern.text == ")" {
		return nil, fmt.Errorf("\"%s of\" at character %d needs them or a pattern such as selection_* after it", t.text, t.at+1)
	}
	p.pos++
	var refs []Expr
	for i, name := range p.names {
		if selects(pattern.text, name) {
			refs = append(refs, Ref(i))
		}
	}
	if err := p.count(len(refs) + 1); err != nil {
		return nil, err
	}
	switch {
	case len(refs) == 0:
		return nil, fmt.Errorf("%q at character %d matches no selection; known are %s", clip(pattern.text), pattern.at+1, p.known())
	case len(refs) == 1:
		return refs[0], nil
	case all:
		return And(refs), nil
	}
	return Or(refs), nil
}

// selects is true if a name is meant by `them` or by a pattern. Names that start with an underscore are
// left out unless the pattern starts with one.
func selects(pattern, name string) bool {
	if strings.EqualFold(pattern, "them") {
		return !strings.HasPrefix(name, "_")
	}
	if strings.HasPrefix(name, "_") && !strings.HasPrefix(pattern, "_") {
		return false
	}
	pieces := strings.Split(pattern, "*")
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return name == pattern
	}
	rest, ok := strings.CutPrefix(name, first)
	if !ok || !strings.HasSuffix(rest, last) {
		return false
	}
	rest = rest[:len(rest)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := strings.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return true
}

func (p *parser) known() string {
	if len(p.names) == 0 {
		return "none"
	}
	const most = 10
	names := make([]string, 0, most+1)
	for i, name := range p.names {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(p.names)-most))
			break
		}
		names = append(names, clip(name))
	}
	return strings.Join(names, ", ")
}
