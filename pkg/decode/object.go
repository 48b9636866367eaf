package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/jsonindex"
)

// span is a stretch of an object's bytes.
type span struct{ from, to int32 }

// member is one member of an object. name excludes the quotes, value is the whole value.
type member struct {
	name, value span
	listed      int32 // its number in the index's list of members, where the object has an index
	id          key
}

// object is one scanned JSON object. Its members lie in Decoder.members while the object is in use.
type object struct {
	b       []byte // from the brace to behind the closing one, or to the cut
	members []member
	slot    [keyCount]int32 // 1 + index of the last member with this key; 0 for none
	// cut is true where the bytes end inside the object. Then the last member's value may reach to the
	// end of b without being complete: see partial.
	cut     bool
	partial bool
	// foreign counts the members that are no audit event's own.
	foreign int
	// entered is the value that is being decoded now: it is not "around" the event.
	entered span

	// index is that of the text that the object stands in at root, nil if it was not read by one. It knows the ends
	// of the object's containers until its next walk.
	index *jsonindex.Index
	root  int
	walk  uint32
	// shallow is true for an object inside a value that was walked before: the index has no list of its members.
	shallow bool
}

// maxMembers bounds the members of one object, since each costs memory beside its bytes.
const maxMembers = jsonindex.MaxMembers

// has reports whether the object has a complete value for k.
func (o *object) has(k key) bool { return o.slot[k] != 0 && !o.isPartial(k) }

func (o *object) isPartial(k key) bool {
	return o.partial && int(o.slot[k]) == len(o.members)
}

// raw gives the value of k as it stands, nil if there is none or its end is missing.
func (o *object) raw(k key) []byte {
	if !o.has(k) {
		return nil
	}
	return o.at(o.members[o.slot[k]-1].value)
}

// rawOrPartial is raw, but gives a value without its end too.
func (o *object) rawOrPartial(k key) []byte {
	if o.slot[k] == 0 {
		return nil
	}
	return o.at(o.members[o.slot[k]-1].value)
}

func (o *object) at(s span) []byte { return o.b[s.from:s.to] }

// scanObject reads the object whose brace is b[i] into o, validating all of it. It returns the position
// behind it, or that of the fault. After a fault o holds what came before it.
func (d *Decoder) scanObject(b []byte, i int, o *object) (int, verdict) {
	*o = object{}
	if end, ok := d.scanSound(b, i, o); ok {
		return end, valueDone
	}
	first := len(d.members)
	end, v := d.scanMembers(b, i, o)
	stop := end
	if v != valueDone {
		stop = min(end, len(b))
	}
	o.b, o.members, o.cut = b[i:stop], d.members[first:], v != valueDone
	return end, v
}

// scanMembers is the loop of scanObject. Spans are relative to the brace.
func (d *Decoder) scanMembers(b []byte, start int, o *object) (int, verdict) {
	i := skipSpace(b, start+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, valueDone
	}
	first := len(d.members)
	d.last = keyOther
	for {
		var m member
		from, v := d.scanName(b, i, start, &m)
		if v != valueDone {
			return from, v
		}
		end, v := d.scan.value(b, from)
		if v == valueDone && end == len(b) && isNumber(b[end-1]) {
			v = valueCut // it may go on behind the cut
		}
		if v == valueCut && end > from {
			end, o.partial = len(b), true
		}
		if v == valueDone || o.partial {
			if len(d.members)-first >= maxMembers {
				o.partial = false
				return from, valueMany
			}
			m.value = span{int32(from - start), int32(end - start)}
			o.add(d, first, m)
		}
		if v != valueDone {
			return end, v
		}
		if i = skipSpace(b, end); i >= len(b) {
			return i, valueCut
		}
		if b[i] == '}' {
			return i + 1, valueDone
		}
		if b[i] != ',' {
			return i, valueBad
		}
		i = skipSpace(b, i+1)
	}
}

// scanName reads the name at b[i] and its colon into m, and returns where the value begins.
func (d *Decoder) scanName(b []byte, i, start int, m *member) (int, verdict) {
	if i >= len(b) {
		return i, valueCut
	}
	if b[i] != '"' {
		return i, valueBad
	}
	end, v := skipString(b, i+1)
	if v != valueDone {
		return end, v
	}
	m.name = span{int32(i + 1 - start), int32(end - 1 - start)}
	m.id = d.memberKey(b[i+1 : end-1])
	if end >= len(b) || b[end] != ':' {
		if end = skipSpace(b, end); end >= len(b) {
			return end, valueCut
		}
		if b[end] != ':' {
			return end, valueBad
		}
	}
	return skipSpace(b, end+1), valueDone
}

