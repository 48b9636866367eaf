package engine_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/sigma"
)

// FuzzVerdict draws rules and events from the input and compares the engine with the reference.
func FuzzVerdict(f *testing.F) {
	for seed := range uint64(32) {
		f.Add(noise(seed, 1500))
	}
	f.Fuzz(rapid.MakeFuzz(checkVerdicts))
}

// noise is input for a generator that draws n times at most.
func noise(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 2))
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint64(b, random.Uint64()>>random.IntN(64))
	}
	return b
}

// manyRules are the shipped rules and generated ones, without keywords: they are looked for in the text of the event.
func manyRules(t fataler) []*sigma.Rule {
	t.Helper()
	generated := rapid.Custom(func(t *rapid.T) *sigma.Rule { return drawRule(t, 0, false) })
	var rules []*sigma.Rule
	for i := range 80 {
		r := *generated.Example(i)
		r.ID = "generated-" + strconv.Itoa(i)
		rules = append(rules, &r)
	}
	return slices.Concat(rules, shippedRules(t))
}

// FuzzRecord decodes and judges arbitrary bytes, and compares with encoding/json and the reference.
func FuzzRecord(f *testing.F) {
	for _, line := range recordedEvents(f) {
		f.Add(line)
		f.Add(line[:len(line)*3/4])
	}
	y := newJourney(f, manyRules(f))
	f.Fuzz(func(t *testing.T, record []byte) { y.check(t, record) })
}
