package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/foretop/foretop/pkg/pipeline"
)

// examined are the lines of a probe: state, name, detail and, behind an arrow, the fix.
func examined(t *testing.T, cfg Config, limit int) (lines []string, records []pipeline.Record) {
	t.Helper()
	src := newSource(t, cfg, Options{})
	src.tuning.patience = 3 * time.Second
	records = src.Probe(t.Context(), limit, func(c pipeline.Check) {
		line := fmt.Sprintf("%d %s: %s", c.State, c.Name, c.Detail)
		if c.Fix != "" {
			line += " -> " + c.Fix
		}
		if (c.State != pipeline.CheckOK) != (c.Fix != "") {
			t.Errorf("a fix belongs to what is wrong, and only to that: %s", line)
		}
		lines = append(lines, line)
	})
	return lines, records
}

func expect(t *testing.T, lines []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, w) }) {
			t.Errorf("no line begins with %q in\n%s", w, strings.Join(lines, "\n"))
		}
	}
}

func TestAProbeTellsWhatIsThereAndTouchesNothing(t *testing.T) {
	c := newAudit(t, 2, 100)
	cfg := settings(t, c.ListenAddrs(), "audit", "missing")
	commitAt(t, c.ListenAddrs(), "audit", 20)
	lines, records := examined(t, cfg, 10)
	expect(t, lines, "0 broker "+c.ListenAddrs()[0]+": connected without TLS, without a login", "0 topic audit: 2 partitions",
		"2 topic missing: it does not exist -> create it or fix TOPICS", "0 topic audit, reading: it holds 100 offsets; the newest record seen is ",
		"0 topic audit, retention: ", "0 group foretop: it has 0 members; 30 records behind its saved positions; no saved position in 1 partitions, which START=earliest decides about")
	if len(records) != 10 {
		t.Errorf("%d records, want 10", len(records))
	}
	seen := make(map[string]bool)
	for _, r := range records {
		seen[string(r.Body)] = true
	}
	for _, last := range []int{45, 49, 95, 99} { // each partition has half of them
		if !seen[string(body(last))] {
			t.Errorf("the sample has not record %d: %v", last, seen)
		}
	}
	if at := committed(c, "foretop", "audit", 0); at != 20 {
		t.Errorf("the saved position is %d", at)
	}
}

func TestAProbeNamesTheMissingRight(t *testing.T) {
	all := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	topic := all(kmsg.ACLResourceTypeTopic, "audit", kmsg.ACLOperationRead)
	describe := all(kmsg.ACLResourceTypeTopic, "audit", kmsg.ACLOperationDescribe)
	for name, tt := range map[string]struct {
		acls []kfake.ACL
		want []string
	}{
		"nothing":  {nil, []string{"2 topic audit: the login may not see it -> the user needs the rights Describe and Read on it"}},
		"describe": {[]kfake.ACL{describe}, []string{"0 topic audit: 1 partitions", "2 topic audit, reading: ", "2 group foretop: "}},
		"no group": {[]kfake.ACL{topic}, []string{"1 topic audit, reading: it holds no records", "2 group foretop: "}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "audit"),
				kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "reader", "right", tt.acls...))
			cfg := settings(t, c.ListenAddrs(), "audit")
			cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "plain", "reader", "right"
			lines, _ := examined(t, cfg, 5)
			expect(t, lines, append(tt.want, `0 broker `+c.ListenAddrs()[0]+`: connected without TLS, logged in as "reader" by PLAIN`)...)
			text := strings.Join(lines, "\n")
			if name == "no group" && !strings.Contains(text, "-> the user needs the right Read on the consumer group foretop") {
				t.Errorf("the right is not named in\n%s", text)
			}
		})
	}
}

func TestAProbeOfBrokersThatAreAwayOrRefuseEndsThere(t *testing.T) {
	nobody := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	lines, _ := examined(t, settings(t, []string{nobody}, "audit"), 5)
	if len(lines) != 1 {
		t.Errorf("lines %v", lines)
	}
	expect(t, lines, "2 broker "+nobody+": cannot reach the Kafka broker at "+nobody)

	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "reader", "right"))
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "plain", "reader", "wrong-password"
	lines, _ = examined(t, cfg, 5)
	if text := strings.Join(lines, "\n"); len(lines) != 1 || !strings.Contains(text, `it refused the login of "reader"`) || strings.Contains(text, "wrong-password") {
		t.Errorf("lines %v", lines)
	}

	good := newAudit(t, 1, 1)
	lines, _ = examined(t, settings(t, append(good.ListenAddrs(), nobody), "audit"), 5)
	expect(t, lines, "1 broker "+nobody, "0 topic audit, reading: ") // the others know the rest
}

func TestAProbeWarnsOfWhatIsProbablyNotWanted(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "audit"))
	lines, _ := examined(t, settings(t, c.ListenAddrs(), "audit"), 5)
	expect(t, lines, "1 topic audit, reading: it holds no records -> ")

	cl := producer(t, c.ListenAddrs())
	produce(t, cl, "audit", 0, 0, 10)
	commitAt(t, c.ListenAddrs(), "audit", 2)
	if err := c.DeleteRecords("audit", 0, 6); err != nil {
		t.Fatal(err)
	}
	lines, _ = examined(t, settings(t, c.ListenAddrs(), "audit"), 5)
	expect(t, lines, "1 group foretop: 4 records were deleted before the group read them -> ")

	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	lines, _ = examined(t, settings(t, c.ListenAddrs(), "audit"), 5)
	expect(t, lines, "0 topic audit, retention: the brokers do not tell it to this login")
}

func TestAProbeNoticesAnotherProgramInTheGroup(t *testing.T) {
	c := newAudit(t, 1, 1)
	if err := c.CreateTopic("other", 1, nil); err != nil {
		t.Fatal(err)
	}
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "other"), Options{}), accept)
	eventually(t, "it is a member", func() bool { return len(one.src.assigned()) == 1 })
	lines, _ := examined(t, settings(t, c.ListenAddrs(), "audit"), 5)
	expect(t, lines, "2 group foretop: a member of it reads other, which this source does not")
	one.stop()
}
