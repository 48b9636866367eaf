package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

const (
	// rotateGrace is how long a file that was moved away is still read: its writer may hold it open.
	rotateGrace = 30 * time.Second
	// restAfter is how long a file has to be quiet before it makes room for others. Growth wakes it.
	restAfter = time.Minute
	// lineGrace is how long an unfinished last line waits for its end.
	lineGrace = 10 * time.Minute
	// againAfter is the pause before records that were given back are read again, and before a file that
	// could not be read is tried again.
	againAfter = time.Second
)

// outcome says why reading a file ended.
type outcome int

const (
	stopped outcome = iota // the source ends, or the pipeline takes no more
	ended                  // there is nothing more to read, as far as can be told
	other                  // the file was cut or written anew: its content is another one now
	again                  // records were given back: read on from the last saved position
	failed                 // the file system failed
)

var errOther = errors.New("the file was cut or written anew")

// tail reads one content from one open file to its end, and beyond as it grows. All fields but those of
// saving belong to the goroutine of run.
type tail struct {
	f          *follower
	e          *entry
	path       string // when the tail began; the batches' stream
	file       *os.File
	compressed bool
	lag        atomic.Int64 // bytes not read at the last look

	framer *decode.Framer
	batch  *batcher
	active time.Time // when something was last read
	seen   stamp     // what the file looked like when it was last found read to its end
	// The following are of plain files: pos is what has been read, last what stands before it, and atEnd
	// is true once the end was reached.
	pos   int64
	last  []byte
	atEnd bool

	saving  sync.Mutex
	tracker *offsets.Tracker
	checks  *checks
	head    []byte // the first bytes of the content as they were read, up to printLength
	lastErr error  // of the last attempt to save
}

func (t *tail) run() {
	defer t.file.Close()
	for {
		t.saving.Lock()
		t.tracker, t.checks, t.head = offsets.New(0), new(checks), nil
		t.saving.Unlock()
		result, err := t.read()
		t.settle()
		switch {
		case t.f.ctx.Err() != nil || result == stopped:
			return
		case result == other:
			t.restart()
		case result == again || t.tracker.Pinned():
			if !pipeline.Sleep(t.f.ctx, againAfter) {
				return
			}
		case result == failed:
			t.f.fail(t.path, err)
			t.rest(time.Now().Add(10 * againAfter))
			return
		default:
			t.rest(time.Time{})
			return
		}
	}
}

// settle waits until what was emitted is settled, at the end of the source no longer than the drain, and
// saves how far that is.
func (t *tail) settle() {
	err := t.tracker.Wait(t.f.ctx)
	ctx := context.WithoutCancel(t.f.ctx) // the last position has to be saved after the source was told to end
	if err != nil {
		drain, cancel := context.WithTimeout(t.f.streams, t.f.s.cfg.DrainTimeout)
		defer cancel()
		_ = t.tracker.Wait(drain) // what is still open then is read again after the next start
	}
	t.save(ctx)
}

// read reads from the saved position on.
func (t *tail) read() (outcome, error) {
	t.f.mu.Lock()
	offset, check := t.e.Offset, t.e.Check
	t.f.mu.Unlock()
	t.batch = &batcher{
		ctx: t.f.ctx, streams: t.f.streams, emit: t.f.emit, tracker: t.tracker, stream: t.path, base: offset,
		records: &t.f.s.progress.records, checks: t.checks,
	}
	if t.compressed {
		return t.readCompressed(offset, check)
	}
	if err := t.begin(offset); err != nil {
		return failed, err
	}
	for {
		frame, err := t.framer.Next()
		switch {
		case err == nil:
			err = t.batch.add(frame)
		case errors.Is(err, io.EOF):
			if err = t.batch.flush(); err == nil {
				if result, done := t.wait(); done {
					return result, nil
				}
			}
		case t.f.ctx.Err() != nil:
			return stopped, nil //nolint:nilerr // what an ending run runs into is no error
		case errors.Is(err, errOther):
			// An unfinished last line is left to the copy that was made before the file was cut.
			return other, nil
		default:
			return failed, err
		}
		if err != nil {
			return t.refused(err), nil
		}
	}
}

