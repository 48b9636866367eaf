package decode

import (
	"bytes"
	"slices"
)

// brokenStretch bounds what a fault spoils: from b[i], where a value began, to the end of the line that
// is broken. A line ends a cut value: raw newlines cannot stand in JSON strings, and a line that begins
// like a record of its own is none of a pretty-printed object's. cut is where a cut value ends, so that
// what is before it can be rescued; -1 if the fault is not a cut.
//
// There is no other way to go on: to look for the next object within the line would take what stands
// inside a body, and so what a client has written, for a record.
func brokenStretch(b []byte, i, fault int, v verdict) (end, cut int) {
	switch {
	case v == valueCut:
		end, cut = len(b), len(b)
	case b[fault] == '\n' || b[fault] == '\r':
		end, cut = fault, fault
	default:
		end, cut = len(b), -1
		if nl := bytes.LastIndexByte(b[i:fault], '\n'); nl >= 0 && beginsRecord(b[i+nl+1:]) {
			end, cut = i+nl, i+nl
			break
		}
		for at := fault; ; {
			nl := bytes.IndexByte(b[at:], '\n')
			if nl < 0 {
				break
			}
			if at += nl + 1; beginsRecord(b[at:]) {
				end = at - 1
				break
			}
		}
	}
	body := bytes.TrimRight(b[i:end], " \t\r\n")
	cut = min(cut, i+len(body)) // a newline behind a number does not make it whole
	if mark := i + len(body) - len(cutMark); bytes.HasSuffix(body, []byte(cutMark)) && (cut >= 0 || fault >= mark) {
		cut = mark
	}
	return max(end, i+1), cut
}

// cutMark is what EKS puts behind a message that it has cut.
const cutMark = "[Truncated...]"

// beginsRecord reports whether a line can be the first of a record: it is not indented, and no closing
// bracket or member.
func beginsRecord(line []byte) bool {
	if len(line) == 0 {
		return true
	}
	switch line[0] {
	case ' ', '\t', '\r', '\n', '}', ']', ',', '"':
		return false
	}
	return true
}

// brokenObject reads what can be read of the invalid object b. cut is where it was cut, or negative.
func (d *Decoder) brokenObject(b []byte, cut int, v verdict, sc *scope) outcome {
	if cut < 0 {
		switch v {
		case valueDeep:
			return broken(ClassTooDeep, "JSON is nested deeper than the limit", b)
		case valueMany:
			return broken(ClassTooLarge, "a JSON object has more members than the limit", b)
		}
		return broken(ClassNotJSON, "not valid JSON", b)
	}
	o := &d.objects[d.level-1]
	d.scanObject(b[:cut], 0, o)
	truncated := broken(ClassTruncated, "cut before verb, user and requestURI were complete", b)
	if sc.element != elementAny {
		return d.cutContainer(d.element(o, sc), b)
	}
	switch d.shapeOf(o) {
	case shapeEvent:
		if !o.has(keyVerb) || !o.has(keyUser) || !o.has(keyRequestURI) {
			return truncated
		}
		return d.cutEvent(b[:cut], o, sc)
	case shapeOtherEvent:
		if !o.has(keyAPIVersion) {
			return truncated
		}
		return skipped(ClassNotAuditEvent)
	}
	return d.cutContainer(d.container(o, sc), b)
}

// cutContainer is the outcome of an object that was cut, and is no event itself.
func (d *Decoder) cutContainer(out outcome, b []byte) outcome {
	if out.events == 0 && !out.isBroken() {
		return broken(ClassTruncated, "cut inside JSON that is no audit event as far as it can be read", b)
	}
	return out
}

// cutEvent closes the prefix b of an event into valid JSON and emits that.
func (d *Decoder) cutEvent(b []byte, o *object, sc *scope) outcome {
	scratch := len(d.scratch)
	d.scratch = appendClosed(d.scratch, b)
	_, v := d.scanObject(d.scratch[scratch:], 0, o)
	if v != valueDone {
		return broken(ClassTruncated, "cut, and its beginning is not valid JSON either", b)
	}
	return d.event(o, sc, true)
}

// appendClosed appends to dst the object whose prefix b is, cut behind the last complete member or element,
// with the containers that are open there closed. b must be valid up to its end.
func appendClosed(dst, b []byte) []byte {
	var open []byte // the closing brackets of the containers around the position
	keep, kept := 0, 0
	name := false // the next string is a member's name
	i := 0
scan:
	for i < len(b) {
		switch c := b[i]; c {
		case '{', '[':
			open = append(open, c+2) // in ASCII, a closing bracket is two behind its opening one
			name = c == '{'
			i++
			keep, kept = i, len(open)
		case '}', ']':
			if len(open) == 0 {
				break scan
			}
			open = open[:len(open)-1]
			i++
			keep, kept = i, len(open)
		case ',':
			name = len(open) > 0 && open[len(open)-1] == '}'
			i++
		case ':':
			name = false
			i++
		case ' ', '\t', '\r', '\n':
			i++
		default:
			end, ok := scalarEnd(b, i)
			if !ok {
				break scan
			}
			if i = end; !name {
				keep, kept = i, len(open)
			}
		}
	}
	dst = append(dst, b[:keep]...)
	return appendClosers(dst, b[:keep], kept)
}

// scalarEnd gives the end of the string, number or literal at b[i]; ok is false if b may cut it.
func scalarEnd(b []byte, i int) (end int, ok bool) {
	var v verdict
	switch c := b[i]; {
	case c == '"':
		end, v = skipString(b, i+1)
		return end, v == valueDone
	case c == '-' || c-'0' <= 9:
		end, v = skipNumber(b, i)
		return end, v == valueDone && end < len(b)
	}
	end, v = skipLiteral(b, i)
	return end, v == valueDone
}

// appendClosers appends the closing brackets for the containers that the prefix b leaves open.
func appendClosers(dst, b []byte, depth int) []byte {
	open := make([]byte, 0, depth)
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '{', '[':
			open = append(open, c+2)
			i++
		case '}', ']':
			open = open[:len(open)-1]
			i++
		case '"':
			i, _ = skipString(b, i+1)
		default:
			i++
		}
	}
	for _, o := range slices.Backward(open) {
		dst = append(dst, o)
	}
	return dst
}
