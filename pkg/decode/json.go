package decode

import (
	"encoding/binary"
	"math/bits"
)

// verdict is how a scan ended.
type verdict uint8

const (
	valueDone    verdict = iota // the value is complete and valid
	valueCut                    // the bytes end inside the value
	valueBad                    // a byte that JSON does not allow here
	valueControl                // a raw control character inside a string
	valueDeep                   // nested deeper than the limit
	valueMany                   // an object with more members than maxMembers
)

// scanState is where a scan stopped when the bytes ended.
type scanState uint8

const (
	atValue scanState = iota
	atFirstValue
	atFirstKey
	atKey
	atColon
	afterValue
	inString
	inKey
)

// scanner steps over one JSON value and checks it strictly: RFC 8259's grammar, except that invalid UTF-8
// passes (readers replace it, as encoding/json does). It does not recurse. A scan that ends in valueCut can
// be continued with more bytes, which is how Framer follows values over several reads.
type scanner struct {
	maxDepth int
	depth    int
	state    scanState
	open     []uint64 // one bit for each open container: 1 is an object
}

func newScanner(maxDepth int) scanner {
	return scanner{maxDepth: maxDepth, open: make([]uint64, maxDepth/64+1)}
}

// value scans the value that begins at or after b[i]. It returns the position behind it, or that of the
// fault, or that at which resume can go on.
func (s *scanner) value(b []byte, i int) (int, verdict) {
	s.depth, s.state = 0, atValue
	return s.resume(b, i)
}

// push opens a container, and reports whether the depth allows it.
func (s *scanner) push(object uint64) bool {
	if s.depth >= s.maxDepth {
		return false
	}
	word, bit := s.depth>>6, uint(s.depth)&63
	s.open[word] = s.open[word]&^(1<<bit) | object<<bit
	s.depth++
	return true
}

// inObject reports whether the innermost open container is an object.
func (s *scanner) inObject() bool {
	at := s.depth - 1
	return s.open[at>>6]>>(uint(at)&63)&1 == 1
}

// resume goes on at b[i], where an earlier call returned valueCut: the bytes before i are those of that
// call. It is one loop over labels because every byte of every record passes here.
func (s *scanner) resume(b []byte, i int) (int, verdict) {
	var c byte
	var v verdict
	switch s.state {
	case atFirstKey:
		goto firstKey
	case atKey:
		goto key
	case atColon:
		goto colon
	case afterValue:
		goto after
	case inString:
		goto text
	case inKey:
		goto keyText
	case atFirstValue:
		goto firstValue
	default:
		goto value
	}

firstValue:
	if i = skipSpace(b, i); i == len(b) {
		s.state = atFirstValue
		return i, valueCut
	}
	if b[i] == ']' {
		i++
		s.depth--
		goto after
	}

value:
	if i = skipSpace(b, i); i == len(b) {
		s.state = atValue
		return i, valueCut
	}
	c = b[i]
	switch {
	case c == '"':
		i++
		goto text
	case c == '{':
		if !s.push(1) {
			return i, valueDeep
		}
		i++
		goto firstKey
	case c == '[':
		if !s.push(0) {
			return i, valueDeep
		}
		i++
		goto firstValue
	case c == '-' || c-'0' <= 9:
		next := 0
		if next, v = skipNumber(b, i); v == valueDone && (next < len(b) || s.depth == 0) {
			i = next
			goto after
		}
		if v == valueBad {
			return next, valueBad
		}
		s.state = atValue // a number that ends with the bytes may go on: read it again
		return i, valueCut
	default:
		next := 0
		if next, v = skipLiteral(b, i); v != valueDone {
			s.state = atValue
			return next, v
		}
		i = next
		goto after
	}

text:
	if i, v = skipString(b, i); v != valueDone {
		s.state = inString
		return i, v
	}

after:
	if s.depth == 0 {
		return i, valueDone
	}
	if i >= len(b) || b[i] <= ' ' {
		if i = skipSpace(b, i); i >= len(b) {
			s.state = afterValue
			return i, valueCut
		}
	}
	c = b[i]
	if s.inObject() {
		if c == ',' {
			i++
			goto key
		}
		if c == '}' {
			i++
			s.depth--
			goto after
		}
		return i, valueBad
	}
	if c == ',' {
		i++
		goto value
	}
	if c == ']' {
		i++
		s.depth--
		goto after
	}
	return i, valueBad

firstKey:
	if i = skipSpace(b, i); i == len(b) {
		s.state = atFirstKey
		return i, valueCut
	}
	if b[i] == '}' {
		i++
		s.depth--
		goto after
	}

key:
	if i >= len(b) || b[i] != '"' {
		if i = skipSpace(b, i); i >= len(b) {
			s.state = atKey
			return i, valueCut
		}
		if b[i] != '"' {
			return i, valueBad
		}
	}
	i++

keyText:
	if i, v = skipString(b, i); v != valueDone {
		s.state = inKey
		return i, v
	}

colon:
	if i >= len(b) || b[i] != ':' {
		if i = skipSpace(b, i); i >= len(b) {
			s.state = atColon
			return i, valueCut
		}
		if b[i] != ':' {
			return i, valueBad
		}
	}
	i++
	goto value
}

