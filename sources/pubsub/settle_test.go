package pubsub

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestAMessageIsAcknowledgedOnlyWhenItsBatchIsSettled(t *testing.T) {
	srv := newServer(t)
	ids := publish(srv, auditTopic, 20)
	k := &sink{fate: hold}
	src := newSource(t, srv, settings(t), Options{})
	r := run(t, src, k.emit)
	eventually(t, 10*time.Second, "all messages are in work", func() bool { return len(k.records()) == 20 })
	time.Sleep(300 * time.Millisecond) // three times the library's interval
	for _, id := range ids {
		if n := srv.Message(id).Acks; n != 0 {
			t.Fatalf("message %s was acknowledged %d times while its batch was unsettled", id, n)
		}
	}
	if l := src.readers[0].load(); l.messages != 20 || l.bytes == 0 || l.oldest.IsZero() {
		t.Errorf("in work: %+v", l)
	}
	k.settleAll(nil)
	eventually(t, 5*time.Second, "all are acknowledged", func() bool { return acked(srv, ids) })
	r.end(t, 3*time.Second)
}

// TestWhatSettlesWhileTheSourceStopsIsAcknowledged fails if the library has a time limit for its shutdown: it sends
// nothing any more then (version 2.8.0).
func TestWhatSettlesWhileTheSourceStopsIsAcknowledged(t *testing.T) {
	srv := newServer(t)
	ids := publish(srv, auditTopic, 20)
	k := &sink{fate: hold}
	cfg := settings(t)
	cfg.DrainTimeout = 10 * time.Second
	r := run(t, newSource(t, srv, cfg, Options{}), k.emit)
	eventually(t, 10*time.Second, "all messages are in work", func() bool { return len(k.records()) == 20 })
	r.stop()
	time.Sleep(500 * time.Millisecond)
	k.settleAll(nil)
	r.end(t, 3*time.Second)
	if !acked(srv, ids) {
		t.Error("Run has ended, and not all messages are acknowledged")
	}
}

func TestWhatIsUnsettledAtTheEndIsGivenToAnotherReplicaAtOnce(t *testing.T) {
	srv := newServer(t)
	ids := publish(srv, auditTopic, 20)
	k := &sink{fate: hold}
	cfg := settings(t)
	cfg.Lease = time.Minute // which nobody waits for
	r := run(t, newSource(t, srv, cfg, Options{}), k.emit)
	eventually(t, 10*time.Second, "all messages are in work", func() bool { return len(k.records()) == 20 })
	r.end(t, 5*time.Second)
	next := &sink{}
	run(t, newSource(t, srv, cfg, Options{}), next.emit)
	eventually(t, 5*time.Second, "another replica has them all", func() bool { return acked(srv, ids) })
}

// TestAnOutageOfTheSinkBurnsNoDeliveryAttempt fails batches for longer than a nacked message would live: the fake gives
// such a message again at once, and its fifth delivery would be the last.
func TestAnOutageOfTheSinkBurnsNoDeliveryAttempt(t *testing.T) {
	srv := newServer(t)
	dead := "projects/prod/topics/dead"
	addTopic(t, srv, &pubsubpb.Topic{Name: dead})
	subscribe(t, srv, &pubsubpb.Subscription{
		Name: "projects/prod/subscriptions/strict", Topic: auditTopic,
		DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: 5},
	})
	var failing atomic.Bool
	var failed atomic.Int64
	failing.Store(true)
	k := &sink{fate: func(*pipeline.Batch) (bool, error) {
		if failing.Load() {
			failed.Add(1)
			return true, errors.New("the sink is down")
		}
		return true, nil
	}}
	cfg := settings(t)
	cfg.Subscriptions = []string{"projects/prod/subscriptions/strict"}
	src := newSource(t, srv, cfg, Options{})
	run(t, src, k.emit)
	ids := []string{srv.Publish(auditTopic, []byte("{}"), nil)}
	eventually(t, 10*time.Second, "the batch fails many times", func() bool { return failed.Load() >= 12 })
	if n := srv.Message(ids[0]).Deliveries; n != 1 {
		t.Errorf("the message was delivered %d times during the outage, want once", n)
	}
	failing.Store(false)
	eventually(t, 5*time.Second, "it is acknowledged", func() bool { return acked(srv, ids) })
	if n := src.metrics.count(t, "foretop_pubsub_retries_total"); n < 11 {
		t.Errorf("%v retries were counted", n)
	}
}

