package checkpoint

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func put(t *testing.T, s Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s Store, key string) string {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if value == nil {
		return "(missing)"
	}
	return string(value)
}

// conforms is the contract of Store. place makes a new empty place and returns what opens a store in it, each time
// after the one before was closed.
func conforms(t *testing.T, place func(t *testing.T) func() Store) {
	t.Run("WhatIsPutIsThereAfterReopening", func(t *testing.T) {
		open := place(t)
		s := open()
		if got := get(t, s, "a.1"); got != "(missing)" {
			t.Errorf("a new store has %q", got)
		}
		put(t, s, "a.1", "one")
		put(t, s, "a.2", "")
		put(t, s, "b", `{"n":"<ü>"}`)
		put(t, s, "a.1", "two")
		if err := s.Delete(t.Context(), "missing"); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := open()
		defer again.Close()
		for key, want := range map[string]string{"a.1": "two", "a.2": "", "b": `{"n":"<ü>"}`, "c": "(missing)"} {
			if got := get(t, again, key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		keys, err := again.Keys(t.Context(), "a.")
		if diff := cmp.Diff([]string{"a.1", "a.2"}, keys); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if err := again.Delete(t.Context(), "a.1"); err != nil || get(t, again, "a.1") != "(missing)" {
			t.Errorf("after Delete: %q, %v", get(t, again, "a.1"), err)
		}
	})
	t.Run("KeysAndValuesThatSomeStoreCouldNotHoldAreRefused", func(t *testing.T) {
		s := place(t)()
		defer s.Close()
		for name, err := range map[string]error{
			"empty key":      s.Put(t.Context(), "", nil),
			"slash in key":   s.Put(t.Context(), "a/b", nil),
			"key of a path":  s.Put(t.Context(), "..a", nil),
			"long key":       s.Put(t.Context(), strings.Repeat("a", MaxKey+1), nil),
			"long value":     s.Put(t.Context(), "a", make([]byte, MaxValue+1)),
			"value not text": s.Put(t.Context(), "a", []byte{0xff}),
		} {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if err := s.Put(t.Context(), strings.Repeat("a", MaxKey), []byte(strings.Repeat("ü", MaxValue/2))); err != nil {
			t.Errorf("the longest key and value: %v", err)
		}
	})
	t.Run("WritersAtTheSameTimeLoseNothing", func(t *testing.T) {
		open := place(t)
		s := open()
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := range 5 {
					if err := s.Put(t.Context(), fmt.Sprintf("k%d", w), fmt.Append(nil, i)); err != nil {
						t.Error(err)
					}
				}
				if err := s.Put(t.Context(), fmt.Sprintf("gone%d", w), nil); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), fmt.Sprintf("gone%d", w)); err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := open()
		defer again.Close()
		keys, err := again.Keys(t.Context(), "")
		if len(keys) != 8 || err != nil {
			t.Errorf("%v, %v", keys, err)
		}
		for _, key := range keys {
			if got := get(t, again, key); got != "4" {
				t.Errorf("%s is %q, want the last value", key, got)
			}
		}
	})
	t.Run("AClosedStoreSavesNothing", func(t *testing.T) {
		s := place(t)()
		put(t, s, "a", "1")
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		_, getErr := s.Get(t.Context(), "a")
		_, keysErr := s.Keys(t.Context(), "")
		for name, err := range map[string]error{"Put": s.Put(t.Context(), "a", nil), "Delete": s.Delete(t.Context(), "a"), "Get": getErr, "Keys": keysErr} {
			if err == nil {
				t.Errorf("%s on a closed store succeeded", name)
			}
		}
	})
}
