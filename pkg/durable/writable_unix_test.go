//go:build unix

package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foretop/foretop/pkg/durable"
)

// nobody is a user whom the system denies things.
const nobody = 65534

func TestWhatOthersOwnIsNotWritable(t *testing.T) {
	dir := t.TempDir()
	for path := dir; path != filepath.Clean(os.TempDir()) && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() == 0 { // whom nothing is denied
		if err := syscall.Seteuid(nobody); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Seteuid(0); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, path := range []string{file, filepath.Join(dir, "new"), filepath.Join(dir, "a", "new")} {
		if err := durable.Writable(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := durable.WritableDir(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}
