package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

// saveInterval is the least time between two savings of one position.
const saveInterval = time.Second

// stableFor is how long a compressed file has to look the same before it is read: the program that
// compresses it may not have finished.
const stableFor = 3 * time.Second

// postponeFor is longer than a tail holds on to a file that rotation has compressed.
const postponeFor = 10 * time.Minute

// follower looks for files and keeps one tail for each that has something to read.
//
// A file is known by device and inode while it is in place, and by a fingerprint of its content when it
// was moved, copied or compressed. Positions belong to contents, not to paths, so no rotation scheme reads
// anything twice or skips anything: an entry goes on in whatever file holds its content now.
type follower struct {
	s       *Source
	ctx     context.Context //nolint:containedctx // one run of the source; ends it, with the cause
	stop    context.CancelCauseFunc
	streams context.Context //nolint:containedctx // the batches' context, which outlives ctx by the drain
	emit    pipeline.Emit
	started time.Time
	// fresh is true where no position was known at the start; initial are the files that were there then,
	// nil before the first look.
	fresh   bool
	initial map[fileID]bool
	tails   sync.WaitGroup

	mu      sync.Mutex
	entries []*entry
	byFile  map[fileID]*entry
	running map[*tail]struct{}

	// The following belong to the goroutine that looks for files.

	problems map[string]error // of the present look, by path
	baseline map[string]time.Time
	// dismissed are files whose content is known from another file, or that hold nothing.
	dismissed map[fileID]stamp
	// settling are compressed files that were seen to change, with the time of the last change.
	settling map[fileID]settling
	// postponed are compressed files that begin like what a tail reads, with the time when that was seen.
	postponed map[fileID]time.Time
}

type settling struct {
	stamp stamp
	since time.Time
}

// followAll runs until ctx ends.
func (s *Source) followAll(ctx, streams context.Context, emit pipeline.Emit) error {
	f := &follower{
		s: s, streams: streams, emit: emit, started: time.Now(), byFile: make(map[fileID]*entry),
		running: make(map[*tail]struct{}), dismissed: make(map[fileID]stamp), settling: make(map[fileID]settling),
		postponed: make(map[fileID]time.Time),
	}
	f.ctx, f.stop = context.WithCancelCause(ctx)
	defer f.stop(nil)
	if err := f.load(ctx); err != nil {
		return err
	}
	f.fresh = len(f.entries) == 0
	f.setBaselines()
	look, save := time.NewTicker(4*s.cfg.Poll), time.NewTicker(saveInterval)
	defer look.Stop()
	defer save.Stop()
	f.look()
	for f.ctx.Err() == nil {
		select {
		case <-look.C:
			f.look()
		case <-save.C:
			f.saveAll()
		case <-f.ctx.Done():
		}
	}
	f.tails.Wait() // each one drains and saves
	if ctx.Err() == nil {
		return fmt.Errorf("following stopped: %w", context.Cause(f.ctx))
	}
	return nil
}

// saveAll saves the positions that moved.
func (f *follower) saveAll() {
	f.mu.Lock()
	tails := make([]*tail, 0, len(f.running))
	for t := range f.running {
		tails = append(tails, t)
	}
	f.mu.Unlock()
	for _, t := range tails {
		t.save(f.ctx)
	}
}

// remember makes e known; the caller holds mu or is alone.
func (f *follower) remember(e *entry) {
	f.entries = append(f.entries, e)
	if e.id != (fileID{}) {
		f.byFile[e.id] = e
	}
}

// detach parts an entry from its file, whose content is another one now. The entry stays known by its
// fingerprint. The caller holds mu.
func (f *follower) detach(e *entry) {
	if f.byFile[e.id] == e {
		delete(f.byFile, e.id)
	}
	e.id = fileID{}
}

// attach makes id the file that holds the content of e. The file that did before is a mere copy until it
// changes. The caller holds mu.
func (f *follower) attach(e *entry, id fileID) {
	if e.id == id {
		return
	}
	if e.id != (fileID{}) {
		f.dismissed[e.id] = stamp{e.Size, e.ModTime.UTC()}
		f.detach(e)
	}
	e.id, e.Device, e.Inode, e.Size, e.ModTime = id, id.dev, id.ino, 0, time.Time{}
	f.byFile[id] = e
}

