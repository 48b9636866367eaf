package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The tests of this file are about kafka-go: what we rely on and its documentation leaves open. A new
// version that fails here needs a look at generation.go and group.go.

// member makes a member of a group, which joins in the background.
func member(t *testing.T, c *kfake.Cluster, change func(*kafka.ConsumerGroupConfig)) *kafka.ConsumerGroup {
	t.Helper()
	cfg := kafka.ConsumerGroupConfig{
		ID: "facts", Brokers: c.ListenAddrs(), Topics: []string{"audit"}, Dialer: &kafka.Dialer{Timeout: 5 * time.Second},
		HeartbeatInterval: 50 * time.Millisecond, SessionTimeout: time.Second, RebalanceTimeout: 5 * time.Second, JoinGroupBackoff: 50 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	group, err := kafka.NewConsumerGroup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	return group
}

// join makes a member and returns its first generation.
func join(t *testing.T, c *kfake.Cluster, change func(*kafka.ConsumerGroupConfig)) (*kafka.ConsumerGroup, *kafka.Generation) {
	t.Helper()
	group := member(t, c, change)
	gen, err := group.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return group, gen
}

func TestFactAGenerationEndsWithARebalanceAndWaitsForItsFunctions(t *testing.T) {
	c := newAudit(t, 2, 0)
	group, gen := join(t, c, nil)
	ended, release := make(chan error, 1), make(chan struct{})
	gen.Start(func(ctx context.Context) {
		<-ctx.Done()
		ended <- ctx.Err()
		<-release
	})
	beats := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Observe: true, Count: -1})
	other := member(t, c, nil)
	if err := <-ended; !errors.Is(err, kafka.ErrGenerationEnded) {
		t.Errorf("the context ended with %v", err)
	}
	before := beats.Hits()
	time.Sleep(300 * time.Millisecond)
	if n := beats.Hits() - before; n > 1 {
		t.Errorf("%d heartbeats after the end of the generation: the drain could do without commits", n)
	}
	if err := gen.CommitOffsets(map[string]map[int]int64{"audit": {0: 1}}); err != nil {
		t.Errorf("a commit in the drain: %v", err)
	}
	next := make(chan *kafka.Generation, 1)
	go func() {
		g, _ := group.Next(context.WithoutCancel(t.Context()))
		next <- g
	}()
	select {
	case <-next:
		t.Error("the next generation began before the functions of the last one had returned")
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	<-next
	if _, err := other.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := gen.CommitOffsets(map[string]map[int]int64{"audit": {0: 2}}); err == nil {
		t.Error("a commit of a generation that is over was accepted")
	}
	if at := committed(c, "facts", "audit", 0); at != 1 {
		t.Errorf("committed at %d, want 1", at)
	}
}

func TestFactAGenerationEndsWhenOneFunctionReturns(t *testing.T) {
	_, gen := join(t, newAudit(t, 1, 0), nil)
	ended := make(chan struct{})
	gen.Start(func(ctx context.Context) {
		<-ctx.Done()
		close(ended)
	})
	gen.Start(func(context.Context) {})
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the generation goes on")
	}
}

func TestFactAFunctionStartedAfterTheEndIsToldSo(t *testing.T) {
	_, gen := join(t, newAudit(t, 1, 0), nil)
	gen.Start(func(context.Context) {})
	time.Sleep(100 * time.Millisecond)
	told := make(chan error, 1)
	gen.Start(func(ctx context.Context) { told <- ctx.Err() })
	select {
	case err := <-told:
		if !errors.Is(err, kafka.ErrGenerationEnded) {
			t.Errorf("the context says %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the function was not called")
	}
}

// Why positions are kept by assignment: nobody else checks whose they are.
func TestFactTheBrokerDoesNotCheckWhoseAPartitionIs(t *testing.T) {
	c := newAudit(t, 1, 0)
	if err := c.CreateTopic("foreign", 1, nil); err != nil {
		t.Fatal(err)
	}
	_, gen := join(t, c, nil)
	if err := gen.CommitOffsets(map[string]map[int]int64{"foreign": {0: 5}}); err != nil {
		t.Fatalf("the broker refuses it: %v", err)
	}
	if at := committed(c, "facts", "foreign", 0); at != 5 {
		t.Errorf("committed at %d", at)
	}
}

// Why there is a watcher of our own.
func TestFactTheWatcherOfKafkaGoEndsGenerationsWithoutAPause(t *testing.T) {
	c := newCluster(t)
	began := time.Now()
	group, gen := join(t, c, func(cfg *kafka.ConsumerGroupConfig) {
		cfg.WatchPartitionChanges, cfg.PartitionWatchInterval = true, 20*time.Millisecond
	})
	for range 20 {
		ended := make(chan struct{})
		gen.Start(func(ctx context.Context) {
			<-ctx.Done()
			close(ended)
		})
		<-ended
		var err error
		if gen, err = group.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("20 generations took %s: the watcher may be usable now", took)
	}
}
