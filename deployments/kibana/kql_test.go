package kibana_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The part of Kibana's query language that the dashboards use: field : value, ranges, and, or, not,
// parentheses. https://www.elastic.co/docs/explore-analyze/query-filter/languages/kql
var kqlToken = regexp.MustCompile(`^\s*("(?:[^"\\]|\\.)*"|>=|<=|[():<>]|[^\s():<>"]+)`)

type kqlParser struct {
	tokens []string
	fields []string
}

// parseKQL returns the fields that a query asks for.
func parseKQL(query string) ([]string, error) {
	var p kqlParser
	for rest := query; strings.TrimSpace(rest) != ""; {
		m := kqlToken.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("cannot read %q", rest)
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	if len(p.tokens) == 0 {
		return nil, nil
	}
	if err := p.or(); err != nil {
		return nil, err
	}
	if len(p.tokens) > 0 {
		return nil, fmt.Errorf("%q is too much", p.tokens)
	}
	return p.fields, nil
}

func (p *kqlParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *kqlParser) accept(word string) bool {
	if len(p.tokens) > 0 && strings.EqualFold(p.tokens[0], word) {
		p.next()
		return true
	}
	return false
}

func (p *kqlParser) or() error {
	err := p.and()
	for err == nil && p.accept("or") {
		err = p.and()
	}
	return err
}

func (p *kqlParser) and() error {
	err := p.not()
	for err == nil && p.accept("and") {
		err = p.not()
	}
	return err
}

func (p *kqlParser) not() error {
	p.accept("not")
	if p.accept("(") {
		if err := p.or(); err != nil {
			return err
		}
		if !p.accept(")") {
			return fmt.Errorf("a parenthesis is not closed")
		}
		return nil
	}
	field, operator, value := p.next(), p.next(), p.next()
	if !slices.Contains([]string{":", ">=", "<=", ">", "<"}, operator) || !isWord(field) || value == "" || value[0] != '"' && !isWord(value) {
		return fmt.Errorf("%q %q %q is no comparison", field, operator, value)
	}
	p.fields = append(p.fields, field)
	return nil
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsAny(s, `():<>"`) && !slices.Contains([]string{"and", "or", "not"}, strings.ToLower(s))
}

func TestBrokenQueriesAreNoticed(t *testing.T) {
	for _, q := range []string{`a :`, `a : "b`, `(a : b`, `a : b)`, `a b c`, `a : b c : d`, `and a : b`, `a : b or`, `"a" : b`, `a : : b`} {
		if fields, err := parseKQL(q); err == nil {
			t.Errorf("%q was read as a query on %v", q, fields)
		}
	}
	fields, err := parseKQL(`(a : "x \" y" or not b.c >= 7) and d: e`)
	if err != nil || !slices.Equal(fields, []string{"a", "b.c", "d"}) {
		t.Errorf("%v, %v", fields, err)
	}
}