// look finds files, starts tails for those that have something to read, and notes which are gone.
func (f *follower) look() {
	f.problems = make(map[string]error)
	inputs := f.candidates()
	present := make(map[fileID]bool, len(inputs))
	for _, in := range inputs {
		present[idOf(in.path, in.info)] = true
	}
	if f.initial == nil {
		f.initial = present
	}
	now := time.Now()
	lag := int64(0)
	f.mu.Lock()
	for _, e := range f.entries {
		if was := e.matched; was && !present[e.id] {
			e.unmatched = now
		}
		e.matched = present[e.id]
	}
	for t := range f.running {
		lag += t.lag.Load()
	}
	f.s.follow.open.Store(int64(len(f.running)))
	f.mu.Unlock()
	f.s.follow.lag.Store(lag)
	f.forget(now)
	for _, in := range inputs {
		f.consider(in)
	}
	f.s.follow.setProblems(f.problems)
}

// forget drops what is known of contents that have been out of sight for long.
func (f *follower) forget(now time.Time) {
	var keys []string
	f.mu.Lock()
	f.entries = slices.DeleteFunc(f.entries, func(e *entry) bool {
		if e.matched || e.running || now.Sub(e.unmatched) < forgetAfter {
			return false
		}
		f.detach(e)
		if e.key != "" {
			keys = append(keys, e.key)
		}
		return true
	})
	f.mu.Unlock()
	for _, key := range keys {
		if err := f.s.opt.Store.Delete(f.ctx, key); err != nil {
			f.s.follow.setSaving(err)
		}
	}
}

// consider starts a tail on in if it has something to read that nobody reads yet.
func (f *follower) consider(in input) {
	id, now := idOf(in.path, in.info), stampOf(in.info)
	if in.size == 0 || f.dismissed[id] == now {
		return
	}
	f.mu.Lock()
	e := f.byFile[id]
	if e != nil && e.Path != in.path {
		e.Path = in.path
		f.s.follow.rotations.Add(1)
	}
	rests := e != nil && (e.running || e.rests(in.info))
	full := len(f.running) >= f.s.cfg.MaxOpen
	f.mu.Unlock()
	switch {
	case rests:
	case full:
		f.s.throttle.Log(slog.LevelWarn, "full", "more files have something to read than may be open; the others wait",
			"source", f.s.opt.Name, "open", f.s.cfg.MaxOpen)
	default:
		if err := f.open(in, id, now); err != nil {
			f.problems[in.path] = cause(err)
			f.fail(in.path, err)
		}
	}
}

// fail reports that a file cannot be read now; the next look tries again.
func (f *follower) fail(path string, err error) {
	f.s.follow.failures.Add(1)
	f.s.throttle.Log(slog.LevelWarn, "read/"+path, "followed file cannot be read; trying again", "source", f.s.opt.Name,
		"path", path, "error", cause(err))
}

// open finds out which content in has and starts a tail on it, unless another tail reads that content.
func (f *follower) open(in input, id fileID, now stamp) error {
	file, err := os.Open(in.path)
	if err != nil {
		return err
	}
	started := false
	defer func() {
		if !started {
			file.Close()
		}
	}()
	if info, err := file.Stat(); err != nil || idOf(in.path, info) != id {
		return err // replaced since the look: the next one finds what is there then
	}
	c, err := newContent(f.ctx, file)
	if err != nil {
		return err
	}
	defer c.Close()
	head, err := readHead(c)
	if err != nil {
		return err
	}
	if c.compressed && !f.stable(id, now) {
		return nil
	}
	if len(head) == 0 {
		f.dismissed[id] = now
		return c.err
	}
	e := f.identify(in, id, file, head, c.compressed)
	if e == nil {
		return nil
	}
	if f.skips(id) { // saved at once, else a restart before the next record would skip what came between
		if err := f.save(f.ctx, e); err != nil || c.compressed {
			return err
		}
	}
	started = true
	f.start(e, file, c.compressed)
	return nil
}

// stable says that a file has looked the same for a while.
func (f *follower) stable(id fileID, now stamp) bool {
	was, ok := f.settling[id]
	if !ok || was.stamp != now {
		f.settling[id] = settling{now, time.Now()}
		return false
	}
	if time.Since(was.since) < stableFor {
		return false
	}
	delete(f.settling, id)
	return true
}

