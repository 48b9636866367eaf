package app

import (
	"bufio"
	"io"
	"slices"
	"sync"

	"github.com/foretop/foretop/pkg/finding"
)

// findingWriter takes the findings of a scan from all workers and writes them as lines.
type findingWriter interface {
	add(f *finding.Finding)
	// finish writes what is left. No add may be under way.
	finish() error
}

// encoder makes the line of a finding, without its end.
type encoder func(f *finding.Finding) []byte

// encodeNDJSON is the document that a sink gets.
func encodeNDJSON(f *finding.Finding) []byte { return f.Document().Body }

// spoolMemory is what an ordered output holds in memory, in bytes; the rest waits in a temporary file.
const spoolMemory = 64 << 20

// ordered writes findings by time and id, one of each id, after the last one has come.
type ordered struct {
	out    io.Writer
	encode encoder
	spool  spool
}

func (o *ordered) add(f *finding.Finding) {
	o.spool.add(spooled{time: f.Timestamp.UnixMicro(), id: f.Event.ID, body: o.encode(f)})
}

func (o *ordered) finish() (err error) {
	defer func() {
		if closing := o.spool.close(); err == nil {
			err = closing
		}
	}()
	w := bufio.NewWriterSize(o.out, 64<<10)
	if err := o.spool.each(func(e spooled) error {
		_, err := w.Write(e.body)
		if err == nil {
			err = w.WriteByte('\n')
		}
		return err
	}); err != nil {
		return err
	}
	return w.Flush()
}

// streamed writes findings as they come, one of each id.
type streamed struct {
	encode encoder

	mu   sync.Mutex
	out  io.Writer
	seen map[[16]byte]struct{}
	err  error
}

func (s *streamed) add(f *finding.Finding) {
	line := s.encode(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := idKey(f.Event.ID)
	if _, twice := s.seen[key]; twice || s.err != nil {
		return
	}
	if s.seen == nil {
		s.seen = make(map[[16]byte]struct{})
	}
	s.seen[key] = struct{}{}
	_, s.err = s.out.Write(slices.Concat(line, []byte{'\n'}))
}

func (s *streamed) finish() error { return s.err }
