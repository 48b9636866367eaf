package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foretop/foretop/pkg/durable"
	"github.com/foretop/foretop/pkg/pipeline"
)

// queue keeps bodies on disk between their answer and their settlement: in segments, of which each is removed
// when everything in it is settled. So there is no position to save, and what a crash interrupts is judged again
// from the beginning of its segment.
type queue struct {
	dir      string
	streamOf func(cluster) string
	limit    int64
	throttle *pipeline.Throttle
	lock     *os.File

	mu       sync.Mutex
	segments []*segment    // oldest first; the last may be the one that is appended to
	total    int64         // bytes of all files
	changed  chan struct{} // closed and replaced when there is more to read, or something was settled
	failure  error         // why the last failed append did
	failed   time.Time     // when that was
	closed   bool
	last     int64 // the number in the newest name

	writeFailures, damaged atomic.Int64
}

const segmentSuffix = ".segment"

var errQueueFull = errors.New("the queue on disk is full")

func newQueue(s *Source) *queue {
	return &queue{dir: s.cfg.QueueDir, streamOf: s.stream, limit: int64(s.cfg.QueueBytes), throttle: s.throttle, changed: make(chan struct{})}
}

// open takes the directory for this process and finds what one before it left.
func (q *queue) open() error {
	if err := os.MkdirAll(q.dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(q.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := durable.Lock(lock); err != nil {
		lock.Close()
		return fmt.Errorf("%s is in use by another process: give each source and replica a directory of its own: %w", q.dir, err)
	}
	q.lock = lock
	entries, err := os.ReadDir(q.dir) // sorted by name, which is by age
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		number, err := strconv.ParseInt(strings.TrimSuffix(e.Name(), segmentSuffix), 16, 64)
		info, statErr := e.Info()
		if err != nil || statErr != nil || !strings.HasSuffix(e.Name(), segmentSuffix) {
			continue
		}
		q.segments = append(q.segments, &segment{
			name: strings.TrimSuffix(e.Name(), segmentSuffix), path: filepath.Join(q.dir, e.Name()),
			size: info.Size(), synced: info.Size(), sealed: true,
		})
		q.total += info.Size()
		q.last = max(q.last, number)
	}
	return nil
}

// close lets go of the directory. Nothing may be appended or emitted any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		s.sealed = true
	}
	q.removeSettled()
	for _, s := range q.segments {
		if s.file != nil {
			s.file.Close()
		}
	}
	q.segments, q.total, q.closed = nil, 0, true
	q.lock.Close()
}

// append returns nil when body is durable.
func (q *queue) append(from cluster, received time.Time, body []byte) error {
	frame, err := appendFrame(from, received, body)
	if err != nil {
		return err
	}
	s, end, err := q.write(frame, body)
	if err == nil {
		err = q.sync(s, end)
	}
	if errors.Is(err, errQueueFull) {
		return err
	}
	if err != nil {
		q.writeFailures.Add(1)
	}
	q.mu.Lock()
	q.failure, q.failed = err, time.Now()
	q.mu.Unlock()
	return err
}

// write adds a frame to the newest segment, and returns where it ends.
func (q *queue) write(frame, body []byte) (*segment, int64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := int64(len(frame) + len(body))
	if q.closed {
		return nil, 0, os.ErrClosed
	}
	if q.total+size > q.limit {
		return nil, 0, errQueueFull
	}
	s, err := q.writable()
	if err != nil {
		return nil, 0, err
	}
	_, err = s.file.Write(frame)
	if err == nil {
		_, err = s.file.Write(body)
	}
	if err != nil {
		s.sealed = true // what stands behind size now is nobody's
		q.notify()
		return nil, 0, err
	}
	s.size += size
	q.total += size
	return s, s.size, nil
}

// writable is the segment to append to, a new one if need be. The caller holds mu.
func (q *queue) writable() (*segment, error) {
	if n := len(q.segments); n > 0 {
		if s := q.segments[n-1]; !s.sealed && s.size < segmentBytes {
			return s, nil
		} else if !s.sealed {
			s.sealed = true
			q.notify()
		}
	}
	q.last = max(q.last+1, time.Now().UnixNano())
	name := fmt.Sprintf("%016x", q.last)
	path := filepath.Join(q.dir, name+segmentSuffix)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := durable.SyncDir(q.dir); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	s := &segment{name: name, path: path, file: file}
	q.segments = append(q.segments, s)
	return s, nil
}

// sync makes the segment durable up to end. Those who wait for a sync in progress share the next.
func (q *queue) sync(s *segment, end int64) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	q.mu.Lock()
	synced, size := s.synced, s.size
	q.mu.Unlock()
	if synced >= end {
		return nil
	}
	if size < end {
		return errors.New("a sync of the queue before this one failed")
	}
	err := s.file.Sync()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		// Nobody knows what is on the disk behind synced, and a second try would not tell.
		q.total -= s.size - s.synced
		s.size, s.sealed = s.synced, true
	} else {
		s.synced = size
	}
	q.notify()
	return err
}

// notify wakes those who wait; the caller holds mu.
func (q *queue) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// settled books the fate of a batch.
func (q *queue) settled(s *segment, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.open--
	if err != nil {
		s.again = true
	}
	q.removeSettled()
	q.notify()
}

// removeSettled removes what nobody needs any more; the caller holds mu.
func (q *queue) removeSettled() {
	kept := q.segments[:0]
	for _, s := range q.segments {
		if !s.done() {
			kept = append(kept, s)
			continue
		}
		if s.file != nil {
			s.file.Close()
		}
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			q.throttle.Log(slog.LevelWarn, "remove", "a settled part of the queue cannot be removed; it is judged again at the next start", "error", err)
		}
		q.total -= s.size
	}
	clear(q.segments[len(kept):])
	q.segments = kept
}

// wait blocks until no batch is unsettled, or ctx ends.
func (q *queue) wait(ctx context.Context) error {
	for {
		q.mu.Lock()
		open, changed := 0, q.changed
		for _, s := range q.segments {
			open += s.open
		}
		q.mu.Unlock()
		if open == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failureAge is how long a failure counts. Nobody posts to a server that is not ready, so that without an end it
// would never be found well again.
const failureAge = 30 * time.Second

func (q *queue) health() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure != nil && time.Since(q.failed) < failureAge {
		return fmt.Errorf("the queue in %s cannot be written, so that requests are refused: %w", q.dir, q.failure)
	}
	return nil
}

// bytes is the size of all files.
func (q *queue) bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// enqueue makes a body durable.
func (r *run) enqueue(from cluster, body []byte, received time.Time) *refusal {
	switch err := r.queue.append(from, received, body); {
	case errors.Is(err, errQueueFull):
		r.throttle.Log(slog.LevelError, "full", "the queue is full: API servers have to keep their events, and drop them when their buffers are full too",
			"source", r.opt.Name, "limit", r.cfg.QueueBytes.String())
		return &refusal{code: http.StatusTooManyRequests, text: "the queue is full", again: true}
	case err != nil:
		r.throttle.Log(slog.LevelError, "append", "the queue cannot be written; requests are refused", "source", r.opt.Name, "error", err)
		return &refusal{code: http.StatusServiceUnavailable, text: "not stored", again: true}
	}
	return nil
}
