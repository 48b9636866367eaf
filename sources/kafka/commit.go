package kafka

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
)

// save saves positions for the generation. kafka-go does it on the connection with which the group was joined: where
// that one has ended, as with the token that it was begun with, the same request goes another way. It names the member
// and the generation, so the coordinator refuses it once the partitions are somebody else's.
func (g *generation) save(positions map[string]map[int]int64) error {
	err := g.gen.CommitOffsets(positions)
	if _, answered := errors.AsType[kafka.Error](err); err == nil || answered {
		return err
	}
	req := &offsetcommit.Request{
		GroupID: g.gen.GroupID, GenerationID: g.gen.ID, MemberID: g.gen.MemberID,
		RetentionTimeMs: -1, // what the brokers are set to; kafka-go's Client says a day
	}
	for topic, offsets := range positions {
		t := offsetcommit.RequestTopic{Name: topic}
		for id, offset := range offsets {
			t.Partitions = append(t.Partitions, offsetcommit.RequestPartition{PartitionIndex: int32(id), CommittedOffset: offset, CommittedLeaderEpoch: -1})
		}
		req.Topics = append(req.Topics, t)
	}
	s := g.src
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.batchCtx), min(s.tuning.patience, s.cfg.SessionTimeout/2))
	defer cancel()
	answer, err := s.transport.RoundTrip(ctx, s.conn.Addr(), req)
	if err != nil {
		return err
	}
	for _, t := range answer.(*offsetcommit.Response).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return kafka.Error(p.ErrorCode)
			}
		}
	}
	return nil
}
