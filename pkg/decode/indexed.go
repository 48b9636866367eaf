package decode

import "github.com/foretop/foretop/pkg/jsonindex"

// text is a stretch of bytes that values stand in: the record, or what an encoding in it held. Its index is made
// when the first object is read.
type text struct {
	bytes  []byte
	index  jsonindex.Index
	loaded bool
}

// enter makes b the text that values are read from, until leave.
func (d *Decoder) enter(b []byte) {
	if d.inside == len(d.texts) {
		d.texts = append(d.texts, new(text))
	}
	t := d.texts[d.inside]
	t.bytes, t.loaded = b, false
	d.inside++
}

func (d *Decoder) leave() {
	d.inside--
	d.texts[d.inside].bytes = nil
}

// indexOf gives the index of the text that b is part of, and where b stands in it; nil if b lies in a buffer of the
// decoder's own.
func (d *Decoder) indexOf(b []byte) (x *jsonindex.Index, at int) {
	if d.inside == 0 || len(b) == 0 {
		return nil, 0
	}
	t := d.texts[d.inside-1]
	// No slice of a text has a limit to its capacity, so the difference of capacities is the offset.
	at = cap(t.bytes) - cap(b)
	if at < 0 || at >= len(t.bytes) || &t.bytes[at] != &b[0] {
		return nil, 0
	}
	if !t.loaded {
		if !t.index.Load(t.bytes) {
			return nil, 0
		}
		t.loaded = true
	}
	return &t.index, at
}

// scanSound is scanObject for an object that is valid and whole, by the index of the text around it. ok is false for
// every other: what is wrong with it, and where, is for the scanner to say.
func (d *Decoder) scanSound(b []byte, i int, o *object) (end int, ok bool) {
	x, at := d.indexOf(b)
	if x == nil {
		return 0, false
	}
	root := at + i
	end, ok = x.Value(root, d.scan.maxDepth+1)
	if !ok || end > at+len(b) {
		return 0, false
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
	if o.index == nil || o.index.Walks() != o.walk || !o.has(k) {
		return nil, nil, false
	}
	all := o.index.Members(o.root)
	at := o.members[o.slot[k]-1].listed
	return all[at+1 : all[at].Next], o.index.Text(), !all[at].Many
}

// indexed gives the index of canonical bytes and where they stand in its text. o is the object that they were made
// of: where nothing was changed its own index serves.
func (d *Decoder) indexed(o *object, canonical []byte) (x *jsonindex.Index, root int) {
	if d.edits.n == 0 && o.index != nil && o.index.Walks() == o.walk {
		return o.index, o.root
	}
	d.canonIndex.Load(canonical)
	d.canonIndex.Value(0, d.opts.MaxDepth)
	return &d.canonIndex, 0
}
