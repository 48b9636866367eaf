package cloudwatch

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

// BenchmarkPage takes pages of 500 events of 2 KB, all new.
func BenchmarkPage(b *testing.B) {
	src := &Source{cfg: Config{StreamPrefix: "kube-apiserver-audit", BatchRecords: 500, BatchBytes: 1 << 20, RememberedIDs: 1 << 20, MaxLateness: time.Minute}}
	src.metrics = newMetrics(src)
	g := &group{src: src, t: &target{name: testGroup}, stream: testGroup}
	s := &session{
		g: g, tracker: offsets.New(0), seen: newSeen(&src.remembered, 1<<20), batchCtx: b.Context(), fail: func(error) {},
		emit: func(_ context.Context, b *pipeline.Batch) error { b.Done(nil); return nil },
	}
	message := strings.Repeat("x", 2000)
	events := make([]types.FilteredLogEvent, 500)
	b.SetBytes(int64(len(events) * len(message)))
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		p := pass{s: s, sweep: true}
		for i := range events {
			n++
			id := strconv.FormatInt(1e17+n, 10)
			events[i] = types.FilteredLogEvent{EventId: &id, Message: &message, LogStreamName: aws.String(auditStream), Timestamp: aws.Int64(n), IngestionTime: aws.Int64(n + 5)}
		}
		if err := p.take(b.Context(), events); err != nil {
			b.Fatal(err)
		}
		if err := p.flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
