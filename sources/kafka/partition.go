package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Reasons to begin a partition anew from its saved position.
var (
	errGivenBack = errors.New("a batch was given back")
	errReset     = errors.New("the partition was made anew")
	errStalled   = errors.New("no progress")
	errDamaged   = errors.New("a record batch cannot be read")
)

// partition reads one partition while it is ours. Its loop runs in one goroutine; what others look at is
// under mu.
type partition struct {
	src    *Source
	gen    *generation
	topic  string
	id     int
	stream string

	fetcher fetcher
	reader  recordReader
	meta    partitionMeta
	pending pendingBatch
	damage  damage
	beyond  int // answers in a row that put the position beyond the end
	stretchOfTime

	// next is the offset to read, added the one up to which the window knows.
	next, added int64

	// inflight counts the batches that the pipeline has taken over and not settled.
	inflight atomic.Int64

	mu       sync.Mutex
	window   *window
	restart  context.CancelCauseFunc // begins the partition anew
	abort    context.CancelCauseFunc // ends the fetch under way
	end      int64                   // where the partition ends, as far as is known
	reading  int64                   // next, for others
	lastTime time.Time               // of the last record read
	progress time.Time               // when next moved last, or had nowhere to move
	blocked  bool                    // the pipeline is full
}

func newPartition(g *generation, topic string, a kafka.PartitionAssignment) *partition {
	s := g.src
	p := &partition{
		src: s, gen: g, topic: topic, id: a.ID,
		stream: fmt.Sprintf("kafka/%s/%d", topic, a.ID),
		fetcher: fetcher{
			transport: s.transport, brokers: s.conn.Addr(), clientID: s.conn.ClientID(),
			topic: topic, partition: a.ID, isolation: s.cfg.isolation(), patience: s.tuning.patience,
			min: int32(s.cfg.FetchMinBytes), max: int32(s.cfg.FetchMaxBytes),
		},
		meta:     newPartitionMeta(topic, s.needMeta),
		progress: time.Now(),
		window:   newWindow(a.Offset, s.cfg.MaxUnsettled),
	}
	p.reader.limits = p.meta.limits(int(s.cfg.MaxRecordBytes))
	return p
}

