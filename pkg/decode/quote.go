package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/jsonindex"
)

// appendQuoted appends text as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
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
