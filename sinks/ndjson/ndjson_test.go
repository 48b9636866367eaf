package ndjson

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a file whose writes may stop half-way, as on a full disk.
type faulty struct {
	handle
	full      atomic.Bool
	room      int // bytes that a write still gets on a full disk
	syncFails bool
	stuck     bool // truncation fails too
}

var errFull = errors.New("no space left on device")

func (f *faulty) Write(p []byte) (int, error) {
	if !f.full.Load() {
		return f.handle.Write(p)
	}
	n, err := f.handle.Write(p[:min(f.room, len(p))])
	return n, errors.Join(err, errFull)
}

func (f *faulty) Sync() error {
	if f.syncFails {
		return errFull
	}
	return f.handle.Sync()
}

func (f *faulty) Truncate(size int64) error {
	if f.stuck {
		return errFull
	}
	return f.handle.Truncate(size)
}

// newFile opens a sink on a new file whose failures the test commands.
func newFile(t *testing.T) (*Sink, *faulty, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.ndjson")
	s := openSink(t, path)
	f := s.target.(*file)
	broken := &faulty{handle: f.handle}
	f.handle = broken
	return s, broken, path
}

func openSink(t *testing.T, path string) *Sink {
	t.Helper()
	s, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func lines(text string) (docs []pipeline.Document) {
	for line := range strings.Lines(text) {
		docs = append(docs, pipeline.Document{Body: []byte(strings.TrimSuffix(line, "\n"))})
	}
	return docs
}

func poison(*testing.T) pipeline.Document {
	return pipeline.Document{ID: "poison", Body: []byte("{\"cut\":\n")}
}

func TestFileKeepsTheRulesOfSinks(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		s, broken, path := newFile(t)
		return sinktest.Harness{
			Sink:   s,
			Stored: func(t *testing.T) []pipeline.Document { return lines(read(t, path)) },
			Poison: poison,
			Down: func(*testing.T) func() {
				broken.room = 100
				broken.full.Store(true)
				return func() { broken.full.Store(false) }
			},
		}
	})
}

func TestStreamKeepsTheRulesOfSinks(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		w := &halting{}
		return sinktest.Harness{
			Sink:   NewWriter(w),
			Stored: func(*testing.T) []pipeline.Document { return lines(w.String()) },
			Poison: poison,
			Down: func(*testing.T) func() {
				w.stop = true
				return func() { w.stop = false }
			},
		}
	})
}

// halting takes a part of a write and then fails, until it is let on.
type halting struct {
	bytes.Buffer
	stop bool
}

func (w *halting) Write(p []byte) (int, error) {
	if !w.stop {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:len(p)/3])
	return n, errFull
}

func docs(bodies ...string) (out []pipeline.Document) {
	for _, b := range bodies {
		out = append(out, pipeline.Document{ID: b, Body: []byte(b)})
	}
	return out
}

