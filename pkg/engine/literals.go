package engine

import "encoding/binary"

// literals finds a string among a fixed set of them. The strings are numbered in the order in which they were added.
type literals struct {
	all []string
	// slots is an open-addressed table over hashKey: the number of a string + 1; 0 is free. A few strings are compared
	// one by one instead.
	slots []int32
	mask  uint64
}

const maxCompared = 3 // strings that are compared one by one

func (l *literals) add(text string) { l.all = append(l.all, text) }

// freeze makes l ready for find.
func (l *literals) freeze() {
	if len(l.all) <= maxCompared {
		return
	}
	size := 8
	for size < 4*len(l.all) {
		size *= 2
	}
	l.mask, l.slots = uint64(size-1), make([]int32, size)
	for i, text := range l.all {
		h := hashKey([]byte(text)) & l.mask
		for l.slots[h] != 0 {
			h = (h + 1) & l.mask
		}
		l.slots[h] = int32(i + 1)
	}
}

// find gives the number of text, or -1.
func (l *literals) find(text []byte) int {
	if l.slots == nil {
		for i := range l.all {
			if l.all[i] == string(text) {
				return i
			}
		}
		return -1
	}
	for h := hashKey(text) & l.mask; l.slots[h] != 0; h = (h + 1) & l.mask {
		if i := int(l.slots[h]) - 1; l.all[i] == string(text) {
			return i
		}
	}
	return -1
}

// hashKey mixes the length and the first and last eight bytes, which tells nearly all keys and values of audit events
// apart in one step.
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
