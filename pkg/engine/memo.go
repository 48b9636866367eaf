package engine

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// Users, user agents, addresses and the like repeat from event to event, and what the items of all rules say of one
// value does not change. A memo keeps it, by value: the results of the items that compare one slot, and the rules that
// none of them refuses. So rules that name neither verb nor resource cost one look-up together, whatever they search
// their field for.

// memoPlan is what a set knows of one memo.
type memoPlan struct {
	slot  int32
	preds []int32 // the predicates on the slot; their place is their bit in an entry
	rules bitSet  // the alternatives that demand some of them
	// demands are, by alternative, the bits that it demands: none of them may be no.
	demands [][]int32
}

// memo is one judge's memory of a plan.
type memo struct {
	entries []memoEntry // by hash; made when the memo is first used
	current *memoEntry  // the entry of this event, nil for none
	gen     uint32      // of the event that current belongs to

	// A field whose values hardly repeat is not worth it: the memo rests for a while, and longer each time.
	looked, missed int
	resting, rests int
}

type memoEntry struct {
	hash    uint64
	key     []byte
	checked bitSet   // the alternatives that this value was held against
	allowed bitSet   // those of them that it does not refuse
	known   []uint64 // the bits of result that have been worked out
	result  []uint64
}

const (
	memoEntries = 1024 // in pairs: the value that was met last comes first in its pair
	memoKey     = 192  // bytes of the longest value that is remembered
	memoWindow  = 1024 // events after which the misses are counted
	memoRest    = 1 << 16
	maxMemoRest = 1 << 22 // events
	manyItems   = 8       // comparisons that cost more than looking a value up
)

// planMemos finds the slots outside of bodies that deserve a memo: those on which many alternatives without verb and
// resource hang, and those that are searched for something that costs more than a comparison.
func (s *Set) planMemos(wide bitSet) {
	bySlot := make(map[int32]*memoPlan)
	for id := range s.preds {
		p := &s.preds[id]
		p.memo = -1
		if !s.remembers(p) {
			continue
		}
		plan := bySlot[p.slots[0]]
		if plan == nil {
			plan = &memoPlan{slot: p.slots[0], rules: make(bitSet, len(s.index.every)), demands: make([][]int32, len(s.index.alternatives))}
			bySlot[p.slots[0]] = plan
		}
		p.bit = int32(len(plan.preds))
		plan.preds = append(plan.preds, int32(id))
	}
	for i := range s.index.alternatives {
		for _, id := range s.index.alternatives[i].preds {
			if p := &s.preds[id]; s.remembers(p) {
				bySlot[p.slots[0]].demand(i, p.bit)
			}
		}
	}
	for slot := range s.slots {
		plan := bySlot[int32(slot)]
		if plan == nil {
			continue
		}
		pays := plan.pays(s, wide)
		used := pays
		for _, id := range plan.preds {
			if p := &s.preds[id]; pays || p.costly() {
				p.memo, used = int32(len(s.memos)), true
			}
		}
		if !pays {
			clear(plan.rules)
		}
		if used {
			s.memos = append(s.memos, *plan)
		}
	}
}

// remembers is true for a predicate whose result is settled by the content of one slot that holds for the event.
func (s *Set) remembers(p *predicate) bool {
	if p.field == "" || len(p.slots) != 1 || p.op == sigma.OpFieldRef || p.op == sigma.OpExists {
		return false
	}
	info := &s.slots[p.slots[0]]
	return info.scope == eventScope && !slices.Contains(s.indexed[:], p.slots[0]) && !info.inBody()
}

func (m *memoPlan) demand(alternative int, bit int32) {
	m.rules.set(alternative)
	m.demands[alternative] = append(m.demands[alternative], bit)
}

// pays reports whether looking a value up for every event costs less than asking the items of wide alternatives.
func (m *memoPlan) pays(s *Set, wide bitSet) bool {
	asked := 0
	for i, bits := range m.demands {
		for _, bit := range bits {
			if !wide.has(i) {
				continue
			}
			if asked++; asked >= manyItems || s.preds[m.preds[bit]].costly() {
				return true
			}
		}
	}
	return false
}

// costly is true for what takes longer than looking a value up.
func (p *predicate) costly() bool {
	return p.op == sigma.OpRegexp || p.op == sigma.OpCIDR ||
		slices.ContainsFunc(p.alternatives, func(m matcher) bool { return len(m.globs) > 2 })
}

// recall gives the entry for what the memo's slot holds in this event; nil where nothing is remembered.
func (j *Judge) recall(number int32) *memoEntry {
	m := &j.memos[number]
	if m.gen == j.gens[eventScope] {
		return m.current
	}
	m.gen, m.current = j.gens[eventScope], nil
	if j.unsure {
		return nil
	}
	if m.resting > 0 {
		m.resting--
		return nil
	}
	plan := &j.set.memos[number]
	key := j.memoKey(j.load(plan.slot))
	if len(key) > memoKey {
		return nil
	}
	if m.entries == nil {
		m.entries = plan.entries(len(j.alternatives))
	}
	hash := maphash.Bytes(seed, key)
	pair := m.entries[hash%(memoEntries/2)*2:][:2]
	m.looked++
	if !pair[0].is(hash, key) {
		pair[0], pair[1] = pair[1], pair[0]
		if !pair[0].is(hash, key) {
			m.missed++
			pair[0].hash, pair[0].key = hash, append(pair[0].key[:0], key...)
			pair[0].forget()
		}
	}
	m.current = &pair[0]
	if m.looked == memoWindow {
		m.weigh()
	}
	return m.current
}