// begin starts reading a plain file at offset.
func (t *tail) begin(offset int64) error {
	t.pos, t.active, t.atEnd = offset, time.Now(), false
	t.framer = decode.NewFramer(readerFunc(t.more), int(t.f.s.cfg.MaxRecord))
	t.last = make([]byte, min(offset, checkLength))
	if _, err := t.file.ReadAt(t.last, offset-int64(len(t.last))); err != nil {
		return err
	}
	head, err := readHead(io.NewSectionReader(t.file, 0, offset))
	t.saving.Lock()
	t.head = head
	t.saving.Unlock()
	return err
}

// refused says what it means that a batch was not taken over.
func (t *tail) refused(err error) outcome {
	t.batch.drop()
	switch {
	case errors.Is(err, offsets.ErrPinned):
		return again
	case t.f.ctx.Err() == nil:
		t.f.stop(err) // the pipeline has stopped without ending our context
	}
	return stopped
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// more reads on in a plain file. It returns io.EOF at what is the end at present.
func (t *tail) more(p []byte) (int, error) {
	if err := t.f.ctx.Err(); err != nil {
		return 0, err
	}
	if t.atEnd {
		if err := t.sameContent(); err != nil {
			return 0, err
		}
	}
	n, err := t.file.ReadAt(p, t.pos)
	if n == 0 {
		t.atEnd = true
		return 0, err
	}
	if t.pos < printLength {
		t.saving.Lock()
		t.head = append(t.head, p[:min(int64(n), printLength-t.pos)]...)
		t.saving.Unlock()
	}
	t.last = append(t.last, p[max(0, n-checkLength):n]...)
	t.last = t.last[max(0, len(t.last)-checkLength):]
	t.pos += int64(n)
	t.active, t.atEnd = time.Now(), false
	t.f.s.progress.bytes.Add(int64(n))
	return n, nil
}

// sameContent returns errOther if the file lost what was read of it. A file that was cut and has grown
// beyond our position since is recognised by what stands before that.
func (t *tail) sameContent() error {
	info, err := t.file.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() < t.pos:
		return errOther
	case info.Size() == t.pos:
		return nil
	}
	before := make([]byte, len(t.last))
	if _, err := t.file.ReadAt(before, t.pos-int64(len(before))); err != nil {
		return cmp.Or(ignoreEOF(err), errOther)
	}
	if !bytes.Equal(before, t.last) {
		return errOther
	}
	return nil
}

// wait is called at the end of the file. It returns after a moment to read on, or with done and a result.
func (t *tail) wait() (result outcome, done bool) {
	if t.tracker.Pinned() {
		return again, true
	}
	t.saving.Lock()
	t.f.mu.Lock()
	t.recognise()
	t.f.mu.Unlock()
	t.saving.Unlock()
	info, err := t.file.Stat()
	if err == nil {
		t.lag.Store(max(0, info.Size()-t.pos))
		t.seen = stampOf(info)
		if info.Size() == t.pos && t.finished(info) {
			return ended, true
		}
	}
	if !pipeline.Sleep(t.f.ctx, t.f.s.cfg.Poll) {
		return stopped, true
	}
	return 0, false
}

// finished says whether nothing more is to be expected: the file was moved out of sight and is quiet, or it
// has been quiet for so long that looking at its size is enough.
func (t *tail) finished(info fs.FileInfo) bool {
	quiet, age := time.Since(t.active), time.Since(info.ModTime())
	t.f.mu.Lock()
	gone := !t.e.matched && time.Since(t.e.unmatched) >= rotateGrace && quiet >= rotateGrace
	t.f.mu.Unlock()
	unfinished := len(t.framer.Pending()) > 0
	switch {
	case gone:
	case quiet < 2*t.f.s.cfg.Poll || quiet < restAfter && age < restAfter:
		return false
	case unfinished && quiet < lineGrace && age < lineGrace:
		return false
	}
	return t.flushLine() == nil
}