// identify finds the entry of the content that begins with head, or makes one. It returns nil while a tail
// reads that content from another file.
func (f *follower) identify(in input, id fileID, file *os.File, head []byte, compressed bool) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.byFile[id]; e != nil {
		if e.Print.matches(head) && f.continues(e, file, compressed) {
			e.matched = true
			return e
		}
		f.detach(e) // the inode is used again, or the file was written anew while nobody looked
	}
	for _, e := range f.entries {
		if !e.Print.matches(head) {
			continue
		}
		if e.running {
			if f.other(e, id, file, compressed) {
				continue
			}
			return nil
		}
		if f.continues(e, file, compressed) {
			f.attach(e, id)
			e.Path, e.matched = in.path, true
			return e
		}
	}
	e := &entry{id: id, matched: true}
	e.position = position{Path: in.path, Device: id.dev, Inode: id.ino, Print: printOf(head)}
	if f.skips(id) {
		f.skip(e, file, in, compressed)
	}
	f.remember(e)
	return e
}

// other says whether file, which begins like the content that a tail reads now, goes on differently. A copy
// of that content waits until the tail has let go of it, and is read on from there then. The caller holds mu.
func (f *follower) other(e *entry, id fileID, file *os.File, compressed bool) bool {
	if compressed { // comparing would mean to unpack it all, each time
		since, ok := f.postponed[id]
		if !ok {
			since = time.Now()
			f.postponed[id] = since
		}
		return time.Since(since) >= postponeFor
	}
	for t := range f.running {
		if t.e != e || t.compressed {
			continue
		}
		head, err := readHead(io.NewSectionReader(t.file, 0, printLength))
		if err != nil || !e.Print.matches(head) {
			return false // the tail's file was cut, which it will find out; then file may be the copy
		}
		same, err := sameUpToShorter(t.file, file)
		return err == nil && !same
	}
	return false
}

// continues says whether the content of file goes on from e's position. A compressed file is only known to
// begin like e: the tail finds out about the rest, since that takes long.
func (f *follower) continues(e *entry, file *os.File, compressed bool) bool {
	if compressed {
		return true
	}
	ok, err := skipTo(io.NewSectionReader(file, max(0, e.Offset-checkLength), 1<<62), min(e.Offset, checkLength), e.Check)
	return ok && err == nil
}

// skips says whether what the file held at the first start is to be left unread.
func (f *follower) skips(id fileID) bool {
	return f.s.cfg.Start == End && f.fresh && f.initial[id]
}

// skip begins at the end of a file, as START=end asks for.
func (f *follower) skip(e *entry, file *os.File, in input, compressed bool) {
	skipped := in.size
	if compressed {
		e.Size, e.ModTime = in.size, in.info.ModTime() // as if it had been read to its end
	} else if offset, err := lastLine(file, in.size); err == nil {
		skipped, e.Offset = offset, offset
	}
	e.Updated = time.Now().UTC()
	f.s.follow.skipped.Add(skipped)
	f.s.opt.Logger.Info("beginning at the end of the file, as START=end asks for", "source", f.s.opt.Name,
		"path", in.path, "skipped_bytes", skipped)
}

// start runs a tail on e, which owns file from here on.
func (f *follower) start(e *entry, file *os.File, compressed bool) {
	t := &tail{f: f, e: e, file: file, compressed: compressed, tracker: offsets.New(0), checks: new(checks)}
	f.mu.Lock()
	e.running = true
	t.path = e.Path
	f.running[t] = struct{}{}
	f.mu.Unlock()
	f.tails.Go(func() {
		t.run()
		f.mu.Lock()
		t.e.running = false // not e: a file that was cut has another entry by now
		delete(f.running, t)
		f.mu.Unlock()
	})
}

// candidates are the regular files to follow, the oldest first.
func (f *follower) candidates() []input {
	inputs := expand(f.s.cfg.Paths, func(path string, err error) { f.problems[path] = err })
	inputs = append(inputs, f.rotated(inputs)...)
	inputs = slices.DeleteFunc(inputs, func(in input) bool {
		if in.info.Mode().IsRegular() {
			return false
		}
		f.problems[in.path] = errors.New("not a regular file, so it cannot be followed")
		return true
	})
	slices.SortStableFunc(inputs, func(a, b input) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for path, err := range f.problems {
		f.s.throttle.Log(slog.LevelWarn, "missing/"+path, "nothing to follow there yet; looking again", "source", f.s.opt.Name,
			"path", path, "error", err)
	}
	return inputs
}
