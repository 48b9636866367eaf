package engine

import (
	"encoding/binary"
	"slices"
	"strings"
)

// node is a position in the trie of field paths. A key of an object may consume one or more of a path's
// dotted segments, so that {"a":{"b":1}} and {"a.b":1} are one field; under annotations the spellings that
// shippers give dotted keys (a_b/c, a_b_c) are the same field too.
type node struct {
	slots []int32 // slots that take the scalars here
	keys  literals
	edges []edge
	// guesses is where the node's own begin in Judge.after: one for the beginning of an object, one for each edge.
	guesses int32
	idle    bool // nothing is taken from what stands here
}

// edge leads from a key to the positions it can stand for: one, but where a dedotted spelling of one path
// is the plain spelling of another.
type edge struct {
	key string
	to  []*node
	top uint8 // of the header's root: which of topKeys it is
	// member is which of members it is, of the objects below the header's root; 0 for none.
	member uint8
	slash  bool   // key holds a backslash, as escapes do: comparing it with what is written proves nothing
	idle   bool   // nothing is taken from what it leads to
	head   uint64 // the first eight bytes of key, and zeros
}

// is reports whether key is written at text[from:to].
func (e *edge) is(text []byte, from, to int) bool {
	n := to - from
	if n != len(e.key) {
		return false
	}
	if from+8 > len(text) {
		return string(text[from:to]) == e.key
	}
	head := binary.LittleEndian.Uint64(text[from:])
	if n < 8 {
		return head&(1<<(8*n)-1) == e.head
	}
	return head == e.head && string(text[from+8:to]) == e.key[8:]
}

// trie is a set of paths under one root. Nodes are shared by path, whichever keys lead there.
type trie struct {
	root   *node
	byPath map[string]*node
}

func newTrie() *trie {
	root := new(node)
	return &trie{root: root, byPath: map[string]*node{"": root}}
}

// add makes path lead to slot.
func (t *trie) add(path string, slot int32) {
	segments := strings.Split(path, ".")
	for at := range segments {
		from := t.at(strings.Join(segments[:at], "."))
		dedot := at > 0 && segments[0] == "annotations"
		for end := at + 1; end <= len(segments); end++ {
			to := t.at(strings.Join(segments[:end], "."))
			for _, key := range spellings(strings.Join(segments[at:end], "."), dedot) {
				from.connect(key, to)
			}
		}
	}
	end := t.at(path)
	if !slices.Contains(end.slots, slot) {
		end.slots = append(end.slots, slot)
	}
}

func (t *trie) at(path string) *node {
	n := t.byPath[path]
	if n == nil {
		n = new(node)
		t.byPath[path] = n
	}
	return n
}

// freeze builds the key tables and hands out guesses, from first on; the trie is read-only afterwards. It returns the
// first guess that is free.
func (t *trie) freeze(first int32) int32 {
	for _, n := range t.byPath {
		for i := range n.edges {
			e := &n.edges[i]
			e.slash = strings.IndexByte(e.key, '\\') >= 0
			var head [8]byte
			copy(head[:], e.key)
			e.head = binary.LittleEndian.Uint64(head[:])
			e.idle = !slices.ContainsFunc(e.to, func(to *node) bool { return len(to.edges)+len(to.slots) > 0 })
			n.keys.add(e.key)
		}
		n.keys.freeze()
		n.guesses, n.idle = first, len(n.edges)+len(n.slots) == 0
		first += int32(len(n.edges)) + 1
	}
	return first
}

func spellings(key string, dedot bool) []string {
	all := []string{key}
	if !dedot {
		return all
	}
	if underscored := strings.ReplaceAll(key, ".", "_"); underscored != key {
		all = append(all, underscored)
	}
	if flat := strings.NewReplacer(".", "_", "/", "_").Replace(key); flat != all[len(all)-1] {
		all = append(all, flat)
	}
	return all
}

func (n *node) connect(key string, to *node) *edge {
	for i := range n.edges {
		if n.edges[i].key == key {
			if !slices.Contains(n.edges[i].to, to) {
				n.edges[i].to = append(n.edges[i].to, to)
			}
			return &n.edges[i]
		}
	}
	n.edges = append(n.edges, edge{key: key, to: []*node{to}, top: topOther})
	return &n.edges[len(n.edges)-1]
}

// find gives the index of the edge for key, or -1.
func (n *node) find(key []byte) int { return n.keys.find(key) }
