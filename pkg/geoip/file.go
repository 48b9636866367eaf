package geoip

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// change is what a look at a file found.
type change int

const (
	unchanged change = iota
	changing         // it is another one, and may still be on its way
	replaced         // the new one is in use
	refused          // the new one cannot be used; told once for each
)

// file is a database on disk and the state of it that is in use.
type file[T comparable] struct {
	name   string // city or asn
	path   string
	other  string // part of the type of files that belong elsewhere
	decode func(maxminddb.Result) (T, error)

	current atomic.Pointer[database[T]]
	// What follows belongs to whoever opens and looks: one goroutine at a time.
	used, pending, rejected os.FileInfo
	missing                 bool
	// failure is why the file as it is now is not in use; nil while it is.
	failure atomic.Pointer[string]
}

func (f *file[T]) label() string    { return f.name }
func (f *file[T]) where() string    { return f.path }
func (f *file[T]) built() time.Time { return f.current.Load().reader.Metadata.BuildTime() }

func (f *file[T]) problem() string {
	if text := f.failure.Load(); text != nil {
		return *text
	}
	return ""
}

// maxFileBytes bounds what is read into memory. The largest that MaxMind publishes is a few hundred MiB.
const maxFileBytes = 2 << 30

// open reads the file and puts it in use if it is good. It is read into memory rather than mapped: a mapped file that is
// overwritten in place, instead of replaced, ends the process or gives answers out of two databases.
func (f *file[T]) open() error {
	data, info, err := read(f.path)
	if err != nil {
		return err
	}
	db, err := newDatabase(data, f.decode)
	if err != nil {
		return err
	}
	if kind := db.reader.Metadata.DatabaseType; strings.Contains(kind, f.other) {
		return fmt.Errorf("it is of the type %q: give it as the %s database", kind, f.other)
	}
	f.current.Store(db) // lookups under way end on the old one, whose memory goes with the last of them
	f.used, f.pending, f.rejected = info, nil, nil
	f.failure.Store(nil)
	return nil
}

func read(path string) ([]byte, os.FileInfo, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, errors.New("it is no regular file")
	case info.Size() > maxFileBytes:
		return nil, nil, fmt.Errorf("it has %d bytes, more than the limit of %d", info.Size(), maxFileBytes)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(in, data); err != nil {
		return nil, nil, fmt.Errorf("it became shorter while it was read: %w", err)
	}
	if after, err := in.Stat(); err != nil || !same(info, after) {
		return nil, nil, errors.New("it changed while it was read")
	}
	return data, info, nil
}

// look compares the file with the one in use. A file is read when two looks found it the same.
func (f *file[T]) look() (change, error) {
	what, err := f.compare()
	if err != nil {
		text := err.Error()
		f.failure.Store(&text)
	}
	return what, err
}

func (f *file[T]) compare() (change, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.pending, f.rejected = nil, nil
		if f.missing {
			return unchanged, nil
		}
		f.missing = true
		return refused, err
	}
	f.missing = false
	switch {
	case same(info, f.used):
		f.pending, f.rejected = nil, nil
		f.failure.Store(nil)
		return unchanged, nil
	case same(info, f.rejected):
		return unchanged, nil
	case !same(info, f.pending):
		f.pending = info
		return changing, nil
	}
	if err := f.open(); err != nil {
		f.rejected, f.pending = info, nil
		return refused, err
	}
	return replaced, nil
}

// same is true for one file in one state: its identity on the file system, its length and its time.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
