// Package durable has the few calls that files need to outlive a crash and to keep other processes out, which
// differ from system to system.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Writable says, without touching anything, whether the file at path could be written to or made, with the
// directories that are missing on the way to it. The error names the path that stands in the way.
func Writable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case err == nil:
		return access(path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return WritableDir(filepath.Dir(path))
}

// WritableDir is Writable for a directory that files are made in.
func WritableDir(path string) error {
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is no directory", path)
		case err == nil:
			return access(path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		parent := filepath.Dir(path)
		if parent == path {
			return err
		}
		path = parent
	}
}
