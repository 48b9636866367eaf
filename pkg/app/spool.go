package app

import (
	"bufio"
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// spooled is one finding on its way to an ordered output.
type spooled struct {
	time int64 // microseconds since 1970
	id   string
	body []byte
}

func compareSpooled(a, b spooled) int {
	if c := cmp.Compare(a.time, b.time); c != 0 {
		return c
	}
	if c := strings.Compare(a.id, b.id); c != 0 {
		return c
	}
	return slices.Compare(a.body, b.body)
}

// spool orders findings by time and id. What exceeds limit bytes waits in a temporary file, in sorted runs.
// It is safe for concurrent use until each is called.
type spool struct {
	limit int // bytes held in memory

	mu     sync.Mutex
	memory []spooled
	held   int
	file   *os.File
	runs   []run
	end    int64
	err    error // the first error of spilling: from then on nothing can be promised
}

type run struct{ start, end int64 }

const spooledOverhead = 64 // bytes of bookkeeping for one finding in memory, about

// add takes over e.
func (s *spool) add(e spooled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.memory = append(s.memory, e)
	if s.held += len(e.id) + len(e.body) + spooledOverhead; s.held > s.limit {
		if err := s.spill(); err != nil {
			s.err = fmt.Errorf("findings do not fit into memory, and keeping them in %s failed: %w", os.TempDir(), err)
		}
	}
}

// spill writes what is in memory as one sorted run.
func (s *spool) spill() error {
	if s.file == nil {
		f, err := os.CreateTemp("", "foretop-findings-*")
		if err != nil {
			return err
		}
		s.file = f
	}
	slices.SortFunc(s.memory, compareSpooled)
	w := bufio.NewWriterSize(s.file, 256<<10)
	start := s.end
	var head []byte
	for _, e := range s.memory {
		head = binary.AppendVarint(head[:0], e.time)
		head = binary.AppendUvarint(head, uint64(len(e.id)))
		head = binary.AppendUvarint(head, uint64(len(e.body)))
		for _, part := range [][]byte{head, []byte(e.id), e.body} {
			n, err := w.Write(part)
			s.end += int64(n)
			if err != nil {
				return err
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s.runs = append(s.runs, run{start, s.end})
	clear(s.memory)
	s.memory, s.held = s.memory[:0], 0
	return nil
}

// each calls fn for every finding in order, and for one of each id only: the earliest. Its memory is about
// 40 bytes for each id, beside the limit.
func (s *spool) each(fn func(spooled) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	slices.SortFunc(s.memory, compareSpooled)
	merged := mergeHeap{{next: nextOf(s.memory)}}
	for _, r := range s.runs {
		in := bufio.NewReader(io.NewSectionReader(s.file, r.start, r.end-r.start))
		merged = append(merged, &cursor{next: func() (spooled, error) { return readSpooled(in) }})
	}
	merged = slices.DeleteFunc(merged, func(c *cursor) bool { return !c.advance() && c.err == nil })
	for _, c := range merged {
		if c.err != nil {
			return c.err
		}
	}
	heap.Init(&merged)
	seen := make(map[[16]byte]struct{})
	for len(merged) > 0 {
		least := merged[0]
		key := idKey(least.head.id)
		if _, twice := seen[key]; !twice {
			seen[key] = struct{}{}
			if err := fn(least.head); err != nil {
				return err
			}
		}
		switch {
		case least.advance():
			heap.Fix(&merged, 0)
		case least.err != nil:
			return least.err
		default:
			heap.Pop(&merged)
		}
	}
	return nil
}

// idKey stands for an id in less memory.
func idKey(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

// close removes the temporary file.
func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// cursor stands on the next finding of one run.
type cursor struct {
	next func() (spooled, error)
	head spooled
	err  error
}

// advance goes on to the next finding. After false, err is nil at the end of the run.
func (c *cursor) advance() bool {
	c.head, c.err = c.next()
	if errors.Is(c.err, io.EOF) {
		c.err = nil
		return false
	}
	return c.err == nil
}

func nextOf(list []spooled) func() (spooled, error) {
	return func() (spooled, error) {
		if len(list) == 0 {
			return spooled{}, io.EOF
		}
		first := list[0]
		list = list[1:]
		return first, nil
	}
}

func readSpooled(in *bufio.Reader) (spooled, error) {
	at, err := binary.ReadVarint(in)
	if err != nil {
		return spooled{}, err
	}
	idLen, err := binary.ReadUvarint(in)
	if err != nil {
		return spooled{}, noEOF(err)
	}
	bodyLen, err := binary.ReadUvarint(in)
	if err != nil {
		return spooled{}, noEOF(err)
	}
	text := make([]byte, idLen+bodyLen)
	if _, err := io.ReadFull(in, text); err != nil {
		return spooled{}, noEOF(err)
	}
	return spooled{time: at, id: string(text[:idLen]), body: text[idLen:]}, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// mergeHeap has the run with the least head first.
type mergeHeap []*cursor

func (h mergeHeap) Len() int           { return len(h) }
func (h mergeHeap) Less(i, j int) bool { return compareSpooled(h[i].head, h[j].head) < 0 }
func (h mergeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *mergeHeap) Push(x any)        { *h = append(*h, x.(*cursor)) }

func (h *mergeHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}
