package kafka

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// groupKey is the health entry for the group.
const groupKey = "group"

// consume reads the topics as a member of the group until ctx ends, or the topics are to be looked up anew.
func (s *Source) consume(ctx context.Context, names []string, emit pipeline.Emit) error {
	links := newSockets(s.conn.Dial)
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.cfg.Group, Brokers: s.conn.Brokers(), Topics: names,
		Dialer:            &kafka.Dialer{ClientID: s.conn.ClientID(), Timeout: s.conn.DialTimeout(), DialFunc: links.dial},
		GroupBalancers:    []kafka.GroupBalancer{evenly{}},
		HeartbeatInterval: s.cfg.HeartbeatInterval, SessionTimeout: s.cfg.SessionTimeout, RebalanceTimeout: s.cfg.RebalanceTimeout,
		JoinGroupBackoff: s.tuning.rejoin, StartOffset: s.cfg.startOffset(), Timeout: min(5*time.Second, s.cfg.SessionTimeout/2),
	})
	if err != nil {
		return err
	}
	defer s.leave(group, links)
	refused := 0
	for {
		gen, err := group.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, kafka.RebalanceInProgress) {
			continue // another member came or went while this one joined
		}
		if err != nil {
			if err = s.explainJoin(err); kafkaconn.Refused(err) || errors.Is(err, kafka.InvalidSessionTimeout) {
				refused++
			} else {
				refused = 0
			}
			if refused >= s.tuning.refusals {
				return err
			}
			s.health.Note(groupKey, err, refused > 0)
			s.throttle.Log(slog.LevelWarn, groupKey, "joining the consumer group failed, trying again", "source", s.name, "error", err)
			continue
		}
		refused = 0
		s.health.Clear(groupKey)
		s.metrics.rebalances.Inc()
		if s.live(ctx, gen, emit) {
			return nil
		}
	}
}

// live goes through one generation, and is true if the group is to be left after it.
func (s *Source) live(ctx context.Context, gen *kafka.Generation, emit pipeline.Emit) bool {
	g := newGeneration(ctx, s, gen, emit)
	done, leave := make(chan struct{}), false
	gen.Start(func(over context.Context) {
		g.run(ctx, over)
		leave = g.regroup || ctx.Err() != nil
		close(done)
		if leave {
			// The end of this function would make kafka-go join the next generation, only to leave it.
			<-over.Done()
		}
	})
	<-done
	return leave
}

// leave tells the coordinator that we are gone, so that the others need not wait for our session to end.
func (s *Source) leave(group *kafka.ConsumerGroup, links *sockets) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = group.Close() // always nil
	}()
	limit := time.NewTimer(s.tuning.leave)
	defer limit.Stop()
	select {
	case <-left:
	case <-limit.C:
		s.log.Warn("leaving the consumer group takes too long; its other members wait for the session to end",
			"source", s.name, "session_timeout", s.cfg.SessionTimeout)
	}
	links.shut()
	<-left // without connections nothing holds it up
}
