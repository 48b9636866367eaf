package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// chunk is the text of one YAML document within a file.
type chunk struct {
	text []byte
	line int // of its first byte, counted from 1
}

// split cuts a file at its document markers, so that a syntax error in one document does not take the
// others with it. YAML 1.2 forbids the markers at the start of a line in any scalar (c-forbidden), so
// that no value is ever cut. Chunks without content (comments, directives) are left out.
func split(data []byte) []chunk {
	var chunks []chunk
	start, startLine, line := 0, 1, 0
	content := false
	flush := func(end int) {
		if content {
			chunks = append(chunks, chunk{text: data[start:end], line: startLine})
		}
		content = false
	}
	for pos := 0; pos < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		line++
		text := data[pos:end]
		switch {
		case isMarker(text, "---"):
			flush(pos)
			start, startLine = pos, line
			content = hasContent(text[3:])
		case isMarker(text, "..."):
			flush(pos)
			start, startLine = end, line+1
		default:
			content = content || hasContent(text)
		}
		pos = end
	}
	flush(len(data))
	return chunks
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])))
}

func hasContent(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '#' && line[0] != '%'
}

// syntaxError is what the YAML parser says, with the line within the chunk (1 if it names none).
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return e.text }

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+)(?:, column \d+)?: )?`)

// parse reads the one document of a chunk.
func parse(text []byte) (root *yaml.Node, err error) {
	defer func() {
		// The parser guards its own panics but not those of the runtime. A rule file must never be
		// able to end the process.
		if p := recover(); p != nil {
			root, err = nil, &syntaxError{line: 1, text: fmt.Sprintf("the YAML parser failed: %v", p)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, describeSyntax(err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, describeSyntax(errors.New("text follows the end of the document"))
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, &syntaxError{line: 1, text: "the document is empty"}
	}
	return doc.Content[0], nil
}

func describeSyntax(err error) *syntaxError {
	text, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, convErr := strconv.Atoi(m[1]); convErr == nil && n > 0 {
			line = n
		}
		text = text[len(m[0]):]
	}
	return &syntaxError{line: line, text: clip(text)}
}

// value returns the value node of key in a mapping, nil if it is not there.
func value(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Kind == yaml.ScalarNode && m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// isNull is true for an absent node and for YAML's null.
func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

var plainTags = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!timestamp": true,
	"!!map": true, "!!seq": true,
}

// checkStructure refuses what makes a small file large or its meaning unclear: aliases, merge keys,
// foreign tags, duplicate keys and deep nesting.
func (d *document) checkStructure(n *yaml.Node, depth int) {
	if depth > maxDepth {
		d.fail(n, "the document is nested deeper than %d levels; flatten it", maxDepth)
		return
	}
	if n.Kind == yaml.AliasNode {
		d.fail(n, "YAML aliases (*%s) are not read; write the value out", clip(n.Value))
		return
	}
	if tag := n.ShortTag(); !plainTags[tag] {
		d.fail(n, "the YAML tag %s is not read; remove it", clip(tag))
		return
	}
	if n.Kind == yaml.MappingNode {
		d.checkKeys(n)
	}
	for _, child := range n.Content {
		if n.Kind == yaml.MappingNode && child.ShortTag() == "!!merge" {
			continue // reported by checkKeys
		}
		d.checkStructure(child, depth+1)
	}
}

func (d *document) checkKeys(n *yaml.Node) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode:
			d.fail(k, "a key must be plain text")
			continue
		case k.ShortTag() == "!!merge":
			d.fail(k, "YAML merge keys (<<) are not read; write the keys out")
			continue
		}
		if first, dup := seen[k.Value]; dup {
			d.fail(k, "key %q stands twice (first on line %d); join the two", clip(k.Value), first)
			continue
		}
		seen[k.Value] = d.pos(k).Line
	}
}

// text reads a scalar as text; null and absence are "".
func (d *document) text(n *yaml.Node, key string) string {
	switch {
	case isNull(n):
		return ""
	case n.Kind != yaml.ScalarNode:
		d.fail(n, "%s must be text", key)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// texts reads a list of scalars, or one scalar as a list of one.
func (d *document) texts(n *yaml.Node, key string) []string {
	switch {
	case isNull(n):
		return nil
	case n.Kind == yaml.ScalarNode:
		return []string{strings.TrimSpace(n.Value)}
	case n.Kind != yaml.SequenceNode:
		d.fail(n, "%s must be a list of texts", key)
		return nil
	}
	out := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || isNull(item) {
			d.fail(item, "%s must be a list of texts", key)
			continue
		}
		out = append(out, strings.TrimSpace(item.Value))
	}
	return out
}
