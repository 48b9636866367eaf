package checkpoint

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMemoryHoldsWhatAStoreHolds(t *testing.T) {
	m := NewMemory()
	put(t, m, "a.2", "old")
	value := []byte("two")
	if err := m.Put(t.Context(), "a.2", value); err != nil {
		t.Fatal(err)
	}
	copy(value, "xxx") // it is the caller's
	put(t, m, "a.1", "")
	put(t, m, "b", "x")
	if err := m.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a.1": "", "a.2": "two", "b": "(missing)"} {
		if got := get(t, m, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	keys, err := m.Keys(t.Context(), "a.")
	if diff := cmp.Diff([]string{"a.1", "a.2"}, keys); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if m.Put(t.Context(), "no key", nil) == nil || m.Put(t.Context(), "k", []byte(strings.Repeat("x", MaxValue+1))) == nil {
		t.Error("it takes what other stores cannot hold")
	}
}
