package kafka

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// commitAt saves a position of partition 0 for the group, which must have no members.
func commitAt(t *testing.T, brokers []string, topic string, offset int64) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = "foretop", -1
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Offset = offset
	asked := kmsg.NewOffsetCommitRequestTopic()
	asked.Topic, asked.Partitions = topic, append(asked.Partitions, part)
	req.Topics = append(req.Topics, asked)
	cl := producer(t, brokers, kgo.MaxVersions(kversion.V2_8_0())) // newer ones name topics by id
	res, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

func TestABrokerRestartLosesAndRepeatsNothing(t *testing.T) {
	port := freePort(t)
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(t.TempDir()), kfake.GroupMinSessionTimeout(100 * time.Millisecond), kfake.SyncWrites(),
	}
	up := func() *kfake.Cluster {
		c, err := kfake.NewCluster(options...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := up()
	if err := c.CreateTopic("audit", 2, nil); err != nil {
		t.Fatal(err)
	}
	cl := producer(t, c.ListenAddrs())
	produce(t, cl, "audit", 0, 0, 100)
	src := newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{})
	one := start(t, src, accept)
	one.records(0, 100)
	eventually(t, "everything is committed", func() bool { return committed(c, "foretop", "audit", 0) == 100 })
	c.Close()
	time.Sleep(500 * time.Millisecond)
	c = up()
	t.Cleanup(func() { c.Close() })
	produce(t, cl, "audit", 1, 100, 100)
	began := time.Now()
	one.records(100, 100)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to go on", took)
	}
	if again := one.twice(); len(again) > 0 {
		t.Errorf("delivered twice: %v", again)
	}
	eventually(t, "all is well again", func() bool { return src.Health() == nil })
	one.stop()
}

func freePort(t *testing.T) int {
	t.Helper()
	for port := 21000; port < 21100; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func TestLeadersAndCoordinatorMoveWithoutLoss(t *testing.T) {
	c := newAudit(t, 3, 300, kfake.NumBrokers(3))
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{}), accept)
	one.records(0, 300)
	cl := producer(t, c.ListenAddrs())
	for round := range 3 {
		for p := range int32(3) {
			if err := c.MoveTopicPartition("audit", p, (c.LeaderFor("audit", p)+1)%3); err != nil {
				t.Fatal(err)
			}
		}
		if round == 1 {
			c.RehashCoordinators()
		}
		for p := range int32(3) {
			produce(t, cl, "audit", p, 1000+100*round+10*int(p), 10)
		}
		one.records(1000+100*round, 30)
	}
	one.stop()
	for p := range int32(3) {
		if at := committed(c, "foretop", "audit", p); at != 130 {
			t.Errorf("partition %d is committed at %d, want 130", p, at)
		}
	}
}

func TestAFailingFetchIsTriedAgainAndReportedOnlyWhenItLasts(t *testing.T) {
	c := newAudit(t, 1, 10)
	r := prometheus.NewRegistry()
	src := newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Registerer: r})
	failing := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "audit", Err: kerr.KafkaStorageError, Count: 3})
	one := start(t, src, accept)
	one.records(0, 10)
	if failing.Hits() != 3 {
		t.Errorf("%d fetches failed, want 3", failing.Hits())
	}
	if n := metric(t, r, "foretop_source_fetch_errors_total"); n != 3 {
		t.Errorf("%v errors counted, want 3", n)
	}
	if err := src.Health(); err != nil {
		t.Errorf("health after a passing error: %v", err)
	}
	one.stop()
	src.health.Note("x", errNotHandled, false)
	if err := src.health.Err(time.Now()); err != nil {
		t.Errorf("fresh trouble is reported: %v", err)
	}
	if err := src.health.Err(time.Now().Add(pipeline.TroubleGrace)); err == nil {
		t.Error("lasting trouble is not reported")
	}
}

func TestAMissingTopicIsAwaitedAndNamed(t *testing.T) {
	c := newCluster(t)
	var l sourcetest.Log
	src := newSource(t, settings(t, c.ListenAddrs(), "audit", "other"), Options{Logger: l.Logger()})
	one := start(t, src, accept)
	eventually(t, "health names the topics", func() bool {
		err := src.Health()
		return err != nil && err.Error() == "topic audit, other does not exist on the brokers; create it or fix TOPICS"
	})
	if c.TopicInfo("audit") != nil {
		t.Error("the topic was created by asking for it")
	}
	if err := c.CreateTopic("audit", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, producer(t, c.ListenAddrs()), "audit", 0, 0, 10)
	one.records(0, 10) // what is there is read, whatever else is missing
	if err := src.Health(); err == nil || !strings.HasPrefix(err.Error(), "topic other does not exist") {
		t.Errorf("health: %v", err)
	}
	if err := c.CreateTopic("other", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, producer(t, c.ListenAddrs()), "other", 0, 10, 10)
	one.records(10, 10)
	eventually(t, "all is well", func() bool { return src.Health() == nil })
	one.stop()
}

