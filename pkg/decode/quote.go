package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/jsonindex"
)

// appendQuoted appends text as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	return append(appendEscaped(append(dst, '"'), text), '"')
}

// appendEscaped appends text as the content of a JSON string.
func appendEscaped(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	run := 0 // where what needs no escape begins
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[run:i]...)
		if run = i + 1; c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(dst, text[run:]...)
}

// unquote gives the content of the JSON string value raw (quotes included): the bytes within it where
// nothing is escaped, else unescaped behind *buf. ok is false if raw is no string.
func unquote(raw []byte, buf *[]byte) (text []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	base := len(*buf)
	*buf = jsonindex.AppendUnescaped(*buf, raw)
	return (*buf)[base:], true
}
