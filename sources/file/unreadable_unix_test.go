//go:build unix

package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// nobody is a user whom the system denies things.
const nobody = 65534

// asNobody runs the rest of the test as a user who is not root, to whom dir then belongs: root may read
// everything. No other test may be under way, since this is for the whole process.
func asNobody(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for path := dir; path != filepath.Clean(os.TempDir()) && path != "/"; path = filepath.Dir(path) {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Seteuid(nobody); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Seteuid(0); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnUnreadableDirectoryDoesNotStopTheOthers(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "x"), []byte("{}"))
	write(t, filepath.Join(dir, "b"), []byte(`{"b":1}`))
	asNobody(t, dir)
	if err := os.Chmod(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "a"), 0o700)
	to, s := read(t, Config{Paths: []string{dir}})
	if bad := s.Unreadable(); len(bad) != 1 || !errors.Is(bad[0], fs.ErrPermission) || to.take() != `{"b":1}` {
		t.Errorf("unreadable: %v", bad)
	}
}
