package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// newAudit is a cluster with one topic, and its producer's records 0 to n-1 spread evenly.
func newAudit(t *testing.T, partitions int32, n int, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c := newCluster(t, options...)
	if err := c.CreateTopic("audit", partitions, nil); err != nil {
		t.Fatal(err)
	}
	cl := producer(t, c.ListenAddrs())
	for p := range partitions {
		share := n / int(partitions)
		produce(t, cl, "audit", p, int(p)*share, share)
	}
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within 30s: %s", what)
		}
	}
}

func TestWhatIsSettledInTheDrainIsNotDeliveredToTheNextOwner(t *testing.T) {
	c := newAudit(t, 2, 200)
	cfg := settings(t, c.ListenAddrs(), "audit")
	first := start(t, newSource(t, cfg, Options{}), hold)
	first.records(0, 200)

	second := start(t, newSource(t, cfg, Options{}), accept)
	time.Sleep(500 * time.Millisecond) // the rebalance is under way: the first member drains
	for _, b := range first.batches() {
		if b.Ctx.Err() != nil {
			t.Fatal("the context of a batch ended before the drain limit")
		}
		b.Done(nil)
	}
	eventually(t, "both members have a partition", func() bool {
		return len(first.src.assigned()) == 1 && len(second.src.assigned()) == 1
	})
	eventually(t, "everything is committed", func() bool {
		return committed(c, "foretop", "audit", 0) == 100 && committed(c, "foretop", "audit", 1) == 100
	})
	cl := producer(t, c.ListenAddrs())
	produce(t, cl, "audit", 0, 1000, 1)
	produce(t, cl, "audit", 1, 1001, 1)
	eventually(t, "new records arrive", func() bool { return first.count()+second.count() >= 202 })
	if n := second.count(); n != 1 {
		t.Errorf("the second member got %d records, want only the new one", n)
	}
	if again := first.twice(); len(again) > 0 {
		t.Errorf("delivered twice to the first member: %v", again)
	}
	first.stop()
	second.stop()
}

func TestWhatIsUnsettledAfterTheDrainLimitGoesToTheNextOwner(t *testing.T) {
	c := newAudit(t, 2, 200)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.DrainTimeout = 600 * time.Millisecond
	r := prometheus.NewRegistry()
	first := start(t, newSource(t, cfg, Options{Registerer: r}), hold)
	first.records(0, 200)
	held := first.batches()
	first.setFate(accept)

	second := start(t, newSource(t, cfg, Options{}), accept)
	eventually(t, "both members have a partition", func() bool {
		return len(first.src.assigned()) == 1 && len(second.src.assigned()) == 1
	})
	for _, b := range held {
		select {
		case <-b.Ctx.Done():
		case <-time.After(5 * time.Second):
			t.Fatal("the context of an abandoned batch goes on")
		}
	}
	eventually(t, "every record is with its new owner", func() bool { return second.count() >= 100 })
	eventually(t, "everything is committed", func() bool {
		return committed(c, "foretop", "audit", 0) == 100 && committed(c, "foretop", "audit", 1) == 100
	})
	for _, b := range held {
		b.Done(nil) // too late: it must not move any position
	}
	if n := metric(t, r, "foretop_source_abandoned_batches_total"); n == 0 {
		t.Error("abandoned batches are not counted")
	}
	first.stop()
	second.stop()
	for p := range int32(2) {
		if at := committed(c, "foretop", "audit", p); at != 100 {
			t.Errorf("partition %d is committed at %d, want 100", p, at)
		}
	}
}

func TestALateSettlementDoesNotMoveThePositionOfTheNextOwner(t *testing.T) {
	c := newAudit(t, 1, 100)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.DrainTimeout = 200 * time.Millisecond
	first := start(t, newSource(t, cfg, Options{}), hold)
	first.records(0, 100)
	first.stop() // drain limit, then leaves

	second := start(t, newSource(t, cfg, Options{}), hold)
	second.records(0, 100)
	for _, b := range first.batches() {
		b.Done(nil)
	}
	time.Sleep(300 * time.Millisecond)
	if at := committed(c, "foretop", "audit", 0); at > 0 {
		t.Errorf("committed at %d by the settlements of a former owner", at)
	}
	for _, b := range second.batches() {
		b.Done(nil)
	}
	eventually(t, "the owner commits", func() bool { return committed(c, "foretop", "audit", 0) == 100 })
	second.stop()
}

