package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// BenchmarkReceive is messages of 4 KiB through the client library and back to the service as acknowledgements. Settling
// takes the pipeline's time for a batch whatever its size, of which there is one worker.
func BenchmarkReceive(b *testing.B) {
	for _, c := range []struct {
		records, outstanding int
		delay                time.Duration
	}{
		{1, 1000, 0}, {500, 1000, 0}, {500, 1000, 5 * time.Millisecond}, {500, 1000, 20 * time.Millisecond}, {500, 1000, 100 * time.Millisecond},
		{500, 4000, 20 * time.Millisecond},
	} {
		b.Run(fmt.Sprintf("batch=%d/outstanding=%d/delay=%s", c.records, c.outstanding, c.delay), func(b *testing.B) {
			srv := newService(b, &service{messages: b.N, size: 4096})
			cfg := Config{
				Subscriptions: []string{auditSub}, MaxOutstandingMessages: c.outstanding, MaxOutstandingBytes: 64 << 20, Streams: 1,
				Lease: time.Minute, MaxExtension: time.Hour, DrainTimeout: time.Second, ScanSilence: time.Second,
				BatchRecords: c.records, BatchBytes: 1 << 20, BatchDelay: c.delay,
			}
			s, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			s.tuning.client = clientOf(srv.addr)
			ctx, stop := context.WithCancel(b.Context())
			batches, ended := 0, make(chan error)
			b.SetBytes(4096)
			b.ResetTimer()
			go func() {
				ended <- s.Run(ctx, func(_ context.Context, batch *pipeline.Batch) error {
					batches++
					batch.Done(nil)
					return nil
				})
			}()
			<-srv.settled
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			stop()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/float64(batches), "messages/batch")
		})
	}
}
