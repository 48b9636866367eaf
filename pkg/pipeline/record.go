// Package pipeline carries records from sources through the judge to sinks, and settles each batch
// exactly once.
package pipeline

import (
	"context"
	"time"
)

// Record is one message as a source received it. Body belongs to the pipeline until the batch is
// settled; nobody writes to it.
type Record struct {
	Body []byte
	// Time is the broker's or the service's time for the record, zero if unknown.
	Time time.Time
	// Pos is unique within Batch.Stream: an offset "1042", an event id, a byte position.
	Pos string
	// Meta is what the transport says beside the body: "topic", "key", "header.<name>", and the names below.
	// Nil where there is nothing, so that the hot path allocates no map.
	Meta map[string]string
}

// Names in Record.Meta by which a source says what Body cannot.
const (
	// MetaTombstone is set on a record that has no value.
	MetaTombstone = "tombstone"
	// MetaOversize is set on a record that is longer than the source's limit; its value is the length of
	// the record in bytes, and Body its beginning, which is judged like any truncated event.
	MetaOversize = "oversize"
	// MetaUndecodable is set on a record that stands for damage in the source's store; its Body are the
	// damaged bytes.
	MetaUndecodable = "undecodable"
)

// Source delivers batches until ctx ends.
//
// Run hands each batch to emit, which blocks while the pipeline is full: that is the only
// back-pressure, so a source keeps no queue of its own beyond what its client library needs. When ctx
// ends, Run stops reading, waits up to its drain limit for the batches it emitted, saves the contiguous
// settled position and returns nil. Trouble that waiting can cure is retried inside and reported through
// HealthReporter; Run returns an error only for what a restart or a human may cure (bad
// credentials, a missing topic). A finite source (files without follow) returns nil when it is read and
// settled.
type Source interface {
	Run(ctx context.Context, emit Emit) error
}

// Emit takes over a batch. It blocks while the pipeline is full. After a nil return the pipeline settles
// the batch exactly once; after an error (the pipeline is stopping) it never will, and the caller must
// treat the batch as not delivered.
type Emit func(ctx context.Context, b *Batch) error

// Sink makes documents durable.
//
// Write blocks until every document has a fate and returns one result per document, by position: nil, or
// an error that classifies itself (see ClassOf). The second value is non-nil when the request as a whole
// failed and no document's fate is known. Write does not retry. It is safe for MaxInFlight callers. It
// must not keep docs or their bodies after it returns.
type Sink interface {
	Write(ctx context.Context, docs []Document) ([]error, error)
	MaxInFlight() int
}

// Document is one encoded finding or dead letter on its way to a sink.
type Document struct {
	// ID is deterministic: the same input gives the same ID for ever. Sinks use it to store once.
	ID string
	// Body is one JSON object without a trailing newline.
	Body []byte
	// Origin says where the record came from, for the dead letter that a rejected document becomes.
	Origin Origin
}

// Origin locates a record in its source.
type Origin struct {
	Source string // the configured name of the source
	Stream string // Batch.Stream
	Pos    string // Record.Pos
	// Offset and Length bound the item's bytes within the record; zero Length means the whole record.
	Offset, Length int
}

// Processor turns records into effects. A pipeline has one Processor per worker, and calls it from that
// worker's goroutine only. What it puts into Effects owns its bytes: the batch's bodies are reused after
// settlement. Process must recover its own panics per item; one that escapes is recovered by the worker,
// which then dead-letters the record with class "panic".
type Processor interface {
	Process(ctx context.Context, source string, b *Batch, fx *Effects)
}

// Effects are the outcome of judging a batch. The worker resets and reuses them.
type Effects struct {
	Documents   []Document
	DeadLetters []DeadLetter
	Counts      Counts
}

// Counts is the conservation law of one batch: Items = Evaluated + dead letters + Skipped + Dropped.
type Counts struct {
	Items     int
	Evaluated int
	Dropped   int            // items that a rule of the user's dropped
	Skipped   map[string]int // by class: other_category, control_message, tombstone, stage, ...
}

// Skip counts one item that is well-formed and no Kubernetes audit event, by class.
func (c *Counts) Skip(class string) {
	if c.Skipped == nil {
		c.Skipped = make(map[string]int)
	}
	c.Skipped[class]++
}

// Reset empties e and keeps its memory.
func (e *Effects) Reset() {
	clear(e.Documents)
	clear(e.DeadLetters)
	skipped := e.Counts.Skipped
	clear(skipped)
	e.Documents, e.DeadLetters = e.Documents[:0], e.DeadLetters[:0]
	e.Counts = Counts{Skipped: skipped}
}

// DeadLetter is an item that could not be judged, or a document that no sink would take, with all that is
// needed to find and judge it again. Body is the item after redaction.
type DeadLetter struct {
	Origin Origin
	// Key tells several dead letters of one origin and class apart, where that can be: for a refused
	// document it is sink and document id. It is part of the dead letter's id.
	Key    string
	Class  string // reason class, a closed set: see package decode and the Class constants here
	Detail string // for the person who reads it: what was wrong, without quoting the item
	SHA256 string // hex, of the original item
	Length int    // bytes of the original item
	Time   time.Time
	Body   []byte
}

// Reason classes that the pipeline itself gives. Package decode adds its own.
const (
	ClassPanic        = "panic"         // the decoder panicked on the record
	ClassRulePanic    = "rule_panic"    // a rule panicked on the event; the other rules' findings stand
	ClassSinkRejected = "sink_rejected" // the sink refused the document for ever
)
