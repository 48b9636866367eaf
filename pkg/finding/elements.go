package finding

import "strings"

// Bounds of foretop.elements. What they leave out shows in elements_count and in the marks.
const (
	maxElements      = 100
	maxEvidence      = 40
	maxValues        = 20
	maxEvidenceValue = 2048
	maxElementsBytes = 256 << 10
)

// elements are the matching elements with their evidence, redacted and bounded.
func (c *facts) elements() []Element {
	var out []Element
	size := 0
	for i := range c.match.Elements {
		if len(out) == maxElements || size > maxElementsBytes {
			break
		}
		in := &c.match.Elements[i]
		e := Element{Category: in.Category, Path: cut(in.Path, maxEvidenceValue), Name: cut(in.Name, maxEvidenceValue), Injected: in.Injected}
		if e.Category == "" {
			e.Category = "request"
		}
		for _, ev := range head(in.Evidence, maxEvidence) {
			values := c.values(ev.Field, ev.Values)
			e.Evidence = append(e.Evidence, Evidence{Selection: ev.Selection, Field: ev.Field, Values: values})
			for _, v := range values {
				size += len(v)
			}
		}
		out = append(out, e)
	}
	return out
}

// values are the values of a field, fit to leave: typed redaction by the field's path, then by pattern.
func (c *facts) values(field string, in []string) []string {
	out := make([]string, 0, min(len(in), maxValues))
	n := 0
	switch {
	case isCommand(field):
		out, n = redactWords(head(in, maxValues))
	case field == "exec.command":
		for _, v := range head(in, maxValues) {
			line, k := redactLine(v)
			out, n = append(out, line), n+k
		}
	case field == "requestURI":
		for _, v := range head(in, maxValues) {
			uri, k := redactURI(v)
			out, n = append(out, uri), n+k
		}
	default:
		for _, v := range head(in, maxValues) {
			if kind, hide := hiddenPath(c.resource, field); hide && !isBool(v) {
				v, n = mark(kind, len(v)), n+1
			}
			out = append(out, v)
		}
	}
	c.redactions += n
	for i, v := range out {
		out[i] = cut(v, maxEvidenceValue)
	}
	if more := len(in) - maxValues; more > 0 {
		out = append(out, "and "+itoa(more)+" more")
	}
	return out
}

func isBool(v string) bool { return v == "true" || v == "false" || v == "" }

// isCommand tells fields whose values are the words of a command line.
func isCommand(field string) bool {
	return field == "request.query.command" || strings.HasSuffix(field, ".command") && field != "exec.command" || strings.HasSuffix(field, ".args")
}
