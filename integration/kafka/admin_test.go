//go:build integration

package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteBefore does what retention does, at once: partition 0 begins at offset afterwards.
func deleteBefore(t *testing.T, cl *kgo.Client, topic string, offset int64) {
	t.Helper()
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = offset
	asked := kmsg.NewDeleteRecordsRequestTopic()
	asked.Topic, asked.Partitions = topic, append(asked.Partitions, part)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, asked), 20_000
	res, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}
