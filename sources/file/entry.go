package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/foretop/foretop/pkg/checkpoint"
)

// printLength is how much of the beginning of a file makes its fingerprint, checkLength how much of what
// stands before a position is compared before reading goes on there.
const (
	printLength = 1 << 10
	checkLength = 256
)

// imprint recognises content by its beginning, wherever it has been moved, copied or compressed to.
type imprint struct {
	Length int    `json:"length"`
	SHA256 string `json:"sha256"`
}

func printOf(head []byte) imprint {
	sum := sha256.Sum256(head)
	return imprint{len(head), hex.EncodeToString(sum[:])}
}

// matches says that content which begins with head may be the content that p was made of.
func (p imprint) matches(head []byte) bool {
	return p.Length > 0 && p.Length <= len(head) && printOf(head[:p.Length]) == p
}

// position is what the store knows about one content.
type position struct {
	Path   string  `json:"path"`
	Device uint64  `json:"device"`
	Inode  uint64  `json:"inode"`
	Print  imprint `json:"print"`
	// Offset is where to go on, in the decompressed content. Check is made of what stands before it.
	Offset int64   `json:"offset"`
	Check  imprint `json:"check,omitzero"`
	// Size and ModTime describe the file when it had been read to its end.
	Size    int64     `json:"size,omitempty"`
	ModTime time.Time `json:"mod_time,omitzero"`
	Updated time.Time `json:"updated"`
}

// entry is one content: a file and what it was moved, copied or compressed to. Its fields are guarded by
// follower.mu, but for those that say otherwise.
type entry struct {
	position
	key     string // in the store; empty while nothing is saved
	id      fileID // the file that has the content now; zero if none is known
	running bool   // a tail reads it

	matched   bool // the last look at the directories found it under a path to follow
	unmatched time.Time
	retryAt   time.Time // after a failure, when to try again
}

// stamp tells whether a file changed.
type stamp struct {
	size    int64
	modTime time.Time
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UTC()} }

// rests says that the file was read to its end and looks as it did then, or failed a moment ago.
func (e *entry) rests(info fs.FileInfo) bool {
	return stampOf(info) == stamp{e.Size, e.ModTime.UTC()} || time.Now().Before(e.retryAt)
}

// load reads all positions of this source. What cannot be read as one is left alone and logged: its file is
// read from the beginning then.
func (f *follower) load(ctx context.Context) error {
	store := f.s.opt.Store
	if store == nil {
		f.s.opt.Logger.Warn("no store for positions: every start reads the followed files anew", "source", f.s.opt.Name)
		return nil
	}
	keys, err := store.Keys(ctx, f.keyPrefix())
	if err != nil {
		return fmt.Errorf("reading positions: %w", err)
	}
	for _, key := range keys {
		value, err := store.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("reading positions: %w", err)
		}
		var p position
		if err := json.Unmarshal(value, &p); err != nil || p.Offset < 0 || p.Print.Length <= 0 {
			f.s.opt.Logger.Warn("a position is unreadable; its file is read anew", "source", f.s.opt.Name, "key", key)
			continue
		}
		f.remember(&entry{position: p, key: key, id: fileID{p.Device, p.Inode}, unmatched: f.started})
	}
	return nil
}

// forgetAfter is how long positions of files that are not there any more are kept. A busy API server rotates
// hundreds of files a day, and every save writes all positions.
const forgetAfter = 48 * time.Hour

func (f *follower) keyPrefix() string { return checkpoint.Key("file", f.s.opt.Name) + "." }

// save makes e's position durable. The key depends on the fingerprint, which grows with a small file.
func (f *follower) save(ctx context.Context, e *entry) error {
	store := f.s.opt.Store
	f.mu.Lock()
	p, old := e.position, e.key
	f.mu.Unlock()
	if store == nil || p.Print.Length == 0 {
		return nil
	}
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	key := f.keyPrefix() + fileID{p.Device, p.Inode}.String() + "." + p.Print.SHA256[:32]
	if err := store.Put(ctx, key, value); err != nil {
		return err
	}
	f.mu.Lock()
	e.key = key
	f.mu.Unlock()
	if old != "" && old != key {
		return store.Delete(ctx, old)
	}
	return nil
}

// readHead reads what a fingerprint is made of.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, printLength)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// skipTo reads away what stands before offset, and says whether it ends as check demands. A position
// without a check is taken on trust.
func skipTo(r io.Reader, offset int64, check imprint) (bool, error) {
	lead := offset - int64(check.Length)
	if lead < 0 {
		return false, nil
	}
	if n, err := io.CopyN(io.Discard, r, lead); err != nil || n < lead {
		return false, ignoreEOF(err)
	}
	before := make([]byte, check.Length)
	if _, err := io.ReadFull(r, before); err != nil {
		return false, ignoreEOF(err)
	}
	return check.Length == 0 || printOf(before) == check, nil
}

// sameUpToShorter compares two files just before the end of the shorter one.
func sameUpToShorter(a, b *os.File) (bool, error) {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	end := min(infoA.Size(), infoB.Size())
	bufA, bufB := make([]byte, min(end, checkLength)), make([]byte, min(end, checkLength))
	_, errA = a.ReadAt(bufA, end-int64(len(bufA)))
	_, errB = b.ReadAt(bufB, end-int64(len(bufB)))
	return bytes.Equal(bufA, bufB), errors.Join(errA, errB)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// lastLine is the position behind the last line break before size, where reading can begin without
// cutting a record. What is searched is bounded; a longer last line is skipped with the rest.
func lastLine(r io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, min(size, 1<<20))
	if _, err := r.ReadAt(block, size-int64(len(block))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
		return size - int64(len(block)) + int64(i) + 1, nil
	}
	if int64(len(block)) == size {
		return 0, nil
	}
	return size, nil
}
