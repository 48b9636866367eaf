package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// timed writes the numbered bodies to a partition with times a minute apart.
func timed(t *testing.T, cl *kgo.Client, partition int32, first, n int, at time.Time) {
	t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: "audit", Partition: partition, Value: body(first + i), Timestamp: at.Add(time.Duration(i) * time.Minute)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// ended runs a source that ends by itself.
func ended(t *testing.T, src *Source, fate func(*pipeline.Batch) (bool, error)) *consumer {
	t.Helper()
	c := start(t, src, fate)
	c.wait(20 * time.Second)
	if c.err != nil {
		t.Fatalf("Run: %v", c.err)
	}
	return c
}

func TestHistoryKeepsTheContractOfSources(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		c := newCluster(t, kfake.SeedTopics(2, "audit"))
		cl := producer(t, c.ListenAddrs())
		cfg := settings(t, c.ListenAddrs(), "audit")
		cfg.BatchRecords, cfg.DrainTimeout = 20, time.Second
		n := 0
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source { return newSource(t, cfg, Options{History: &pipeline.History{}}) },
			Put: func(t *testing.T, bodies ...[]byte) {
				t.Helper()
				for _, b := range bodies {
					n++
					if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "audit", Partition: int32(n % 2), Value: b}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
			},
			DrainLimit: cfg.DrainTimeout, MaxEmits: 2, LeakOptions: sourcetest.KafkaFakes, Finite: true, Volatile: true,
		}
	})
}

func TestHistoryIsTheRecordsOfATimeAndLeavesTheGroupAlone(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(3, "audit"))
	cl := producer(t, c.ListenAddrs())
	timed(t, cl, 0, 0, 60, noon)
	timed(t, cl, 1, 100, 60, noon.Add(30*time.Minute))
	// A late one, and one that is far out of order behind the end.
	timed(t, cl, 0, 200, 1, noon.Add(25*time.Minute))
	timed(t, cl, 0, 201, 1, noon.Add(3*time.Hour))
	cfg := settings(t, c.ListenAddrs(), "audit")
	src := newSource(t, cfg, Options{History: &pipeline.History{Since: noon.Add(20 * time.Minute), Until: noon.Add(40 * time.Minute)}})
	one := ended(t, src, accept)
	for i := range 20 {
		if one.seen[string(body(20+i))] != 1 {
			t.Errorf("record %d came %d times", 20+i, one.seen[string(body(20+i))])
		}
	}
	for i := range 10 {
		if one.seen[string(body(100+i))] != 1 {
			t.Errorf("record %d came %d times", 100+i, one.seen[string(body(100+i))])
		}
	}
	if one.seen[string(body(200))] != 1 {
		t.Error("a record of the time that stands behind newer ones is missing")
	}
	if one.count() != 31 {
		t.Errorf("%d records, want 31", one.count())
	}
	if info := c.GroupInfo(cfg.Group); info != nil {
		t.Errorf("the group was touched: %+v", info)
	}
}

func TestHistoryWithoutBoundsIsAllThereIsAtTheStart(t *testing.T) {
	c := newAudit(t, 2, 100)
	one := ended(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{History: &pipeline.History{}}), accept)
	if one.count() != 100 || len(one.twice()) > 0 {
		t.Errorf("%d records, twice %v", one.count(), one.twice())
	}
	later := ended(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{History: &pipeline.History{Since: time.Now().Add(time.Hour)}}), accept)
	if later.count() != 0 {
		t.Errorf("%d records of the future", later.count())
	}
}

func TestHistoryIsReadOnThroughErrorsOfTheBrokers(t *testing.T) {
	c := newAudit(t, 2, 100)
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets} {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: "audit", Err: kerr.NotLeaderForPartition, Count: 3})
	}
	one := ended(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{History: &pipeline.History{}}), accept)
	if one.count() != 100 {
		t.Errorf("%d records, want 100", one.count())
	}
}

func TestHistoryThatRetentionTakesWhileItIsReadEnds(t *testing.T) {
	c := newAudit(t, 1, 100)
	src := newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{History: &pipeline.History{}})
	gone := false
	c.ControlKey(kmsg.Fetch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !gone {
			gone = true
			c.SleepControl(func() {
				if err := c.DeleteRecords("audit", 0, 100); err != nil {
					t.Error(err)
				}
			})
		}
		return nil, nil, false
	})
	if one := ended(t, src, accept); one.count() != 0 {
		t.Errorf("%d records", one.count())
	}
}

func TestHistoryOfAMissingTopicOrOfBrokersThatAreAwayIsAnErrorSoon(t *testing.T) {
	c := newCluster(t)
	nobody := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	for want, brokers := range map[string][]string{
		"topic audit does not exist on the brokers; create it or fix TOPICS": c.ListenAddrs(),
		"cannot reach the Kafka broker at " + nobody:                         {nobody},
	} {
		src := newSource(t, settings(t, brokers, "audit"), Options{History: &pipeline.History{}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := src.Run(ctx, func(context.Context, *pipeline.Batch) error { return nil })
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run: %v, want %s", err, want)
		}
	}
}
