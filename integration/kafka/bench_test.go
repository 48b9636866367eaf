//go:build integration

package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/pipeline"
	source "github.com/foretop/foretop/sources/kafka"
)

// event is about as long, and as easy to compress, as the audit event of a small write.
func event() []byte {
	verbs := []string{"get", "list", "watch", "create", "update", "patch"}
	e := fmt.Appendf(nil, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"%016x%016x","stage":"ResponseComplete","verb":%q,"user":{"username":"system:serviceaccount:team-%d:app-%d"},"sourceIPs":["10.%d.%d.%d"],"objectRef":{"resource":"configmaps","namespace":"team-%d","name":"settings-%d"},"responseStatus":{"code":200},"requestObject":{"data":{`,
		rand.Uint64(), rand.Uint64(), verbs[rand.N(len(verbs))], rand.N(50), rand.N(500), rand.N(256), rand.N(256), rand.N(256), rand.N(50), rand.N(1000))
	for i := range 20 {
		e = fmt.Appendf(e, `"setting.number.%02d":"%x",`, i, rand.Uint64())
	}
	return append(e[:len(e)-1], "}}}"...)
}

// BenchmarkSource reads a topic from its beginning, with batches settled at once.
func BenchmarkSource(b *testing.B) {
	const total = 200_000
	address := plaintext(b)
	for _, bm := range []struct {
		name        string
		partitions  int
		compression kafka.Compression
	}{{"1 partition, snappy", 1, kafka.Snappy}, {"4 partitions, snappy", 4, kafka.Snappy}, {"4 partitions, zstd", 4, kafka.Zstd}, {"4 partitions", 4, 0}} {
		b.Run(bm.name, func(b *testing.B) {
			topic := unique(b, "bench")
			createTopic(b, address, topic, bm.partitions)
			size := 0
			for range total / 10_000 {
				values := make([][]byte, 10_000)
				for i := range values {
					values[i] = event()
					size += len(values[i])
				}
				produce(b, address, topic, bm.compression, values...)
			}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				src, err := source.New(fill[source.Config](b, "FORETOP_KAFKA", map[string]string{
					"BROKERS": address, "TOPICS": topic, "GROUP": unique(b, "bench"),
				}), source.Options{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(b.Context())
				var n, first, last atomic.Int64
				err = src.Run(ctx, func(_ context.Context, batch *pipeline.Batch) error {
					first.CompareAndSwap(0, time.Now().UnixNano())
					if n.Add(int64(len(batch.Records))) == total {
						last.Store(time.Now().UnixNano())
						cancel()
					}
					batch.Done(nil)
					return nil
				})
				cancel()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(total/time.Duration(last.Load()-first.Load()).Seconds(), "records/s")
			}
		})
	}
}
