package ruletest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// testFile is a test file as read, with the variants of its cases written out.
type testFile struct {
	at           sigma.Position
	rule         string
	placeholders map[string][]string
	cases        []testCase
}

type testCase struct {
	name    string
	at      sigma.Position
	base    string
	changes []change
	match   []expectation
	level   *sigma.Level
	filter  string
	env     event.Envelope
	near    bool
}

// change sets or removes what a JSON pointer leads to.
type change struct {
	pointer string
	value   any
	remove  bool
	line    int
}

// expectation is the partial description of one element.
type expectation []fieldWant

type fieldWant struct {
	field  string
	values []string // empty: the field must be absent
}

const (
	maxTestBytes = 1 << 20
	maxVariants  = 1000 // of one file
	maxNesting   = 8    // of also
	maxYAMLDepth = 64
)

// testReader collects the problems of one file.
type testReader struct {
	file     string
	problems []sigma.Problem
	cases    []testCase
}

// readTests reads a test file. It returns nil for one that has a problem.
func readTests(file string, data []byte) (*testFile, []sigma.Problem) {
	r := &testReader{file: file}
	t := r.read(data)
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return t, nil
}

func (r *testReader) fail(n *yaml.Node, format string, args ...any) {
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	r.problems = append(r.problems, sigma.Problem{
		Source: sigma.Position{File: r.file, Line: line}, Message: fmt.Sprintf(format, args...),
	})
}

func (r *testReader) read(data []byte) *testFile {
	if len(data) > maxTestBytes {
		r.fail(nil, "the test file has more than %d bytes; split it", maxTestBytes)
		return nil
	}
	root, err := parseYAML(data)
	if err != nil {
		r.fail(nil, "not YAML: %s; fix the syntax", err)
		return nil
	}
	if err := plain(root, 0); err != nil {
		r.fail(root, "%s", err)
		return nil
	}
	top := r.mapping(root, "the test file", "rule", "placeholders", "cases")
	t := &testFile{at: sigma.Position{File: r.file, Line: root.Line}, rule: r.text(top["rule"], "rule")}
	if t.rule == "" {
		r.fail(root, "rule is missing; write the name or id of the rule that is tested")
	}
	t.placeholders = r.placeholders(top["placeholders"])
	for i, n := range r.list(top["cases"], "cases") {
		r.oneCase(n, testCase{env: event.Envelope{Format: "native"}}, i, 0)
	}
	if len(r.cases) == 0 {
		r.fail(root, "cases is missing or empty; write at least one case")
	}
	t.cases = r.cases
	return t
}

func parseYAML(data []byte) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, fmt.Errorf("the parser failed: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, err
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("a test file is one document")
	}
	return doc.Content[0], nil
}

// plain refuses aliases and deep nesting before anything walks the tree.
func plain(n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: YAML aliases are not read; write the value out", n.Line)
	}
	if depth > maxYAMLDepth {
		return fmt.Errorf("line %d: nested deeper than %d levels", n.Line, maxYAMLDepth)
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// oneCase reads a case on top of what it inherits, then its variants.
func (r *testReader) oneCase(n *yaml.Node, c testCase, number, depth int) {
	m := r.mapping(n, "a case", "name", "base", "set", "unset", "envelope", "match", "level", "filter", "also")
	c.at = sigma.Position{File: r.file, Line: n.Line}
	c.level, c.filter, c.match = nil, "", nil
	own := r.text(m["name"], "name")
	switch {
	case depth > 0 && own == "":
		c.name = fmt.Sprintf("%s (also %d)", c.name, number+1)
	case depth > 0:
		c.name, c.near = c.name+": "+own, isNear(own)
	case own == "":
		r.fail(n, "name is missing; say in a few words what is special about the case")
	default:
		c.name, c.near = own, isNear(own)
	}
	if base := r.text(m["base"], "base"); base != "" {
		c.base = base
	}
	if c.base == "" {
		r.fail(n, "base is missing; name a recorded event (testdata/<base>.json)")
	}
	c.changes = append(slices.Clip(c.changes), r.changes(m)...)
	r.envelope(m["envelope"], &c.env)
	r.expectations(n, m, &c)
	if len(r.cases) == maxVariants {
		r.fail(n, "the file has more than %d cases; split it", maxVariants)
		return
	}
	r.cases = append(r.cases, c)
	if m["also"] != nil && depth == maxNesting {
		r.fail(m["also"], "also is nested deeper than %d levels", maxNesting)
		return
	}
	for i, v := range r.list(m["also"], "also") {
		r.oneCase(v, c, i, depth+1)
	}
}

func isNear(name string) bool { return strings.HasPrefix(strings.ToLower(name), "near") }

// expectations reads match, level and filter, which are never inherited.
func (r *testReader) expectations(n *yaml.Node, m map[string]*yaml.Node, c *testCase) {
	if m["match"] == nil {
		r.fail(n, "match is missing; describe the elements that must match, or write [] for none")
		return
	}
	for _, e := range r.list(m["match"], "match") {
		c.match = append(c.match, r.expectation(e))
	}
	if text := r.text(m["level"], "level"); text != "" {
		level, err := sigma.ParseLevel(text)
		if err != nil {
			r.fail(m["level"], "%s", err)
		}
		c.level = &level
		if len(c.match) == 0 {
			r.fail(m["level"], "a case without match has no level; remove it")
		}
	}
	if c.filter = r.text(m["filter"], "filter"); c.filter != "" && len(c.match) > 0 {
		r.fail(m["filter"], "a case with filter shows what the filter suppresses; its match must be []")
	}
}

func (r *testReader) expectation(n *yaml.Node) expectation {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "an element is described by a mapping of fields to values, such as {container.name: app}")
		return nil
	}
	var e expectation
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		w := fieldWant{field: k.Value}
		switch {
		case v.Kind == yaml.SequenceNode:
			w.values = r.texts(v, k.Value)
		case v.Kind != yaml.ScalarNode:
			r.fail(v, "%s must be a value or a list of values", k.Value)
		case v.ShortTag() != "!!null":
			w.values = []string{v.Value}
		}
		e = append(e, w)
	}
	return e
}

