package ndjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/foretop/foretop/pkg/durable"
)

// handle is what file needs of an *os.File; tests fail it.
type handle interface {
	io.Writer
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// file is a target that is durable before write returns. size is the end of the last durable line: what
// stands behind it is the rest of a failed write and is cut off before the next one.
type file struct {
	path    string
	handle  handle
	regular bool
	size    int64
	dirty   bool
}

func openFile(path string) (*file, error) {
	f := &file{path: path}
	return f, f.open()
}

func (f *file) open() error {
	osFile, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	err = f.take(osFile)
	if err != nil {
		return errors.Join(err, osFile.Close())
	}
	return nil
}

// take locks the file, repairs its end and makes its directory entry durable.
func (f *file) take(osFile *os.File) error {
	info, err := osFile.Stat()
	if err != nil {
		return err
	}
	f.handle, f.regular, f.dirty = osFile, info.Mode().IsRegular(), false
	if !f.regular { // a pipe or a terminal has no end to repair
		return nil
	}
	if err := durable.Lock(osFile); err != nil {
		return fmt.Errorf("%s: is another process writing to it? %w", f.path, err)
	}
	if f.size, err = wholeLines(osFile, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.dirty = f.size != info.Size()
	return durable.SyncDir(filepath.Dir(f.path))
}

// tailStep is how much is read at a time to find the last line break. A document longer than maxTail is
// not ours.
const (
	tailStep = 64 << 10
	maxTail  = 64 << 20
)

// wholeLines is the length of the file without a line at its end that a crash cut. A last line that is
// whole but for its line break gets one.
func wholeLines(f *os.File, size int64) (int64, error) {
	var tail []byte
	for at := size; at > 0; {
		n := min(at, tailStep)
		at -= n
		block := make([]byte, n, int(n)+len(tail))
		if _, err := f.ReadAt(block, at); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			tail = append(block[i+1:], tail...)
			break
		}
		tail = append(block, tail...)
		if len(tail) > maxTail {
			return 0, fmt.Errorf("its last line is longer than %d bytes: this is no file of lines", maxTail)
		}
	}
	if len(tail) == 0 || !json.Valid(tail) {
		return size - int64(len(tail)), nil
	}
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return 0, err
	}
	return size + 1, nil
}

func (f *file) write(p []byte) error {
	if err := f.prepare(); err != nil {
		return err
	}
	if !f.regular {
		_, err := f.handle.Write(p)
		return err
	}
	f.dirty = true
	if _, err := f.handle.Write(p); err != nil {
		return errors.Join(err, f.repair())
	}
	if err := f.handle.Sync(); err != nil {
		return errors.Join(err, f.repair())
	}
	f.size += int64(len(p))
	f.dirty = false
	return nil
}

// prepare opens the file anew where somebody moved or removed it, as log rotation does, and cuts off what
// a failed write left.
func (f *file) prepare() error {
	if f.moved() {
		if err := errors.Join(f.repair(), f.handle.Close()); err != nil && !errors.Is(err, os.ErrClosed) {
			return err
		}
		if err := f.open(); err != nil {
			return err
		}
	}
	return f.repair()
}

func (f *file) moved() bool {
	if !f.regular {
		return false
	}
	ours, err := f.handle.Stat()
	if err != nil {
		return true // closed by a failed attempt to open it anew
	}
	there, err := os.Stat(f.path)
	return err != nil || !os.SameFile(ours, there)
}

func (f *file) repair() error {
	if !f.dirty {
		return nil
	}
	if err := f.handle.Truncate(f.size); err != nil {
		return fmt.Errorf("%s: removing the rest of a failed write: %w", f.path, err)
	}
	f.dirty = false
	return nil
}

func (f *file) close() error { return errors.Join(f.repair(), f.handle.Close()) }