func TestTheMessagesInWorkAreBounded(t *testing.T) {
	srv := newServer(t)
	publish(srv, auditTopic, 60)
	k := &sink{fate: hold}
	cfg := settings(t)
	cfg.Streams, cfg.MaxOutstandingMessages = 2, 10
	run(t, newSource(t, srv, cfg, Options{}), k.emit)
	eventually(t, 10*time.Second, "as many as allowed are in work", func() bool { return len(k.records()) == 10 })
	time.Sleep(500 * time.Millisecond)
	if n := len(k.records()); n != 10 {
		t.Errorf("%d messages are in work, 10 are allowed", n)
	}
}

func TestTheBytesInWorkAreBounded(t *testing.T) {
	srv := newServer(t)
	for range 20 {
		srv.Publish(auditTopic, make([]byte, 1000), nil)
	}
	k := &sink{fate: hold}
	cfg := settings(t)
	cfg.MaxOutstandingBytes = 4096
	run(t, newSource(t, srv, cfg, Options{}), k.emit)
	eventually(t, 10*time.Second, "as many as fit are in work", func() bool { return len(k.records()) == 4 })
	time.Sleep(500 * time.Millisecond)
	if n := len(k.records()); n != 4 {
		t.Errorf("%d messages of 1000 bytes are in work, 4096 bytes are allowed", n)
	}
}

func TestALeaseIsExtendedWhileSettlementIsSlow(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	ids := publish(srv, auditTopic, 3)
	k := &sink{fate: hold}
	run(t, newSource(t, srv, settings(t), Options{}), k.emit)
	eventually(t, 10*time.Second, "all are in work", func() bool { return len(k.records()) == 3 })
	time.Sleep(13 * time.Second) // the lease is 10
	for _, id := range ids {
		if n := srv.Message(id).Deliveries; n != 1 {
			t.Errorf("message %s was delivered %d times", id, n)
		}
	}
	k.settleAll(nil)
	eventually(t, 5*time.Second, "all are acknowledged", func() bool { return acked(srv, ids) })
}

func TestAMessageWhoseLeaseRanOutComesAgainAndEndsAcknowledged(t *testing.T) {
	t.Parallel()
	srv := newServer(t, on("ModifyAckDeadline", func(any) (bool, any, error) {
		return true, nil, status.Error(codes.Internal, "no extension today")
	}))
	ids := publish(srv, auditTopic, 3)
	k := &sink{fate: hold}
	src := newSource(t, srv, settings(t), Options{})
	run(t, src, k.emit)
	eventually(t, 20*time.Second, "each is delivered twice", func() bool { return len(k.records()) == 6 })
	k.settleAll(nil)
	eventually(t, 5*time.Second, "all are acknowledged", func() bool { return acked(srv, ids) })
	if n := src.metrics.count(t, "foretop_pubsub_call_failures_total"); n < 1 {
		t.Error("the failed extensions are not counted")
	}
}

