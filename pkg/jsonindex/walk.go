package jsonindex

// Value walks the value that begins at i and reports whether it is valid JSON, nested at most maxDepth deep: RFC 8259's
// grammar, except that invalid UTF-8 passes and that an object at i has MaxMembers members at most. If so, end is the offset behind it, and End knows the containers in it
// until the next Value. Where it is not valid, Value does not say where.
func (x *Index) Value(i, maxDepth int) (end int, ok bool) {
	if x.invalid || uint(i) >= uint(len(x.text)) {
		return 0, false
	}
	if len(x.stack) < maxDepth {
		x.stack = make([]uint32, maxDepth)
	}
	ends := x.begin(i)
	x.members = x.members[:0]
	if x.text[i] == '{' {
		end, x.whole = x.object(i, x.stack[:maxDepth], ends, true)
	} else {
		end, x.whole = x.walk(i, x.stack[:maxDepth], ends)
	}
	x.known = x.whole && ends != nil
	return end, x.whole
}

// begin makes room for the ends of the containers of the value at root; it is nil if that can be too large.
func (x *Index) begin(root int) []uint32 {
	x.walks++
	x.root, x.known = root, false
	size := len(x.text) - root
	if size > maxEnds {
		size = 0
	}
	if cap(x.ends) < size {
		x.ends = make([]uint32, size+size/4)
	}
	x.ends = x.ends[:size]
	if size == 0 {
		return nil
	}
	return x.ends
}

// walk steps over the value at i, whatever it is. stack has a place for each container that may be open: its opening
// bracket's offset, and in the lowest bit whether it is an object.
//
// It is one loop over labels because every token of every body passes here.
func (x *Index) walk(i int, stack, ends []uint32) (end int, ok bool) {
	b := x.text
	root, depth := x.root, 0

value:
	if uint(i) >= uint(len(b)) {
		return 0, false
	}
	switch c := b[i]; {
	case c == '"':
		e := x.quote(i + 1)
		if e >= len(b) || x.control && anyBit(x.controls, i, e) {
			return 0, false
		}
		i = e + 1
	case c == '{':
		if depth >= len(stack) {
			return 0, false
		}
		stack[depth] = uint32(i)<<1 | 1
		depth++
		if i++; uint(i) < uint(len(b)) && b[i] == '"' {
			goto key
		}
		if i = skipSpace(b, i); i < len(b) && b[i] == '}' {
			goto closing
		}
		goto key
	case c == '[':
		if depth >= len(stack) {
			return 0, false
		}
		stack[depth] = uint32(i) << 1
		depth++
		if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
			goto closing
		}
		goto value
	case c == '-' || c-'0' <= 9:
		if i = number(b, i); i < 0 {
			return 0, false
		}
	case c <= ' ':
		next := skipSpace(b, i)
		if next == i {
			return 0, false
		}
		i = next
		goto value
	default:
		if i = literal(b, i); i < 0 {
			return 0, false
		}
	}

after:
	if depth == 0 {
		return i, true
	}
	if uint(i) >= uint(len(b)) {
		return 0, false
	}
	if b[i] <= ' ' {
		if i = skipSpace(b, i); i >= len(b) {
			return 0, false
		}
	}
	if stack[depth-1]&1 == 0 {
		switch b[i] {
		case ',':
			i++
			goto value
		case ']':
			goto closing
		}
		return 0, false
	}
	switch b[i] {
	case ',':
		i++
		goto key
	case '}':
		goto closing
	}
	return 0, false

key:
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		if i = skipSpace(b, i); i >= len(b) || b[i] != '"' {
			return 0, false
		}
	}
	{
		e := x.quote(i + 1)
		if e+1 >= len(b) || x.control && anyBit(x.controls, i, e) {
			return 0, false
		}
		if i = e + 1; b[i] != ':' {
			if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
				return 0, false
			}
		}
		i++
	}
	goto value

closing:
	i++
	depth--
	if at := int(stack[depth]>>1) - root; uint(at) < uint(len(ends)) {
		ends[at] = uint32(i)
	}
	goto after
}

// object steps over the object at i and lists its members and, if outer is true, the members of their values. It is long
// because a call for each name made it a fifth slower.
func (x *Index) object(i int, stack, ends []uint32, outer bool) (end int, ok bool) {
	b, start, first := x.text, i, len(x.members)
	if len(stack) == 0 {
		return 0, false
	}
	if i++; uint(i) < uint(len(b)) && b[i] != '"' {
		if i = skipSpace(b, i); i < len(b) && b[i] == '}' {
			return x.closed(start, i+1, ends), true
		}
	}
	for n := 1; ; n++ {
		if uint(i) >= uint(len(b)) || b[i] != '"' {
			if i = skipSpace(b, i); i >= len(b) || b[i] != '"' {
				return 0, false
			}
		}
		m := Member{Name: uint32(i + 1)}
		e := x.quote(i + 1)
		if e+1 >= len(b) || x.control && anyBit(x.controls, i, e) {
			return 0, false
		}
		m.NameEnd = uint32(e)
		if i = e + 1; b[i] != ':' {
			if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
				return 0, false
			}
		}
		if i++; uint(i) < uint(len(b)) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if uint(i) >= uint(len(b)) {
			return 0, false
		}
		at := len(x.members)
		switch m.From = uint32(i); {
		case outer && n > MaxMembers:
			return 0, false
		case outer || n <= maxKids:
			x.members = append(x.members, m)
		case n == maxKids+1:
			x.members = x.members[:first]
			x.members[first-1].Many = true
		}
		switch b[i] {
		case '"':
			if i = x.quote(i+1) + 1; i > len(b) || x.control && anyBit(x.controls, int(m.From), i-1) {
				return 0, false
			}
		case '{':
			if outer {
				i, ok = x.object(i, stack[1:], ends, false)
			} else {
				i, ok = x.walk(i, stack[1:], ends)
			}
			if !ok {
				return 0, false
			}
		default:
			if i, ok = x.walk(i, stack[1:], ends); !ok {
				return 0, false
			}
		}
		if at < len(x.members) {
			x.members[at].To, x.members[at].Next = uint32(i), uint32(len(x.members))
		}
		if uint(i) < uint(len(b)) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if uint(i) >= uint(len(b)) {
			return 0, false
		}
		if b[i] == '}' {
			return x.closed(start, i+1, ends), true
		}
		if b[i] != ',' {
			return 0, false
		}
		i++
	}
}

// closed notes that the container at start ends before end.
func (x *Index) closed(start, end int, ends []uint32) int {
	if at := start - x.root; uint(at) < uint(len(ends)) {
		ends[at] = uint32(end)
	}
	return end
}

// skipSpace gives the offset of the first byte at or after i that is no white space of JSON.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// literal gives the offset behind true, false or null at b[i], or -1.
func literal(b []byte, i int) int {
	switch rest := b[i:]; {
	case len(rest) >= 4 && (string(rest[:4]) == "true" || string(rest[:4]) == "null"):
		return i + 4
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return i + 5
	}
	return -1
}

// number gives the offset behind the number at b[i], or -1.
func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return -1
	case b[i] == '0':
		i++
	case b[i]-'1' <= 8:
		i = digits(b, i)
	default:
		return -1
	}
	if i < len(b) && b[i] == '.' {
		first := i + 1
		if i = digits(b, first); i == first {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first := i
		if i = digits(b, first); i == first {
			return -1
		}
	}
	return i
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
