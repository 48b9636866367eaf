package engine

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// memberHash stands for one member while the duplicates among many are looked for: sixteen bytes, whatever its key.
type memberHash struct {
	hash   uint64 // of the decoded key
	number int32
}

// seed is that of all hashes of texts that come out of events: nobody can choose texts that meet.
var seed = maphash.MakeSeed()

// withoutDuplicates appends v to dst, keeping of each object only the last member of a key, as encoding/json
// reads it. It is the slow path of an event that nobody's API server writes, and bounded in memory for one that
// somebody wrote to be slow.
func withoutDuplicates(dst []byte, v span) []byte {
	switch {
	case v.isObject():
		outdated := outdatedMembers(v)
		dst = append(dst, '{')
		first := true
		c := open(v)
		for n := 0; ; n++ {
			before := c.i
			if !c.name() {
				break
			}
			written := c.b[before:c.i] // the key as written, with its colon and perhaps the comma before it
			value := c.value()
			if outdated.has(n) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, trimComma(written)...)
			dst = withoutDuplicates(dst, value)
		}
		return append(dst, '}')
	case v.isArray():
		dst = append(dst, '[')
		first := true
		for c := open(v); c.element(); {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = withoutDuplicates(dst, c.value())
		}
		return append(dst, ']')
	}
	return append(dst, v.bytes()...)
}

// outdatedMembers is the set of the members of an object that a later one of the same key replaces. Keys are told apart
// by a hash of 64 bits whose seed nobody knows.
func outdatedMembers(v span) bitSet {
	members := 0
	for c := open(v); c.name(); members++ {
		c.value()
	}
	all := make([]memberHash, 0, members)
	c := open(v)
	for n := int32(0); ; n++ {
		key, ok := c.key()
		if !ok {
			break
		}
		all = append(all, memberHash{maphash.Bytes(seed, key), n})
		c.value()
	}
	slices.SortFunc(all, func(a, b memberHash) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.number, b.number))
	})
	outdated := make(bitSet, (members+63)/64)
	for i := range all {
		if i+1 < len(all) && all[i].hash == all[i+1].hash {
			outdated.set(int(all[i].number))
		}
	}
	return outdated
}

// hasDuplicates is true for an object in which a key occurs twice.
func hasDuplicates(v span) bool {
	var few [32]uint64 // most objects have fewer members, and take no memory
	n := 0
	for c := open(v); ; n++ {
		key, ok := c.key()
		if !ok {
			return false
		}
		if n == len(few) {
			return !outdatedMembers(v).empty()
		}
		if few[n] = maphash.Bytes(seed, key); slices.Contains(few[:n], few[n]) {
			return true
		}
		c.value()
	}
}

func trimComma(b []byte) []byte {
	for len(b) > 0 && (b[0] <= ' ' || b[0] == ',') {
		b = b[1:]
	}
	return b
}
