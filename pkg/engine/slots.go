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
	text   []byte
	folded []byte // text in lower case, made when it is first asked for
	kind   valueKind
}

// Flags of a slot.
const (
	present  = 1 << iota // the key occurs
	nullSeen             // with the value null
	holder               // with an object or an array that is not empty
	computed             // a derived slot: its value has been worked out
	lost                 // a derived slot: what it is made of is lost, or a part of it
	settled              // a derived slot: it is certain, though the body that it is made of is partial
	unread               // the first scalar is in raw, and not among the values yet
)

// slot holds what one path of the current record has: a multiset of scalars, for a path may lead through
// lists. It is empty unless its generation is the current one of its scope.
type slot struct {
	gen   uint32
	flags uint8
	scope scope
	vals  []value
	raw   span // the first scalar: most are never looked at, and are not decoded
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
	if gen := j.gens[s.scope]; s.gen != gen {
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
	s.vals = append(s.vals, value{text: text, kind: kind})
}

// capture walks a value along the trie and fills the slots it meets. A key that occurs twice in one object sets
// j.duplicate: the event is judged again without it.
func (j *Judge) capture(v span, n *node) {
	if n.idle {
		return
	}
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
}

func (j *Judge) captureObject(v span, n *node) {
	c := open(v)
	if len(n.edges) == 0 {
		j.mark(n, !c.name())
		return
	}
	var seen keySet
	empty, guess := true, n.guesses
	for c.name() {
		empty = false
		from, to := c.from, c.to
		if !j.captureMember(n, &seen, &guess, from, to, c.value()) {
			return
		}
	}
	j.mark(n, empty)
}

// captureListed is capture for the value of a member that the index has listed with the members of its value: of, and
// what comes behind it.
func (j *Judge) captureListed(x *jsonindex.Index, of []jsonindex.Member, n *node) {
	v := span{x, int(of[0].From), int(of[0].To)}
	if len(n.edges) == 0 || of[0].Many || !v.isObject() {
		j.capture(v, n)
		return
	}
	var seen keySet
	guess := n.guesses
	kids := of[1:]
	for i := range kids {
		kid := &kids[i]
		if !j.captureMember(n, &seen, &guess, int(kid.Name), int(kid.NameEnd), span{x, int(kid.From), int(kid.To)}) {
			return
		}
	}
	j.mark(n, len(kids) == 0)
}

// captureMember captures v, the value of the member whose name is written in [from, to) of the same text. It is false
// for the second member of a name: then what was captured is thrown away.
func (j *Judge) captureMember(n *node, seen *keySet, guess *int32, from, to int, v span) bool {
	at := j.edge(n, guess, v.x, from, to)
	if at < 0 {
		return true
	}
	if seen.add(at) {
		j.duplicate = true
		return false
	}
	e := &n.edges[at]
	if e.member != 0 && j.lists == 0 {
		j.members[e.member] = v
	}
	for _, to := range e.to {
		j.capture(v, to)
	}
	return true
}

func (j *Judge) captureArray(v span, n *node) {
	c, empty := open(v), true
	j.lists++
	for c.element() {
		empty = false
		j.capture(c.value(), n)
	}
	j.lists--
	j.mark(n, empty)
}

// edge gives the index of n's edge for the key that is written in [from, to), or -1. Encoders write the keys of an
// object in one order, so the edge that came behind the last one the time before is tried first; guess is where that
// is kept.
func (j *Judge) edge(n *node, guess *int32, x *jsonindex.Index, from, to int) int {
	if len(n.edges) == 0 {
		return -1
	}
	text := x.Text()
	e := int(j.after[*guess])
	if !n.edges[e].is(text, from, to) {
		if e = n.find(text[from:to]); e < 0 {
			if !x.Escaped(from, to) {
				return -1
			}
		} else {
			j.after[*guess] = int16(e)
		}
	}
	if (e < 0 || n.edges[e].slash) && x.Escaped(from, to) {
		if e = n.find(jsonindex.AppendUnescaped(nil, text[from:to])); e < 0 {
			return -1
		}
	}
	*guess = n.guesses + int32(e) + 1
	return e
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
	for _, id := range n.slots {
		s := j.at(id)
		if s.flags&present == 0 {
			s.flags |= present | unread
			s.raw = v
			continue
		}
		j.readFirst(s)
		j.addScalar(s, v)
	}
}

// readFirst puts a slot's first scalar among its values.
func (j *Judge) readFirst(s *slot) {
	if s.flags&unread != 0 {
		s.flags &^= unread
		j.addScalar(s, s.raw)
	}
}

func (j *Judge) addScalar(s *slot, v span) {
	switch v.first() {
	case 'n':
		s.flags |= nullSeen
	case '"':
		s.vals = append(s.vals, value{text: j.decode(v), kind: textValue})
	case 't', 'f':
		s.vals = append(s.vals, value{text: v.bytes(), kind: boolValue})
	default:
		s.vals = append(s.vals, value{text: v.bytes(), kind: numberValue})
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

// keySet remembers which edges of a node an object has used. It lies on the stack: hundreds of edges cost nothing, and
// only a rule set that reads thousands of keys of one object makes it allocate.
type keySet struct {
	few  [4]uint64
	more []uint64
}

// add reports whether e was there already.
func (k *keySet) add(e int) bool {
	word, bit := e>>6, uint64(1)<<(e&63)
	set := k.few[:]
	if word >= len(k.few) {
		word -= len(k.few)
		for len(k.more) <= word {
			k.more = append(k.more, 0)
		}
		set = k.more
	}
	had := set[word]&bit != 0
	set[word] |= bit
	return had
}
