package app

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drain(t interface{ Fatal(...any) }, s *spool) (out []spooled) {
	if err := s.each(func(e spooled) error {
		out = append(out, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSpoolOrdersByTimeAndIDAndKeepsOneOfEachID(t *testing.T) {
	gen := rapid.SliceOf(rapid.Custom(func(t *rapid.T) spooled {
		return spooled{
			time: rapid.Int64Range(-3, 3).Draw(t, "time"), id: rapid.StringN(1, 2, 3).Draw(t, "id"),
			body: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "body"),
		}
	}))
	t.Setenv("TMPDIR", t.TempDir())
	rapid.Check(t, func(t *rapid.T) {
		in := gen.Draw(t, "findings")
		want := slices.Clone(in)
		slices.SortFunc(want, compareSpooled)
		seen := make(map[string]bool)
		want = slices.DeleteFunc(want, func(e spooled) bool {
			twice := seen[e.id]
			seen[e.id] = true
			return twice
		})
		s := &spool{limit: rapid.IntRange(0, 2000).Draw(t, "limit")}
		for _, e := range in {
			s.add(e)
		}
		got := drain(t, s)
		if diff := cmp.Diff(len(want), len(got)); diff != "" {
			t.Fatal(diff)
		}
		for i := range got {
			if compareSpooled(want[i], got[i]) != 0 {
				t.Fatalf("at %d: %v, want %v", i, got[i], want[i])
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSpoolLeavesNoFileBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := &spool{limit: 1 << 10}
	for i := range 1000 {
		s.add(spooled{time: int64(1000 - i), id: fmt.Sprint(i), body: make([]byte, 100)})
	}
	if len(s.runs) < 2 || len(s.memory) > 20 {
		t.Fatalf("%d runs, %d in memory: not spilled", len(s.runs), len(s.memory))
	}
	info, err := s.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the temporary file is readable by others: %v", info.Mode())
	}
	if got := drain(t, s); len(got) != 1000 || got[0].time != 1 {
		t.Errorf("%d findings", len(got))
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := fs.ReadDir(os.DirFS(dir), "."); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSpoolTellsThatItCouldNotSpill(t *testing.T) {
	t.Setenv("TMPDIR", "/nonexistent")
	s := &spool{limit: 10}
	s.add(spooled{id: "a", body: make([]byte, 100)})
	s.add(spooled{id: "b"})
	if err := s.each(func(spooled) error { return nil }); err == nil {
		t.Error("findings were lost without a word")
	}
}
