package jsonindex

// Members steps over the members of an object. It is a value, used by the function that made it.
type Members struct {
	x *Index
	i int
	// Key and KeyEnd bound the current member's name as written, without its quotes; Value and End its value. They
	// are offsets in the text.
	Key, KeyEnd, Value, End int
}

// Members begins before the first member of the object at root, which must be part of a value that Value has walked.
func (x *Index) Members(root int) Members { return Members{x: x, i: root + 1} }

// Next goes on to the next member, and reports whether there is one.
func (m *Members) Next() bool {
	b, i := m.x.text, m.i
	for uint(i) < uint(len(b)) && (b[i] <= ' ' || b[i] == ',') {
		i++
	}
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		return false
	}
	m.Key = i + 1
	m.KeyEnd = m.x.StringEnd(i + 1)
	i = m.KeyEnd + 1
	for uint(i) < uint(len(b)) && (b[i] <= ' ' || b[i] == ':') {
		i++
	}
	m.Value = i
	m.End = m.x.End(i)
	m.i = m.End
	return true
}