func TestWithExactlyOnceDeliveryAFailedAcknowledgementIsSeenAndTheMessageComesAgain(t *testing.T) {
	t.Parallel()
	var refused atomic.Int64
	srv := newServer(t, on("Acknowledge", func(any) (bool, any, error) {
		if refused.Add(1) == 1 {
			return true, nil, status.Error(codes.FailedPrecondition, "the ack id has expired")
		}
		return false, nil, nil
	}))
	once := "projects/prod/subscriptions/once"
	subscribe(t, srv, &pubsubpb.Subscription{Name: once, Topic: auditTopic, EnableExactlyOnceDelivery: true})
	cfg := settings(t)
	cfg.Subscriptions = []string{once}
	k := &sink{}
	src := newSource(t, srv, cfg, Options{})
	r := run(t, src, k.emit)
	ids := publish(srv, auditTopic, 1)
	eventually(t, 30*time.Second, "the message comes again and is acknowledged", func() bool { return acked(srv, ids) })
	if n := src.metrics.count(t, "foretop_pubsub_messages_total", "outcome", "ack_failed"); n < 1 {
		t.Error("the failed acknowledgement is not counted")
	}
	if n := srv.Message(ids[0]).Deliveries; n != 2 {
		t.Errorf("the message was delivered %d times, want 2", n)
	}
	r.end(t, 5*time.Second)
}

func TestMessagesWithOneOrderingKeyKeepTheirOrderEvenIfABatchFails(t *testing.T) {
	srv := newServer(t)
	ordered := "projects/prod/subscriptions/ordered"
	subscribe(t, srv, &pubsubpb.Subscription{Name: ordered, Topic: auditTopic, EnableMessageOrdering: true})
	var bodies []string
	for _, n := range []string{"0", "1", "2", "3", "4", "5", "6", "7"} {
		for _, key := range []string{"a", "b"} {
			srv.PublishOrdered(auditTopic, []byte(key+n), nil, key)
		}
		bodies = append(bodies, n)
	}
	failed := false
	settled := make(map[string][]string)
	k := &sink{}
	k.fate = func(b *pipeline.Batch) (bool, error) {
		if !failed && len(settled["a"]) == 3 {
			failed = true
			return true, errors.New("try again")
		}
		for _, r := range b.Records {
			key := r.Meta["key"]
			if string(r.Body[:1]) != key {
				t.Errorf("the key of %s is %q", r.Body, key)
			}
			settled[key] = append(settled[key], string(r.Body[1:]))
		}
		return true, nil
	}
	cfg := settings(t)
	cfg.Subscriptions = []string{ordered}
	cfg.BatchDelay = 0
	src := newSource(t, srv, cfg, Options{NeedMeta: []string{"key"}})
	r := run(t, src, k.emit)
	eventually(t, 20*time.Second, "all are acknowledged", func() bool { return src.metrics.count(t, "foretop_pubsub_messages_total", "outcome", "acked") == 16 })
	r.end(t, 5*time.Second)
	for _, key := range []string{"a", "b"} {
		if !equal(settled[key], bodies) {
			t.Errorf("key %s was settled in the order %v", key, settled[key])
		}
	}
	if !failed {
		t.Error("no batch failed: the test tests nothing")
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestAStreamThatBreaksLosesNothing(t *testing.T) {
	srv := newServer(t)
	srv.SetStreamTimeout(200 * time.Millisecond)
	ids := publish(srv, auditTopic, 100)
	src := newSource(t, srv, settings(t), Options{})
	run(t, src, (&sink{}).emit)
	eventually(t, 30*time.Second, "all are acknowledged", func() bool { return acked(srv, ids) })
	if err := src.Health(); err != nil {
		t.Errorf("streams that are opened again are no trouble: %v", err)
	}
}

func TestAServiceThatAnswersNoAcknowledgementDoesNotKeepTheSourceFromEnding(t *testing.T) {
	srv := newService(t, &service{messages: 10, size: 10, onAck: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	k := &sink{}
	src := newSource(t, &pstest.Server{Addr: srv.addr}, settings(t), Options{})
	src.tuning.flush = 500 * time.Millisecond
	r := run(t, src, k.emit)
	eventually(t, 10*time.Second, "all are delivered", func() bool { return len(k.records()) == 10 })
	time.Sleep(300 * time.Millisecond)
	r.end(t, 3*time.Second)
}
