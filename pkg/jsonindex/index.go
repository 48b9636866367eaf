// Package jsonindex finds the ends of strings and containers in JSON text: once, sixty-four bytes at a time, so
// that everything behind it steps over values instead of reading them. It validates what it walks.
package jsonindex

import "math/bits"

// Index knows where the strings of one text end, and where the containers of one value in it end. The zero Index
// is ready for Load. It keeps its memory from text to text, and is for one goroutine at a time.
type Index struct {
	text []byte
	// A bit for each byte of text. quotes has the quotes that begin or end a string, backslashes those that begin an
	// escape, controls the bytes below the space. quotes ends with a word of ones: a search always ends.
	quotes, backslashes, controls []uint64

	escape  int  // offset of the first backslash, beyond the text if there is none
	control bool // there are control characters
	invalid bool // an escape is none of JSON's, somewhere

	// ends has, for each container of the value that was walked last, the offset behind it, at the offset of its
	// opening bracket from root. It is not cleared: what it holds elsewhere is left over.
	ends  []uint32
	root  int
	whole bool   // the value at root is valid
	known bool   // ends holds what it should
	walks uint32 // counts the values that ends was filled for
	stack []uint32
	// members are those of the value that was walked last, if it is an object.
	members []Member
}

const (
	// maxText is the length of the longest text: offsets and a bit beside them fit 32 bits.
	maxText = 1<<31 - 64
	// maxEnds bounds the value whose containers' ends are kept, since each byte of it costs four. In a larger one,
	// containers are walked each time they are stepped over.
	maxEnds = 1 << 20
)

// Load makes x the index of text, which must not change until the next Load. It reports whether it could: text can be
// too long.
func (x *Index) Load(text []byte) bool {
	x.whole, x.known = false, false
	if len(text) > maxText {
		x.text = nil
		return false
	}
	words := (len(text) + 63) / 64
	if cap(x.quotes) < words+1 {
		size := (words + 1) + (words+1)/4
		x.quotes, x.backslashes, x.controls = make([]uint64, size), make([]uint64, size), make([]uint64, size)
	}
	x.text = text
	x.quotes, x.backslashes, x.controls = x.quotes[:words+1], x.backslashes[:words+1], x.controls[:words+1]
	slashes, controls := mark(text, x.quotes, x.backslashes, x.controls)
	x.quotes[words], x.backslashes[words], x.controls[words] = ^uint64(0), 0, 0
	x.escape, x.control, x.invalid = len(text), controls != 0, false
	if slashes != 0 {
		x.unquote()
	}
	return true
}

// Text is the text of the last Load.
func (x *Index) Text() []byte { return x.text }

// Release gives back memory that a text of more than keep bytes has made x grow to.
func (x *Index) Release(keep int) {
	if cap(x.quotes)*64 > 2*keep || cap(x.ends) > 2*keep || cap(x.members) > MaxMembers/16 {
		*x = Index{walks: x.walks}
	}
	x.text, x.whole, x.known = nil, false, false
}

// unquote takes the escaped quotes out of quotes, leaves in backslashes those that begin an escape, and checks every
// escape. A backslash outside of a string makes no difference: whoever walks the text meets it where no value can begin.
func (x *Index) unquote() {
	var carry uint64 // 1 where the word's first byte is escaped by the last one of the word before
	for w := range len(x.quotes) - 1 {
		slashes := x.backslashes[w]
		if slashes|carry == 0 {
			continue
		}
		if x.escape == len(x.text) && slashes != 0 {
			x.escape = w<<6 + bits.TrailingZeros64(slashes)
		}
		begins, escaped := escapes(slashes, carry)
		// What is neither a quote nor a backslash needs a look.
		for rest := escaped &^ (x.quotes[w] | slashes); rest != 0; rest &= rest - 1 {
			if !isEscape(x.text, w<<6+bits.TrailingZeros64(rest)-1) {
				x.invalid = true
			}
		}
		x.quotes[w] &^= escaped
		x.backslashes[w] = begins
		carry = begins >> 63
	}
	if carry != 0 {
		x.invalid = true // the text ends within an escape
	}
}

// escapes tells, of the backslashes in one word, which begin an escape, and which bytes of the word are escaped. carry is
// 1 where the first byte is escaped by the word before.
//
// Of a run of backslashes every second one begins an escape. A subtraction of all backslashes from the bits behind them
// borrows through each run up to its end, so that what differs from the alternating bits there tells whether the run
// began at an even or at an odd place.
func escapes(slashes, carry uint64) (begins, escaped uint64) {
	const odd = 0xaaaaaaaaaaaaaaaa
	free := slashes &^ carry // is not escaped by the word before
	codes := (free<<1 | odd) - free ^ odd
	return codes & slashes, codes ^ (slashes | carry)
}

// isEscape reports whether a whole escape begins with the backslash at b[i].
func isEscape(b []byte, i int) bool {
	if i+1 >= len(b) {
		return false
	}
	if b[i+1] == 'u' {
		_, ok := hex4(b[i:])
		return ok
	}
	return simpleEscape[b[i+1]] != 0
}

// quote gives the offset of the first quote at or after i that begins or ends a string; it is at least the length of
// the text if there is none. i is at most that length.
func (x *Index) quote(i int) int {
	w := i >> 6
	if m := x.quotes[w] >> (i & 63); m != 0 {
		return i + bits.TrailingZeros64(m)
	}
	for w++; x.quotes[w] == 0; w++ {
	}
	return w<<6 + bits.TrailingZeros64(x.quotes[w])
}

// anyBit reports whether marks has a bit in [from, to).
func anyBit(marks []uint64, from, to int) bool {
	if from >= to {
		return false
	}
	first, last := from>>6, (to-1)>>6
	head, tail := ^uint64(0)<<(from&63), ^uint64(0)>>(63-(to-1)&63)
	if first == last {
		return marks[first]&head&tail != 0
	}
	if marks[first]&head != 0 || marks[last]&tail != 0 {
		return true
	}
	for _, w := range marks[first+1 : last] {
		if w != 0 {
			return true
		}
	}
	return false
}

// Escaped reports whether there is an escape in the content [from, to) of a string.
func (x *Index) Escaped(from, to int) bool { return to > x.escape && anyBit(x.backslashes, from, to) }

// StringEnd gives the offset of the quote that ends the string whose content begins at i, in text that Value has found
// to be valid.
func (x *Index) StringEnd(i int) int { return x.quote(i) }

// End gives the offset behind the value that begins at i, which must be part of a value that Value has walked.
func (x *Index) End(i int) int {
	b := x.text
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return x.quote(i+1) + 1
	case '{', '[':
		if at := i - x.root; x.known && uint(at) < uint(len(x.ends)) {
			return int(x.ends[at])
		}
		return x.step(i)
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

// step gives the offset behind the container that begins at i by counting brackets.
func (x *Index) step(i int) int {
	b, depth := x.text, 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = x.quote(i + 1)
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// Walks counts the values that Value was called for: what End knows of containers holds as long as it does not change.
func (x *Index) Walks() uint32 { return x.walks }
