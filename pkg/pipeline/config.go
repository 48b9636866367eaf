package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config wires a pipeline. Zero values mean the defaults named at each field.
type Config struct {
	Sources []NamedSource
	// NewProcessor makes the judge of one worker. It is called once a worker at start, and again after
	// a panic escaped from Process, since nobody knows what state that left behind.
	NewProcessor func() Processor
	// Sinks get every document; a document is settled when all of them have it.
	Sinks []NamedSink
	// DeadLetters gets what could not be judged or stored. It is a sink of its own, never one of Sinks;
	// while it is down, batches with dead letters stay unsettled. Discard is for one-shot use.
	DeadLetters NamedSink
	// EncodeDeadLetter is EncodeDeadLetter of this package by default.
	EncodeDeadLetter func(DeadLetter) Document
	// Redact removes secrets from a record that goes to the dead letters after a panic. Without it
	// such a dead letter has no body.
	Redact func([]byte) []byte

	// Budget bounds the bytes of records in flight, and apart from that the bytes of the documents
	// that wait for a sink (64 MiB each).
	Budget int64
	// Workers is the number of goroutines that judge (GOMAXPROCS).
	Workers int
	// DrainTimeout bounds the time between the end of Run's context and the last settlement (25 s).
	DrainTimeout time.Duration
	// A bulk is sent when it has BulkBytes (5 MB) or BulkDocs (1000), or is BulkDelay old (1 s).
	BulkBytes int
	BulkDocs  int
	BulkDelay time.Duration

	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Neither records nor documents are ever logged.
	Logger *slog.Logger
}

// NamedSource is a source under the name that configuration, metrics and origins use for it.
type NamedSource struct {
	Name   string
	Source Source
}

// NamedSink is a sink under the name that configuration and metrics use for it.
type NamedSink struct {
	Name string
	Sink Sink
}

// Discard is a Sink that forgets what it gets: for a scan that only counts its dead letters.
var Discard Sink = discard{}

type discard struct{}

func (discard) Write(_ context.Context, docs []Document) ([]error, error) {
	return make([]error, len(docs)), nil
}

func (discard) MaxInFlight() int { return 1 }

// DefaultBudget is what a zero Config.Budget means, in bytes.
const DefaultBudget = 64 << 20

const (
	defaultDrainTimeout = 25 * time.Second
	defaultBulkBytes    = 5_000_000
	defaultBulkDocs     = 1000
	defaultBulkDelay    = time.Second
)

func (c *Config) setDefaults() {
	if c.EncodeDeadLetter == nil {
		c.EncodeDeadLetter = EncodeDeadLetter
	}
	c.Budget = orDefault(c.Budget, DefaultBudget)
	c.Workers = orDefault(c.Workers, runtime.GOMAXPROCS(0))
	c.DrainTimeout = orDefault(c.DrainTimeout, defaultDrainTimeout)
	c.BulkBytes = orDefault(c.BulkBytes, defaultBulkBytes)
	c.BulkDocs = orDefault(c.BulkDocs, defaultBulkDocs)
	c.BulkDelay = orDefault(c.BulkDelay, defaultBulkDelay)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func (c *Config) validate() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("pipeline: "+format, args...))
	}
	if c.NewProcessor == nil {
		fail("no processor")
	}
	if len(c.Sources) == 0 {
		fail("no source: name at least one")
	}
	if len(c.Sinks) == 0 {
		fail("no sink: findings would have nowhere to go")
	}
	if c.DeadLetters.Sink == nil {
		fail("no dead-letter sink: name one, or Discard")
	}
	seen := make(map[string]bool)
	for _, s := range c.Sources {
		if s.Name == "" || s.Source == nil || seen[s.Name] {
			fail("source %q: every source needs a name of its own", s.Name)
		}
		seen[s.Name] = true
	}
	clear(seen)
	for _, s := range append([]NamedSink{c.DeadLetters}, c.Sinks...) {
		if s.Name == "" || s.Sink == nil || seen[s.Name] {
			fail("sink %q: every sink, and the dead-letter sink too, needs a name of its own", s.Name)
		}
		seen[s.Name] = true
	}
	return errors.Join(errs...)
}
