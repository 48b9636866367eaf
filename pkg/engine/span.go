package engine

import "github.com/foretop/foretop/pkg/jsonindex"

// span is one value of an indexed text; the zero span is no value.
type span struct {
	x        *jsonindex.Index
	from, to int
}

// maxNesting is more than any decoder takes.
const maxNesting = 1 << 14

// parsed makes an index of text, which must be one valid JSON value, and gives that value.
func parsed(x *jsonindex.Index, text []byte) span {
	if len(text) == 0 || !x.Load(text) {
		return span{}
	}
	x.Value(0, maxNesting)
	return span{x, 0, len(text)}
}

func (s span) none() bool { return s.x == nil }

// bytes is the value as written, nil for none.
func (s span) bytes() []byte {
	if s.none() {
		return nil
	}
	return s.x.Text()[s.from:s.to]
}

// first is the first byte, which tells the kind of a valid value.
func (s span) first() byte {
	if s.none() {
		return 0
	}
	return s.x.Text()[s.from]
}

func (s span) isObject() bool { return s.first() == '{' }
func (s span) isArray() bool  { return s.first() == '[' }
func (s span) isString() bool { return s.first() == '"' }

// isTrue is true for the literal true.
func (s span) isTrue() bool { return s.first() == 't' }

// cursor walks the members of an object or the elements of an array.
type cursor struct {
	x *jsonindex.Index
	b []byte
	i int

	from, to int // the current member's name as written
}

// open places a cursor inside a container.
func open(s span) cursor { return cursor{x: s.x, b: s.x.Text(), i: s.from + 1} }

// name reads the next member's name and leaves the cursor on its value. It is false at the end of the object.
func (c *cursor) name() bool {
	b, i := c.b, c.i
	for uint(i) < uint(len(b)) && (b[i] <= ' ' || b[i] == ',') {
		i++
	}
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		c.i = i
		return false
	}
	c.from = i + 1
	c.to = c.x.StringEnd(i + 1)
	for i = c.to + 1; uint(i) < uint(len(b)) && (b[i] <= ' ' || b[i] == ':'); i++ {
	}
	c.i = i
	return i < len(b)
}

// key is name with the name itself, decoded if it holds escapes.
func (c *cursor) key() (key []byte, ok bool) {
	if !c.name() {
		return nil, false
	}
	key = c.b[c.from:c.to]
	if c.x.Escaped(c.from, c.to) {
		key = jsonindex.AppendUnescaped(nil, key)
	}
	return key, true
}

// element leaves the cursor on the next element of an array; ok is false at its end.
func (c *cursor) element() bool {
	for c.i < len(c.b) && (c.b[c.i] <= ' ' || c.b[c.i] == ',') {
		c.i++
	}
	return c.i < len(c.b) && c.b[c.i] != ']'
}

// value takes the value under the cursor and steps behind it.
func (c *cursor) value() span {
	start := c.i
	c.i = c.x.End(start)
	return span{c.x, start, c.i}
}

// get finds a member of an object by its decoded key; the last of duplicates wins. It is none if s is no
// object or has no such member.
func (s span) get(key string) span {
	var found span
	if !s.isObject() {
		return found
	}
	for c := open(s); ; {
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
	for c := open(s); ; {
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
	switch s.first() {
	case '"':
		raw := s.x.Text()[s.from+1 : s.to-1]
		if s.x.Escaped(s.from+1, s.to-1) {
			return jsonindex.AppendUnescaped(nil, raw)
		}
		return raw
	case 0, '{', '[', 'n':
		return nil
	}
	return s.bytes()
}
