package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/jsonindex"
)

var (
	utf8BOM = []byte("\xef\xbb\xbf")
	newline = []byte("\n")
)

// record decodes a whole record: encodings first, then the values in it.
func (d *Decoder) record(body []byte, sc *scope) outcome {
	if body == nil {
		return skipped(ClassTombstone)
	}
	if isGzip(body) {
		return d.gzip(body, sc)
	}
	if detail := binaryFormat(body); detail != "" {
		return broken(ClassUnsupportedEncoding, detail, body)
	}
	if len(body) > 5 && body[0] == 0 && body[5] == '{' {
		body = body[5:] // the JSON Schema serializer of Confluent: a zero byte and the schema's number
	}
	return d.sequence(bytes.TrimPrefix(body, utf8BOM), sc)
}

// sequence decodes the values that follow one another in b, with or without whitespace between them. The
// remark about a value that stands alone is left to the caller.
func (d *Decoder) sequence(b []byte, sc *scope) outcome {
	var total outcome
	i := skipSpace(b, 0)
	if i == len(b) {
		return skipped(ClassEmpty)
	}
	d.enter(b)
	defer d.leave()
	for alone := true; i < len(b) && !d.full(); alone = false {
		end, out := d.value(b, i, sc)
		next := skipSpace(b, end)
		if next < len(b) && b[next] == ',' {
			next = skipSpace(b, next+1) // behind the last value of a line
		}
		if alone && next == len(b) {
			return out
		}
		d.settle(out, sc.stretch(b[i:end]))
		total.events += out.events
		i = next
	}
	return total
}

// value decodes the value that begins at b[i] and returns the position behind it, always beyond i.
func (d *Decoder) value(b []byte, i int, sc *scope) (int, outcome) {
	switch b[i] {
	case '{':
		return d.objectAt(b, i, sc)
	case '[':
		if !sc.inList {
			end, ok := d.sound(b, i)
			if !ok {
				var v verdict
				end, v = d.scan.value(b, i)
				ok = v == valueDone
			}
			if ok && goesOn(b, end) {
				return pieceOfJSON(b, i, end)
			}
		}
		return d.arrayAt(b, i, sc)
	case '"':
		return d.stringAt(b, i, sc)
	}
	return d.textAt(b, i, sc)
}

// goesOn reports whether what stands behind a value in its line continues it. Then the value is no record
// but a part of one whose beginning is missing: a client that knows where a shipper cuts lines could have
// written it into a body.
func goesOn(b []byte, end int) bool {
	end = skipBlank(b, end)
	if end == len(b) {
		return false
	}
	switch b[end] {
	case ':', '}', ']':
		return true
	case ',': // at the end of its line it separates lines
		end = skipBlank(b, end+1)
		return end < len(b) && b[end] != '\n'
	}
	return false
}

// skipBlank gives the position of the first byte at or after i that is no whitespace within a line.
func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// pieceOfJSON gives up the line that holds the end of a value that goesOn.
func pieceOfJSON(b []byte, i, end int) (int, outcome) {
	if nl := bytes.IndexByte(b[end:], '\n'); nl >= 0 {
		end += nl
	} else {
		end = len(b)
	}
	return end, broken(ClassTruncated, "a piece of JSON without its beginning", b[i:end])
}

// objectAt decodes the object whose brace is b[i], whole or broken.
func (d *Decoder) objectAt(b []byte, i int, sc *scope) (int, outcome) {
	if d.level >= maxNest {
		return d.tooDeep(b, i)
	}
	members, scratch, unit := len(d.members), len(d.scratch), sc.unit
	o := &d.objects[d.level]
	d.level++
	end, v := d.scanObject(b, i, o)
	var out outcome
	if v == valueDone && !sc.inList && goesOn(b, end) {
		end, out = pieceOfJSON(b, i, end)
	} else if v == valueDone {
		sc.unit = sc.stretch(o.b)
		d.sole = d.level == 1 && i == 0 && end == len(b) && sc.arrays == 0 && sc.wraps == 0
		out = d.object(o, sc)
	} else {
		var cut int
		end, cut = brokenStretch(b, i, end, v)
		sc.unit = sc.stretch(b[i:end])
		out = d.brokenObject(b[i:end], cut-i, v, sc)
		out.cut = cut >= 0
	}
	d.level--
	d.members, d.scratch, sc.unit = d.members[:members], d.scratch[:scratch], unit
	return end, out
}

// object decodes a valid object by its shape.
func (d *Decoder) object(o *object, sc *scope) outcome {
	if sc.element != elementAny {
		return d.element(o, sc)
	}
	switch d.shapeOf(o) {
	case shapeEvent:
		return d.event(o, sc, false)
	case shapeOtherEvent:
		return skipped(ClassNotAuditEvent)
	}
	return d.container(o, sc)
}

// container decodes an object that is no event itself: a list, a service's envelope, a shipper's wrapper.
// Each recogniser decodes one form, and says false if o is not of that form. An object that is cut keeps
// what it had before the cut. The calls are direct so that scopes stay on the stack.
func (d *Decoder) container(o *object, sc *scope) outcome {
	if out, ok := d.eventList(o, sc); ok {
		return out
	}
	if out, ok := d.cloudWatch(o, sc); ok {
		return out
	}
	if out, ok := d.azure(o, sc); ok {
		return out
	}
	if out, ok := d.google(o, sc); ok {
		return out
	}
	if out, ok := d.otlp(o, sc); ok {
		return out
	}
	if out, ok := d.loki(o, sc); ok {
		return out
	}
	return d.wrapper(o, sc)
}