func (e *memoEntry) is(hash uint64, key []byte) bool {
	return e.hash == hash && bytes.Equal(e.key, key)
}

// weigh sends the memo to rest if it was of little use in the last window.
func (m *memo) weigh() {
	if m.missed > memoWindow/2 {
		m.rests = min(max(2*m.rests, memoRest), maxMemoRest)
		m.resting = m.rests
	} else {
		m.rests = 0
	}
	m.looked, m.missed = 0, 0
}

// entries makes the memory of all entries at once, so that later events make none.
func (m *memoPlan) entries(words int) []memoEntry {
	all := make([]memoEntry, memoEntries)
	bitWords := (len(m.preds) + 63) / 64
	keys, sets := make([]byte, memoEntries*memoKey), make([]uint64, memoEntries*2*(words+bitWords))
	for i := range all {
		e := &all[i]
		e.key, keys = keys[:0:memoKey], keys[memoKey:]
		e.checked, sets = bitSet(sets[:words:words]), sets[words:]
		e.allowed, sets = bitSet(sets[:words:words]), sets[words:]
		e.known, sets = sets[:bitWords:bitWords], sets[bitWords:]
		e.result, sets = sets[:bitWords:bitWords], sets[bitWords:]
	}
	return all
}

func (e *memoEntry) forget() {
	for _, set := range [...][]uint64{e.checked, e.allowed, e.known, e.result} {
		clear(set)
	}
}

// allows holds the candidates of word w against an entry's value, which the plan's slot holds now, and gives those that it
// does not refuse.
func (j *Judge) allows(plan *memoPlan, e *memoEntry, w int) uint64 {
	asked := plan.rules[w] & j.alternatives[w]
	for rest := asked &^ e.checked[w]; rest != 0; rest &= rest - 1 {
		bit := rest & -rest
		e.checked[w] |= bit
		if j.holdsAgainst(plan, e, plan.demands[w*64+bits.TrailingZeros64(rest)]) {
			e.allowed[w] |= bit
		}
	}
	return e.allowed[w] | ^asked
}

// holdsAgainst is true unless one of the demanded items is false. An item that panics refuses nobody: the rule meets it
// again, where its panic is told as its own.
func (j *Judge) holdsAgainst(plan *memoPlan, e *memoEntry, demanded []int32) (holds bool) {
	defer func() {
		if recover() != nil {
			holds = true
		}
	}()
	for _, bit := range demanded {
		if !j.remembered(plan, e, bit) {
			return false
		}
	}
	return true
}

// remembered gives the result of one predicate for an entry's value, which the plan's slot holds now.
func (j *Judge) remembered(plan *memoPlan, e *memoEntry, bit int32) bool {
	w, mask := bit>>6, uint64(1)<<(bit&63)
	if e.known[w]&mask == 0 {
		if j.evaluate(&j.set.preds[plan.preds[bit]]) == yes {
			e.result[w] |= mask
		}
		e.known[w] |= mask // not before: a panic leaves it open
	}
	return e.result[w]&mask != 0
}

// memoKey writes what a slot holds so that two contents have one key only if they are the same.
func (j *Judge) memoKey(s *slot) []byte {
	key := j.key[:0]
	key = append(key, s.flags&^computed)
	for i := range s.vals {
		v := &s.vals[i]
		key = append(binary.LittleEndian.AppendUint32(key, uint32(len(v.text))), byte(v.kind))
		if len(key)+len(v.text) > memoKey {
			key = append(key, make([]byte, memoKey)...) // too long
			break
		}
		key = append(key, v.text...)
	}
	j.key = key
	return key
}

// narrowByMemos takes out the candidates that the values of memoed fields refuse.
func (j *Judge) narrowByMemos() {
	for i := range j.set.memos {
		plan := &j.set.memos[i]
		var e *memoEntry
		for w := range plan.rules {
			if plan.rules[w]&j.alternatives[w] == 0 {
				continue
			}
			if e == nil {
				if e = j.recall(int32(i)); e == nil {
					break
				}
			}
			j.alternatives[w] &= j.allows(plan, e, w)
		}
	}
}

// wide are the alternatives of rules on requests that the verb, the resource and the subresource leave open.
func (s *Set) wide(demands []demand) bitSet {
	all := make(bitSet, len(s.index.every))
	for i, d := range demands {
		r := &s.rules[s.index.alternatives[i].rule]
		if r.category == event.Request && d[0] == nil && d[1] == nil && d[2] == nil {
			all.set(i)
		}
	}
	return all
}
