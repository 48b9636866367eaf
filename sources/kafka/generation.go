package kafka

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/pipeline"
)

// generation is the time between two rebalances, in which our partitions are ours. Its partitions are made
// from the assignment and die with it: the brokers check who commits, but not whose partition it is, so a
// position of an older generation must have no way to get there.
type generation struct {
	src *Source
	// gen is nil where history is read: nothing is saved then.
	gen        *kafka.Generation
	emit       pipeline.Emit
	partitions []*partition
	committed  map[*partition]int64

	// batchCtx is the Ctx of all batches: it ends when the drain has ended.
	batchCtx context.Context //nolint:containedctx // it belongs to the batches, which outlive calls
	abandon  context.CancelCauseFunc
	settled  chan struct{} // signals that a batch was settled
	// regroup is set if the topics to read are others than those of the group.
	regroup bool
}

var errGivenUp = errors.New("the partition was given up")

func newGeneration(ctx context.Context, s *Source, gen *kafka.Generation, emit pipeline.Emit) *generation {
	g := &generation{src: s, gen: gen, emit: emit, committed: make(map[*partition]int64), settled: make(chan struct{}, 1)}
	// Not the context of Run: work in flight may go on while the drain lasts.
	g.batchCtx, g.abandon = context.WithCancelCause(context.WithoutCancel(ctx))
	if gen == nil {
		return g
	}
	for topic, assigned := range gen.Assignments {
		for _, a := range assigned {
			p := newPartition(g, topic, a)
			g.partitions = append(g.partitions, p)
			g.committed[p] = a.Offset
		}
	}
	return g
}

// wake tells the drain that something was settled.
func (g *generation) wake() {
	select {
	case g.settled <- struct{}{}:
	default:
	}
}

// run reads until ctx or the generation ends, then drains. ctx is the one of Run, over the generation's.
// Heartbeats go on while only ctx has ended.
func (g *generation) run(ctx, over context.Context) {
	s := g.src
	reading, stop := context.WithCancel(ctx)
	defer context.AfterFunc(over, stop)()
	defer stop()
	s.setAssigned(g.partitions)
	s.log.Info("partitions assigned", "source", s.name, "generation", g.gen.ID, "partitions", len(g.partitions))

	var loops sync.WaitGroup
	for _, p := range g.partitions {
		loops.Go(func() { p.run(reading, g.committed[p]) })
	}
	loops.Go(func() { g.watch(reading, stop) })
	g.commitWhile(reading)
	loops.Wait()
	g.drain(over)
	g.abandon(errGivenUp)
	s.setAssigned(nil)
}

// commitWhile saves positions until reading ends. It owns g.committed from here on, with drain after it.
func (g *generation) commitWhile(reading context.Context) {
	ticker := time.NewTicker(g.src.cfg.CommitInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = g.commit(false) // counted, logged, and tried again at the next tick
		case <-reading.Done():
			return
		}
	}
}

// commit saves the positions that moved, or all of them.
func (g *generation) commit(all bool) error {
	if g.gen == nil {
		return nil
	}
	positions := make(map[string]map[int]int64)
	saved := make(map[*partition]int64)
	for _, p := range g.partitions {
		ready := p.current().ready()
		if ready < 0 || !all && ready == g.committed[p] {
			continue
		}
		if positions[p.topic] == nil {
			positions[p.topic] = make(map[int]int64)
		}
		positions[p.topic][p.id], saved[p] = ready, ready
	}
	if len(positions) == 0 {
		return nil
	}
	if err := g.save(positions); err != nil {
		g.src.metrics.commitFailed.Inc()
		g.src.throttle.Log(slog.LevelWarn, "commit", "positions could not be saved, trying again",
			"source", g.src.name, "generation", g.gen.ID, "error", err)
		return err
	}
	maps.Copy(g.committed, saved)
	return nil
}

// drain waits for the batches in flight, within the limit, and saves what they moved.
//
// When the generation has ended, kafka-go sends no more heartbeats, and the coordinator waits for us to join
// anew. A commit counts as a sign of life, so positions are saved all the while, moved or not.
func (g *generation) drain(over context.Context) {
	start := time.Now()
	deadline := time.NewTimer(g.src.cfg.drainLimit())
	defer deadline.Stop()
	ticker := time.NewTicker(drainCommit)
	defer ticker.Stop()
	evicted := false
	for expired := false; g.inflight() > 0 && !expired && !evicted; {
		select {
		case <-g.settled:
		case <-ticker.C:
			evicted = lost(g.commit(over.Err() != nil))
		case <-deadline.C:
			expired = true
		}
	}
	if !evicted {
		g.commitLast(start.Add(g.src.cfg.drainLimit()))
	}
	g.src.metrics.drainDuration.Observe(time.Since(start).Seconds())
	if n := g.inflight(); n > 0 {
		g.src.metrics.abandoned.Add(float64(n))
		g.src.log.Warn("partitions were given up before everything read of them was handled; whoever reads them next reads it again",
			"source", g.src.name, "batches", n, "evicted", evicted, "waited", time.Since(start).Round(time.Millisecond))
	}
}

// commitLast saves what the drain has moved. What cut the generation's connection has often cut idle ones of the
// pool too, which shows when they are used, so one failure is not the end before the drain's time is over.
func (g *generation) commitLast(until time.Time) {
	for range lastCommits {
		if err := g.commit(false); err == nil || lost(err) || time.Now().After(until) {
			return
		}
		time.Sleep(drainCommit / 5)
	}
	// Counted and logged; what is not saved is read again.
}

const (
	// drainCommit is the time between two signs of life in a drain.
	drainCommit = 500 * time.Millisecond
	// lastCommits is how often the last positions are tried.
	lastCommits = 4
)

// lost is true for the answers that say that our partitions are somebody else's already.
func lost(err error) bool {
	return errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.FencedInstanceID)
}

func (g *generation) inflight() int64 {
	var n int64
	for _, p := range g.partitions {
		n += p.inflight.Load()
	}
	return n
}

// watch looks after the partitions until ctx ends: where they end, whether they stall, and whether there are
// still as many of them. end ends the generation.
func (g *generation) watch(ctx context.Context, end context.CancelFunc) {
	s := g.src
	g.each(ctx, func() bool {
		changed, others := s.topics.changed(ctx)
		if changed {
			s.log.Info("topics or their partitions have changed: sharing them out anew", "source", s.name)
			g.regroup = others
			end()
		}
		return !changed
	})
}

// look is watch for partitions that stay as they are.
func (g *generation) look(ctx context.Context) { g.each(ctx, func() bool { return true }) }

// each looks at the partitions and calls more every now and then, until it is false or ctx ends.
func (g *generation) each(ctx context.Context, more func() bool) {
	ticker := time.NewTicker(g.src.tuning.watch)
	defer ticker.Stop()
	for {
		g.observeEnds(ctx)
		if g.unstall(); !more() {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// unstall makes connections anew where a partition does not move.
func (g *generation) unstall() {
	s := g.src
	for _, p := range g.partitions {
		if !p.stalled(s.cfg.StallTimeout) {
			continue
		}
		s.metrics.stalls.Inc()
		s.health.Note(p.stream, errStalled, true)
		s.log.Error("a partition with records to read makes no progress: connecting anew",
			"source", s.name, "stream", p.stream, "for", s.cfg.StallTimeout)
		s.transport.CloseIdleConnections()
	}
}
