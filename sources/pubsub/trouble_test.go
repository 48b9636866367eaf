package pubsub

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestAMissingSubscriptionIsNamedAndTheOthersAreRead(t *testing.T) {
	srv := newServer(t)
	missing := "projects/prod/subscriptions/missing"
	cfg := settings(t)
	cfg.Subscriptions = []string{auditSub, missing}
	src := newSource(t, srv, cfg, Options{})
	run(t, src, (&sink{}).emit)
	ids := publish(srv, auditTopic, 5)
	eventually(t, 10*time.Second, "the other subscription is read", func() bool { return acked(srv, ids) })
	eventually(t, 5*time.Second, "health names the missing one", func() bool {
		err := src.Health()
		return err != nil && strings.Contains(err.Error(), missing+" does not exist")
	})
	subscribe(t, srv, &pubsubpb.Subscription{Name: missing, Topic: auditTopic})
	publish(srv, auditTopic, 1)
	eventually(t, 10*time.Second, "all is well once it is made", func() bool { return src.Health() == nil })
}

func TestADeletedSubscriptionIsNamedAndReadAgainWhenItIsBack(t *testing.T) {
	srv := newServer(t)
	srv.SetStreamTimeout(300 * time.Millisecond) // a stream of the fake outlives its subscription
	src := newSource(t, srv, settings(t), Options{})
	run(t, src, (&sink{}).emit)
	ids := publish(srv, auditTopic, 5)
	eventually(t, 10*time.Second, "messages are read", func() bool { return acked(srv, ids) })
	if _, err := srv.GServer.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: auditSub}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "health names it", func() bool {
		err := src.Health()
		return err != nil && strings.Contains(err.Error(), "does not exist")
	})
	subscribe(t, srv, &pubsubpb.Subscription{Name: auditSub, Topic: auditTopic})
	ids = publish(srv, auditTopic, 5)
	eventually(t, 10*time.Second, "it is read again", func() bool { return acked(srv, ids) && src.Health() == nil })
}

func TestWhatTheServiceRefusesIsExplained(t *testing.T) {
	for _, tt := range []struct {
		code codes.Code
		want string
		sure bool
	}{
		{codes.PermissionDenied, "pubsub.subscriptions.consume", true},
		{codes.Unauthenticated, "workload identity", true},
		{codes.FailedPrecondition, "pull subscription", true},
		{codes.ResourceExhausted, "quota", false},
		{codes.Unavailable, "does not answer", false},
	} {
		t.Run(tt.code.String(), func(t *testing.T) {
			var refusing atomic.Bool
			refusing.Store(true)
			srv := newService(t, &service{messages: 10, size: 10, onPull: func() error {
				if refusing.Load() {
					return status.Error(tt.code, "as the test says")
				}
				return nil
			}})
			src := newSource(t, &pstest.Server{Addr: srv.addr}, settings(t), Options{})
			run(t, src, (&sink{}).emit)
			eventually(t, 10*time.Second, "health says why", func() bool {
				err := src.health.Err(time.Now().Add(pipeline.TroubleGrace))
				return err != nil && strings.Contains(err.Error(), tt.want) && strings.Contains(err.Error(), auditSub)
			})
			if sure := src.Health() != nil; sure != tt.sure {
				t.Errorf("health shows it at once: %v, want %v", sure, tt.sure)
			}
			if n := src.metrics.count(t, "foretop_pubsub_call_failures_total", "code", tt.code.String()); n < 1 {
				t.Error("the refusals are not counted")
			}
			refusing.Store(false)
			select {
			case <-srv.settled:
			case <-time.After(10 * time.Second):
				t.Fatal("it is not read when the refusals end")
			}
			if err := src.health.Err(time.Now().Add(pipeline.TroubleGrace)); err != nil {
				t.Errorf("well again, and health says %v", err)
			}
		})
	}
}

func TestAnAddressWhereNobodyAnswersIsTroubleUntilSomebodyDoes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	src := newSource(t, &pstest.Server{Addr: "localhost:" + strconv.Itoa(port)}, settings(t), Options{})
	run(t, src, (&sink{}).emit)
	eventually(t, 10*time.Second, "health says that nobody answers", func() bool {
		err := src.health.Err(time.Now().Add(pipeline.TroubleGrace))
		return err != nil && strings.Contains(err.Error(), "does not answer")
	})
	if err := src.Health(); err != nil {
		t.Errorf("within the grace period health says %v", err)
	}
	srv := pstest.NewServerWithPort(port)
	defer srv.Close()
	addTopic(t, srv, &pubsubpb.Topic{Name: auditTopic})
	subscribe(t, srv, &pubsubpb.Subscription{Name: auditSub, Topic: auditTopic})
	ids := publish(srv, auditTopic, 5)
	eventually(t, 30*time.Second, "messages are read", func() bool { return acked(srv, ids) })
}

func TestAServiceThatIsAwayDoesNotKeepTheSourceFromEnding(t *testing.T) {
	srv := pstest.NewServer()
	addTopic(t, srv, &pubsubpb.Topic{Name: auditTopic})
	subscribe(t, srv, &pubsubpb.Subscription{Name: auditSub, Topic: auditTopic})
	src := newSource(t, srv, settings(t), Options{})
	src.tuning.flush = 500 * time.Millisecond
	r := run(t, src, (&sink{}).emit)
	ids := publish(srv, auditTopic, 5)
	eventually(t, 10*time.Second, "messages are read", func() bool { return acked(srv, ids) })
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the outage is noticed", func() bool { return src.health.Err(time.Now().Add(pipeline.TroubleGrace)) != nil })
	time.Sleep(time.Second)
	r.end(t, 3*time.Second)
}
