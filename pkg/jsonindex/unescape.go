package jsonindex

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnescaped appends the content of a JSON string (without its quotes) to dst, escapes resolved. An
// escape that the bytes cut is left out; one that is invalid is kept as it stands. Lone surrogates become
// U+FFFD, as in encoding/json. The result is never longer than text.
func AppendUnescaped(dst, text []byte) []byte {
	base := len(dst)
	// Eight spare bytes let the copy below store whole words.
	if need := base + len(text) + 8; cap(dst) < need {
		grown := make([]byte, base, need+need/4)
		copy(grown, dst)
		dst = grown
	}
	out, n, i := dst[:cap(dst)], base, 0
	for i < len(text) {
		if i+8 <= len(text) {
			x := binary.LittleEndian.Uint64(text[i:])
			binary.LittleEndian.PutUint64(out[n:], x)
			slash := x ^ ones*'\\'
			m := (slash - ones) &^ slash & highs
			if m == 0 {
				i, n = i+8, n+8
				continue
			}
			run := bits.TrailingZeros64(m) >> 3
			i, n = i+run, n+run
		} else if text[i] != '\\' {
			out[n] = text[i]
			i, n = i+1, n+1
			continue
		}
		if i+1 >= len(text) {
			break
		}
		if c := simpleEscape[text[i+1]]; c != 0 {
			out[n] = c
			i, n = i+2, n+1
			continue
		}
		if text[i+1] != 'u' {
			out[n] = '\\'
			i, n = i+1, n+1
			continue
		}
		r, size := unicodeEscape(text[i:])
		if size == 0 {
			break
		}
		n += utf8.EncodeRune(out[n:], r)
		i += size
	}
	return out[:n]
}

// AppendUnescaped appends the content [from, to) of a string to dst, escapes resolved as the function of that name does
// it. The string must be whole: from is behind its first quote, to is at its last one.
func (x *Index) AppendUnescaped(dst []byte, from, to int) []byte {
	text := x.text[from:to]
	if x.invalid {
		return AppendUnescaped(dst, text)
	}
	if !x.Escaped(from, to) {
		return append(dst, text...)
	}
	// Spare bytes let runs be copied by whole words.
	base := len(dst)
	if need := base + len(text) + 64; cap(dst) < need {
		grown := make([]byte, base, need+need/4)
		copy(grown, dst)
		dst = grown
	}
	out, n := dst[:cap(dst)], base
	for i := from; i < to; {
		w := i >> 6
		if i&63 == 0 {
			words, written := compress(out[n:], x.text[i:], (to-i)/64, x.backslashes[w:]) // what to is at can be read
			i, n = i+words<<6, n+written
			if w = i >> 6; i >= to {
				break
			}
		}
		i, n = x.runs(out, n, i, min((w+1)<<6, to), to)
	}
	return out[:n]
}

// runs appends the text from i up to limit, or as far behind it as an escape reaches, to out[:n]. No more than a word of
// the index lies between i and limit. It returns where it stopped, in the text and in out.
func (x *Index) runs(out []byte, n, i, limit, to int) (int, int) {
	b := x.text
	begins := x.backslashes[i>>6] >> (i & 63) << (i & 63)
	for ; begins != 0; begins &= begins - 1 {
		at := i&^63 | bits.TrailingZeros64(begins)
		if at < i {
			continue // the second half of a surrogate pair
		}
		if at >= limit {
			break
		}
		n = run(out, n, b, i, at)
		switch c := b[at+1]; c {
		case '"', '\\', '/':
			i = at + 1 // it begins the next run
			continue
		case 'u':
			r, size := unicodeEscape(b[at:to])
			n += utf8.EncodeRune(out[n:], r)
			i = at + size
		default:
			out[n] = simpleEscape[c]
			i, n = at+2, n+1
		}
		if i >= limit {
			return i, n
		}
	}
	if i < limit {
		n = run(out, n, b, i, limit)
		i = limit
	}
	return i, n
}

// run copies b[i:end], which is no longer than a word of the index, to out[n:], and returns where it ends there.
func run(out []byte, n int, b []byte, i, end int) int {
	if end-i <= 16 && i+16 <= len(b) {
		src, dst := b[i:i+16], out[n:n+16]
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
		binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:]))
	} else {
		copy(out[n:], b[i:end])
	}
	return n + end - i
}

var simpleEscape = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unicodeEscape reads the \u escape (or surrogate pair) that b begins with; size is 0 if b cuts it.
func unicodeEscape(b []byte) (r rune, size int) {
	first, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if second, ok := hex4(b[6:]); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r, 12
			}
		}
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func hexDigit(c byte) (digit byte, ok bool) {
	if c-'0' <= 9 {
		return c - '0', true
	}
	c = c | 0x20 - 'a'
	return c + 10, c <= 5
}