// element decodes an element of a service's list.
func (d *Decoder) element(o *object, sc *scope) outcome {
	kind := sc.element
	sc.element = elementAny
	var out outcome
	switch kind {
	case elementCloudWatch:
		out = d.cloudWatchEvent(o, sc)
	case elementRecord:
		out = d.recordElement(o, sc)
	case elementPubSub:
		out = d.pubSubMessage(o, sc)
	}
	sc.element = kind
	return out
}

// tooDeep is what becomes of a value inside more wrappings than the limit: it is somebody else's JSON
// unless it mentions an audit event.
func (d *Decoder) tooDeep(b []byte, i int) (int, outcome) {
	end, v := d.scan.value(b, i)
	if v != valueDone {
		end, _ = brokenStretch(b, i, end, v)
	}
	return end, nestedTooDeep(b[i:end])
}

func nestedTooDeep(b []byte) outcome {
	if bytes.Contains(b, []byte("auditID")) {
		return broken(ClassTooDeep, "an event lies inside more wrappings than the limit", b)
	}
	return skipped(ClassOtherJSON)
}

// maxArrays bounds arrays within arrays, since each level reads the bytes once more.
const maxArrays = 4

// arrayAt decodes the elements of the array whose bracket is b[i]. It reads as far as the elements are
// sound, so that one broken or cut element leaves the others.
func (d *Decoder) arrayAt(b []byte, i int, sc *scope) (int, outcome) {
	if sc.arrays >= maxArrays {
		return d.tooDeep(b, i)
	}
	pos := skipSpace(b, i+1)
	if pos < len(b) && !bytes.ContainsRune([]byte(`{["-0123456789tfn]`), rune(b[pos])) {
		return d.textAt(b, i, sc)
	}
	sc.arrays++
	list := sc.inList
	defer func() {
		sc.arrays--
		sc.inList = list
	}()
	sc.inList = true
	var total, other outcome // other: elements that are nobody's events, as long as there are no others
	emitted, cut := false, false
	for elements := 0; !d.full(); elements++ {
		if pos >= len(b) {
			if !cut { // else the element said so
				d.settle(broken(ClassTruncated, "the list ends before its closing bracket", b[i:]), sc.stretch(b[i:]))
				emitted = true
			}
			break
		}
		if b[pos] == ']' {
			pos++
			break
		}
		end, out := d.elementAt(b, pos, sc)
		if elements == 0 && out.isBroken() && b[pos] != '{' {
			sc.inList = list
			return d.textAt(b, i, sc)
		}
		if !emitted && sc.element == elementAny && out.held && out.remark.rank() < 3 {
			other.merge(out)
		} else {
			d.settle(other, sc.stretch(b[i:pos]))
			d.settle(out, sc.stretch(b[pos:end]))
			emitted, other = true, outcome{}
		}
		total.events += out.events
		cut = out.cut
		if pos = skipSpace(b, end); pos < len(b) && b[pos] == ',' {
			pos = skipSpace(b, pos+1)
		} else if pos < len(b) && b[pos] != ']' && !out.isBroken() {
			end, _ = brokenStretch(b, pos, pos, valueBad)
			d.settle(broken(ClassNotJSON, "no comma between two elements of a list", b[pos:end]), sc.stretch(b[pos:end]))
			return end, total
		}
	}
	switch {
	case emitted:
		return pos, total
	case other.held:
		return pos, other
	}
	return pos, skipped(ClassEmpty)
}

// elementAt decodes one element of an array.
func (d *Decoder) elementAt(b []byte, i int, sc *scope) (int, outcome) {
	if c := b[i]; c == '{' || c == '[' || c == '"' {
		return d.value(b, i, sc)
	}
	return d.scalarAt(b, i)
}

// scalarAt steps over a number or literal in an array.
func (d *Decoder) scalarAt(b []byte, i int) (int, outcome) {
	end, v := d.scan.value(b, i)
	if v == valueDone {
		return end, skipped(ClassOtherJSON)
	}
	end, _ = brokenStretch(b, i, end, v)
	return end, broken(ClassNotJSON, "an element of a list is not valid JSON", b[i:end])
}

// stringAt decodes a JSON string that stands where a value is expected: JSON text encoded once more, or
// plain text.
func (d *Decoder) stringAt(b []byte, i int, sc *scope) (int, outcome) {
	end, v := skipString(b, i+1)
	if v == valueBad || v == valueControl {
		return d.textAt(b, i, sc)
	}
	content := b[i+1 : end]
	if v == valueDone {
		if !sc.inList && goesOn(b, end) {
			return pieceOfJSON(b, i, end)
		}
		content = b[i+1 : end-1]
	} else {
		end = len(b)
	}
	if bytes.IndexByte(content, '{') < 0 {
		return end, skipped(ClassText)
	}
	if sc.wraps >= maxWraps {
		return end, nestedTooDeep(content)
	}
	inner := sc.wrapped(FormatQuoted, b[i:end])
	return end, d.embedded(content, b[i:end], &inner)
}

// embedded decodes the JSON text in the content of a JSON string. raw are the bytes that hold it.
func (d *Decoder) embedded(content, raw []byte, sc *scope) outcome {
	scratch := len(d.scratch)
	if bytes.IndexByte(content, '\\') >= 0 {
		if t, at := d.textOf(content); t != nil && t.loaded && t.index.IsString(at, at+len(content)) {
			d.scratch = t.index.AppendUnescaped(d.scratch, at, at+len(content))
		} else {
			d.scratch = jsonindex.AppendUnescaped(d.scratch, content)
		}
		content = d.scratch[scratch:]
	}
	// Shippers keep the line's end. Without it, no text that is sound has control characters to look for.
	content = bytes.TrimSuffix(bytes.TrimPrefix(content, utf8BOM), newline)
	out := d.sequence(content, sc)
	out.remark.raw = raw // the text lies in a buffer that the next one overwrites
	d.scratch = d.scratch[:scratch]
	return out
}
