package sourcetest_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// log is an upstream in memory: records and one saved position.
type log struct {
	mu     sync.Mutex
	bodies [][]byte
	saved  int64
}

func (l *log) put(_ *testing.T, bodies ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies = append(l.bodies, bodies...)
}

func (l *log) read(from int64) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bodies[from:min(from+50, int64(len(l.bodies)))]
}

// source reads a log as it should, but for one fault.
type source struct {
	log   *log
	fault string
}

const drainLimit = 500 * time.Millisecond

func (s *source) Run(ctx context.Context, emit pipeline.Emit) error {
	streams, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	if s.fault == "ends the batches' context with its own" {
		streams = ctx
	}
	tracker := offsets.New(0)
	s.log.mu.Lock()
	next := s.log.saved
	s.log.mu.Unlock()
	for ctx.Err() == nil {
		bodies := s.log.read(next)
		if len(bodies) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if err := s.emit(ctx, streams, emit, tracker, next, bodies); err != nil {
			break
		}
		next += int64(len(bodies))
	}
	return s.drain(streams, tracker, next)
}

func (s *source) emit(ctx, streams context.Context, emit pipeline.Emit, tracker *offsets.Tracker, at int64, bodies [][]byte) error {
	records := make([]pipeline.Record, len(bodies))
	for i, b := range bodies {
		records[i] = pipeline.Record{Body: append([]byte(nil), b...), Pos: strconv.FormatInt(at+int64(i), 10)}
		if s.fault == "gives all records one position" {
			records[i].Pos = "0"
		}
	}
	tok, err := tracker.Add(ctx, at+int64(len(bodies)))
	if err != nil {
		return err
	}
	b := pipeline.NewBatch(streams, "log", records, func(err error) { tracker.Settle(tok, err == nil || s.fault == "forgets what is given back") })
	if s.fault == "lets emit wait for ever" {
		ctx = context.WithoutCancel(ctx)
	}
	if s.fault == "emits from two goroutines" {
		go emit(ctx, b)
		return nil
	}
	if err := emit(ctx, b); err != nil {
		tracker.Settle(tok, s.fault == "forgets what emit refuses")
		return err
	}
	if s.fault == "reuses buffers after emit" {
		clear(records[0].Body)
	}
	return nil
}

func (s *source) drain(streams context.Context, tracker *offsets.Tracker, read int64) error {
	limit := drainLimit
	switch s.fault {
	case "drains without a limit":
		limit = time.Hour
	case "does not drain":
		limit = 0
	}
	ctx, cancel := context.WithTimeout(streams, limit)
	defer cancel()
	err := tracker.Wait(ctx)
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if next, ok := tracker.Ready(); ok {
		s.log.saved = next
	}
	switch s.fault {
	case "saves past a gap":
		s.log.saved = read
	case "saves nothing":
		s.log.saved = 0
	case "ends with an error":
		return err
	}
	return nil
}

const faultVariable = "SOURCETEST_FAULT"

func TestASoundSourcePasses(t *testing.T) {
	fault := os.Getenv(faultVariable)
	sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
		l := &log{}
		return sourcetest.Harness{
			NewSource: func(*testing.T) pipeline.Source { return &source{log: l, fault: fault} },
			Put:       l.put, DrainLimit: drainLimit, Patience: 2 * time.Second,
		}
	})
}

// TestEachFaultIsFound runs the suite on sources with one fault each, in processes of their own.
func TestEachFaultIsFound(t *testing.T) {
	if os.Getenv(faultVariable) != "" {
		t.Skip("this is such a process")
	}
	faults := []struct{ fault, test, want string }{
		{"ends the batches' context with its own", "a_batch_in_flight", "the batch's context ended with the source's"},
		{"gives all records one position", "every_record", "not unique"},
		{"forgets what is given back", "a_batch_that_is_given_back", "the batch that was given back comes again"},
		{"lets emit wait for ever", "a_full_pipeline", "a blocked emit was not given a context"},
		{"emits from two goroutines", "a_full_pipeline", "more calls of emit in progress"},
		{"forgets what emit refuses", "a_batch_that_emit_refuses", "records 0 to 299 are delivered"},
		{"reuses buffers after emit", "what_a_batch_holds", "changed before its batch was settled"},
		{"drains without a limit", "Run_ends_within", "beyond its drain limit"},
		{"does not drain", "a_batch_in_flight", "the batch's context ended with the source's"},
		{"saves past a gap", "the_saved_position", "comes again"},
		{"saves nothing", "every_record", "a new source delivered"},
		{"ends with an error", "Run_ends_within", "want nil"},
	}
	for _, f := range faults {
		t.Run(f.fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=TestASoundSourcePasses/"+f.test, "-test.timeout=60s")
			cmd.Env = append(os.Environ(), faultVariable+"="+f.fault)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passed")
			}
			if !strings.Contains(string(out), f.want) {
				t.Errorf("the suite failed without saying %q:\n%s", f.want, out)
			}
		})
	}
}
