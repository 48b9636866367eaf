package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/durable"
)

// fileVersion is the version of the file's form that this program writes and reads.
const fileVersion = 1

// maxFile bounds what is read back: more is not ours.
const maxFile = 64 << 20

// File is a Store in one small JSON file. Every change writes the file anew beside the old one, makes it
// durable and renames it, so a crash leaves the old or the new state and nothing between. One process at a
// time may have it open.
type File struct {
	path string
	lock io.Closer

	mu     sync.Mutex
	closed bool
	values map[string]string
	// spoiled is set while an unreadable file of ours stands at path and could not be moved aside yet:
	// it must not be overwritten, since somebody may still read positions out of it.
	spoiled error
	log     *slog.Logger
}

var _ Store = (*File)(nil)

// lockFile makes and locks a file; closing it ends the lock.
func lockFile(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := durable.Lock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

type fileForm struct {
	Version int               `json:"version"`
	Values  map[string]string `json:"values"`
}

// OpenFile opens the store at path, creating directory and file (0700, 0600) where they are missing. A file
// that is corrupt or written by a newer version is renamed to path.corrupt-<time> or path.newer-<time>,
// reported to log, and the store starts empty: sources then begin as if for the first time. It fails if
// another process has the store open, or if the file system refuses.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	if log == nil {
		log = slog.Default()
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("checkpoint: directory for positions: %w", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: is another process using it? %w", path, err)
	}
	f := &File{path: path, lock: lock, values: make(map[string]string), log: log}
	if err := f.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

var (
	errCorrupt = errors.New("it is not what this program writes")
	errNewer   = errors.New("a newer version of this program wrote it")
)

func (f *File) load() error {
	data, err := readLimited(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, errCorrupt) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err == nil {
		f.values, err = parse(data)
	}
	if err == nil {
		return nil
	}
	f.values = make(map[string]string)
	f.spoiled = err
	if err := f.quarantine(); err != nil {
		// Failing here would make the service crash and restart for ever. It can work without
		// positions, and every Put says why it cannot save.
		f.log.Error("positions cannot be read and not be moved aside; nothing is saved until they are", "file", f.path, "error", err)
	}
	return nil
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%w: longer than %d bytes", errCorrupt, maxFile)
	}
	return data, err
}

func parse(data []byte) (map[string]string, error) {
	var form fileForm
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	switch {
	case form.Version > fileVersion:
		return nil, fmt.Errorf("%w: form %d, this program reads form %d", errNewer, form.Version, fileVersion)
	case form.Version < 1:
		return nil, fmt.Errorf("%w: it names no version", errCorrupt)
	case form.Values == nil:
		return nil, fmt.Errorf("%w: it has no values", errCorrupt)
	}
	return form.Values, nil
}

// quarantine moves the unreadable file aside; the caller holds mu or is the only one.
func (f *File) quarantine() error {
	kind := "corrupt"
	if errors.Is(f.spoiled, errNewer) {
		kind = "newer"
	}
	aside := fmt.Sprintf("%s.%s-%s", f.path, kind, time.Now().UTC().Format("20060102T150405.000000000Z"))
	if err := os.Rename(f.path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (%w)", f.spoiled, err)
	}
	f.log.Error("positions cannot be read; the file was moved aside and sources start anew", "file", aside, "error", f.spoiled)
	f.spoiled = nil
	return durable.SyncDir(filepath.Dir(f.path))
}

// Get implements Store.
func (f *File) Get(_ context.Context, key string) ([]byte, error) {
	if err := check(key, nil); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	value, ok := f.values[key]
	if f.closed || !ok {
		return nil, f.usable()
	}
	return []byte(value), nil
}

// Put implements Store.
func (f *File) Put(_ context.Context, key string, value []byte) error {
	if err := check(key, value); err != nil {
		return err
	}
	return f.change(func(values map[string]string) bool {
		old, ok := values[key]
		values[key] = string(value)
		return !ok || old != string(value)
	})
}

// Delete implements Store.
func (f *File) Delete(_ context.Context, key string) error {
	if err := check(key, nil); err != nil {
		return err
	}
	return f.change(func(values map[string]string) bool {
		_, ok := values[key]
		delete(values, key)
		return ok
	})
}

// Keys implements Store.
func (f *File) Keys(_ context.Context, prefix string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return keysWith(f.values, prefix), f.usable()
}

// Close implements Store.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return f.lock.Close()
}

var errClosed = errors.New("checkpoint: the store is closed")

func (f *File) usable() error {
	if f.closed {
		return errClosed
	}
	return nil
}

// change applies edit to a copy and makes it durable; on failure memory and file keep the old state. edit
// says whether anything differs.
func (f *File) change(edit func(map[string]string) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	values := maps.Clone(f.values)
	if !edit(values) {
		return nil
	}
	if f.spoiled != nil {
		if err := f.quarantine(); err != nil {
			return fmt.Errorf("checkpoint: %s: %w", f.path, err)
		}
	}
	data, err := json.MarshalIndent(fileForm{Version: fileVersion, Values: values}, "", " ")
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := replace(f.path, append(data, '\n')); err != nil {
		return fmt.Errorf("checkpoint: positions were not saved: %w", err)
	}
	f.values = values
	return nil
}

// replace writes data to path so that a crash at any moment leaves the old content or the new.
func replace(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return durable.SyncDir(dir)
}