// skipSpace gives the position of the first byte at or after i that is not JSON whitespace.
func skipSpace(b []byte, i int) int {
	for i < len(b) {
		if c := b[i]; c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return i
		}
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops marks, in the high bit of each byte, the bytes of x that end a run inside a JSON string: quote,
// backslash, control character. Only the lowest mark is exact (borrows run upwards), and only it is used.
func stops(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x) & highs
}

// skipString gives the position behind the closing quote of the string whose content begins at i. Where
// the bytes end first, it is the position to go on at, never inside an escape.
func skipString(b []byte, i int) (int, verdict) {
	for {
		for len(b)-i >= 8 {
			m := stops(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 8
				continue
			}
			if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
				return i + 1, valueDone
			}
			if b[i] != '\\' || i+1 >= len(b) || b[i+1] != '"' && b[i+1] != '\\' && b[i+1] != 'n' {
				break
			}
			i += 2
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			i++
		}
		if i >= len(b) {
			return i, valueCut
		}
		switch b[i] {
		case '"':
			return i + 1, valueDone
		case '\\':
			next, v := skipEscape(b, i)
			if v != valueDone {
				return next, v
			}
			i = next
		default:
			return i, valueControl
		}
	}
}

// skipEscape steps over the escape whose backslash is b[i].
func skipEscape(b []byte, i int) (int, verdict) {
	if i+1 >= len(b) {
		return i, valueCut
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, valueDone
	case 'u':
		for j := i + 2; j < i+6; j++ {
			if j >= len(b) {
				return i, valueCut
			}
			if hexDigit(b[j]) < 0 {
				return j, valueBad
			}
		}
		return i + 6, valueDone
	}
	return i + 1, valueBad
}

func hexDigit(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// skipNumber steps over a number. A number that the bytes may have cut gives valueCut, unless what is
// there is a number in itself: then valueDone, at len(b).
func skipNumber(b []byte, i int) (int, verdict) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return i, valueCut
	case b[i] == '0':
		i++
	case b[i]-'1' <= 8:
		i = skipDigits(b, i)
	default:
		return i, valueBad
	}
	if i < len(b) && b[i] == '.' {
		first := i + 1
		if i = skipDigits(b, first); i == first {
			return i, cutOrBad(b, i)
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first := i
		if i = skipDigits(b, first); i == first {
			return i, cutOrBad(b, i)
		}
	}
	return i, valueDone
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

func cutOrBad(b []byte, i int) verdict {
	if i >= len(b) {
		return valueCut
	}
	return valueBad
}

// skipLiteral steps over true, false or null. Where the bytes end inside one, it stays before it.
func skipLiteral(b []byte, i int) (int, verdict) {
	var word string
	switch b[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	default:
		return i, valueBad
	}
	for k := 0; k < len(word); k++ {
		if i+k >= len(b) {
			return i, valueCut
		}
		if b[i+k] != word[k] {
			return i + k, valueBad
		}
	}
	return i + len(word), valueDone
}
