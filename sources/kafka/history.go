package kafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// disorder is how much later than its neighbours a record may stand in a partition, by its time: producers stamp
// records, and one whose clock is behind, or that tries again, writes older times behind newer ones.
const disorder = time.Hour

// stretchOfTime says which part of a partition to read and then to end. The zero value means all of it, for ever.
type stretchOfTime struct {
	finite       bool
	stop         int64 // offset behind the last record to read
	since, until time.Time
}

// holds tells whether a record is to be handed on. A record without a time is.
func (s *stretchOfTime) holds(offset int64, at time.Time) bool {
	if !s.finite {
		return true
	}
	return offset < s.stop && (at.IsZero() || !at.Before(s.since) && (s.until.IsZero() || at.Before(s.until)))
}

// readHistory reads the part of all partitions that h names, as far as they reach now. It is no member of a
// group and saves nothing, so that the service which reads the same topics does not notice.
func (s *Source) readHistory(ctx context.Context, h pipeline.History, emit pipeline.Emit) error {
	found, err := s.historicTopics(ctx)
	if err != nil {
		return err
	}
	g := newGeneration(ctx, s, nil, emit)
	defer g.abandon(errGivenUp)
	for _, topic := range slices.Sorted(maps.Keys(found)) {
		for id := range found[topic] {
			p := newPartition(g, topic, kafka.PartitionAssignment{ID: id})
			if g.committed[p], err = p.locate(ctx, h); err != nil {
				return err
			}
			g.partitions = append(g.partitions, p)
		}
	}
	s.setAssigned(g.partitions)
	defer s.setAssigned(nil)
	s.log.Info("reading what the brokers hold", "source", s.name, "partitions", len(g.partitions), "since", h.Since, "until", h.Until)

	var loops, watch sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	watch.Go(func() { g.look(watching) })
	for _, p := range g.partitions {
		loops.Go(func() { p.run(ctx, g.committed[p]) })
	}
	loops.Wait()
	stop()
	watch.Wait()
	g.drain(ctx)
	return nil
}

// historicTopics are the topics to read and their partitions. Whoever asks for history waits for the answer, so
// brokers that stay away, and topics that do not exist, are an error soon.
func (s *Source) historicTopics(ctx context.Context) (map[string]int, error) {
	for attempt := 1; ; attempt++ {
		seen, err := s.topics.ask(ctx)
		if err == nil {
			if err = s.topics.trouble(seen); err == nil {
				return seen.found, nil
			}
			if len(seen.leaderless) == 0 {
				return nil, err
			}
		}
		err = kafkaconn.Advise(err)
		s.transport.CloseIdleConnections() // it keeps an error as long as metadata
		if attempt >= s.tuning.refusals || !pipeline.Sleep(ctx, s.tuning.rejoin) {
			return nil, err
		}
		s.throttle.Log(slog.LevelWarn, brokersKey, "the Kafka brokers cannot be used, trying again", "source", s.name, "error", err)
	}
}

// locate finds the offsets between which the records of a time stand. It tries until ctx ends.
//
// A broker answers for a time with the first record that is not older, so nothing before that belongs to it. At the
// other end older records may follow: the stretch goes on to where records are newer by disorder, and what does not
// belong is left out by its own time.
func (p *partition) locate(ctx context.Context, h pipeline.History) (from int64, err error) {
	for failures := 1; ; failures++ {
		var end int64
		if from, end, err = p.stretch(ctx, h); err == nil {
			p.stretchOfTime = stretchOfTime{finite: true, stop: end, since: h.Since, until: h.Until}
			return from, nil
		}
		if kafkaconn.Refused(err) && failures >= p.src.tuning.refusals {
			return 0, p.src.terms.rightOnTopic(err, p.topic)
		}
		if ctx.Err() != nil || !pipeline.Sleep(ctx, p.trouble(err, failures)) {
			return 0, ctx.Err()
		}
	}
}

func (p *partition) stretch(ctx context.Context, h pipeline.History) (from, end int64, err error) {
	if end, err = p.ask(ctx, kafka.LastOffsetOf(p.id)); err != nil {
		return 0, 0, err
	}
	if !h.Until.IsZero() {
		last, err := p.ask(ctx, kafka.TimeOffsetOf(p.id, h.Until.Add(disorder)))
		if err != nil {
			return 0, 0, err
		}
		if last >= 0 {
			end = min(end, last)
		}
	}
	first := kafka.FirstOffsetOf(p.id)
	if h.Since.Unix() > 0 {
		first = kafka.TimeOffsetOf(p.id, h.Since)
	}
	if from, err = p.ask(ctx, first); err != nil {
		return 0, 0, err
	}
	if from < 0 { // nothing is that new
		from = end
	}
	return from, end, nil
}

// complete tells whether the stretch was read to its end.
func (p *partition) complete() bool { return p.finite && p.next >= p.stop }

// finish hands on what is pending and waits until all of the stretch is settled. It is false if a batch was given back,
// or if ctx ended.
func (p *partition) finish(ctx context.Context) bool {
	if p.flush(ctx) != nil {
		return false
	}
	w := p.current()
	if w.tracker.Wait(ctx) != nil {
		return false
	}
	if w.tracker.Pinned() {
		<-ctx.Done() // a batch was given back, which ends ctx as well
		return false
	}
	return true
}
