package app

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/report"
)

// findingWriter takes the findings of a scan from all workers and writes them as lines.
type findingWriter interface {
	add(f *finding.Finding)
	// finish writes what is left. No add may be under way.
	finish() error
}

// encoder makes the line of a finding, without its end.
type encoder func(f *finding.Finding) ([]byte, error)

// encodeNDJSON is the document that a sink gets.
func encodeNDJSON(f *finding.Finding) ([]byte, error) { return f.Document().Body, nil }

// encodeCSV is the finding's line in a CSV file.
func encodeCSV(f *finding.Finding) ([]byte, error) {
	var line bytes.Buffer
	w := report.NewCSV(&line)
	if err := w.Flush(); err != nil { // the titles
		return nil, err
	}
	line.Reset()
	if err := w.Write(f); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line.Bytes(), []byte("\n")), nil
}

// spoolMemory is what an ordered output holds in memory, in bytes; the rest waits in a temporary file.
const spoolMemory = 64 << 20

// ordered writes findings by time and id, one of each id, after the last one has come.
type ordered struct {
	out    io.Writer
	encode encoder
	spool  spool

	mu  sync.Mutex
	err error
}

func (o *ordered) add(f *finding.Finding) {
	line, err := o.encode(f)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = err
		return
	}
	o.spool.add(spooled{time: f.Timestamp.UnixMicro(), id: f.Event.ID, body: line})
}

func (o *ordered) finish() (err error) {
	defer func() {
		if closing := o.spool.close(); err == nil {
			err = closing
		}
	}()
	if o.err != nil {
		return o.err
	}
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
	line, err := s.encode(f)
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
	if err == nil {
		_, err = s.out.Write(slices.Concat(line, []byte{'\n'}))
	}
	s.err = err
}

func (s *streamed) finish() error { return s.err }