func (r *testReader) changes(m map[string]*yaml.Node) []change {
	var all []change
	if set := m["set"]; set != nil {
		if set.Kind != yaml.MappingNode {
			r.fail(set, "set must be a mapping of JSON pointers to values")
			return nil
		}
		for i := 0; i+1 < len(set.Content); i += 2 {
			k := set.Content[i]
			v, err := toJSON(set.Content[i+1])
			if err != nil {
				r.fail(set.Content[i+1], "%s", err)
			}
			all = append(all, change{pointer: k.Value, value: v, line: k.Line})
		}
	}
	for _, n := range r.list(m["unset"], "unset") {
		all = append(all, change{pointer: r.text(n, "unset"), remove: true, line: n.Line})
	}
	for _, c := range all {
		if !strings.HasPrefix(c.pointer, "/") {
			r.problems = append(r.problems, sigma.Problem{Source: sigma.Position{File: r.file, Line: c.line},
				Message: fmt.Sprintf("%q is no JSON pointer; write one such as /user/username", c.pointer)})
		}
	}
	return all
}

// toJSON converts a YAML value to what encoding/json makes of the same value.
func toJSON(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind != yaml.ScalarNode {
				return nil, errors.New("a key must be plain text")
			}
			v, err := toJSON(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		all := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := toJSON(c)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			return nil, fmt.Errorf("%q is no number that JSON can hold; write it in decimal, or in quotes", n.Value)
		}
		return json.Number(n.Value), nil
	}
	return n.Value, nil
}

func (r *testReader) envelope(n *yaml.Node, env *event.Envelope) {
	if n == nil {
		return
	}
	m := r.mapping(n, "envelope", "provider", "cluster", "missing")
	if v := r.text(m["provider"], "provider"); v != "" {
		env.Provider = v
	}
	if v := r.text(m["cluster"], "cluster"); v != "" {
		env.Cluster = event.Cluster{ID: v, Name: v}
	}
	if m["missing"] != nil {
		env.Missing = r.texts(m["missing"], "missing")
	}
}

func (r *testReader) placeholders(n *yaml.Node) map[string][]string {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "placeholders must map the names of site lists to values")
		return nil
	}
	lists := make(map[string][]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		lists[strings.Trim(n.Content[i].Value, "%")] = r.texts(n.Content[i+1], "placeholders")
	}
	return lists
}

// mapping gives the values of a mapping by key, and reports unknown and repeated keys.
func (r *testReader) mapping(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s must be a mapping with keys %s", what, strings.Join(known, ", "))
		return nil
	}
	m := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if !slices.Contains(known, k.Value) {
			r.fail(k, "unknown key %q in %s; known are %s", k.Value, what, strings.Join(known, ", "))
		}
		if m[k.Value] != nil {
			r.fail(k, "key %q stands twice; join the two", k.Value)
		}
		m[k.Value] = n.Content[i+1]
	}
	return m
}

func (r *testReader) list(n *yaml.Node, key string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "%s must be a list", key)
		return nil
	}
	return n.Content
}

func (r *testReader) text(n *yaml.Node, key string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.fail(n, "%s must be text", key)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (r *testReader) texts(n *yaml.Node, key string) []string {
	all := []string{}
	for _, c := range r.list(n, key) {
		all = append(all, r.text(c, key))
	}
	return all
}
