package sinktest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/sinktest"
)

// store is a sink in memory that does as it should, but for one fault.
type store struct {
	fault string

	mu           sync.Mutex
	docs         []pipeline.Document
	ids          map[string]bool
	down, denied bool
	busy         string
}

var (
	errDown   = errors.New("connection refused")
	errDenied = pipeline.FatalError(errors.New("401"))
	errPoison = pipeline.Rejected(errors.New("mapping"))
)

func (s *store) MaxInFlight() int {
	if s.fault == "allows no caller" {
		return 0
	}
	return 4
}

func (s *store) Write(ctx context.Context, docs []pipeline.Document) ([]error, error) {
	if s.fault == "goes on without its context" {
		select {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil && s.fault == "takes the end of its context for a refusal":
		return nil, errPoison
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.down && s.fault == "takes an outage for a refusal":
		return nil, errPoison
	case s.down:
		return nil, errDown
	case s.denied && s.fault == "takes refused credentials for an outage":
		return nil, errDown
	case s.denied:
		return nil, errDenied
	}
	results := make([]error, len(docs))
	for i, d := range docs {
		results[i] = s.store(d)
		if results[i] != nil && s.fault == "fails all for one" {
			return nil, results[i]
		}
	}
	if s.fault == "answers for fewer documents" && len(docs) > 0 {
		return results[1:], nil
	}
	return results, nil
}

func (s *store) store(d pipeline.Document) error {
	switch {
	case d.ID == s.busy:
		if s.fault == "takes busy for a refusal" {
			return errPoison
		}
		return errDown
	case d.ID == "poison":
		return errPoison
	case s.ids[d.ID] && s.fault != "stores twice":
		return nil
	case s.fault == "drops one document" && len(s.docs) == 7:
		s.fault = ""
		return nil
	}
	if s.fault != "keeps the caller's bytes" {
		d.Body = bytes.Clone(d.Body)
	}
	s.ids[d.ID] = true
	s.docs = append(s.docs, d)
	return nil
}

func (s *store) set(change func()) func(*testing.T) func() {
	return func(*testing.T) func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		change()
		return func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.down, s.denied, s.busy = false, false, ""
		}
	}
}

const faultVariable = "SINKTEST_FAULT"

func TestASoundSinkPasses(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Harness {
		s := &store{fault: os.Getenv(faultVariable), ids: map[string]bool{}}
		return sinktest.Harness{
			Sink:       s,
			Stored:     func(*testing.T) []pipeline.Document { return s.docs },
			Idempotent: true,
			Down:       s.set(func() { s.down = true }),
			Denied:     s.set(func() { s.denied = true }),
			Busy:       func(t *testing.T, id string) func() { return s.set(func() { s.busy = id })(t) },
			Poison:     func(*testing.T) pipeline.Document { return pipeline.Document{ID: "poison", Body: []byte(`{}`)} },
		}
	})
}

// TestEachFaultIsFound runs the suite on sinks with one fault each, in processes of their own.
func TestEachFaultIsFound(t *testing.T) {
	if os.Getenv(faultVariable) != "" {
		t.Skip("this is such a process")
	}
	for fault, want := range map[string]string{
		"allows no caller":                           "MaxInFlight is 0",
		"goes on without its context":                "Write goes on although its context has ended",
		"takes the end of its context for a refusal": "want retry",
		"takes an outage for a refusal":              "class reject, want retry",
		"takes refused credentials for an outage":    "class retry, want fatal",
		"takes busy for a refusal":                   "want class retry",
		"fails all for one":                          "Write: ",
		"answers for fewer documents":                "0 results for 1 documents",
		"stores twice":                               "stored bodies",
		"drops one document":                         "stored bodies",
		"keeps the caller's bytes":                   "stored bod",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			name := "TestASoundSinkPasses"
			if fault == "goes on without its context" {
				name += "/a_write_whose_context" // it hangs in every other test
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+name, "-test.timeout=60s")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passed")
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("the suite failed without saying %q:\n%s", want, out)
			}
		})
	}
}
