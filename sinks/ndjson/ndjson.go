// Package ndjson writes documents as lines of JSON to a file or a stream.
package ndjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/foretop/foretop/pkg/pipeline"
)

// Stdout as a Path means the standard output.
const Stdout = "-"

// Config is where the lines go.
type Config struct {
	Path string `envconfig:"PATH" default:"-" desc:"File that lines are appended to (created with mode 0600), or - for the standard output."`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Path == "" {
		return errors.New("PATH is empty: name a file, or - for the standard output")
	}
	return nil
}

// target is what lines are written to. write makes all of p durable, or returns an error and leaves the
// target so that the next write starts on a new line.
type target interface {
	write(p []byte) error
	close() error
}

// Sink is a pipeline.Sink. It does not store by ID: what is delivered twice is there twice.
type Sink struct {
	mu     sync.Mutex
	target target
	buffer []byte
}

// New opens the file or the standard output. A line that a crash cut is removed from the end of the file:
// its document was never acknowledged. Only one process may have a file open.
func New(c Config) (*Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("ndjson: %w", err)
	}
	if c.Path == Stdout {
		return NewWriter(os.Stdout), nil
	}
	f, err := openFile(c.Path)
	if err != nil {
		return nil, fmt.Errorf("ndjson: %w", err)
	}
	return &Sink{target: f}, nil
}

// NewWriter writes to w, which stays the caller's to close. A document counts as stored when w has taken it.
func NewWriter(w io.Writer) *Sink { return &Sink{target: &stream{w: w}} }

// MaxInFlight implements pipeline.Sink: lines are written one bulk after the other.
func (s *Sink) MaxInFlight() int { return 1 }

// Write implements pipeline.Sink. An error of the file is of class Retry, and nothing of the bulk was
// stored then; a body that is no JSON is rejected.
func (s *Sink) Write(ctx context.Context, docs []pipeline.Document) ([]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := make([]error, len(docs))
	s.buffer = s.buffer[:0]
	for i := range docs {
		s.buffer, results[i] = appendLine(s.buffer, docs[i].Body)
	}
	if len(s.buffer) > 0 {
		if err := s.target.write(s.buffer); err != nil {
			return nil, fmt.Errorf("ndjson: %w", err)
		}
	}
	if cap(s.buffer) > maxKept {
		s.buffer = nil
	}
	return results, nil
}

// maxKept bounds the buffer that is kept between writes.
const maxKept = 8 << 20

// Close closes the file. It is safe to call twice; a Write after it fails.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.target.close()
	s.target = closed{}
	return err
}

// appendLine appends body as one line. Text with line breaks is compacted, so that a line is a document.
func appendLine(dst, body []byte) ([]byte, error) {
	if !json.Valid(body) {
		return dst, pipeline.Rejected(errors.New("the document is no JSON"))
	}
	if !bytes.ContainsAny(body, "\r\n") {
		return append(append(dst, body...), '\n'), nil
	}
	line := bytes.NewBuffer(dst)
	if err := json.Compact(line, body); err != nil {
		return dst, pipeline.Rejected(fmt.Errorf("the document is no JSON: %w", err))
	}
	return append(line.Bytes(), '\n'), nil
}

// stream is a target that cannot take back what it was given.
type stream struct {
	w io.Writer
	// rest is what a failed write left of its last line. It is written before anything else, so that
	// every line is whole; the document is then written again, as its fate was reported as unknown.
	rest []byte
}

func (s *stream) write(p []byte) error {
	if len(s.rest) > 0 {
		n, err := s.w.Write(s.rest)
		s.rest = s.rest[n:]
		if err != nil {
			return err
		}
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil && n > 0 && p[n-1] != '\n' {
		end := n + bytes.IndexByte(p[n:], '\n') + 1
		s.rest = bytes.Clone(p[n:end])
	}
	return err
}

func (s *stream) close() error { return nil }

type closed struct{}

func (closed) write([]byte) error { return errors.New("the sink is closed") }
func (closed) close() error       { return nil }
