package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/pipeline"
)

// bounds asks where the partition begins and ends.
func (p *partition) bounds(ctx context.Context) (first, end int64, err error) {
	if first, err = p.ask(ctx, kafka.FirstOffsetOf(p.id)); err != nil {
		return 0, 0, err
	}
	end, err = p.ask(ctx, kafka.LastOffsetOf(p.id))
	return first, end, err
}

// ask asks for one offset: -1 if no record is as new as the time asked about. It is one question a request, since
// brokers refuse a partition that is named twice.
func (p *partition) ask(ctx context.Context, what kafka.OffsetRequest) (int64, error) {
	found, err := p.src.offsets(ctx, map[string][]kafka.OffsetRequest{p.topic: {what}})
	if err != nil {
		return 0, err
	}
	for _, o := range found[p.topic] {
		switch {
		case o.Partition != p.id:
			continue
		case o.Error != nil:
			return 0, o.Error
		case what.Timestamp == kafka.FirstOffset:
			return o.FirstOffset, nil
		case what.Timestamp == kafka.LastOffset:
			return o.LastOffset, nil
		}
		for offset := range o.Offsets {
			return offset, nil
		}
	}
	return 0, errWrongAnswer
}

// absolute turns "the beginning" and "the end" into an offset. It tries until ctx ends.
func (p *partition) absolute(ctx context.Context, position int64) (int64, error) {
	for failures := 1; position < 0; failures++ {
		first, end, err := p.bounds(ctx)
		if err != nil {
			if ctx.Err() != nil || !pipeline.Sleep(ctx, p.trouble(err, failures)) {
				return 0, ctx.Err()
			}
			continue
		}
		p.src.health.Clear(p.stream)
		if position == kafka.LastOffset {
			p.src.log.Info("no position is saved and START is latest: the records that are there are left out",
				"source", p.src.name, "stream", p.stream, "records", end-first, "from", first, "to", end)
			return end, nil
		}
		return first, nil
	}
	return position, nil
}

// reposition is called when the broker does not have the offset to read. It finds out why, says so, and
// moves to where reading can go on.
func (p *partition) reposition(ctx context.Context) error {
	first, end, err := p.bounds(ctx)
	if err != nil {
		return err
	}
	switch {
	case p.next < first:
		p.beyond = 0
		p.src.metrics.gaps.WithLabelValues(p.topic).Add(float64(first - p.next))
		p.src.log.Error("records were deleted before they were read: retention is shorter than the lag",
			"source", p.src.name, "topic", p.topic, "partition", p.id, "from", p.next, "to", first, "records", first-p.next)
		if err := p.flush(ctx); err != nil {
			return err
		}
		p.next = first
		return p.pass(ctx)
	case p.next > end:
		// A broker that has just taken over may not know the end yet: only an answer that stays counts.
		if p.beyond++; p.beyond < p.src.tuning.beyondAnswers {
			pipeline.Sleep(ctx, p.src.tuning.beyondPause)
			return nil
		}
		p.beyond = 0
		if p.finite { // what was to be read is gone; what came in its place is another time's
			p.next = p.stop
			return nil
		}
		p.src.metrics.resets.Inc()
		p.src.log.Error("the saved position is beyond the end of the partition, as after the topic was made anew: reading begins as without a saved position",
			"source", p.src.name, "topic", p.topic, "partition", p.id, "saved", p.next, "end", end, "start", p.src.cfg.Start)
		p.mu.Lock()
		p.restart(errReset)
		p.mu.Unlock()
		return nil
	}
	pipeline.Sleep(ctx, 100*time.Millisecond) // the offset came into being, or another broker answered
	return nil
}

// offsets asks the leaders for offsets of partitions.
func (s *Source) offsets(ctx context.Context, what map[string][]kafka.OffsetRequest) (map[string][]kafka.PartitionOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, s.tuning.patience)
	defer cancel()
	client := kafka.Client{Addr: s.conn.Addr(), Transport: s.transport}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: what, IsolationLevel: s.cfg.isolation()})
	if err != nil {
		return nil, fmt.Errorf("asking for offsets: %w", err)
	}
	return res.Topics, nil
}

// observeEnds asks where all partitions end, so that lag shows while nothing is read: when the pipeline is
// full, or a partition stalls.
func (g *generation) observeEnds(ctx context.Context) {
	what := make(map[string][]kafka.OffsetRequest)
	for _, p := range g.partitions {
		what[p.topic] = append(what[p.topic], kafka.LastOffsetOf(p.id))
	}
	found, err := g.src.offsets(ctx, what)
	if err != nil {
		if ctx.Err() == nil {
			g.src.throttle.Log(slog.LevelWarn, "ends", "the ends of partitions are unknown for now", "source", g.src.name, "error", err)
		}
		return
	}
	for _, p := range g.partitions {
		for _, o := range found[p.topic] {
			if o.Partition == p.id && o.Error == nil {
				p.observeEnd(o.LastOffset)
			}
		}
	}
}
