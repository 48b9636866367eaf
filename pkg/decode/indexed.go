package decode

import "github.com/foretop/foretop/pkg/jsonindex"

// text is a stretch of bytes that values stand in: the record, or what an encoding in it held. Its index is made
// when the first object is read.
type text struct {
	bytes  []byte
	index  jsonindex.Index
	loaded bool
	// from and to bound the outermost value that was found to be valid last: what begins in it needs no second look.
	from, to int
	// deep is true where an object inside that value was wanted with all that the index knows of it. Then so will be
	// those that follow.
	deep bool
}

// enter makes b the text that values are read from, until leave.
func (d *Decoder) enter(b []byte) {
	if d.inside == len(d.texts) {
		d.texts = append(d.texts, new(text))
	}
	t := d.texts[d.inside]
	t.bytes, t.loaded, t.from, t.to, t.deep = b, false, 0, 0, false
	d.inside++
}

func (d *Decoder) leave() {
	d.inside--
	d.texts[d.inside].bytes = nil
}

// textOf gives the text that b is part of, and where b stands in it; nil if b lies in a buffer of the decoder's own, or
// in a text around this one.
func (d *Decoder) textOf(b []byte) (t *text, at int) {
	if d.inside == 0 || len(b) == 0 {
		return nil, 0
	}
	t = d.texts[d.inside-1]
	// No slice of a text has a limit to its capacity, so the difference of capacities is the offset.
	at = cap(t.bytes) - cap(b)
	if at < 0 || at >= len(t.bytes) || &t.bytes[at] != &b[0] {
		return nil, 0
	}
	return t, at
}

// indexedText is textOf for a text with an index.
func (d *Decoder) indexedText(b []byte) (t *text, at int) {
	if t, at = d.textOf(b); t == nil || d.unindexed {
		return nil, 0
	}
	if !t.loaded {
		if t.loaded = t.index.Load(t.bytes); !t.loaded {
			return nil, 0
		}
	}
	return t, at
}

// isSound reports whether a value that begins at root is part of one that has been found to be valid.
func (t *text) isSound(root int) bool { return root > t.from && root < t.to }

// sound gives the end of the container at b[i], if it is valid and whole.
func (d *Decoder) sound(b []byte, i int) (end int, ok bool) {
	t, at := d.indexedText(b)
	if t == nil {
		return 0, false
	}
	root := at + i
	if t.isSound(root) {
		end, ok = t.index.Skip(root, at+len(b))
		return end - at, ok
	}
	if end, ok = t.index.Value(root, d.scan.maxDepth); !ok || end > at+len(b) {
		return 0, false
	}
	t.from, t.to = root, end
	return end - at, true
}

// unsettle forgets what is known to be valid of the text that b is part of: whoever looks for values where none need
// begin finds other ones.
func (d *Decoder) unsettle(b []byte) {
	if t, _ := d.textOf(b); t != nil {
		t.from, t.to = 0, 0
	}
}

// scanSound is scanObject for an object that is valid and whole, by the index of the text around it. ok is false for
// every other: what is wrong with it, and where, is for the scanner to say.
func (d *Decoder) scanSound(b []byte, i int, o *object) (end int, ok bool) {
	t, at := d.indexedText(b)
	if t == nil {
		return 0, false
	}
	x, root := &t.index, at+i
	inner := t.isSound(root)
	if inner && !t.deep {
		return d.scanShallow(b, i, o, t, at)
	}
	end, ok = x.Value(root, d.scan.maxDepth+1)
	if !ok || end > at+len(b) {
		return 0, false
	}
	if !inner {
		t.from, t.to = root, end
	}
	first := len(d.members)
	members := x.Members(root)
	d.last = keyOther
	base := uint32(root)
	for i := 0; i < len(members); i = int(members[i].Next) {
		m := &members[i]
		id := d.memberKey(x.Text()[m.Name:m.NameEnd])
		if id <= lastEventKey {
			m.Tag = uint8(id) // keys of an event are numbered as event.Members are
		}
		o.add(d, first, member{
			name:   span{int32(m.Name - base), int32(m.NameEnd - base)},
			value:  span{int32(m.From - base), int32(m.To - base)},
			listed: int32(i),
			id:     id,
		})
	}
	end -= at
	o.b, o.members = b[i:end], d.members[first:]
	o.index, o.root, o.walk = x, root, x.Walks()
	return end, true
}

// scanShallow is scanSound for an object inside a value that has been walked: only its own members are visited.
func (d *Decoder) scanShallow(b []byte, i int, o *object, t *text, at int) (end int, ok bool) {
	first := len(d.members)
	d.last = keyOther
	w := walker{b: b[i:], i: 1, s: &d.scan, x: &t.index, at: at + i}
	for {
		m, ok := w.member()
		if !ok {
			break
		}
		if len(d.members)-first == maxMembers {
			w.i = len(w.b)
			break
		}
		m.id = d.memberKey(w.b[m.name.from:m.name.to])
		o.add(d, first, m)
	}
	end = skipSpace(w.b, w.i)
	if end == len(w.b) || w.b[end] != '}' {
		*o, d.members = object{}, d.members[:first]
		return 0, false
	}
	end += i + 1
	o.b, o.members = b[i:end], d.members[first:]
	o.index, o.root, o.shallow = &t.index, at+i, true
	return end, true
}

// add appends a member. first is where the object's members begin.
func (o *object) add(d *Decoder, first int, m member) {
	d.members = append(d.members, m)
	o.slot[m.id] = int32(len(d.members) - first)
	if m.id == keyOther || m.id > lastEventKey {
		o.foreign++
	}
}

// kids gives the members of the object that is k's value, and the text that their offsets are in. ok is false where the
// index has not listed them.
func (o *object) kids(k key) (kids []jsonindex.Member, text []byte, ok bool) {
	if o.index == nil || o.shallow || o.index.Walks() != o.walk || !o.has(k) {
		return nil, nil, false
	}
	all := o.index.Members(o.root)
	at := o.members[o.slot[k]-1].listed
	return all[at+1 : all[at].Next], o.index.Text(), !all[at].Many
}

// indexed gives the index of canonical bytes and where they stand in its text. o is the object that they were made
// of: where nothing was changed its own index serves.
func (d *Decoder) indexed(o *object, canonical []byte) (x *jsonindex.Index, root int) {
	if d.edits.n == 0 && o.index != nil {
		if !o.shallow && o.index.Walks() == o.walk {
			return o.index, o.root
		}
		if t, at := d.textOf(canonical); t != nil && t.loaded {
			t.deep = true
			if _, ok := t.index.Value(at, d.opts.MaxDepth); ok {
				return &t.index, at
			}
		}
	}
	d.canonIndex.Load(canonical)
	d.canonIndex.Value(0, d.opts.MaxDepth)
	return &d.canonIndex, 0
}
