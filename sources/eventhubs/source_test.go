package eventhubs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestConformance(t *testing.T) {
	for name, login := range map[string]func(*testing.T, *namespace) Config{"connection string": withKey, "token": withToken} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
				n := newNamespace(t)
				cl := n.producer()
				cfg := login(t, n)
				cfg.BatchRecords, cfg.DrainTimeout = 20, time.Second
				i := 0
				return sourcetest.Harness{
					NewSource: func(t *testing.T) pipeline.Source {
						t.Helper()
						src, err := New(cfg, Options{Credential: rightIdentity()})
						if err != nil {
							t.Fatal(err)
						}
						return src
					},
					Put: func(t *testing.T, bodies ...[]byte) {
						t.Helper()
						for _, b := range bodies {
							i++
							if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "insights", Partition: int32(i % 2), Value: b}).FirstErr(); err != nil {
								t.Fatal(err)
							}
						}
					},
					DrainLimit: cfg.DrainTimeout, SaveInterval: cfg.CommitInterval, MaxEmits: 2, Records: 100, LeakOptions: fakes,
				}
			})
		})
	}
}

// The service names the versions of requests that Kafka 1.0 had, and in parts later ones:
// https://github.com/Azure/azure-event-hubs-for-kafka/issues/69
func TestTheRequestsOfKafka1AreEnough(t *testing.T) {
	n := newNamespace(t, kfake.MaxVersions(kversion.V1_0_0()))
	cl := n.producer()
	put(t, cl, 0, 100)
	c := start(t, withKey(t, n), Options{})
	c.has(100)
	put(t, cl, 100, 100)
	c.has(200)
	c.stop()
	again := start(t, withKey(t, n), Options{})
	put(t, cl, 200, 10)
	again.has(10) // the rest is saved
	again.stop()
	past := start(t, withKey(t, n), Options{History: &pipeline.History{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}})
	<-past.ended
	if past.err != nil || past.count() != 210 {
		t.Errorf("%d records of history (%v)", past.count(), past.err)
	}
	lines, records := examined(t, withKey(t, n), Options{})
	if len(records) != 5 || strings.Contains(lines, "\n2 ") {
		t.Errorf("%d records in the sample of\n%s", len(records), lines)
	}
}

// examined are the lines of a probe: state, name, detail and, behind an arrow, the fix.
func examined(t *testing.T, cfg Config, o Options) (string, []pipeline.Record) {
	t.Helper()
	src, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	records := src.Probe(t.Context(), 5, func(c pipeline.Check) {
		fmt.Fprintf(&lines, "\n%d %s: %s -> %s", c.State, c.Name, c.Detail, c.Fix)
	})
	return lines.String(), records
}

func TestAProbeSpeaksOfEventHubs(t *testing.T) {
	n := newNamespace(t)
	cfg := withToken(t, n)
	cfg.Hubs = append(cfg.Hubs, "missing")
	lines, _ := examined(t, cfg, Options{Credential: rightIdentity()})
	for _, want := range []string{
		"\n0 token: for https://example.servicebus.windows.net/.default, valid for 1h0m0s", ": connected with TLS, logged in by OAUTHBEARER",
		"\n0 event hub insights: 2 partitions", "\n2 event hub missing: it does not exist -> create it in the namespace",
		"\n1 event hub insights, reading: it holds no records -> the diagnostic setting of the AKS cluster must send the category kube-audit",
		"\n0 group foretop-insights.missing: it has 0 members and no saved positions",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is not in%s", want, lines)
		}
	}
	wrong := withKey(t, n)
	wrong.ConnectionString = "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=secret-wrong-key"
	lines, _ = examined(t, wrong, Options{})
	if !strings.Contains(lines, "the SharedAccessKey was refused") || strings.Contains(lines, "secret-wrong-key") {
		t.Errorf("with a wrong key:%s", lines)
	}
}
