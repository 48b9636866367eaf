package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		c := newCluster(t)
		if err := c.CreateTopic("audit", 2, nil); err != nil {
			t.Fatal(err)
		}
		cl := producer(t, c.ListenAddrs())
		cfg := settings(t, c.ListenAddrs(), "audit")
		cfg.BatchRecords = 20
		cfg.DrainTimeout = time.Second
		n := 0
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source { return newSource(t, cfg, Options{}) },
			Put: func(t *testing.T, bodies ...[]byte) {
				t.Helper()
				for _, b := range bodies {
					n++
					if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "audit", Partition: int32(n % 2), Value: b}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
			},
			DrainLimit:   cfg.DrainTimeout,
			SaveInterval: cfg.CommitInterval,
			MaxEmits:     2,
			LeakOptions:  sourcetest.KafkaFakes,
		}
	})
}