// isNumber reports whether c can end a number.
func isNumber(c byte) bool { return c-'0' <= 9 }

// text gives the string value of k, unescaped; ok is false if k is missing or no string.
func (d *Decoder) text(o *object, k key) ([]byte, bool) {
	raw := o.raw(k)
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	if o.index != nil {
		v := o.members[o.slot[k]-1].value
		if !o.index.Escaped(o.root+int(v.from), o.root+int(v.to)) {
			return raw[1 : len(raw)-1], true
		}
	}
	return unquote(raw, &d.scratch)
}

// is reports whether k is the string want.
func (d *Decoder) is(o *object, k key, want string) bool {
	text, ok := d.text(o, k)
	return ok && string(text) == want
}

// walker steps over the members of a valid object, or the elements of a valid array.
type walker struct {
	b []byte
	i int
	s *scanner
	// x is the index of the text that b[0] stands in at offset at, nil if there is none.
	x  *jsonindex.Index
	at int
}

// walk begins at the container raw, which has been validated before, at least up to a cut.
func (d *Decoder) walk(raw []byte) walker {
	w := walker{b: raw, i: 1, s: &d.scan}
	if t, at := d.textOf(raw); t != nil && t.loaded {
		w.x, w.at = &t.index, at
	}
	return w
}

// next gives the next member's name (without quotes, as written) and value.
func (w *walker) next() (name, value []byte, ok bool) {
	m, ok := w.member()
	if !ok {
		return nil, nil, false
	}
	return w.b[m.name.from:m.name.to], w.b[m.value.from:m.value.to], true
}

// member gives the next member, by offsets in w.b.
func (w *walker) member() (m member, ok bool) {
	i := skipSpace(w.b, w.i)
	if i < len(w.b) && w.b[i] == ',' {
		i = skipSpace(w.b, i+1)
	}
	if i >= len(w.b) || w.b[i] != '"' {
		return m, false
	}
	end, v := w.string(i)
	if v != valueDone {
		return m, false
	}
	m.name = span{int32(i + 1), int32(end - 1)}
	if i = skipSpace(w.b, end); i >= len(w.b) || w.b[i] != ':' {
		return m, false
	}
	i = skipSpace(w.b, i+1)
	if end, v = w.value(i); v != valueDone {
		return m, false
	}
	w.i = end
	m.value = span{int32(i), int32(end)}
	return m, true
}

// element gives the next element of an array.
func (w *walker) element() (value []byte, ok bool) {
	i := skipSpace(w.b, w.i)
	if i < len(w.b) && w.b[i] == ',' {
		i = skipSpace(w.b, i+1)
	}
	if i >= len(w.b) || w.b[i] == ']' {
		return nil, false
	}
	end, v := w.value(i)
	if v != valueDone {
		return nil, false
	}
	w.i = end
	return w.b[i:end], true
}

// string gives the position behind the string at w.b[i].
func (w *walker) string(i int) (int, verdict) {
	if w.x == nil {
		return skipString(w.b, i+1)
	}
	return w.skip(i)
}

// value gives the position behind the value at w.b[i].
func (w *walker) value(i int) (int, verdict) {
	if w.x == nil || i >= len(w.b) || w.b[i] != '"' && w.b[i] != '{' && w.b[i] != '[' {
		return w.s.value(w.b, i)
	}
	return w.skip(i)
}

func (w *walker) skip(i int) (int, verdict) {
	end, ok := w.x.Skip(w.at+i, w.at+len(w.b))
	if !ok {
		return len(w.b), valueCut
	}
	return end - w.at, valueDone
}

// find gives the value of the last member of the object raw that is called name, nil if there is none or
// raw is no object.
func (d *Decoder) find(raw []byte, name string) []byte {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var found []byte
	w := d.walk(raw)
	for {
		n, value, ok := w.next()
		if !ok {
			return found
		}
		if d.nameIs(n, name) {
			found = value
		}
	}
}

// findAny is find for a member of several spellings: the first of them that is there.
func (d *Decoder) findAny(raw []byte, names ...string) []byte {
	for _, name := range names {
		if value := d.find(raw, name); value != nil {
			return value
		}
	}
	return nil
}

// nameIs compares a member name as written with a plain one.
func (d *Decoder) nameIs(written []byte, name string) bool {
	if string(written) == name {
		return true
	}
	if bytes.IndexByte(written, '\\') < 0 {
		return false
	}
	base := len(d.scratch)
	d.scratch = jsonindex.AppendUnescaped(d.scratch, written)
	same := string(d.scratch[base:]) == name
	d.scratch = d.scratch[:base]
	return same
}
