package webhook

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// A batch from the queue is full with so many records or bytes. It holds records of one cluster.
const (
	batchRecords = 32
	batchBytes   = 1 << 20
)

// pauseAgain is the time before something that was given back, or could not be read, is read again.
const pauseAgain = time.Second

// pump reads the queue and emits what is in it until ctx ends. streams is the context of its batches.
func (q *queue) pump(ctx, streams context.Context, emit pipeline.Emit) {
	for {
		s, from, changed := q.unread()
		if s == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return
			}
		}
		p := &pumping{queue: q, segment: s, end: from, ctx: ctx, streams: streams, emit: emit}
		err := p.toEnd(from)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, pipeline.ErrStopped) {
			q.throttle.Log(slog.LevelError, "pump", "the queue cannot be read; trying again", "error", err)
		}
		if (err != nil || p.givenBack) && !pipeline.Sleep(ctx, pauseAgain) {
			return
		}
	}
}

// unread is the oldest segment with something to read, now or later, and where that begins.
func (q *queue) unread() (*segment, int64, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		if s.again && s.open == 0 {
			s.again, s.taken = false, 0
		}
		if !s.again && (s.taken < s.size || !s.sealed) {
			return s, s.taken, nil
		}
	}
	return nil, 0, q.changed
}

// pumping is the reading of one segment.
type pumping struct {
	queue        *queue
	segment      *segment
	ctx, streams context.Context //nolint:containedctx // one call of toEnd, for which this lives
	emit         pipeline.Emit
	givenBack    bool

	records []pipeline.Record
	stream  cluster
	bytes   int
	end     int64 // behind what was collected
}

// toEnd emits all that is in the segment, and waits for more while it is appended to. It returns early if a batch
// was given back.
func (p *pumping) toEnd(from int64) error {
	c, err := p.segment.cursor(from)
	if err != nil {
		return err
	}
	defer c.file.Close()
	for {
		limit, sealed, changed := p.state()
		switch {
		case p.givenBack:
			return nil
		case c.pos < limit:
			if err := p.upTo(c, limit); err != nil {
				return err
			}
		case sealed:
			return nil
		default:
			select {
			case <-changed:
			case <-p.ctx.Done():
				return nil
			}
		}
	}
}

func (p *pumping) state() (limit int64, sealed bool, changed <-chan struct{}) {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	s := p.segment
	p.givenBack = s.again
	return s.synced, s.sealed && s.synced == s.size, p.queue.changed
}

// upTo emits the frames before limit.
func (p *pumping) upTo(c *cursor, limit int64) error {
	for c.pos < limit {
		head, body, at, err := c.next(limit)
		switch {
		case errors.Is(err, errTorn):
			// It was not answered with 200, so its sender has it still.
			p.queue.throttle.Log(slog.LevelInfo, "torn", "the last frame of a part of the queue was not written to its end, and not acknowledged", "error", err)
			p.end = limit
			return errors.Join(c.skip(limit), p.flush())
		case errors.Is(err, errDamaged):
			return p.damage(c, at, limit, err)
		case err != nil:
			return err
		}
		from := cluster{head.Cluster, head.ID}
		if len(p.records) > 0 && (from != p.stream || len(p.records) == batchRecords || p.bytes+len(body) > batchBytes) {
			if err := p.flush(); err != nil {
				return err
			}
		}
		p.collect(from, pipeline.Record{Body: body, Time: time.Unix(0, head.Time).UTC(), Pos: p.position(at), Meta: from.meta()}, c.pos)
	}
	return p.flush()
}

func (p *pumping) position(at int64) string { return p.segment.name + "-" + strconv.FormatInt(at, 10) }

func (p *pumping) collect(from cluster, r pipeline.Record, end int64) {
	p.stream, p.end = from, end
	p.bytes += len(r.Body)
	p.records = append(p.records, r)
}

// damage hands on what cannot be read, so that it is kept and seen.
func (p *pumping) damage(c *cursor, at, limit int64, cause error) error {
	p.queue.damaged.Add(1)
	p.queue.throttle.Log(slog.LevelError, "damaged", "a part of the queue is damaged; what can be read is judged, the rest becomes a dead letter", "error", cause)
	if err := p.flush(); err != nil {
		return err
	}
	raw, err := c.rest(at)
	if err != nil {
		return err
	}
	if err := c.skip(limit); err != nil {
		return err
	}
	p.collect(cluster{}, pipeline.Record{Body: raw, Pos: p.position(at), Meta: map[string]string{pipeline.MetaUndecodable: cause.Error()}}, limit)
	return p.flush()
}

// flush emits what was collected.
func (p *pumping) flush() error {
	q, s := p.queue, p.segment
	if len(p.records) == 0 {
		q.took(s, p.end, 0)
		return nil
	}
	batch := pipeline.NewBatch(p.streams, q.streamOf(p.stream), p.records, func(err error) { q.settled(s, err) })
	p.records, p.bytes = nil, 0
	q.took(s, 0, 1)
	if err := p.emit(p.ctx, batch); err != nil {
		q.took(s, 0, -1)
		return err
	}
	q.took(s, p.end, 0)
	return nil
}

// took books that all before end was emitted, and more batches of s that are not settled.
func (q *queue) took(s *segment, end int64, more int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.taken = max(s.taken, end)
	s.open += more
	q.removeSettled()
}
