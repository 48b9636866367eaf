package pubsub

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/foretop/foretop/pkg/pipeline"
)

const keptTopic = "projects/logs/topics/kept"

// past is a topic that keeps its messages, and the fake's part in going back. The fake itself cannot bring messages
// back (it crashes, version 2.8.0): here a seek publishes them, with the times that they would have.
type past struct {
	srv     *pstest.Server
	created atomic.Pointer[pubsubpb.Subscription]
	target  atomic.Pointer[time.Time]
	refuse  string // method to refuse
}

func newPast(t *testing.T, retention time.Duration, kept map[time.Duration]string) *past {
	t.Helper()
	p := &past{}
	refusal := func(method string) (bool, any, error) {
		if p.refuse == method {
			return true, nil, status.Error(codes.PermissionDenied, "as the test says")
		}
		return false, nil, nil
	}
	p.srv = newServer(t,
		on("CreateSubscription", func(req any) (bool, any, error) {
			sub := req.(*pubsubpb.Subscription)
			if strings.Contains(sub.GetName(), scanPrefix) {
				p.created.Store(sub)
				return refusal("CreateSubscription")
			}
			return false, nil, nil
		}),
		on("GetSubscription", func(any) (bool, any, error) { return refusal("GetSubscription") }),
		on("Seek", func(req any) (bool, any, error) {
			at := req.(*pubsubpb.SeekRequest).GetTime().AsTime()
			p.target.Store(&at)
			if handled, ret, err := refusal("Seek"); handled {
				return handled, ret, err
			}
			go p.bringBack(kept)
			return true, nil, nil
		}))
	topic := &pubsubpb.Topic{Name: keptTopic}
	if retention > 0 {
		topic.MessageRetentionDuration = durationpb.New(retention)
	}
	addTopic(t, p.srv, topic)
	subscribe(t, p.srv, &pubsubpb.Subscription{Name: "projects/prod/subscriptions/service", Topic: keptTopic})
	return p
}

// bringBack publishes bodies with an age each.
func (p *past) bringBack(kept map[time.Duration]string) {
	for age, body := range kept {
		p.srv.SetTimeNowFunc(func() time.Time { return time.Now().Add(-age) })
		p.srv.Publish(keptTopic, []byte(body), nil)
	}
	p.srv.SetTimeNowFunc(time.Now)
}

func (p *past) source(t *testing.T) *Source {
	t.Helper()
	cfg := settings(t)
	cfg.Subscriptions = []string{"projects/prod/subscriptions/service"}
	cfg.ScanSilence = time.Second
	now := time.Now()
	return newSource(t, p.srv, cfg, Options{History: &pipeline.History{Since: now.Add(-time.Hour), Until: now.Add(-time.Minute)}})
}

// left are the subscriptions that scans left behind.
func (p *past) left(t *testing.T) (names []string) {
	t.Helper()
	all, err := p.srv.GServer.ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: "projects/prod"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all.GetSubscriptions() {
		if strings.Contains(s.GetName(), scanPrefix) {
			names = append(names, s.GetName())
		}
	}
	return names
}

func TestAScanReadsThePastThroughASubscriptionOfItsOwn(t *testing.T) {
	p := newPast(t, 24*time.Hour, map[time.Duration]string{3 * time.Minute: "old", 2 * time.Minute: "older than the end", 10 * time.Second: "after the end"})
	src := p.source(t)
	k := &sink{}
	began := time.Now()
	if err := src.Run(t.Context(), k.emit); err != nil {
		t.Fatal(err)
	}
	if left := src.Unreadable(); len(left) > 0 {
		t.Errorf("not read: %v", left)
	}
	var got []string
	for _, r := range k.records() {
		got = append(got, string(r.Body))
	}
	if len(got) != 2 || got[0] == "after the end" || got[1] == "after the end" {
		t.Errorf("read %q", got)
	}
	if s := k.batches[0].Stream; s != "projects/prod/subscriptions/service" {
		t.Errorf("the records say that they are of %s", s)
	}
	if at := p.target.Load(); at == nil || at.Sub(began.Add(-time.Hour)).Abs() > time.Minute {
		t.Errorf("it went back to %v", at)
	}
	sub := p.created.Load()
	if ttl := sub.GetExpirationPolicy().GetTtl().AsDuration(); ttl != 24*time.Hour || sub.GetTopic() != keptTopic || !strings.HasPrefix(sub.GetName(), "projects/prod/subscriptions/foretop-scan-") {
		t.Errorf("its subscription: %v", sub)
	}
	if left := p.left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, m := range p.srv.Messages() {
		if m.Acks != 1 {
			t.Errorf("%s was acknowledged %d times: once for the scan, and not for the service", m.Data, m.Acks)
		}
	}
}

func TestAScanThatIsInterruptedLeavesNoSubscriptionBehind(t *testing.T) {
	p := newPast(t, 24*time.Hour, map[time.Duration]string{3 * time.Minute: "old"})
	k := &sink{fate: hold}
	r := run(t, p.source(t), k.emit)
	eventually(t, 10*time.Second, "it reads", func() bool { return len(k.records()) == 1 })
	r.end(t, 10*time.Second)
	if left := p.left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAScanDoesNotEndWhileABatchIsUnsettled(t *testing.T) {
	p := newPast(t, 24*time.Hour, map[time.Duration]string{3 * time.Minute: "old"})
	k := &sink{fate: hold}
	r := run(t, p.source(t), k.emit)
	eventually(t, 10*time.Second, "it reads", func() bool { return len(k.records()) == 1 })
	select {
	case <-r.ended:
		t.Fatal("Run has ended with a batch that is not settled")
	case <-time.After(2500 * time.Millisecond):
	}
	k.settleAll(nil)
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
	}
}

func TestWhyThePastCannotBeReadIsSaid(t *testing.T) {
	for _, tt := range []struct {
		refuse, want string
		retention    time.Duration
	}{
		{"", "--message-retention-duration", 0},
		{"GetSubscription", "pubsub.subscriptions.get", time.Hour},
		{"CreateSubscription", "pubsub.topics.attachSubscription", time.Hour},
		{"Seek", "pubsub.subscriptions.consume", time.Hour},
	} {
		t.Run(tt.refuse+tt.want, func(t *testing.T) {
			p := newPast(t, tt.retention, nil)
			p.refuse = tt.refuse
			src := p.source(t)
			if err := src.Run(t.Context(), (&sink{}).emit); err != nil {
				t.Fatal(err)
			}
			left := src.Unreadable()
			if len(left) != 1 || !strings.Contains(left[0].Error(), tt.want) || !strings.Contains(left[0].Error(), "projects/prod/subscriptions/service") {
				t.Errorf("Unreadable: %v", left)
			}
			if left := p.left(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAScanThatIsInterruptedWhileItAsksIsNoFault(t *testing.T) {
	p := newPast(t, time.Hour, nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	src := p.source(t)
	if err := src.Run(ctx, (&sink{}).emit); err != nil || len(src.Unreadable()) > 0 {
		t.Errorf("Run: %v, not read: %v", err, src.Unreadable())
	}
}
