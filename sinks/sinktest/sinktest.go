// Package sinktest is the conformance suite of sinks: what package pipeline promises rests on every sink
// keeping these rules.
package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
)

// Harness is one empty store and a sink that writes to it.
type Harness struct {
	Sink pipeline.Sink
	// Stored lists what the store has, in any order. Only Body is needed, and ID where the store has one.
	Stored func(t *testing.T) []pipeline.Document
	// Document makes the n-th of many different documents that the store takes. By default it is
	// {"n": n, "text": ...} with id "doc-n".
	Document func(n int) pipeline.Document
	// Idempotent says that a document whose ID is stored already is not stored again.
	Idempotent bool

	// The following bring the store into a state, until restore is called. Nil where it has no such state.

	// Down makes every write fail in a way that waiting may cure.
	Down func(t *testing.T) (restore func())
	// Denied makes every write fail in a way that only a human can cure.
	Denied func(t *testing.T) (restore func())
	// Busy makes the store refuse the document with this ID for now, and no other.
	Busy func(t *testing.T, id string) (restore func())
	// Poison is a document that the store refuses for ever.
	Poison func(t *testing.T) pipeline.Document

	// LeakOptions are for goroutines that are not the sink's: of a fake server, of a shared client.
	LeakOptions []goleak.Option
}

// Factory makes a fresh store. What it opens it closes by t.Cleanup.
type Factory func(t *testing.T) Harness

// Run runs the suite.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, h Harness)
	}{
		{"every document has a result and is stored", testStores},
		{"no documents is no error", testEmpty},
		{"documents are not kept after Write has returned", testOwnership},
		{"as many callers as it allows may write at a time", testConcurrency},
		{"a document written twice is stored once", testIdempotent},
		{"an outage is a failure of the request to retry", testDown},
		{"refused credentials are fatal", testDenied},
		{"only the document that the store is too busy for is to be retried", testBusy},
		{"only the document that the store refuses is rejected", testPoison},
		{"a write whose context has ended returns soon and promises nothing", testContext},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			var options []goleak.Option
			t.Cleanup(func() { // registered first, so that it runs after the factory's own cleanups
				if !t.Failed() {
					goleak.VerifyNone(t, append(options, leaks)...)
				}
			})
			h := factory(t)
			options = h.LeakOptions
			if h.Document == nil {
				h.Document = document
			}
			tt.run(t, h)
		})
	}
}

func document(n int) pipeline.Document {
	return pipeline.Document{
		ID:     fmt.Sprintf("doc-%d", n),
		Body:   fmt.Appendf(nil, `{"n":%d,"text":"a \"quoted\" text\nwith a line break, <html> and ü"}`, n),
		Origin: pipeline.Origin{Source: "suite", Stream: "stream", Pos: fmt.Sprint(n)},
	}
}

func (h *Harness) documents(first, n int) []pipeline.Document {
	docs := make([]pipeline.Document, n)
	for i := range docs {
		docs[i] = h.Document(first + i)
	}
	return docs
}

// write expects a request that is answered as a whole, with one result a document.
func (h *Harness) write(t *testing.T, docs []pipeline.Document) []error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	results, err := h.Sink.Write(ctx, docs)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	if len(results) != len(docs) {
		t.Fatalf("%d results for %d documents", len(results), len(docs))
	}
	return results
}

func (h *Harness) store(t *testing.T, docs []pipeline.Document) {
	t.Helper()
	for i, err := range h.write(t, docs) {
		if err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
	}
}

// holds checks that exactly the bodies of want are stored, however often if repeats is set.
func (h *Harness) holds(t *testing.T, want []pipeline.Document, repeats bool) {
	t.Helper()
	count := func(docs []pipeline.Document) map[string]int {
		out := make(map[string]int)
		for _, d := range docs {
			text := canonical(t, d.Body)
			out[text]++
			if repeats {
				out[text] = 1
			}
		}
		return out
	}
	if diff := cmp.Diff(count(want), count(h.Stored(t))); diff != "" {
		t.Fatalf("stored bodies (-want +got):\n%s", diff)
	}
}

