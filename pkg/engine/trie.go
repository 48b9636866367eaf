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
	keys  table
	edges []edge
	// guesses is where the node's own begin in Judge.after: one for the beginning of an object, one for each edge.
	guesses int32
}

// edge leads from a key to the positions it can stand for: one, but where a dedotted spelling of one path
// is the plain spelling of another.
type edge struct {
	key   string
	to    []*node
	top   uint8 // of the header's root: which of topKeys it is
	slash bool  // key holds a backslash, as escapes do: comparing it with what is written proves nothing
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
			n.edges[i].slash = strings.IndexByte(n.edges[i].key, '\\') >= 0
		}
		n.keys.build(n.edges)
		n.guesses = first
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

func (n *node) connect(key string, to *node) {
	for i := range n.edges {
		if n.edges[i].key == key {
			if !slices.Contains(n.edges[i].to, to) {
				n.edges[i].to = append(n.edges[i].to, to)
			}
			return
		}
	}
	n.edges = append(n.edges, edge{key: key, to: []*node{to}, top: topOther})
}

// leaf is true if nothing lies below n.
func (n *node) leaf() bool { return len(n.edges) == 0 }

// idle is true if nothing is taken from what stands at n.
func (n *node) idle() bool { return len(n.edges) == 0 && len(n.slots) == 0 }

// find gives the index of the edge for key, or -1.
func (n *node) find(key []byte) int { return n.keys.find(key, n.edges) }

// table finds an edge by its key: open addressing over a hash of the length and the first and last eight
// bytes, which tells nearly all keys of audit events apart in one step.
type table struct {
	mask  uint64
	slots []int16 // index of the edge + 1; 0 is free
}

func (t *table) build(edges []edge) {
	if len(edges) == 0 {
		return
	}
	size := 4
	for size < 4*len(edges) {
		size *= 2
	}
	t.mask, t.slots = uint64(size-1), make([]int16, size)
	for i := range edges {
		h := hashKey([]byte(edges[i].key)) & t.mask
		for t.slots[h] != 0 {
			h = (h + 1) & t.mask
		}
		t.slots[h] = int16(i + 1)
	}
}

func (t *table) find(key []byte, edges []edge) int {
	if t.slots == nil {
		return -1
	}
	for h := hashKey(key) & t.mask; t.slots[h] != 0; h = (h + 1) & t.mask {
		if i := int(t.slots[h]) - 1; edges[i].key == string(key) {
			return i
		}
	}
	return -1
}

func hashKey(key []byte) uint64 {
	const k = 0x9E3779B97F4A7C15
	var first, last uint64
	switch n := len(key); {
	case n >= 8:
		first, last = binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[n-8:])
	case n >= 4:
		first, last = uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[n-4:]))
	case n > 0:
		first, last = uint64(key[0]), uint64(key[n-1])|uint64(key[n/2])<<8
	}
	h := (first ^ last<<1 ^ uint64(len(key))<<56) * k
	return h ^ h>>29
}
