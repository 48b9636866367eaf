package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/event"
)

// maxBraces bounds the tries to find JSON behind leading text, each of which may read the whole line.
const maxBraces = 4

// textAt decodes what does not begin like JSON: text, perhaps with an event behind it (a CRI prefix, a
// timestamp, a syslog header), or a later piece of a cut event.
func (d *Decoder) textAt(b []byte, i int, sc *scope) (int, outcome) {
	d.unsettle(b)
	end := len(b)
	if nl := bytes.IndexByte(b[i:], '\n'); nl >= 0 {
		end = i + nl
	}
	end = max(end, i+1)
	line := b[i:end]
	if isScalar(&d.scan, line) {
		if string(bytes.TrimSpace(line)) == "null" {
			return end, skipped(ClassEmpty)
		}
		return end, skipped(ClassOtherJSON)
	}
	if rest, ok := criPrefix(line); ok && rest < len(line) && sc.wraps < maxWraps {
		inner := sc.wrapped(FormatText, line)
		setLeadingTime(line, &inner)
		if line[rest] == '{' || line[rest] == '"' || line[rest] == '[' {
			end, out := d.value(b, i+rest, &inner)
			out.remark.raw = b[i:end]
			return end, out
		}
		return end, textRemark(line[rest:])
	}
	if end, out, ok := d.behindText(b, i, line, sc); ok {
		return end, out
	}
	if out := textRemark(line); out.isBroken() || out.remark.class != ClassText {
		return end, out
	}
	return textEnd(b, end), skipped(ClassText)
}

// behindText decodes the object that ends a line of text. The text before it must not look like a piece of
// JSON: then the object would be a part of something's body, which a client may have written.
func (d *Decoder) behindText(b []byte, i int, line []byte, sc *scope) (int, outcome, bool) {
	if sc.wraps >= maxWraps || isLegacyAudit(line) {
		return 0, outcome{}, false
	}
	from := 0
	for range maxBraces {
		brace := bytes.IndexByte(line[from:], '{')
		if brace < 0 || looksLikePiece(line[:from+brace]) {
			return 0, outcome{}, false
		}
		at := from + brace
		end, v := d.scan.value(line, at)
		if v == valueDone && skipSpace(line, end) == len(line) || mentionsEvent(line[at:]) {
			inner := sc.wrapped(FormatText, line)
			setLeadingTime(line[:at], &inner)
			end, out := d.objectAt(b, i+at, &inner)
			out.remark.raw = b[i:end]
			return end, out, true
		}
		from = at + 1
	}
	return 0, outcome{}, false
}

// mentionsEvent recognises an audit event by how its JSON text begins, whatever follows.
func mentionsEvent(b []byte) bool {
	return bytes.HasPrefix(b, []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/`))
}

// isScalar reports whether the whole line is one JSON number or literal.
func isScalar(s *scanner, line []byte) bool {
	end, v := s.value(line, 0)
	return v == valueDone && skipSpace(line, end) == len(line)
}

// textRemark tells a log line from a piece of JSON.
func textRemark(line []byte) outcome {
	switch {
	case isLegacyAudit(line):
		return skipped(ClassLegacyText)
	case isBinary(line):
		return broken(ClassUnsupportedEncoding, "neither text nor JSON", line)
	case looksLikePiece(line):
		return broken(ClassTruncated, "a piece of JSON without its beginning", line)
	case len(bytes.Trim(line, " \t\r\n{}[],")) == 0:
		return broken(ClassNotJSON, "brackets without their partners", line)
	}
	return skipped(ClassText)
}

// looksLikePiece reports whether text holds what separates a member's name from its value in JSON as
// encoders write it. Log lines for people hardly ever do.
func looksLikePiece(text []byte) bool {
	for {
		at := bytes.Index(text, []byte(`":`))
		if at < 0 {
			return false
		}
		text = bytes.TrimLeft(text[at+2:], " ")
		if len(text) == 0 || bytes.IndexByte([]byte(`"{[-0123456789tfn`), text[0]) >= 0 {
			return true
		}
	}
}

// textEnd joins the lines of text that follow, such as a stack trace's, up to one that may hold JSON.
func textEnd(b []byte, end int) int {
	for end < len(b) {
		next := len(b)
		if nl := bytes.IndexByte(b[end+1:], '\n'); nl >= 0 {
			next = end + 1 + nl
		}
		line := bytes.TrimSpace(b[end+1 : next])
		if len(line) > 0 && (bytes.ContainsAny(line, `{}`) || line[0] == '[' || line[0] == '"' ||
			isBinary(line) || looksLikePiece(line) || isLegacyAudit(line)) {
			return end
		}
		end = next
	}
	return end
}

// isLegacyAudit recognises --audit-log-format legacy:
// https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
func isLegacyAudit(line []byte) bool {
	at := bytes.Index(line[:min(len(line), 64)], []byte(" AUDIT: id="))
	return at > 0 && line[0]-'0' <= 9
}

// criPrefix recognises the prefix of a container runtime's log line, "<RFC 3339> stdout|stderr F|P ", and
// gives the position behind it: https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
func criPrefix(line []byte) (rest int, ok bool) {
	sp := bytes.IndexByte(line[:min(len(line), 40)], ' ')
	if sp < 20 || line[0]-'0' > 9 {
		return 0, false
	}
	tail := line[sp+1:]
	if !bytes.HasPrefix(tail, []byte("stdout ")) && !bytes.HasPrefix(tail, []byte("stderr ")) {
		return 0, false
	}
	if tail = tail[7:]; len(tail) < 2 || tail[0] != 'F' && tail[0] != 'P' || tail[1] != ' ' {
		return 0, false
	}
	return len(line) - len(tail) + 2, true
}

// setLeadingTime takes the time that the text begins with, if it does.
func setLeadingTime(text []byte, sc *scope) {
	if sp := bytes.IndexByte(text[:min(len(text), 40)], ' '); sp > 0 {
		if t, ok := event.ParseTime(text[:sp]); ok {
			sc.env.Time = t
		}
	}
}

// isBinary reports whether the beginning of b holds control characters that no text has.
func isBinary(b []byte) bool {
	for _, c := range b[:min(len(b), 256)] {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\x1b' || c == 0x7f {
			return true
		}
	}
	return false
}

// binaryFormat names what a record is that is neither JSON nor text, by its first bytes.
func binaryFormat(b []byte) string {
	if len(b) > 0 && b[0] == '{' {
		return ""
	}
	for _, f := range [...]struct{ magic, detail string }{
		{"\x28\xb5\x2f\xfd", "compressed with zstd by the producer; let it compress with gzip or not at all"},
		{"\x04\x22\x4d\x18", "compressed with lz4 by the producer; let it compress with gzip or not at all"},
		{"\xff\x06\x00\x00sNaPpY", "compressed with snappy by the producer; let it compress with gzip or not at all"},
		{"BZh9", "compressed with bzip2"},
		{"PK\x03\x04", "a zip archive"},
		{"\xff\xfe", "UTF-16 text; convert it to UTF-8"},
		{"\xfe\xff", "UTF-16 text; convert it to UTF-8"},
		{"Obj\x01", "an Avro container"},
		{"PAR1", "a Parquet file"},
	} {
		if len(b) >= len(f.magic) && string(b[:len(f.magic)]) == f.magic {
			return f.detail
		}
	}
	return ""
}
