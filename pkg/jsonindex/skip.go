package jsonindex

// Skip gives the offset behind the string, object or array that begins at i, in text that somebody has found to be valid
// up to limit. ok is false where it does not end before limit. Other than End it also knows values that were not
// part of the last walk: it counts their brackets.
func (x *Index) Skip(i, limit int) (end int, ok bool) {
	b := x.text[:limit]
	if i >= len(b) {
		return i, false
	}
	switch b[i] {
	case '"':
		end = x.quote(i+1) + 1
		return end, end <= limit
	case '{', '[':
		if at := i - x.root; x.known && uint(at) < uint(len(x.ends)) && i < x.last() {
			end = int(x.ends[at])
			return end, end <= limit
		}
	default:
		return i, false
	}
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = x.quote(i + 1)
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return i, false
}

// last is the offset behind the container whose ends are known; there is none if the value was no container.
func (x *Index) last() int {
	if c := x.text[x.root]; c == '{' || c == '[' {
		return int(x.ends[0])
	}
	return 0
}

// IsString reports whether the bytes [from, to) are the whole content of a string that is valid.
func (x *Index) IsString(from, to int) bool {
	return from > 0 && to < len(x.text) && x.quote(from-1) == from-1 && x.quote(from) == to
}
