//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	hubNamespace = "foretop.servicebus.windows.net"
	hubCluster   = "/SUBSCRIPTIONS/0B1F6471-1BF0-4DDA-AEC3-CB9272F09590/RESOURCEGROUPS/PROD/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-1"
	hubCopies    = 3  // of the story
	hubRecords   = 25 // diagnostic records in a message
	hubJunk      = 30 // messages that other services broke
)

// TestEveryFindingOfAKSIsStoredOnceWhateverHappens kills the service in the middle of recorded events, in the envelopes
// of Azure, that come through a broker with the logins of Event Hubs. Tokens last for a few seconds, so that
// connections end again and again.
func TestEveryFindingOfAKSIsStoredOnceWhateverHappens(t *testing.T) {
	foretop := buildBinary(t, "./cmd/foretop")
	connection := server(t, "FORETOP_TEST_EVENTHUBS_CONNECTION")
	for name, login := range map[string]func(t *testing.T) (map[string]string, *entra){
		"connection string": func(t *testing.T) (map[string]string, *entra) {
			t.Helper()
			file := filepath.Join(t.TempDir(), "connection")
			if err := os.WriteFile(file, []byte(connection+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return map[string]string{"FORETOP_EVENTHUBS_CONNECTION_STRING_FILE": file}, nil
		},
		"workload identity": func(t *testing.T) (map[string]string, *entra) {
			t.Helper()
			e := newEntra(t, hubNamespace, 15*time.Second)
			env := e.environment()
			env["FORETOP_EVENTHUBS_NAMESPACE"] = hubNamespace
			return env, e
		},
	} {
		t.Run(name, func(t *testing.T) {
			env, authority := login(t)
			h := newHub(t, foretop, env)
			half := len(h.records) / 2
			h.slow.Store(true)
			first := h.service(t, "first")
			h.produce(t, h.records[:half])
			h.unsettled(t, first).kill(t)
			second := h.service(t, "second")
			h.slow.Store(false)
			h.stores(t, 1)
			if authority != nil {
				before := authority.issued.Load()
				eventually(t, 2*time.Minute, func(context.Context) error {
					if n := authority.issued.Load() - before; n < 3 {
						return fmt.Errorf("%d tokens were asked for anew", n)
					}
					return nil
				})
			}
			h.produce(t, h.records[half:])
			h.caughtUp(t, "foretop-"+h.topic, []*service{second})
			h.exactlyOnce(t)
			second.balance(t)
			h.doctor(t)
		})
	}
}

// hub is an event hub and a data stream of their own in servers that tests share.
type hub struct {
	*promise
	env  map[string]string
	slow atomic.Bool // Elasticsearch answers late
}

func newHub(t *testing.T, foretop string, env map[string]string) *hub {
	t.Helper()
	id := fmt.Sprint(time.Now().UnixNano())
	h := &hub{promise: &promise{
		dir: t.TempDir(), foretop: foretop, kafka: server(t, "FORETOP_TEST_KAFKA"), search: server(t, "FORETOP_TEST_ELASTICSEARCH"),
		topic: "insights-logs-kube-audit-" + id, stream: "logs-foretop.findings-hub" + id,
	}}
	h.env = map[string]string{
		"FORETOP_EVENTHUBS_HUBS": h.topic, "FORETOP_EVENTHUBS_BROKERS": server(t, "FORETOP_TEST_KAFKA_SASL"), "FORETOP_EVENTHUBS_TLS_CA_FILE": server(t, "FORETOP_TEST_KAFKA_CA"),
		"FORETOP_EVENTHUBS_SESSION_TIMEOUT": "10s", "FORETOP_EVENTHUBS_REBALANCE_TIMEOUT": "10s", "FORETOP_EVENTHUBS_HEARTBEAT_INTERVAL": "1s",
		"FORETOP_NAMESPACE": "hub" + id, "FORETOP_ELASTICSEARCH_ADDRESSES": h.delayed(t),
	}
	maps.Copy(h.env, env)
	start(t, "setup", environment(h.env), h.foretop, "setup", "elasticsearch").succeed(t, time.Minute)
	admin := &kafka.Client{Addr: kafka.TCP(h.kafka)}
	eventually(t, time.Minute, func(ctx context.Context) error {
		r, err := admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: h.topic, NumPartitions: promisePartitions, ReplicationFactor: 1}}})
		if err == nil {
			err = r.Errors[h.topic]
		}
		return err
	})
	events := grownStory(t)
	events = events[:hubCopies*len(events)/promiseCopies]
	h.records = diagnostic(t, events)
	h.want = h.scanned(t, strings.ToLower(hubCluster), events)
	t.Logf("%d events in %d messages, %d findings", len(events), len(h.records), len(h.want))
	return h
}

// delayed is Elasticsearch behind a proxy that can be slow to store.
func (h *hub) delayed(t *testing.T) string {
	t.Helper()
	to, err := url.Parse(h.search)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if h.slow.Load() && strings.HasSuffix(r.In.URL.Path, "/_bulk") {
			time.Sleep(2 * time.Second)
		}
		r.SetURL(to)
	}}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return front.URL
}

func (h *hub) service(t *testing.T, name string) *service {
	t.Helper()
	s := &service{admin: freePort(t), state: t.TempDir()}
	env := maps.Clone(h.env)
	env["FORETOP_ADMIN_ADDRESS"], env["FORETOP_STATE_DIR"], env["FORETOP_LOG_FORMAT"] = s.admin, s.state, "json"
	s.process = start(t, name, environment(env), h.foretop, "run")
	return s
}

// doctor expects that the checks of a source that works find nothing wrong.
func (h *hub) doctor(t *testing.T) {
	t.Helper()
	env := maps.Clone(h.env)
	env["FORETOP_STATE_DIR"] = t.TempDir()
	out := start(t, "doctor", environment(env), h.foretop, "doctor").succeed(t, 2*time.Minute)
	for _, want := range []string{"event hub " + h.topic, "group foretop-" + h.topic} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not speak of %s:\n%s", want, out)
		}
	}
}

// diagnostic wraps events as the diagnostic setting of a cluster with both audit categories does: writes come twice.
// Records of other components stand between them, and messages of other services that are no JSON.
func diagnostic(t *testing.T, events [][]byte) [][]byte {
	t.Helper()
	type record map[string]any
	of := func(category, log string) record {
		return record{
			"category": category, "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read", "resourceId": hubCluster,
			"time": "2026-11-21T23:44:12.1671234Z", "properties": record{"log": log, "stream": "stdout", "pod": "kube-apiserver-5d7f9"},
		}
	}
	var messages [][]byte
	for batch := range slices.Chunk(events, hubRecords) {
		var records []record
		for _, e := range batch {
			records = append(records, of("kube-audit", string(e)+"\n"))
			if !bytes.Contains(e, []byte(`"verb":"get"`)) && !bytes.Contains(e, []byte(`"verb":"list"`)) {
				records = append(records, of("kube-audit-admin", string(e)+"\n"))
			}
		}
		records = append(records, of("kube-scheduler", "I1121 23:44:12.167123       1 schedule_one.go:304] \"Successfully bound pod to node\""), of("guard", "{not json"))
		body, err := json.Marshal(map[string]any{"records": records})
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, body)
		if len(messages)%8 == 0 && len(messages)/8 <= hubJunk {
			messages = append(messages, []byte("{'records': [ [ 227 B blob data ] ], 'category': 'x"))
		}
	}
	return messages
}