// flushLine emits an unfinished last line, where its end will not come.
func (t *tail) flushLine() error {
	if frame, ok := t.framer.Flush(); ok {
		if err := t.batch.add(frame); err != nil {
			return err
		}
	}
	return t.batch.flush()
}

// readCompressed reads a compressed file to its end. It does not grow.
func (t *tail) readCompressed(offset int64, check imprint) (outcome, error) {
	c, err := newContent(t.f.ctx, counting{io.NewSectionReader(t.file, 0, 1<<62), &t.f.s.progress.bytes})
	if err != nil {
		return failed, err
	}
	defer c.Close()
	if info, err := t.file.Stat(); err == nil {
		t.seen = stampOf(info)
	}
	switch ok, err := skipTo(c, offset, check); {
	case t.f.ctx.Err() != nil:
		return stopped, nil
	case err != nil:
		return failed, err
	case !ok:
		return other, nil // it only begins alike
	}
	if err := readFrames(decode.NewFramer(c, int(t.f.s.cfg.MaxRecord)), t.batch); err != nil {
		return t.refused(err), nil
	}
	if c.err != nil {
		t.f.s.progress.fail(t.path, cause(c.err))
		t.f.fail(t.path, c.err)
	}
	return ended, nil
}

// restart goes on at the beginning of the file with a new entry. The content that it had keeps its own: a
// copy of it, as copytruncate makes one, is read on from where we were.
func (t *tail) restart() {
	t.f.s.follow.truncations.Add(1)
	t.f.s.opt.Logger.Info("followed file holds other content than before; reading it from its beginning",
		"source", t.f.s.opt.Name, "path", t.path)
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	id, old := t.e.id, t.e.Print
	t.f.detach(t.e)
	t.e.running = false
	t.e = &entry{id: id, running: true, matched: true}
	t.e.position = position{Path: t.path, Device: id.dev, Inode: id.ino}
	if t.compressed {
		t.e.Print = old // the beginning is the same, or it would not have been read as this content
	}
	t.f.remember(t.e)
}

// rest notes what the file looks like at its end, or until when to leave it alone after a failure.
func (t *tail) rest(retryAt time.Time) {
	t.f.mu.Lock()
	e := t.e
	e.retryAt = retryAt
	if retryAt.IsZero() {
		e.Size, e.ModTime = t.seen.size, t.seen.modTime
	}
	t.f.mu.Unlock()
	if err := t.f.save(context.WithoutCancel(t.f.ctx), e); err != nil {
		t.saveFailed(err)
	}
}

// save saves the position up to which everything is settled.
func (t *tail) save(ctx context.Context) {
	t.saving.Lock()
	defer t.saving.Unlock()
	next, ok := t.tracker.Ready()
	t.f.mu.Lock()
	e := t.e
	if !ok || next == e.Offset && t.lastErr == nil {
		t.f.mu.Unlock()
		return
	}
	if next != e.Offset {
		e.Offset, e.Check, e.Updated = next, t.checks.at(next), time.Now().UTC()
	}
	t.recognise()
	t.f.mu.Unlock()
	t.lastErr = t.f.save(ctx, e)
	t.saveFailed(t.lastErr)
}

// recognise brings the fingerprint up to what has been read. The caller holds saving and f.mu.
func (t *tail) recognise() {
	if len(t.head) > t.e.Print.Length {
		t.e.Print = printOf(t.head)
	}
}

func (t *tail) saveFailed(err error) {
	t.f.s.follow.setSaving(err)
	if err != nil {
		t.f.s.throttle.Log(slog.LevelError, "save", "position cannot be saved; it will be read again after a restart",
			"source", t.f.s.opt.Name, "path", t.path, "error", err)
	}
}