// canonical is the JSON value of body in one spelling, since a store may spell it anew.
func canonical(t *testing.T, body []byte) string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("stored body is no JSON: %v", err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func testStores(t *testing.T, h Harness) {
	docs := h.documents(0, 250)
	h.store(t, docs[:1])
	h.store(t, docs[1:])
	h.holds(t, docs, false)
}

func testEmpty(t *testing.T, h Harness) {
	h.write(t, nil)
	h.holds(t, nil, false)
}

func testOwnership(t *testing.T, h Harness) {
	docs := h.documents(0, 20)
	mine := make([]pipeline.Document, len(docs))
	for i, d := range docs {
		mine[i] = pipeline.Document{ID: d.ID, Body: bytes.Clone(d.Body), Origin: d.Origin}
	}
	h.store(t, mine)
	for i := range mine {
		for j := range mine[i].Body {
			mine[i].Body[j] = '!'
		}
		mine[i].ID = "poisoned"
	}
	h.store(t, h.documents(20, 20))
	h.holds(t, h.documents(0, 40), false)
}

func testConcurrency(t *testing.T, h Harness) {
	callers := h.Sink.MaxInFlight()
	if callers < 1 {
		t.Fatalf("MaxInFlight is %d", callers)
	}
	callers = min(callers, 16)
	const each = 40
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			docs := h.documents(c*each, each)
			for i := 0; i < each; i += 10 {
				results, err := h.Sink.Write(t.Context(), docs[i:i+10])
				for _, e := range append(results, err) {
					if e != nil {
						t.Errorf("caller %d: %v", c, e)
					}
				}
			}
		})
	}
	wg.Wait()
	h.holds(t, h.documents(0, callers*each), false)
}

func testIdempotent(t *testing.T, h Harness) {
	if !h.Idempotent {
		t.Skip("the sink does not claim to store by ID")
	}
	docs := h.documents(0, 30)
	h.store(t, docs)
	h.store(t, docs)
	h.store(t, append(docs[10:20:20], docs[10:20]...))
	h.holds(t, docs, false)
}

func testDown(t *testing.T, h Harness) {
	if h.Down == nil {
		t.Skip("the store has no such state")
	}
	docs := h.documents(0, 30)
	h.store(t, docs[:10])
	restore := h.Down(t)
	h.failsWith(t, docs[10:], pipeline.Retry)
	restore()
	h.store(t, docs[10:])
	h.holds(t, docs, !h.Idempotent)
}

func testDenied(t *testing.T, h Harness) {
	if h.Denied == nil {
		t.Skip("the store has no such state")
	}
	docs := h.documents(0, 10)
	restore := h.Denied(t)
	h.failsWith(t, docs, pipeline.Fatal)
	restore()
	h.store(t, docs)
	h.holds(t, docs, false)
}

// failsWith expects that nothing gets through, and each error to be of one class.
func (h *Harness) failsWith(t *testing.T, docs []pipeline.Document, class pipeline.Class) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	results, err := h.Sink.Write(ctx, docs)
	if err != nil {
		if pipeline.ClassOf(err) != class {
			t.Fatalf("class %v, want %v: %v", pipeline.ClassOf(err), class, err)
		}
		return
	}
	if len(results) != len(docs) {
		t.Fatalf("%d results for %d documents", len(results), len(docs))
	}
	for i, err := range results {
		if err == nil || pipeline.ClassOf(err) != class {
			t.Fatalf("document %d: class %v, want %v: %v", i, pipeline.ClassOf(err), class, err)
		}
	}
}

func testBusy(t *testing.T, h Harness) {
	if h.Busy == nil {
		t.Skip("the store has no such state")
	}
	docs := h.documents(0, 20)
	restore := h.Busy(t, docs[7].ID)
	h.onlyFails(t, docs, 7, pipeline.Retry)
	restore()
	h.store(t, docs[7:8])
	h.holds(t, docs, false)
}

func testPoison(t *testing.T, h Harness) {
	if h.Poison == nil {
		t.Skip("the store takes every document")
	}
	docs := h.documents(0, 20)
	h.onlyFails(t, append(append(docs[:7:7], h.Poison(t)), docs[7:]...), 7, pipeline.Reject)
	h.holds(t, docs, false)
	results, err := h.Sink.Write(t.Context(), []pipeline.Document{h.Poison(t)})
	if err == nil {
		err = results[0]
	}
	if err == nil || pipeline.ClassOf(err) != pipeline.Reject {
		t.Fatalf("alone in its request: %v, want class reject", err)
	}
}

func (h *Harness) onlyFails(t *testing.T, docs []pipeline.Document, bad int, class pipeline.Class) {
	t.Helper()
	for i, err := range h.write(t, docs) {
		switch {
		case i != bad && err != nil:
			t.Errorf("document %d failed with its neighbour: %v", i, err)
		case i == bad && (err == nil || pipeline.ClassOf(err) != class):
			t.Errorf("document %d: %v, want class %v", i, err, class)
		}
	}
}

func testContext(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	docs := h.documents(0, 10)
	done := make(chan error, 1)
	go func() {
		results, err := h.Sink.Write(ctx, docs)
		if err == nil && len(results) != len(docs) {
			err = fmt.Errorf("%d results for %d documents and no error", len(results), len(docs))
			done <- pipeline.Rejected(err)
			return
		}
		for _, e := range results {
			if e != nil {
				err = e
			}
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil && pipeline.ClassOf(err) != pipeline.Retry {
			t.Fatalf("class %v, want retry: %v", pipeline.ClassOf(err), err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Write goes on although its context has ended")
	}
	h.store(t, docs)
	h.holds(t, docs, !h.Idempotent)
}
