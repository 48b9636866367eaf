//go:build unix

package durable

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes an exclusive lock on f, which ends with f or with the process, however it ends. It does not wait:
// it fails where another process has the lock.
func Lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// SyncDir makes the entries of a directory durable: what was made, renamed or removed in it.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// access asks the system whether this process may write to what is there; a file system that is mounted
// read-only says no even to root.
func access(path string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}