func TestADrainLongerThanTheSessionSurvivesByCommitting(t *testing.T) {
	c := newAudit(t, 2, 200)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.SessionTimeout, cfg.HeartbeatInterval, cfg.RebalanceTimeout = 1200*time.Millisecond, 100*time.Millisecond, 30*time.Second
	cfg.DrainTimeout = 1100 * time.Millisecond
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	src := newSource(t, cfg, Options{})
	src.cfg.DrainTimeout = 4 * time.Second // more than the settings allow, to see that commits alone keep us in
	first := start(t, src, hold)
	first.records(0, 200)
	second := start(t, newSource(t, cfg, Options{}), accept)
	time.Sleep(2500 * time.Millisecond) // twice the session
	for _, b := range first.batches() {
		if b.Ctx.Err() != nil {
			t.Fatal("evicted in the drain")
		}
		b.Done(nil)
	}
	eventually(t, "both members have a partition", func() bool {
		return len(first.src.assigned()) == 1 && len(second.src.assigned()) == 1
	})
	if n := second.count(); n != 0 {
		t.Errorf("the second member got %d records that the first had settled", n)
	}
	first.stop()
	second.stop()
}

func TestAnEvictedMemberAbandonsItsBatchesAndReadsThemAgain(t *testing.T) {
	c := newAudit(t, 1, 50)
	cfg := settings(t, c.ListenAddrs(), "audit")
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, cfg, Options{Registerer: r}), hold)
	one.records(0, 50)
	held := one.batches()
	one.setFate(accept)
	evict := c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownMemberID, Count: -1},
	)
	began := time.Now()
	eventually(t, "the batches are abandoned", func() bool { return held[0].Ctx.Err() != nil })
	if took := time.Since(began); took > cfg.drainLimit() {
		t.Errorf("abandoned after %s: an evicted member must not wait for the drain limit", took)
	}
	evict.Remove()
	one.until("the records come again", func() bool { return one.seen[string(body(0))] >= 2 && one.seen[string(body(49))] >= 2 })
	eventually(t, "they are committed", func() bool { return committed(c, "foretop", "audit", 0) == 50 })
	if metric(t, r, "foretop_commit_failures_total") == 0 {
		t.Error("the refused commit is not counted")
	}
	one.stop()
}

func TestAFailedCommitIsTriedAgain(t *testing.T) {
	c := newAudit(t, 1, 50)
	for range 3 {
		c.ControlKey(kmsg.OffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			commit := req.(*kmsg.OffsetCommitRequest)
			res := commit.ResponseKind().(*kmsg.OffsetCommitResponse)
			for _, topic := range commit.Topics {
				out := kmsg.NewOffsetCommitResponseTopic()
				out.Topic = topic.Topic
				for _, p := range topic.Partitions {
					part := kmsg.NewOffsetCommitResponseTopicPartition()
					part.Partition, part.ErrorCode = p.Partition, kerr.CoordinatorLoadInProgress.Code
					out.Partitions = append(out.Partitions, part)
				}
				res.Topics = append(res.Topics, out)
			}
			return res, nil, true
		})
	}
	cfg := settings(t, c.ListenAddrs(), "audit")
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, cfg, Options{Registerer: r}), accept)
	one.records(0, 50)
	eventually(t, "the position is saved", func() bool { return committed(c, "foretop", "audit", 0) == 50 })
	if n := metric(t, r, "foretop_commit_failures_total"); n != 3 {
		t.Errorf("commit failures: %v, want 3", n)
	}
	if again := one.twice(); len(again) > 0 {
		t.Errorf("delivered twice: %v", again)
	}
	one.stop()
}

