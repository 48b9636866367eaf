package pubsub

import (
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/foretop/foretop/pkg/pipeline"
)

// probe collects what a probe says, one line a check.
func probe(t *testing.T, src *Source, limit int) (said string, sample []pipeline.Record) {
	t.Helper()
	states := map[pipeline.CheckState]string{pipeline.CheckOK: "ok", pipeline.CheckWarning: "warning", pipeline.CheckFailed: "failed"}
	var lines []string
	sample = src.Probe(t.Context(), limit, func(c pipeline.Check) {
		lines = append(lines, states[c.State]+" "+c.Name+": "+c.Detail+" | "+c.Fix)
	})
	return strings.Join(lines, "\n"), sample
}

// says fails the test unless each part is in what was said.
func says(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("a probe does not say %q:\n%s", part, said)
		}
	}
}

func TestAProbeTakesASampleAndGivesItBack(t *testing.T) {
	srv := newServer(t)
	ids := publish(srv, auditTopic, 5)
	src := newSource(t, srv, settings(t), Options{})
	said, sample := probe(t, src, 3)
	says(t, said, "ok credentials", "topic "+auditTopic, "ack deadline 10s", "keeps unread messages 7 days", "warning permission", "ok sample of "+auditSub+": 3 messages, given back")
	if len(sample) != 3 || sample[0].Pos == "" || !strings.HasPrefix(string(sample[0].Body), `{"n":`) || sample[0].Meta["gcp.project"] != "prod" {
		t.Errorf("sample: %v", sample)
	}
	for _, id := range ids {
		if srv.Message(id).Acks != 0 {
			t.Error("a probe acknowledged a message")
		}
	}
	run(t, newSource(t, srv, settings(t), Options{}), (&sink{}).emit)
	eventually(t, 5*time.Second, "the service has all of them before a lease would be over", func() bool { return acked(srv, ids) })
}

func TestAProbeDoesNotPullWhereADeliveryCounts(t *testing.T) {
	srv := newServer(t)
	dead := "projects/prod/topics/dead"
	addTopic(t, srv, &pubsubpb.Topic{Name: dead})
	cfg := settings(t)
	cfg.Subscriptions = []string{"projects/prod/subscriptions/strict", "projects/prod/subscriptions/ordered"}
	subscribe(t, srv, &pubsubpb.Subscription{
		Name: cfg.Subscriptions[0], Topic: auditTopic,
		DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: 5},
	})
	subscribe(t, srv, &pubsubpb.Subscription{Name: cfg.Subscriptions[1], Topic: auditTopic, EnableMessageOrdering: true})
	ids := publish(srv, auditTopic, 3)
	said, sample := probe(t, newSource(t, srv, cfg, Options{}), 3)
	says(t, said, "each delivery counts", "repeats those after it", "dead letters to "+dead+" after 5 attempts", "raise the dead letter policy")
	if len(sample) != 0 || srv.Message(ids[0]).Deliveries != 0 {
		t.Errorf("%d messages were pulled", len(sample))
	}
}

func TestAProbeSaysWhatIsMissing(t *testing.T) {
	cfg := settings(t)
	cfg.Subscriptions = []string{"projects/prod/subscriptions/missing"}
	said, _ := probe(t, newSource(t, newServer(t), cfg, Options{}), 3)
	says(t, said, "failed subscription projects/prod/subscriptions/missing", "create the subscription")

	src := newSource(t, newServer(t), settings(t), Options{})
	src.tuning.pull = 200 * time.Millisecond
	said, _ = probe(t, src, 3)
	says(t, said, "warning sample of "+auditSub+": no message within", "whether a log sink writes to "+auditTopic)

	unknown := newServer(t, on("GetSubscription", func(any) (bool, any, error) {
		return true, nil, status.Error(codes.PermissionDenied, "as the test says")
	}))
	said, _ = probe(t, newSource(t, unknown, settings(t), Options{}), 3)
	says(t, said, "pubsub.subscriptions.get is not granted", "none taken: it is not known")
}

func TestAProbeAsksForThePermissionToRead(t *testing.T) {
	for want, granted := range map[string][]string{
		"failed permission to read " + auditSub + ": pubsub.subscriptions.consume is not granted | grant roles/pubsub.subscriber": nil,
		"ok permission to read " + auditSub + ": pubsub.subscriptions.consume is granted":                                         {permissionConsume},
	} {
		srv := newService(t, &service{granted: func() ([]string, error) { return granted, nil }})
		said, _ := probe(t, newSource(t, &pstest.Server{Addr: srv.addr}, settings(t), Options{}), 3)
		says(t, said, want)
	}
}

func TestAProbeWithoutCredentialsSaysHowToGiveThem(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/credentials.json")
	src := newSource(t, newServer(t), settings(t), Options{})
	src.tuning.client = nil
	said, _ := probe(t, src, 3)
	says(t, said, "failed credentials", "workload identity")
}

func TestAdviceNamesWhatLosesMessages(t *testing.T) {
	sound := func() *pubsubpb.Subscription {
		return &pubsubpb.Subscription{
			Topic: auditTopic, MessageRetentionDuration: durationpb.New(shortRetention), ExpirationPolicy: &pubsubpb.ExpirationPolicy{},
			DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: "t", MaxDeliveryAttempts: 20},
		}
	}
	if fixes := advice(sound()); len(fixes) > 0 {
		t.Errorf("a sound subscription gets the advice %q", fixes)
	}
	for want, change := range map[string]func(*pubsubpb.Subscription){
		"raise its message retention": func(s *pubsubpb.Subscription) { s.MessageRetentionDuration = durationpb.New(time.Hour) },
		"let it never expire": func(s *pubsubpb.Subscription) {
			s.ExpirationPolicy = &pubsubpb.ExpirationPolicy{Ttl: durationpb.New(24 * time.Hour)}
		},
		"a dead letter topic would":    func(s *pubsubpb.Subscription) { s.DeadLetterPolicy = nil },
		"at least 20 attempts":         func(s *pubsubpb.Subscription) { s.DeadLetterPolicy.MaxDeliveryAttempts = 5 },
		"make a pull subscription":     func(s *pubsubpb.Subscription) { s.PushConfig = &pubsubpb.PushConfig{PushEndpoint: "https://x"} },
		"its topic is gone":            func(s *pubsubpb.Subscription) { s.Topic = "_deleted-topic_" },
		"BigQuery or Cloud Storage":    func(s *pubsubpb.Subscription) { s.BigqueryConfig = &pubsubpb.BigQueryConfig{Table: "t"} },
		"so that nothing new comes":    func(s *pubsubpb.Subscription) { s.Detached = true },
		"or Cloud Storage: make a pul": func(s *pubsubpb.Subscription) { s.CloudStorageConfig = &pubsubpb.CloudStorageConfig{Bucket: "b"} },
	} {
		sub := sound()
		change(sub)
		if fixes := strings.Join(advice(sub), "; "); !strings.Contains(fixes, want) {
			t.Errorf("advice %q, want %q", fixes, want)
		}
	}
}