// run reads from the assigned position until ctx ends, or a finite stretch is read and settled. As a part of a group
// it never returns earlier: the end of one function of a generation ends the generation.
func (p *partition) run(ctx context.Context, position int64) {
	pause := p.src.tuning.redelivery
	for ctx.Err() == nil {
		next, err := p.absolute(ctx, position)
		if err != nil {
			return // ctx ended
		}
		life, cancel := context.WithCancelCause(ctx)
		p.begin(next, cancel)
		p.read(life)
		done := p.complete() && p.finish(life)
		cause := context.Cause(life)
		cancel(nil)
		if done || ctx.Err() != nil {
			return
		}
		window := p.current()
		if window.ready() != next {
			pause = p.src.tuning.redelivery
		}
		if position = window.ready(); errors.Is(cause, errReset) {
			position = p.src.cfg.startOffset()
			continue
		}
		p.src.metrics.redeliveries.Inc()
		p.src.throttle.Log(slog.LevelWarn, "again/"+p.stream, "reading again what was not handled",
			"source", p.src.name, "stream", p.stream, "from", position, "cause", cause)
		if !pipeline.Sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// begin starts a life of the partition: a window, and a position to read from.
func (p *partition) begin(next int64, restart context.CancelCauseFunc) {
	p.next, p.added = next, next
	p.pending.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = newWindow(next, p.src.cfg.MaxUnsettled)
	p.restart = restart
	p.reading, p.progress = next, time.Now()
}

func (p *partition) current() *window {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.window
}

// read fetches and hands on until ctx ends, or there is no more to read.
func (p *partition) read(ctx context.Context) {
	for failures := 0; ctx.Err() == nil && !p.complete(); {
		wait := p.src.cfg.FetchMaxWait
		if due := p.pending.due(p.src.cfg.BatchDelay); due < wait {
			wait = due
		}
		if wait < time.Millisecond {
			p.flush(ctx)
			continue
		}
		err := p.step(ctx, wait)
		if err == nil {
			failures = 0
			p.src.health.Clear(p.stream)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		failures++
		pipeline.Sleep(ctx, p.trouble(err, failures))
	}
}

// step does one fetch and takes in its answer.
func (p *partition) step(ctx context.Context, wait time.Duration) error {
	fetching, abort := context.WithCancelCause(ctx)
	p.mu.Lock()
	p.abort = abort
	p.mu.Unlock()
	res, err := p.fetcher.fetch(fetching, p.next, wait)
	if err != nil && fetching.Err() != nil {
		err = context.Cause(fetching)
	}
	abort(nil)
	if err != nil {
		return err
	}
	pipeline.Sleep(ctx, min(res.throttle, maxThrottle)) // over quota: the broker expects us to wait
	if res.code == kafka.OffsetOutOfRange {
		return p.reposition(ctx)
	}
	if res.code != 0 {
		return res.code
	}
	p.beyond = 0
	return p.take(ctx, res)
}

// maxThrottle bounds what a broker may ask for.
const maxThrottle = 30 * time.Second

// trouble books a failure and says how long to wait before the next attempt.
func (p *partition) trouble(err error, failures int) time.Duration {
	p.src.metrics.fetchErrors.WithLabelValues(kafkaconn.Kind(err)).Inc()
	if _, ok := errors.AsType[kafka.Error](err); ok || errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition) || errors.Is(err, protocol.ErrNoLeader) {
		p.src.forgetLeaders()
	}
	p.src.health.Note(p.stream, fmt.Errorf("reading %s: %w", p.stream, err), kafkaconn.Refused(err))
	level := slog.LevelWarn
	if kafkaconn.Kind(err) == "connection_closed" && failures < 3 {
		level = slog.LevelDebug // brokers close idle connections as a matter of course
	}
	p.src.throttle.Log(level, p.stream+"/"+kafkaconn.Kind(err), "reading a partition failed, trying again",
		"source", p.src.name, "stream", p.stream, "offset", p.next, "error", err)
	longest := 5 * time.Second
	if kafkaconn.Refused(err) {
		longest = 30 * time.Second
	}
	wait := min(100*time.Millisecond<<min(failures-1, 16), longest)
	return wait/2 + rand.N(wait) //nolint:gosec // jitter needs no secrecy
}

// observe notes where the partition ends, and where reading is.
func (p *partition) observe(end int64, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != p.reading || end <= p.next {
		p.progress = time.Now()
	}
	p.end, p.reading = end, p.next
	if !last.IsZero() {
		p.lastTime = last
	}
}

// observeEnd notes where the partition ends, from elsewhere than an answer.
func (p *partition) observeEnd(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = max(p.end, end)
}

func (p *partition) setBlocked(blocked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked, p.progress = blocked, time.Now()
}

// stalled is true when nothing moved for a while although there is something to read and the pipeline is
// not to blame. It then ends the fetch under way.
func (p *partition) stalled(limit time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked || p.end <= p.reading || time.Since(p.progress) < limit {
		return false
	}
	p.progress = time.Now()
	if p.abort != nil {
		p.abort(errStalled)
	}
	return true
}

type lag struct {
	records, unsettled int64
	age                time.Duration
}

// lag measures from what is handled, not from what is read.
func (p *partition) lag(now time.Time) lag {
	p.mu.Lock()
	end, w, last := p.end, p.window, p.lastTime
	p.mu.Unlock()
	n, oldest := w.behind()
	l := lag{unsettled: int64(n)}
	if ready := w.ready(); ready >= 0 && end > ready {
		l.records = end - ready
	}
	if oldest.IsZero() && l.records > 0 {
		oldest = last
	}
	if !oldest.IsZero() {
		l.age = max(0, now.Sub(oldest))
	}
	return l
}
