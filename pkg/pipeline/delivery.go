package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// delivery brings documents to one sink: it fills one bulk at a time and flushes with as many callers as
// the sink allows. Several half-full bulks would cost the sink more and wait longer.
type delivery struct {
	parcelQueue
	p     *Pipeline
	name  string
	sink  Sink
	dead  bool // this is the dead-letter sink: there is nowhere to send what it refuses
	bulks chan []*parcel
	state sinkState
}

func newDelivery(p *Pipeline, s NamedSink, dead bool) *delivery {
	return &delivery{
		parcelQueue: parcelQueue{wake: make(chan struct{}, 1)},
		p:           p, name: s.Name, sink: s.Sink, dead: dead, bulks: make(chan []*parcel),
		state: sinkState{n: SinkStats{Name: s.Name}, since: time.Now()},
	}
}

// run works until ctx ends; everything that is queued then belongs to batches that were given back.
func (d *delivery) run(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { d.fill(ctx) })
	for range max(1, d.sink.MaxInFlight()) {
		wg.Go(func() { d.flush(ctx) })
	}
}

// fill collects bulks. While all flushers are busy it keeps topping up the bulk in hand.
func (d *delivery) fill(ctx context.Context) {
	var bulk bulk
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		full, due := d.top(&bulk)
		var out chan []*parcel
		switch {
		case len(bulk.parcels) == 0:
		case full || d.p.draining.Load() || time.Since(bulk.started) >= d.p.cfg.BulkDelay:
			out = d.bulks
		default:
			if at := bulk.started.Add(d.p.cfg.BulkDelay); due.IsZero() || at.Before(due) {
				due = at
			}
		}
		if !due.IsZero() {
			timer.Reset(time.Until(due))
		}
		select {
		case out <- bulk.parcels:
			bulk.parcels, bulk.bytes = nil, 0
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// bulk is one request in the making.
type bulk struct {
	parcels []*parcel
	bytes   int
	started time.Time
}

// top moves parcels into b until it is full or none is ready; then due is when the next one will be.
func (d *delivery) top(b *bulk) (full bool, due time.Time) {
	now := time.Now()
	fits := func(x *parcel) bool {
		return len(b.parcels) == 0 || len(b.parcels) < d.p.cfg.BulkDocs && b.bytes+len(x.doc.Body) <= d.p.cfg.BulkBytes
	}
	for {
		x, refused, due := d.pop(now, fits)
		if refused || x == nil {
			return refused || len(b.parcels) >= d.p.cfg.BulkDocs || b.bytes >= d.p.cfg.BulkBytes, due
		}
		if d.abandoned(x) {
			continue
		}
		if len(b.parcels) == 0 {
			b.started = now
		}
		b.parcels = append(b.parcels, x)
		b.bytes += len(x.doc.Body)
	}
}

// abandoned drops a parcel whose batch is settled already, because it lost its stream: the new owner of
// the stream judges the records again.
func (d *delivery) abandoned(x *parcel) bool {
	if !x.batch.finished.Load() {
		return false
	}
	d.state.letGo(x)
	return true
}

func (d *delivery) flush(ctx context.Context) {
	var wait time.Duration // grows while nothing goes through
	for {
		select {
		case parcels := <-d.bulks:
			wait = d.deliver(ctx, parcels, wait)
		case <-ctx.Done():
			return
		}
	}
}

// deliver writes one bulk until every document in it is stored, refused or waits for a retry of its own.
// It returns the pause that it made after the last attempt, zero if that one got anything through.
func (d *delivery) deliver(ctx context.Context, parcels []*parcel, wait time.Duration) time.Duration {
	for ctx.Err() == nil {
		parcels = d.dropAbandoned(parcels)
		if len(parcels) == 0 {
			return wait
		}
		results, err := d.write(ctx, parcels)
		if err == nil {
			return d.sort(ctx, parcels, results, wait)
		}
		if ctx.Err() != nil {
			break // the failure is our own impatience at the end of the drain
		}
		d.state.failed(err)
		if ClassOf(err) == Reject {
			return d.split(ctx, parcels, err, wait)
		}
		d.logFailure(err, len(parcels))
		wait = nextWait(wait, err)
		d.pause(ctx, wait)
	}
	return wait
}

// split handles a request that was refused as a whole: the halves are tried apart until the document that
// causes it stands alone.
func (d *delivery) split(ctx context.Context, parcels []*parcel, err error, wait time.Duration) time.Duration {
	if len(parcels) == 1 {
		return d.sort(ctx, parcels, []error{err}, wait)
	}
	half := len(parcels) / 2
	d.deliver(ctx, parcels[:half], wait)
	return d.deliver(ctx, parcels[half:], wait)
}

func (d *delivery) dropAbandoned(parcels []*parcel) []*parcel {
	kept := parcels[:0]
	for _, x := range parcels {
		if !d.abandoned(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

var errResultCount = errors.New("the sink did not answer for each document")

// write calls the sink and turns what must not happen, a panic or a wrong number of results, into an
// error of the request: no document's fate is known, so all are sent again.
func (d *delivery) write(ctx context.Context, parcels []*parcel) (results []error, err error) {
	docs := make([]Document, len(parcels))
	size := 0
	for i, x := range parcels {
		docs[i] = x.doc
		size += len(x.doc.Body)
	}
	start := time.Now()
	defer func() {
		if cause := recover(); cause != nil {
			d.p.throttle.Log(slog.LevelError, "sink-panic/"+d.name, "sink panicked; please report it",
				"sink", d.name, "panic", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
			results, err = nil, fmt.Errorf("sink %s panicked (%T)", d.name, cause)
		}
	}()
	results, err = d.sink.Write(ctx, docs)
	d.p.metrics.bulk(d.name, size, time.Since(start))
	if err == nil && len(results) != len(docs) {
		err = fmt.Errorf("%w: %d results for %d documents", errResultCount, len(results), len(docs))
	}
	return results, err
}

// sort gives every document of an answered bulk its fate, and pauses the flusher if none got through.
func (d *delivery) sort(ctx context.Context, parcels []*parcel, results []error, wait time.Duration) time.Duration {
	progress := false
	var worst error
	for i, x := range parcels {
		err := results[i]
		if d.dead && err != nil && ClassOf(err) == Reject {
			err = FatalError(fmt.Errorf("dead-letter sink %s refuses a dead letter: %w", d.name, err))
		}
		d.state.result(x, err)
		switch {
		case err == nil:
			progress = true
			d.stored(x)
		case ClassOf(err) == Reject:
			progress = true
			d.reject(x, err)
		default:
			worst = worse(worst, err)
			x.wait = nextWait(x.wait, err)
			d.retryAt(x, time.Now().Add(x.wait))
		}
	}
	if worst != nil {
		d.logFailure(worst, len(parcels))
	}
	if progress {
		d.state.reached()
		return 0
	}
	// Nothing went through, so the next bulk will hardly do better: do not hammer.
	d.state.failed(worst)
	wait = nextWait(wait, RetryAfter(worst, DelayOf(worst)))
	d.pause(ctx, wait)
	return wait
}

// worse keeps the error that matters more to the reader of the log.
func worse(a, b error) error {
	if a == nil || ClassOf(b) == Fatal && ClassOf(a) != Fatal {
		return b
	}
	return a
}

func (d *delivery) stored(x *parcel) {
	if x.class != "" {
		d.p.countDeadLetter(x.class)
	}
	x.batch.release()
}

// reject turns a document that the sink refuses for ever into a dead letter, which inherits the place of
// the document in its batch's count.
func (d *delivery) reject(x *parcel, err error) {
	d.p.throttle.Log(slog.LevelWarn, "reject/"+d.name, "sink refused a document; it goes to the dead letters",
		"sink", d.name, "id", x.doc.ID, "error", err)
	x.batch.reject(x.doc.Origin)
	letter := sinkRejected(d.name, x.doc, err)
	dead := d.p.dead
	dead.enqueue(&parcel{to: dead, doc: d.p.cfg.EncodeDeadLetter(letter), class: letter.Class, batch: x.batch})
}

func (d *delivery) pause(ctx context.Context, wait time.Duration) {
	start := time.Now()
	Sleep(ctx, wait)
	d.state.waited(time.Since(start))
}

func (d *delivery) logFailure(err error, docs int) {
	level, text := slog.LevelWarn, "sink failed; trying again"
	if ClassOf(err) == Fatal {
		level, text = slog.LevelError, "sink refuses us; nothing is lost, but somebody has to act"
	}
	d.p.throttle.Log(level, "sink/"+d.name+"/"+ClassOf(err).String(), text, "sink", d.name, "documents", docs, "error", err)
}