func write(t *testing.T, s *Sink, bodies ...string) {
	t.Helper()
	results, err := s.Write(t.Context(), docs(bodies...))
	if err = errors.Join(append(results, err)...); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedWriteLeavesNoPartOfALine(t *testing.T) {
	tests := []struct {
		name string
		set  func(*faulty)
	}{
		{"the disk is full in the middle of a line", func(f *faulty) { f.full.Store(true); f.room = 12 }},
		{"the disk is full between lines", func(f *faulty) { f.full.Store(true); f.room = 8 }},
		{"the disk is full and cannot be cut back yet", func(f *faulty) { f.full.Store(true); f.room, f.stuck = 12, true }},
		{"the data cannot be made durable", func(f *faulty) { f.syncFails = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, broken, path := newFile(t)
			write(t, s, `{"a":0}`)
			tt.set(broken)
			for range 3 {
				if _, err := s.Write(t.Context(), docs(`{"a":1}`, `{"a":2}`)); err == nil || pipeline.ClassOf(err) != pipeline.Retry {
					t.Fatalf("Write: %v", err)
				}
			}
			broken.full.Store(false)
			broken.syncFails, broken.stuck = false, false
			write(t, s, `{"a":1}`, `{"a":2}`)
			if got, want := read(t, path), "{\"a\":0}\n{\"a\":1}\n{\"a\":2}\n"; got != want {
				t.Errorf("file holds %q, want %q", got, want)
			}
		})
	}
}

func TestTheEndThatACrashLeftIsRepaired(t *testing.T) {
	long := `{"long":"` + strings.Repeat("x", 3*tailStep) + `"}`
	tests := []struct{ name, before, after string }{
		{"a new file", "", ""},
		{"whole lines stay", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":2}\n"},
		{"a cut line goes", "{\"a\":1}\n{\"a\":", "{\"a\":1}\n"},
		{"a cut line of more than one block goes", "{\"a\":1}\n" + long[:len(long)-1], "{\"a\":1}\n"},
		{"a line that lacks only its end stays", "{\"a\":1}\n{\"a\":2}", "{\"a\":1}\n{\"a\":2}\n"},
		{"a long line that lacks only its end stays", "{\"a\":1}\n" + long, "{\"a\":1}\n" + long + "\n"},
		{"the only line is cut", "{\"a\"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
			write(t, openSink(t, path), `{"new":1}`)
			if got, want := read(t, path), tt.after+"{\"new\":1}\n"; got != want {
				t.Errorf("%d bytes, want %d; it ends in %q", len(got), len(want), got[max(0, len(got)-40):])
			}
		})
	}
}

func TestTheFileIsForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	openSink(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	openSink(t, path)
	if _, err := New(Config{Path: path}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second open: %v", err)
	}
}

func TestAFileThatWasRotatedAwayIsMadeAnewAndTheOldOneLeftWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	s := openSink(t, path)
	write(t, s, `{"a":1}`)
	s.target.(*file).handle = &faulty{handle: s.target.(*file).handle, room: 3, stuck: true}
	s.target.(*file).handle.(*faulty).full.Store(true)
	if _, err := s.Write(t.Context(), docs(`{"a":2}`)); err == nil {
		t.Fatal("no error")
	}
	s.target.(*file).handle.(*faulty).stuck = false
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, s, `{"a":2}`)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, s, `{"a":3}`)
	if got := read(t, path+".1") + read(t, path); got != "{\"a\":1}\n{\"a\":3}\n" {
		t.Errorf("files hold %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestADirectoryThatWentAwayIsARetryUntilItIsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "out")
	s := openSink(t, path)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Write(t.Context(), docs(`{}`)); !errors.Is(err, fs.ErrNotExist) || pipeline.ClassOf(err) != pipeline.Retry {
			t.Fatalf("Write: %v", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s, `{"a":1}`)
	if got := read(t, path); got != "{\"a\":1}\n" {
		t.Errorf("file holds %q", got)
	}
}

func TestADocumentWithLineBreaksIsOneLine(t *testing.T) {
	var out bytes.Buffer
	write(t, NewWriter(&out), "{\n  \"a\": \"b c\",\r\n  \"d\": []\n}", `{"e":1}`)
	if want := "{\"a\":\"b c\",\"d\":[]}\n{\"e\":1}\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

func TestAStreamThatFailsInALineCompletesItFirst(t *testing.T) {
	w := &halting{stop: true}
	s := NewWriter(w)
	for range 2 {
		if _, err := s.Write(t.Context(), docs(`{"a":11111111}`, `{"a":22222222}`)); err == nil {
			t.Fatal("no error")
		}
	}
	w.stop = false
	write(t, s, `{"a":11111111}`, `{"a":22222222}`)
	for line := range strings.Lines(w.String()) {
		if line != "{\"a\":11111111}\n" && line != "{\"a\":22222222}\n" {
			t.Errorf("line %q in %q", line, w.String())
		}
	}
}

func TestAfterCloseNothingIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	s := openSink(t, path)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(context.Background(), docs(`{}`)); err == nil {
		t.Error("a closed sink wrote")
	}
}

func TestADirectoryOrAnEmptyPathIsNoFile(t *testing.T) {
	for name, path := range map[string]string{"directory": t.TempDir(), "empty": "", "missing directory": "/does/not/exist/out"} {
		if _, err := New(Config{Path: path}); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
