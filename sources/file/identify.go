package file

import (
	"io"
	"os"
	"time"
)

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
