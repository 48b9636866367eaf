package file

import (
	"context"
	"errors"
	"fmt"
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
