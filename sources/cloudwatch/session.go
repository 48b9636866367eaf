package cloudwatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

// session reads one log group from a position on, until its end or until a batch is given back.
//
// Both passes add their batches to one tracker, and only the end of a stretch of the sweep moves its position. An
// event that the sweep passes over as handed on already was added before, so the position waits for it too.
type session struct {
	g        *group
	emit     pipeline.Emit
	batchCtx context.Context //nolint:containedctx // that of the batches: it outlives the passes
	fail     context.CancelCauseFunc
	tracker  *offsets.Tracker

	mu   sync.Mutex // held from the look into seen to the adding to tracker
	seen *seen

	// swept is the event time before which everything was read a last time. The fast pass has read all that had
	// arrived of pollFrom to polled. All in milliseconds.
	swept, pollFrom, polled atomic.Int64
}

// errGivenBack ends a session: its batches have to be read again.
var errGivenBack = errors.New("a batch was given back")

// isNew is true for an event that was not handed on. What lies before the sweep's position was.
func (s *session) isNew(p *pass, f *found) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isNewLocked(p, f)
}

func (s *session) isNewLocked(p *pass, f *found) bool {
	return (p.sweep || f.at >= s.swept.Load()) && !s.seen.has(f.at, f.id)
}

// hand adds what is still new of a batch and emits it.
func (s *session) hand(ctx context.Context, p *pass, batch []found) error {
	records, tok, err := s.add(ctx, p, batch)
	if err != nil || len(records) == 0 {
		return err
	}
	err = s.emit(ctx, pipeline.NewBatch(s.batchCtx, s.g.stream, records, func(err error) {
		s.tracker.Settle(tok, err == nil)
		if err != nil {
			s.fail(errGivenBack)
		}
	}))
	if err != nil { // not taken over: nobody will ever settle it
		s.tracker.Settle(tok, false)
		s.fail(errGivenBack)
	}
	return err
}

// add marks events as handed on in the moment in which the tracker knows of them, never before.
func (s *session) add(ctx context.Context, p *pass, batch []found) ([]pipeline.Record, offsets.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := batch[:0]
	for i := range batch {
		if s.isNewLocked(p, &batch[i]) { // the other pass may have been here meanwhile
			fresh = append(fresh, batch[i])
		}
	}
	if len(fresh) == 0 {
		return nil, 0, nil
	}
	tok, err := s.tracker.Add(ctx, s.swept.Load())
	if err != nil {
		return nil, 0, err
	}
	records := make([]pipeline.Record, 0, len(fresh))
	for i := range fresh {
		if s.seen.mark(fresh[i].at, fresh[i].id) {
			records = append(records, fresh[i].record)
			s.count(p, &fresh[i])
		}
	}
	if len(records) == 0 { // an answer that holds nothing but one event several times leaves one of it
		s.tracker.Settle(tok, true)
	}
	return records, tok, nil
}

// count measures how late an event came.
func (s *session) count(p *pass, f *found) {
	m := s.g.src.metrics
	name := "fast"
	if p.sweep {
		name = "sweep"
	}
	m.events.WithLabelValues(name).Inc()
	if p.sweep && f.at >= s.pollFrom.Load() && f.at <= s.polled.Load() {
		m.late.Inc()
	}
	if f.ingested == 0 {
		return
	}
	late := time.Duration(f.ingested-f.at) * time.Millisecond
	m.lateness.Observe(late.Seconds())
	if limit := s.g.src.cfg.MaxLateness; late > limit*3/4 && s.g.src.history == nil {
		s.g.src.throttle.Log(warnLevel, "late/"+s.g.stream, "events arrive so late that MAX_LATENESS hardly covers them; raise it",
			"source", s.g.src.name, "log_group", s.g.t.name, "late", late.Round(time.Second), "max_lateness", limit)
	}
}

// finish moves the position to the end of a stretch that the sweep has read.
func (s *session) finish(ctx context.Context, to int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tok, err := s.tracker.Add(ctx, to)
	if err != nil {
		return err
	}
	s.swept.Store(to)
	s.seen.forget(to)
	s.tracker.Settle(tok, true)
	return nil
}

// repeat reads a pass until it comes to its end.
func (s *session) repeat(ctx context.Context, p pass) (*pass, error) {
	for attempt := 1; ; attempt++ {
		try := p
		err := try.read(ctx)
		if err == nil {
			s.g.well()
			return &try, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.g.src.metrics.repeated.Inc()
		if s.g.src.history != nil && kindOf(err).sure() {
			return nil, err
		}
		s.g.trouble(err)
		s.g.renew(err)
		if !pipeline.Sleep(ctx, s.g.src.tuning.wait(attempt)) {
			return nil, ctx.Err()
		}
	}
}

// poll is the fast pass: the newest stretch, again and again. What it leaves out the sweep reads.
func (s *session) poll(ctx context.Context) error {
	cfg, clock := &s.g.src.cfg, &s.g.src.clock
	for {
		began := time.Now()
		now := clock.now()
		last := s.polled.Load()
		// After a standstill it does not read what the sweep will read anyway, so that it is soon up to date.
		from := max(last-cfg.PollOverlap.Milliseconds(), now-cfg.MaxLateness.Milliseconds(), s.swept.Load())
		if from > last {
			s.pollFrom.Store(from)
		}
		if from <= now {
			if _, err := s.repeat(ctx, pass{s: s, from: from, to: now}); err != nil {
				return err
			}
			s.polled.Store(min(now, clock.now()))
		}
		if !pipeline.Sleep(ctx, cfg.PollInterval-time.Since(began)) {
			return ctx.Err()
		}
	}
}

// Bounds of a stretch of the sweep while it catches up. One that fails is read again whole, so it is no longer
// than some hundred pages where there is much, and long where there is nothing.
const (
	maxStretch   = 15 * time.Minute
	densePages   = 16
	sparseEvents = 1000
)

// sweep reads every stretch once, oldest first, when its events have certainly arrived. With an end it returns
// there.
func (s *session) sweep(ctx context.Context, end int64) error {
	cfg, clock := &s.g.src.cfg, &s.g.src.clock
	least := cfg.SweepInterval.Milliseconds()
	width := least
	for {
		from := s.swept.Load()
		horizon := clock.now() - cfg.MaxLateness.Milliseconds()
		if end > 0 {
			horizon = end
		}
		if end > 0 && from >= end {
			return nil
		}
		if end == 0 && horizon-from < least {
			if !pipeline.Sleep(ctx, time.Duration(from+least-horizon)*time.Millisecond) {
				return ctx.Err()
			}
			continue
		}
		to := min(from+width, horizon)
		done, err := s.repeat(ctx, pass{s: s, sweep: true, from: from, to: to})
		if err != nil {
			return err
		}
		// A clock that jumped ahead shows in the answers: then this came before the last events have.
		if end == 0 && to > clock.now()-cfg.MaxLateness.Milliseconds() {
			continue
		}
		if err := s.finish(ctx, to); err != nil {
			return err
		}
		switch {
		case done.events <= sparseEvents && done.pages <= densePages:
			width = max(min(2*width, maxStretch.Milliseconds()), least)
		case done.pages > densePages:
			width = max(width/2, least)
		}
	}
}

// advance notes how far everything is settled.
func (s *session) advance() {
	if at, ok := s.tracker.Ready(); ok && at > s.g.settled.Load() {
		s.g.settled.Store(at)
	}
}
