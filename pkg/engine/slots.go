package engine

import "github.com/foretop/foretop/pkg/jsonindex"

// valueKind is the JSON type of a captured scalar.
type valueKind uint8

const (
	textValue valueKind = iota
	numberValue
	boolValue
)

// value is one captured scalar. Its text is decoded, and aliases the event or the judge's arena.
type value struct {
	text []byte
	kind valueKind
}

// Flags of a slot.
const (
	present  = 1 << iota // the key occurs
	nullSeen             // with the value null
	holder               // with an object or an array that is not empty
	computed             // a derived slot: its value has been worked out
)

// slot holds what one path of the current record has: a multiset of scalars, for a path may lead through
// lists. It is empty unless its generation is the current one of its scope.
type slot struct {
	gen   uint32
	flags uint8
	vals  []value
}

// scope is how long a slot's content holds.
type scope uint8

const (
	eventScope   scope = iota // one event: header, bodies, derived fields
	objectScope               // one pod spec (its workload, its metadata), or the binding, or the role
	elementScope              // one container, volume, subject or policy rule
	scopes
)

// at gives the slot ready for this generation.
func (j *Judge) at(id int32) *slot {
	s := &j.slots[id]
	if gen := j.gens[j.set.slots[id].scope]; s.gen != gen {
		s.gen, s.flags, s.vals = gen, 0, s.vals[:0]
	}
	return s
}

// advance empties all slots of a scope and of the narrower ones.
func (j *Judge) advance(from scope) {
	for s := from; s < scopes; s++ {
		j.generation++
		j.gens[s] = j.generation
	}
}

// put adds a value that the engine derived itself. text must outlive the event.
func (j *Judge) put(id int32, text []byte, kind valueKind) {
	s := j.at(id)
	s.flags |= present
	s.vals = append(s.vals, value{text, kind})
}

// capture walks the value that begins at i along the trie, fills the slots it meets and gives the offset behind the
// value. A key that occurs twice in one object sets j.duplicate: the caller rewrites the event without
// duplicates and starts again, since earlier values cannot be taken back out of a multiset.
func (j *Judge) capture(x *jsonindex.Index, i int, n *node) int {
	v := span{x, i, x.End(i)}
	switch v.first() {
	case '{':
		j.captureObject(v, n)
	case '[':
		j.captureArray(v, n)
	default:
		if len(n.slots) > 0 {
			j.captureScalar(v, n)
		}
	}
	return v.to
}

func (j *Judge) captureObject(v span, n *node) {
	c := open(v)
	var seen keySet
	empty := true
	for {
		key, ok := c.key()
		if !ok {
			break
		}
		empty = false
		e := n.find(key)
		if e < 0 {
			c.i = v.x.End(c.i)
			continue
		}
		if seen.add(e) {
			j.duplicate = true
		}
		start := c.i
		for _, to := range n.edges[e].to {
			c.i = j.capture(v.x, start, to)
		}
	}
	j.mark(n, empty)
}

func (j *Judge) captureArray(v span, n *node) {
	c := open(v)
	empty := true
	for c.element() {
		empty = false
		c.i = j.capture(v.x, c.i, n)
	}
	j.mark(n, empty)
}

// mark records that n's path holds a container.
func (j *Judge) mark(n *node, empty bool) {
	for _, id := range n.slots {
		s := j.at(id)
		s.flags |= present
		if !empty {
			s.flags |= holder
		}
	}
}

func (j *Judge) captureScalar(v span, n *node) {
	if v.isNull() {
		for _, id := range n.slots {
			j.at(id).flags |= present | nullSeen
		}
		return
	}
	kind, text := numberValue, v.bytes()
	switch v.first() {
	case '"':
		kind, text = textValue, j.decode(v)
	case 't', 'f':
		kind = boolValue
	}
	for _, id := range n.slots {
		s := j.at(id)
		s.flags |= present
		s.vals = append(s.vals, value{text, kind})
	}
}

// decode gives the inside of a string; one with escapes is decoded into the arena.
func (j *Judge) decode(v span) []byte {
	raw := v.x.Text()[v.from+1 : v.to-1]
	if !v.x.Escaped(v.from+1, v.to-1) {
		return raw
	}
	start := len(j.arena)
	j.arena = jsonindex.AppendUnescaped(j.arena, raw)
	return j.arena[start:len(j.arena):len(j.arena)]
}

// keySet remembers which edges of a node an object has used.
type keySet struct {
	low  uint64
	high map[int]bool
}

// add reports whether e was there already.
func (k *keySet) add(e int) bool {
	if e < 64 {
		had := k.low&(1<<e) != 0
		k.low |= 1 << e
		return had
	}
	if k.high[e] {
		return true
	}
	if k.high == nil {
		k.high = make(map[int]bool)
	}
	k.high[e] = true
	return false
}
