package file

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink takes batches and settles them at once, unless hold says otherwise.
type sink struct {
	mu      sync.Mutex
	bodies  []string
	records []pipeline.Record
	streams []string
	sizes   []int
	hold    func(*pipeline.Batch) bool
	held    []*pipeline.Batch
	changed chan struct{}
}

func newSink() *sink { return &sink{changed: make(chan struct{}, 1)} }

func (s *sink) emit(_ context.Context, b *pipeline.Batch) error {
	s.mu.Lock()
	for _, r := range b.Records {
		s.bodies = append(s.bodies, string(r.Body))
		s.records = append(s.records, r)
		s.streams = append(s.streams, b.Stream)
	}
	s.sizes = append(s.sizes, len(b.Records))
	held := s.hold != nil && s.hold(b)
	if held {
		s.held = append(s.held, b)
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	if !held {
		b.Done(nil)
	}
	return nil
}

// take returns what arrived since the last call, joined by spaces.
func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.bodies, " ")
	s.bodies, s.records, s.streams, s.sizes = nil, nil, nil, nil
	return text
}

func newSource(t *testing.T, c Config, o Options) *Source {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read runs a finite source to its end.
func read(t *testing.T, c Config) (*sink, *Source) {
	t.Helper()
	to, s := newSink(), newSource(t, c, Options{})
	if err := s.Run(t.Context(), to.emit); err != nil {
		t.Fatal(err)
	}
	return to, s
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func gz(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, text)
	z.Close()
	return b.Bytes()
}

func zst(text string) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	defer z.Close()
	return z.EncodeAll([]byte(text), nil)
}

// lines makes n records, numbered from first on, each with a line break.
func lines(first, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"n\":%d}\n", first+i)
	}
	return b.String()
}

// numbers is what take returns for lines.
func numbers(first, n int) string {
	return strings.TrimSuffix(strings.ReplaceAll(lines(first, n), "\n", " "), " ")
}
