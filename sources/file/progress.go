package file

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Progress says how far a Source without Follow has come.
type Progress struct {
	// Files is the number of files to read, FilesDone of those that were read or given up.
	Files, FilesDone int
	// Current is the file that was begun last.
	Current string
	// Bytes have been read of TotalBytes, both counted as the files are stored, that is compressed.
	// Bytes of the standard input and of pipes are in Bytes only.
	Bytes, TotalBytes int64
	// Records have been handed to the pipeline.
	Records int64
}

// PathError is a path that could not be read, or not to its end. What was read of it has been judged.
type PathError struct {
	Path string
	Err  error
}

func (e PathError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e PathError) Unwrap() error { return e.Err }

type progress struct {
	bytes, records atomic.Int64
	mu             sync.Mutex
	p              Progress
	unreadable     []error
}

// Progress may be called at any time, from any goroutine.
func (s *Source) Progress() Progress {
	s.progress.mu.Lock()
	p := s.progress.p
	s.progress.mu.Unlock()
	p.Bytes, p.Records = s.progress.bytes.Load(), s.progress.records.Load()
	return p
}

// Unreadable implements pipeline.Incomplete: a PathError for each path that could not be read to its end, in
// the order in which that was found.
func (s *Source) Unreadable() []error {
	s.progress.mu.Lock()
	defer s.progress.mu.Unlock()
	return slices.Clone(s.progress.unreadable)
}

func (p *progress) total(inputs []input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p.Files = len(inputs)
	for _, in := range inputs {
		p.p.TotalBytes += in.size
	}
}

func (p *progress) begin(path string) {
	p.mu.Lock()
	p.p.Current = path
	p.mu.Unlock()
}

func (p *progress) done() {
	p.mu.Lock()
	p.p.FilesDone++
	p.mu.Unlock()
}

func (p *progress) fail(path string, err error) {
	p.mu.Lock()
	p.unreadable = append(p.unreadable, PathError{path, err})
	p.mu.Unlock()
}
