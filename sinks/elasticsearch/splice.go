package elasticsearch

import (
	"bytes"
	"encoding/json"
)

// stampIngested appends body, a JSON object, to dst, with event.ingested set to stamp, a JSON string.
//
// The time of writing cannot be part of the finding, which is encoded once and written perhaps twice, so
// it is put into the bytes here: the scan ends in the event object, which stands near the front, and
// nothing is decoded. The id is beside the document and does not change. A body that does not look like
// an object is appended as it is: Elasticsearch refuses it, and says so by its own rules.
func stampIngested(dst, body, stamp []byte) []byte {
	event := member(body, 0, "event")
	if event.start == 0 {
		at, empty := objectStart(body, 0)
		if at < 0 {
			return append(dst, body...)
		}
		dst = append(append(dst, body[:at]...), `"event":{"ingested":`...)
		dst = append(append(dst, stamp...), '}')
		return afterInsert(dst, body[at:], empty)
	}
	if old := member(body, event.start, "ingested"); old.start != 0 {
		dst = append(append(dst, body[:old.start]...), stamp...)
		return append(dst, body[old.end:]...)
	}
	at, empty := objectStart(body, event.start)
	if at < 0 {
		return append(dst, body...)
	}
	dst = append(append(dst, body[:at]...), `"ingested":`...)
	return afterInsert(append(dst, stamp...), body[at:], empty)
}

func afterInsert(dst, rest []byte, empty bool) []byte {
	if !empty {
		dst = append(dst, ',')
	}
	return append(dst, rest...)
}

// objectStart is the position behind the brace that opens the object at b[i:], -1 if there is none. empty
// is true if it has no member.
func objectStart(b []byte, i int) (at int, empty bool) {
	if i = skipSpace(b, i); i >= len(b) || b[i] != '{' {
		return -1, false
	}
	end := skipSpace(b, i+1)
	return i + 1, end < len(b) && b[end] == '}'
}

// span is a value within a body. A zero start means that there is none, since a value follows a brace.
type span struct{ start, end int }

// member finds the value of the first member with this name in the object at b[i:]. It tolerates
// everything and checks nothing: for bytes that are no JSON it finds something or nothing, but ends.
func member(b []byte, i int, name string) span {
	at, _ := objectStart(b, i)
	if at < 0 {
		return span{}
	}
	for i = skipSpace(b, at); i < len(b) && b[i] == '"'; i = skipSpace(b, i+1) {
		keyEnd := skipString(b, i)
		colon := skipSpace(b, keyEnd)
		if colon >= len(b) || b[colon] != ':' {
			return span{}
		}
		start := skipSpace(b, colon+1)
		end := skipValue(b, start)
		if isName(b[i:keyEnd], name) && end > start {
			return span{start, end}
		}
		if i = skipSpace(b, end); i >= len(b) || b[i] != ',' {
			return span{}
		}
	}
	return span{}
}

// isName compares a name in quotes, with or without escapes.
func isName(quoted []byte, name string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return len(quoted) == len(name)+2 && string(quoted[1:len(quoted)-1]) == name
	}
	var text string
	return json.Unmarshal(quoted, &text) == nil && text == name
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString is the position behind the string that begins at b[i].
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexAny(b[i:], `"\`)
		if n < 0 {
			return len(b)
		}
		if i += n; b[i] == '"' {
			return i + 1
		}
		i++ // what is escaped
	}
	return len(b)
}

// skipValue is the position behind the value that begins at b[i].
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// oneLine is body without line breaks, which would end the document in a bulk request. false means that
// body is no JSON.
func oneLine(body []byte) ([]byte, bool) {
	if bytes.IndexByte(body, '\n') < 0 {
		return body, len(body) > 0
	}
	var out bytes.Buffer
	if json.Compact(&out, body) != nil {
		return nil, false
	}
	return out.Bytes(), true
}

// optionalBodies are the members of "foretop" that a finding can do without: they hold what a client sent,
// and some of it (a name with a NUL byte, a name of 40 kB) fits into no index.
var optionalBodies = []string{"request_object", "response_object"}

// stripBodies is the document without its optional bodies, marked as such; false if it has none.
func stripBodies(body []byte) ([]byte, bool) {
	foretop := member(body, 0, "foretop")
	if foretop.start == 0 {
		return nil, false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body[foretop.start:foretop.end], &members) != nil {
		return nil, false
	}
	before := len(members)
	for _, name := range optionalBodies {
		delete(members, name)
	}
	if len(members) == before {
		return nil, false
	}
	members["bodies_stripped"] = json.RawMessage("true")
	inner, err := json.Marshal(members)
	if err != nil {
		return nil, false
	}
	out := append(make([]byte, 0, len(body)), body[:foretop.start]...)
	return append(append(out, inner...), body[foretop.end:]...), true
}
