package pubsub

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/foretop/foretop/pkg/pipeline"
)

// reader pulls one subscription.
type reader struct {
	src *Source
	// name is what is pulled; stream is what records are said to come from, which is the same but in a scan.
	name, stream string
	// accept says whether a message is handed on; others are acknowledged. Nil accepts all.
	accept func(*pubsub.Message) bool
	// shared is the metadata of messages of which nothing more is asked. Nobody writes to it.
	shared map[string]string

	mu      sync.Mutex
	open    map[*delivery]struct{} // in work
	emptied chan struct{}          // has room for one signal that nothing is in work
}

// run pulls until ctx ends, whatever goes wrong.
func (r *reader) run(ctx context.Context, emit pipeline.Emit) {
	wait := r.src.tuning.again
	for ctx.Err() == nil {
		began := time.Now()
		err := r.receive(ctx, emit)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.src.trouble(r.stream, err)
		}
		if time.Since(began) > r.src.tuning.againMost {
			wait = r.src.tuning.again
		}
		pipeline.Sleep(ctx, wait/2+rand.N(wait)) //nolint:gosec // jitter needs no secrecy
		wait = min(2*wait, r.src.tuning.againMost)
	}
}

// receive pulls until ctx ends, and then until what is in work is settled or the drain limit is over; or until the
// service refuses us for a reason that the library does not wait out.
func (r *reader) receive(ctx context.Context, emit pipeline.Emit) error {
	lease, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	calls, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	r.src.watch.bind(r.name, session{stream: r.stream, pulling: ctx, calls: calls})
	defer r.src.watch.unbind(r.name)
	defer context.AfterFunc(ctx, func() {
		r.drained(lease)
		lose()
		// What is left to do is to send acknowledgements. A service that does not answer must not keep us.
		pipeline.Sleep(calls, r.src.tuning.flush)
		giveUp()
	})()
	collect := &collector{
		stream: r.stream, meta: r.meta, offers: make(chan *delivery),
		limits: batchLimits{records: r.src.cfg.BatchRecords, bytes: int(r.src.cfg.BatchBytes), delay: r.src.cfg.BatchDelay},
	}
	var collecting sync.WaitGroup
	stopping, stop := context.WithCancel(ctx)
	collecting.Go(func() { collect.run(stopping, lease, emit) })

	sub := r.src.client.Subscriber(r.name)
	sub.ReceiveSettings = r.settings()
	err := sub.Receive(ctx, func(pulling context.Context, m *pubsub.Message) {
		// The library ends this context with ctx, and when it gives the stream up: nobody extends leases then.
		defer context.AfterFunc(pulling, func() {
			if ctx.Err() == nil {
				lose()
			}
		})()
		r.handle(pulling, lease, m, collect.offers)
	})
	stop()
	collecting.Wait()
	return err
}

// drained waits until nothing is in work, at most for the drain limit or until lease ends.
func (r *reader) drained(lease context.Context) {
	limit, cancel := context.WithTimeout(lease, r.src.cfg.DrainTimeout)
	defer cancel()
	for r.load().messages > 0 {
		select {
		case <-r.emptied:
		case <-limit.Done():
			return
		}
	}
}

func (r *reader) settings() pubsub.ReceiveSettings {
	cfg := r.src.cfg
	return pubsub.ReceiveSettings{
		MaxOutstandingMessages: cfg.MaxOutstandingMessages / cfg.Streams,
		MaxOutstandingBytes:    int(cfg.MaxOutstandingBytes) / cfg.Streams,
		NumGoroutines:          cfg.Streams,
		// The service gets each stream's limits in any case. If they were shared on our side only, streams would hold
		// messages that wait for each other's places.
		EnablePerStreamFlowControl: true,
		MaxExtension:               cfg.MaxExtension,
		// One length for all leases: the library would let it grow to ten minutes with the time that messages take,
		// and after a crash during an outage nobody would get them for as long.
		MinDurationPerAckExtension: cfg.Lease,
		MaxDurationPerAckExtension: cfg.Lease,
		// A time limit of the library's, whatever its length, loses the acknowledgements of what is in work when
		// Receive is told to end: the sender of acknowledgements ends with the streams (version 2.8.0, measured).
		// Without one Receive sends them before it returns; receive bounds that time.
		ShutdownOptions: &pubsub.ShutdownOptions{Behavior: pubsub.ShutdownBehaviorWaitForProcessing, Timeout: -1},
	}
}

