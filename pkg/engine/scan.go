package engine

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file read JSON that the decoder has validated. They stay within bounds on any
// bytes, but what they return for malformed input is unspecified.

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
	quotes   = '"' * lowBits
	slashes  = '\\' * lowBits
)

// strEnd gives the index of the quote that ends the string whose first byte is at i, and whether the
// string holds an escape. It looks at eight bytes a step.
func strEnd(b []byte, i int) (end int, escaped bool) {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^quotes, w^slashes
		// A borrow can only mark bytes above a real hit, and the lowest mark is what counts.
		m := ((q - lowBits) &^ q & highBits) | ((s - lowBits) &^ s & highBits)
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i, escaped
		}
		escaped = true
		i += 2
	}
	for i < len(b) {
		switch b[i] {
		case '"':
			return i, escaped
		case '\\':
			escaped = true
			i += 2
		default:
			i++
		}
	}
	return len(b), escaped
}

// structural marks the bytes that skipValue has to look at inside a container.
var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true}

// skipSpace gives the index of the first byte at or after i that is no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	return i
}

// skipValue gives the index behind the value that begins at i.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		end, _ := strEnd(b, i+1)
		return min(end+1, len(b))
	case '{', '[':
		return skipContainer(b, i)
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

func skipContainer(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		c := b[i]
		if !structural[c] {
			i++
			continue
		}
		switch c {
		case '"':
			i, _ = strEnd(b, i+1)
		case '{', '[':
			depth++
		default:
			depth--
			if depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(b)
}

// cursor walks the members of an object or the elements of an array.
type cursor struct {
	b []byte
	i int
}

// open places a cursor inside the container that begins at i, which must be '{' or '['.
func open(b []byte, i int) cursor { return cursor{b: b, i: i + 1} }

// key reads the next member's key and leaves the cursor on its value. The key is decoded if it holds
// escapes. ok is false at the end of the object.
func (c *cursor) key() (key []byte, ok bool) {
	i := c.i
	for i < len(c.b) && (c.b[i] <= ' ' || c.b[i] == ',') {
		i++
	}
	if i >= len(c.b) || c.b[i] != '"' {
		c.i = i
		return nil, false
	}
	end, escaped := strEnd(c.b, i+1)
	if end >= len(c.b) {
		c.i = end
		return nil, false
	}
	key = c.b[i+1 : end]
	if escaped {
		key = unescape(nil, key)
	}
	i = skipSpace(c.b, end+1)
	if i < len(c.b) && c.b[i] == ':' {
		i = skipSpace(c.b, i+1)
	}
	c.i = i
	return key, i < len(c.b)
}

// element leaves the cursor on the next element of an array; ok is false at its end.
func (c *cursor) element() bool {
	for c.i < len(c.b) && (c.b[c.i] <= ' ' || c.b[c.i] == ',') {
		c.i++
	}
	return c.i < len(c.b) && c.b[c.i] != ']'
}

// value takes the span of the value under the cursor and steps behind it.
func (c *cursor) value() span {
	start := c.i
	c.i = skipValue(c.b, start)
	return span(c.b[start:c.i])
}

// span is the bytes of one JSON value.
type span []byte

func (s span) isObject() bool { return len(s) > 0 && s[0] == '{' }
func (s span) isArray() bool  { return len(s) > 0 && s[0] == '[' }
func (s span) isString() bool { return len(s) > 1 && s[0] == '"' }
func (s span) isNull() bool   { return len(s) == 4 && s[0] == 'n' }

// get finds a member of an object by its decoded key; the last of duplicates wins. It is nil if s is no
// object or has no such member.
func (s span) get(key string) span {
	if !s.isObject() {
		return nil
	}
	var found span
	c := open(s, 0)
	for {
		k, ok := c.key()
		if !ok {
			return found
		}
		v := c.value()
		if string(k) == key {
			found = v
		}
	}
}

// pick finds several members of an object in one pass: out[i] is that of keys[i], as get gives it.
func (s span) pick(keys []string, out []span) {
	clear(out)
	if !s.isObject() {
		return
	}
	for c := open(s, 0); ; {
		k, ok := c.key()
		if !ok {
			return
		}
		v := c.value()
		for i, key := range keys {
			if string(k) == key {
				out[i] = v
				break
			}
		}
	}
}

// at follows keys through objects.
func (s span) at(keys ...string) span {
	for _, k := range keys {
		s = s.get(k)
	}
	return s
}

// text is the decoded string, or the bytes of another scalar, or nil for containers, null and nothing.
func (s span) text() []byte {
	switch {
	case s.isString():
		raw := s[1 : len(s)-1]
		if _, escaped := strEnd(s, 1); escaped {
			return unescape(nil, raw)
		}
		return raw
	case len(s) == 0 || s.isObject() || s.isArray() || s.isNull():
		return nil
	}
	return s
}

// isTrue is true for the literal true.
func (s span) isTrue() bool { return len(s) == 4 && s[0] == 't' }

// unescape appends the decoded form of a JSON string's inside to dst, as encoding/json decodes it: a lone
// surrogate becomes U+FFFD.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 >= len(raw) {
			dst = append(dst, c)
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, n := unicodeEscape(raw[i-1:])
			dst = utf8.AppendRune(dst, r)
			i += n - 2
		default:
			dst = append(dst, raw[i])
		}
	}
	return dst
}

// unicodeEscape decodes \uXXXX, or a surrogate pair of two, at the start of s, and gives the bytes it took.
func unicodeEscape(s []byte) (rune, int) {
	first, ok := hex4(s)
	if !ok {
		return utf8.RuneError, min(len(s), 6)
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	if second, ok := hex4(s[6:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
