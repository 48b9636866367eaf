package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/durable"
)

func TestOneFileIsLockedOnceAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := open(), open()
	defer second.Close()
	if err := durable.Lock(first); err != nil {
		t.Fatal(err)
	}
	if err := durable.Lock(second); err == nil {
		t.Error("two have the lock")
	}
	first.Close()
	if err := durable.Lock(second); err != nil {
		t.Errorf("the lock did not end with its file: %v", err)
	}
}

func TestWritableTellsWithoutTouchingAnything(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                              "",
		filepath.Join(dir, "new"):         "",
		filepath.Join(dir, "a", "b", "c"): "",
		dir:                               "is a directory",
		filepath.Join(file, "below", "a"): "not a directory",
	} {
		err := durable.Writable(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if err := durable.WritableDir(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
	if err := durable.WritableDir(file); err == nil {
		t.Error("a file is taken for a directory")
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory was made by asking")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries after asking, want the one that was there (%v)", len(entries), err)
	}
}
