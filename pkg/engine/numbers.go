package engine

import (
	"bytes"
	"strconv"
)

// parseNumber reads a number as JSON spells it, also from the text of a string.
func parseNumber(text []byte) (float64, bool) {
	if len(text) == 0 || len(text) > 64 {
		return 0, false
	}
	if len(text) <= 15 && (text[0] != '0' || len(text) == 1) {
		if n, ok := smallInt(text); ok {
			return float64(n), true
		}
	}
	if !isJSONNumber(text) {
		return 0, false // Go reads more than JSON: +1, .5, 0x10, 1_000, Inf
	}
	f, err := strconv.ParseFloat(string(text), 64)
	return f, err == nil
}

// isJSONNumber is true for JSON's number: -? int frac? exp? (RFC 8259 section 6).
func isJSONNumber(text []byte) bool {
	rest := bytes.TrimPrefix(text, []byte{'-'})
	whole := digits(rest)
	if whole == 0 || whole > 1 && rest[0] == '0' {
		return false
	}
	if rest = rest[whole:]; len(rest) > 0 && rest[0] == '.' {
		n := digits(rest[1:])
		if n == 0 {
			return false
		}
		rest = rest[1+n:]
	}
	if len(rest) > 0 && rest[0]|0x20 == 'e' {
		if rest = rest[1:]; len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		return len(rest) > 0 && digits(rest) == len(rest)
	}
	return len(rest) == 0
}

// digits counts those that text begins with.
func digits(text []byte) int {
	n := 0
	for n < len(text) && text[n]-'0' <= 9 {
		n++
	}
	return n
}

func smallInt(text []byte) (n int64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