// handle keeps m until it is settled. pulling ends when the source stops, lease when m may be somebody else's.
func (r *reader) handle(pulling, lease context.Context, m *pubsub.Message, offers chan<- *delivery) {
	d := &delivery{msg: m, settled: make(chan error, 1)}
	r.enter(d)
	defer r.leave(d)
	if r.accept != nil && !r.accept(m) {
		r.ack(lease, m)
		return
	}
	for wait := r.src.tuning.again; ; wait = min(2*wait, r.src.tuning.againMost) {
		err := offer(pulling, lease, d, offers)
		if err == nil {
			r.ack(lease, m)
			return
		}
		if !pipeline.Sleep(pulling, wait) {
			r.giveBack(m)
			return
		}
		r.src.metrics.retries.WithLabelValues(r.stream).Inc()
	}
}

// offer hands d to the collector and waits for its fate, at most until lease ends.
func offer(pulling, lease context.Context, d *delivery, offers chan<- *delivery) error {
	select {
	case offers <- d:
	case <-pulling.Done():
		return pulling.Err()
	}
	select {
	case err := <-d.settled:
		return err
	case <-lease.Done():
		return lease.Err()
	}
}

// ack acknowledges m. With exactly-once delivery it waits for the answer; what fails comes again, which is harmless.
func (r *reader) ack(lease context.Context, m *pubsub.Message) {
	_, err := m.AckWithResult().Get(lease)
	switch {
	case err == nil:
		r.src.metrics.messages.WithLabelValues(r.stream, "acked").Inc()
	default:
		r.src.metrics.messages.WithLabelValues(r.stream, "ack_failed").Inc()
		r.src.throttle.Log(slog.LevelWarn, "ack/"+r.stream, "an acknowledgement failed; the message will be delivered and judged again, which adds no finding",
			"source", r.src.name, "subscription", r.stream, "error", err)
	}
}

func (r *reader) giveBack(m *pubsub.Message) {
	m.Nack()
	r.src.metrics.messages.WithLabelValues(r.stream, "given_back").Inc()
}

// warnAttempts is the delivery attempt of a message that is worth a warning: a dead letter policy allows 5 at least.
const warnAttempts = 4

func (r *reader) enter(d *delivery) {
	r.mu.Lock()
	r.open[d] = struct{}{}
	r.mu.Unlock()
	if d.msg.DeliveryAttempt == nil {
		return
	}
	n := *d.msg.DeliveryAttempt
	r.src.metrics.attempts.Observe(float64(n))
	if n >= warnAttempts {
		r.src.throttle.Log(slog.LevelWarn, "attempts/"+r.stream,
			"a message was delivered several times; at its limit the dead letter policy of the subscription takes it away. Raise the limit, and see why this process or a replica restarts",
			"source", r.src.name, "subscription", r.stream, "message", d.msg.ID, "attempt", n)
	}
}

func (r *reader) leave(d *delivery) {
	r.mu.Lock()
	delete(r.open, d)
	empty := len(r.open) == 0
	r.mu.Unlock()
	if empty {
		select {
		case r.emptied <- struct{}{}:
		default:
		}
	}
}

// load describes what is in work.
type load struct {
	messages, bytes int
	oldest          time.Time // publish time, zero if nothing is in work
}

func (r *reader) load() (l load) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for d := range r.open {
		l.messages++
		l.bytes += len(d.msg.Data)
		if l.oldest.IsZero() || d.msg.PublishTime.Before(l.oldest) {
			l.oldest = d.msg.PublishTime
		}
	}
	return l
}

// meta is what the decoder is told beside the body.
func (r *reader) meta(m *pubsub.Message) map[string]string {
	if len(r.src.needKey)+len(r.src.needAttributes) == 0 {
		return r.shared
	}
	meta := make(map[string]string, 2+len(r.src.needAttributes))
	maps.Copy(meta, r.shared)
	if r.src.needKey != "" && m.OrderingKey != "" {
		meta[r.src.needKey] = m.OrderingKey
	}
	for key, attribute := range r.src.needAttributes {
		if v, ok := m.Attributes[attribute]; ok {
			meta[key] = v
		}
	}
	return meta
}