func TestATopicWithoutLeadersIsAwaitedAndNamed(t *testing.T) {
	c := newAudit(t, 1, 10)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "audit", Err: kerr.LeaderNotAvailable, Count: -1})
	src := newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{})
	one := start(t, src, accept)
	eventually(t, "health names it", func() bool {
		err := src.Health()
		return err != nil && err.Error() == "topic audit cannot be read: its partitions have no leader"
	})
	fault.Remove()
	one.records(0, 10)
	one.stop()
}

func TestANewPartitionIsReadFromItsBeginning(t *testing.T) {
	c := newAudit(t, 1, 10)
	cfg := settings(t, c.ListenAddrs(), "audit")
	one := start(t, newSource(t, cfg, Options{}), accept)
	one.records(0, 10)
	cl := producer(t, c.ListenAddrs())
	req := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = "audit", 3
	req.Topics, req.TimeoutMillis = append(req.Topics, topic), 5000
	if _, err := req.RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	cl.ForceMetadataRefresh()
	fresh := producer(t, c.ListenAddrs())
	produce(t, fresh, "audit", 2, 100, 10)
	one.records(100, 10)
	if again := one.twice(); len(again) > 0 {
		t.Errorf("delivered twice: %v", again)
	}
	one.stop()
}

func TestTopicsByPatternAreFoundWhileRunning(t *testing.T) {
	c := newAudit(t, 1, 10)
	if err := c.CreateTopic("audit-not-whole", 1, nil); err != nil {
		t.Fatal(err)
	}
	cl := producer(t, c.ListenAddrs())
	produce(t, cl, "audit-not-whole", 0, 500, 5)
	cfg := settings(t, c.ListenAddrs(), "x")
	cfg.Topics, cfg.TopicsRegexp = nil, "audit(-[a-z])?"
	one := start(t, newSource(t, cfg, Options{}), accept)
	one.records(0, 10)
	if err := c.CreateTopic("audit-b", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, "audit-b", 0, 100, 10)
	one.records(100, 10)
	if one.count() != 20 {
		t.Errorf("%d records, want those of the two topics that match", one.count())
	}
	if again := one.twice(); len(again) > 0 {
		t.Errorf("delivered twice: %v", again)
	}
	one.stop()
}

func TestRefusedCredentialsEndTheRunWithACause(t *testing.T) {
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "reader", "right"))
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "scram-sha-256", "reader", "wrong-password"
	src := newSource(t, cfg, Options{})
	err := src.Run(t.Context(), func(context.Context, *pipeline.Batch) error { return nil })
	if err == nil || !strings.Contains(err.Error(), `refused the login of "reader" by SCRAM-SHA-256: check SASL_USER and SASL_PASSWORD`) {
		t.Errorf("Run: %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "wrong-password") {
		t.Error("the error holds the password")
	}
}

func TestMissingRightsAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name string
		acls []kfake.ACL
		want string
	}{
		{"on the topic", nil, "needs the rights Describe and Read on it"},
		{"on the group", []kfake.ACL{
			{Resource: kmsg.ACLResourceTypeTopic, Name: "audit", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationAll, Allow: true},
		}, "needs the right Read on the consumer group foretop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "audit"),
				kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "reader", "right", tt.acls...))
			cfg := settings(t, c.ListenAddrs(), "audit")
			cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "plain", "reader", "right"
			src := newSource(t, cfg, Options{})
			src.tuning.refusals = 1000
			one := start(t, src, accept)
			eventually(t, "health names the right", func() bool {
				err := src.Health()
				return err != nil && strings.Contains(err.Error(), tt.want)
			})
			one.stop()
		})
	}
}

func TestUnreachableBrokersAreAwaited(t *testing.T) {
	port := freePort(t)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	src := newSource(t, settings(t, []string{address}, "audit"), Options{})
	one := start(t, src, accept)
	eventually(t, "health says so", func() bool {
		err := src.Health()
		return err != nil && strings.Contains(err.Error(), "cannot reach the Kafka broker at "+address)
	})
	c := newAudit(t, 1, 5, kfake.Ports(port))
	one.records(0, 5)
	eventually(t, "all is well", func() bool { return src.Health() == nil })
	one.stop()
	c.Close()
}

func TestAPartitionWithoutProgressIsConnectedAnew(t *testing.T) {
	c := newAudit(t, 1, 10)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.StallTimeout = 300 * time.Millisecond
	r := prometheus.NewRegistry()
	src := newSource(t, cfg, Options{Registerer: r})
	src.tuning.watch = 50 * time.Millisecond
	speak := silence(c, kmsg.Fetch)
	one := start(t, src, accept)
	eventually(t, "the stall is counted", func() bool { return metric(t, r, "foretop_source_stalls_total") > 0 })
	eventually(t, "and reported", func() bool { err := src.Health(); return err != nil && strings.Contains(err.Error(), "no progress") })
	speak()
	one.records(0, 10)
	eventually(t, "all is well", func() bool { return src.Health() == nil })
	one.stop()
}

// silence holds the next request of a kind back until speak is called.
func silence(c *kfake.Cluster, key kmsg.Key) (speak func()) {
	silent := make(chan struct{})
	c.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-silent })
		return nil, nil, false
	})
	return func() { close(silent) }
}