func TestShutdownDrainsCommitsAndLeavesTheGroup(t *testing.T) {
	c := newAudit(t, 1, 50)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.SessionTimeout, cfg.RebalanceTimeout = 30*time.Second, 30*time.Second
	beats := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Observe: true, Count: -1})
	joins := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Observe: true, Count: -1})
	one := start(t, newSource(t, cfg, Options{}), hold)
	one.records(0, 50)
	one.cancel()
	before := beats.Hits()
	time.Sleep(time.Second)
	if beats.Hits() < before+3 {
		t.Errorf("%d heartbeats while draining for 1s, want one every %s", beats.Hits()-before, cfg.HeartbeatInterval)
	}
	for _, b := range one.batches() {
		b.Done(nil)
	}
	one.stop()
	if at := committed(c, "foretop", "audit", 0); at != 50 {
		t.Errorf("committed at %d, want 50", at)
	}
	if g := c.GroupInfo("foretop"); len(g.Members) != 0 {
		t.Errorf("%d members after the end, want none", len(g.Members))
	}
	if n := joins.Hits(); n != 1 {
		t.Errorf("joined %d times: a member that ends must not join the next generation", n)
	}
}

func TestShutdownDoesNotWaitForASlowRebalance(t *testing.T) {
	c := newAudit(t, 1, 1)
	release := make(chan struct{})
	c.ControlKey(kmsg.JoinGroup.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	defer close(release)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.RebalanceTimeout = time.Minute
	src := newSource(t, cfg, Options{})
	src.tuning.leave = 300 * time.Millisecond
	one := start(t, src, accept)
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	one.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Run ended %s after its context", took)
	}
}

func TestARebalanceStormLosesNothing(t *testing.T) {
	c := newAudit(t, 4, 0)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cl := producer(t, c.ListenAddrs())
	later := func(b *pipeline.Batch) (bool, error) {
		time.AfterFunc(20*time.Millisecond, func() { b.Done(nil) })
		return false, nil
	}
	steady := start(t, newSource(t, cfg, Options{}), later)
	members := []*consumer{steady}
	const rounds, each = 8, 100
	for round := range rounds {
		guest := start(t, newSource(t, cfg, Options{}), later)
		members = append(members, guest)
		for p := range int32(4) {
			produce(t, cl, "audit", p, round*each+int(p)*each/4, each/4)
		}
		if round%2 == 0 {
			eventually(t, "the guest has partitions", func() bool { return len(guest.src.assigned()) > 0 })
		}
		guest.stop()
	}
	eventually(t, "everything is committed", func() bool {
		sum := int64(0)
		for p := range int32(4) {
			sum += max(0, committed(c, "foretop", "audit", p))
		}
		return sum == rounds*each
	})
	steady.stop()
	seen := make(map[string]int)
	for _, m := range members {
		for text, n := range m.seen {
			seen[text] += n
		}
	}
	if len(seen) != rounds*each {
		t.Errorf("%d of %d records were delivered", len(seen), rounds*each)
	}
}

func TestTheMembersOfAGroupShareEvenly(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{"audit-a", "audit-b", "audit-c", "audit-d"} {
		if err := c.CreateTopic(name, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	cfg := settings(t, c.ListenAddrs(), "audit-a", "audit-b", "audit-c", "audit-d")
	first, second := start(t, newSource(t, cfg, Options{}), accept), start(t, newSource(t, cfg, Options{}), accept)
	eventually(t, "two topics each", func() bool { return len(first.src.assigned()) == 2 && len(second.src.assigned()) == 2 })
	first.stop()
	eventually(t, "all topics with the one that stayed", func() bool { return len(second.src.assigned()) == 4 })
	second.stop()
}

func TestAnotherProtocolInTheGroupIsNamed(t *testing.T) {
	c := newAudit(t, 1, 1)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.InconsistentGroupProtocol, Count: 2})
	var l sourcetest.Log
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Logger: l.Logger()}), accept)
	one.records(0, 1)
	if !strings.Contains(l.String(), "something else than Foretop uses the consumer group foretop") {
		t.Errorf("log:\n%s", l.String())
	}
	one.stop()
}

func TestASessionTimeoutThatTheBrokersRefuseEndsTheRun(t *testing.T) {
	c := newAudit(t, 1, 1, kfake.GroupMinSessionTimeout(10*time.Second))
	src := newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{})
	err := src.Run(t.Context(), func(context.Context, *pipeline.Batch) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "SESSION_TIMEOUT=3s") {
		t.Errorf("Run: %v", err)
	}
}
