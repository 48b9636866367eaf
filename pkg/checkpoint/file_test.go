package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestTheFileIsAStore(t *testing.T) {
	conforms(t, func(t *testing.T) func() Store {
		path := filepath.Join(t.TempDir(), "sub", "positions.json")
		return func() Store { return open(t, path) }
	})
}

func TestFileAndDirectoryAreForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "positions.json")
	put(t, open(t, path), "a", "1")
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	left, err := filepath.Glob(path + ".tmp-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAnUnreadableFileIsMovedAsideAndTheStoreStartsEmpty(t *testing.T) {
	tests := []struct{ name, content, aside, reason string }{
		{"it is cut", `{"version":1,"values":{"a":"1`, "corrupt", "not what this program writes"},
		{"it is empty, as after a power cut", "", "corrupt", "not what this program writes"},
		{"it is something else", `[1,2,3]`, "corrupt", "not what this program writes"},
		{"it has no version", `{"values":{}}`, "corrupt", "names no version"},
		{"it has no values", `{"version":1}`, "corrupt", "has no values"},
		{"a newer version wrote it", `{"version":2,"positions":[]}`, "newer", "a newer version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "positions.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			f, err := OpenFile(path, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if get(t, f, "a") != "(missing)" {
				t.Error("a value was read from an unreadable file")
			}
			put(t, f, "a", "2")
			moved, err := filepath.Glob(path + "." + tt.aside + "-*")
			if err != nil || len(moved) != 1 {
				t.Fatalf("moved aside: %v, %v", moved, err)
			}
			if kept, err := os.ReadFile(moved[0]); err != nil || string(kept) != tt.content {
				t.Errorf("kept %q, %v", kept, err)
			}
			if !strings.Contains(log.String(), tt.reason) || !strings.Contains(log.String(), moved[0]) {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestAFailedSaveKeepsTheOldStateAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "positions.json")
	f := open(t, path)
	put(t, f, "a", "1")
	if err := os.RemoveAll(dir); err != nil { // stands for a volume that has gone
		t.Fatal(err)
	}
	if err := f.Put(t.Context(), "a", []byte("2")); err == nil || !strings.Contains(err.Error(), "not saved") {
		t.Errorf("Put: %v", err)
	}
	if got := get(t, f, "a"); got != "1" {
		t.Errorf("after a failed save the value is %q", got)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, f, "a", "3")
	if got := get(t, f, "a"); got != "3" {
		t.Errorf("after the volume came back: %q", got)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions.json")
	f := open(t, path)
	if _, err := OpenFile(path, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second open: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestKeyMakesValidKeysThatDiffer(t *testing.T) {
	seen := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringN(0, 300, -1), 0, 3).Draw(t, "parts")
		key := Key("file", parts...)
		if err := check(key, nil); err != nil || !strings.HasPrefix(key, "file.") {
			t.Fatalf("%q: %v", key, err)
		}
		if key != Key("file", parts...) {
			t.Fatal("not the same again")
		}
		exact := fmt.Sprintf("%q", parts)
		if was, ok := seen[key]; ok && was != exact {
			t.Fatalf("%s and %s have one key", was, exact)
		}
		seen[key] = exact
	})
	if Key("k", "a/b", "c") == Key("k", "a-b", "c") || Key("k", "a", "b") == Key("k", "a.b") {
		t.Error("parts that read alike have one key")
	}
}

func TestTheFileIsWholeAtEveryMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions.json")
	f := open(t, path)
	put(t, f, "k0", "0")
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for ctx.Err() == nil {
			data, err := os.ReadFile(path)
			if err != nil || !json.Valid(data) {
				t.Errorf("%q, %v", data, err)
				return
			}
		}
	})
	for w := range 3 {
		writers.Go(func() {
			for i := range 20 {
				if err := f.Put(t.Context(), fmt.Sprintf("k%d", w), fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
}

func FuzzAnyFileIsReadOrMovedAside(f *testing.F) {
	f.Add([]byte(`{"version":1,"values":{"a":"1"}}`))
	f.Add([]byte(`{"version":1e999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "p.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenFile(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("an unreadable file must not stop the service: %v", err)
		}
		defer s.Close()
		if err := s.Put(t.Context(), "x", []byte("1")); err != nil {
			t.Fatal(err)
		}
	})
}
