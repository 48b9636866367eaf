package eventhubs

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The client never logs in again on a connection: each ends with its token, that of the group too.
func TestConnectionsThatEndWithTheirTokenHealWithoutLoss(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	cl := n.producer()
	id := rightIdentity()
	id.life = time.Second
	c := start(t, withToken(t, n), Options{Credential: id})
	for i := range 40 {
		put(t, cl, 10*i, 10)
		time.Sleep(100 * time.Millisecond)
	}
	c.has(400)
	if logins := n.count(); logins < 8 {
		t.Errorf("%d logins in four lives of a token", logins)
	}
	eventually(t, "every position is saved", func() bool { return saved(n, "foretop-insights") == 400 })
	c.stop()
	if c.err != nil {
		t.Errorf("Run: %v", c.err)
	}
}

func saved(n *namespace, group string) (sum int64) {
	info := n.GroupInfo(group)
	if info == nil {
		return -1
	}
	for _, at := range info.Commits["insights"] {
		sum += at.Offset
	}
	return sum
}

func TestCutConnectionsAreMadeAnew(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	cl := n.producer()
	c := start(t, withKey(t, n), Options{})
	for i := range 5 {
		put(t, cl, 20*i, 20)
		c.has(20 * (i + 1))
		n.cut() // as the service does with idle ones
	}
	eventually(t, "every position is saved", func() bool { return saved(n, "foretop-insights") == 100 })
	c.stop()
}

func TestWhatIsSettledAfterTheConnectionsEndedIsSavedAndNotReadAgain(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	cl := n.producer()
	put(t, cl, 0, 10)
	c := start(t, withKey(t, n), Options{})
	c.has(10)
	eventually(t, "the positions are saved", func() bool { return saved(n, "foretop-insights") == 10 })
	gate := make(chan struct{})
	c.mu.Lock()
	c.gate = gate
	c.mu.Unlock()
	put(t, cl, 10, 20)
	c.has(30)
	n.cut()
	time.Sleep(700 * time.Millisecond) // the heartbeat has noticed, and the generation drains
	close(gate)
	eventually(t, "the positions are saved", func() bool { return saved(n, "foretop-insights") == 30 })
	put(t, cl, 30, 10)
	c.has(40)
	c.stop()
	for body, times := range c.seen {
		if times > 1 {
			t.Errorf("record %s came %d times", body, times)
		}
	}
}

// Over its throughput units the service answers late, and says how long to wait.
func TestThrottlingSlowsReadingDownAndLosesNothing(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	cl := n.producer()
	put(t, cl, 0, 200)
	n.set(func() { n.delay = 150 * time.Millisecond })
	throttled := 0
	n.ControlKey(kmsg.Fetch.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		n.KeepControl()
		if throttled++; throttled > 6 {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.FetchResponse)
		res.SetVersion(r.GetVersion())
		res.ThrottleMillis = 300
		for _, topic := range r.(*kmsg.FetchRequest).Topics {
			answer := kmsg.NewFetchResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				part := kmsg.NewFetchResponseTopicPartition()
				part.Partition, part.HighWatermark = p.Partition, 100
				answer.Partitions = append(answer.Partitions, part)
			}
			res.Topics = append(res.Topics, answer)
		}
		return res, nil, true
	})
	began := time.Now()
	c := start(t, withKey(t, n), Options{})
	c.has(200)
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("read in %s: the time to wait was not waited for", took)
	}
	c.well()
	c.stop()
}

func TestTheTierBasicIsNamedAndAwaited(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	put(t, n.producer(), 0, 10)
	n.set(func() { n.basic = true })
	c := start(t, withKey(t, n), Options{})
	c.health("the tier Basic has no Kafka endpoint (Standard or higher has)")
	n.set(func() { n.basic = false })
	c.has(10)
	c.well()
	c.stop()
}

func TestAMissingHubIsNamedAndAwaited(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	cfg := withKey(t, n)
	cfg.Hubs = []string{"insights", "other"}
	put(t, n.producer(), 0, 10)
	c := start(t, cfg, Options{})
	c.has(10) // what is there is read
	c.health("event hub other does not exist on the brokers; create it in the namespace")
	if n.TopicInfo("other") != nil {
		t.Error("the hub was created by asking for it")
	}
	if err := n.CreateTopic("other", 1, nil); err != nil {
		t.Fatal(err)
	}
	c.well()
	c.stop()
}
