package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// act is one finding of a test: who, when, which rule.
type act struct {
	user, at, title, verb, resource, namespace, name, cluster, agent, ip string
	level                                                                sigma.Level
}

var builder = finding.NewBuilder(finding.Options{Version: "test"})

func (a act) finding(t testing.TB) *finding.Finding {
	t.Helper()
	at, err := time.Parse(time.DateTime, a.at)
	if err != nil {
		t.Fatal(err)
	}
	ev := &event.Event{
		AuditID: a.user + a.at + a.title, Stage: "ResponseComplete", Verb: a.verb, User: event.User{Username: a.user},
		RequestURI: "/api/" + a.resource, SourceIPs: []string{a.ip}, UserAgent: a.agent,
		ObjectRef:                &event.ObjectRef{Resource: a.resource, Namespace: a.namespace, Name: a.name, APIVersion: "v1"},
		ResponseStatus:           &event.ResponseStatus{Code: 200},
		RequestReceivedTimestamp: at, StageTimestamp: at,
	}
	env := &event.Envelope{Format: "native", Cluster: event.Cluster{ID: a.cluster, Name: a.cluster}}
	rule := &sigma.Rule{ID: a.title, Title: a.title, Level: a.level, Own: true, Foretop: &sigma.Extension{
		Reason: "{user.username} {verb}s {objectRef.resource} {objectRef.namespace}/{objectRef.name}", Respond: "Ask the owner.",
	}}
	m := &engine.Match{Rule: rule, Level: a.level, Count: 1, Elements: []engine.Element{{
		Evidence: []engine.Evidence{{Selection: "s", Field: "userAgent", Values: []string{a.agent}}},
	}}}
	return builder.Build(ev, env, m, pipeline.Origin{Source: "scan", Stream: "audit.log", Pos: "17"})
}

func attack() []act {
	return []act{
		{"mallory@corp.example", "2026-11-20 03:12:44", "cluster-admin granted", "create", "clusterrolebindings", "", "bot-admin", "prod-eu", "kubectl/v1.34.0", "203.0.113.7", sigma.Critical},
		{"mallory@corp.example", "2026-11-20 03:14:02", "Command run in a system pod", "get", "pods", "kube-system", "coredns-x", "prod-eu", "kubectl/v1.34.0", "203.0.113.7", sigma.High},
		{"mallory@corp.example", "2026-11-20 03:15:10", "Secret read", "get", "secrets", "payments", "stripe", "prod-eu", "kubectl/v1.34.0", "203.0.113.8", sigma.Medium},
		{"mallory@corp.example", "2026-11-20 03:16:10", "Secret read", "get", "secrets", "payments", "stripe", "prod-eu", "kubectl/v1.34.0", "203.0.113.8", sigma.Medium},
		{"system:serviceaccount:ci:runner", "2026-11-19 22:01:00", "Secret read", "get", "secrets", "ci", "deploy-key", "prod-us", "curl/8", "10.0.0.9", sigma.Medium},
		{"", "2026-11-18 10:00:00", "Failed authentication", "list", "pods", "", "", "prod-eu", "zgrab/0.x", "198.51.100.9", sigma.Low},
	}
}

func quality() *Quality {
	q := &Quality{
		Rules: 64, Items: 2_431_020, Bytes: 900e6,
		Malformed: map[string]int64{"bad_json": 3}, Skipped: map[string]int64{"other_category": 12}, DeadLetters: "dlq.ndjson",
		CannotFire: []CannotFire{{"Privileged container", "needs level Request, this data has Metadata"}},
		Waiting:    map[string]string{"login-outside-office-network": "the list office_networks is not given"},
		Blind:      map[engine.Blind]int64{{Rule: "Privileged container", Field: "requestObject"}: 71, {Rule: "Privileged container", Field: "responseObject"}: 70},
		Suppressed: map[string]int64{"Node agents": 1200, "CI": 4}, Controlled: map[string]int64{"Privileged container": 18},
		Elapsed: 14 * time.Second, PeakRSS: 148 << 20,
		Traffic: &Traffic{},
	}
	env := &event.Envelope{Format: "native", Cluster: event.Cluster{Name: "prod-eu"}}
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		if i >= 420 && i < 492 {
			continue
		}
		level := "Metadata"
		if i%5 == 0 {
			level = "Request"
		}
		q.Traffic.Observe(env, level, at.Add(time.Duration(i)*10*time.Second))
	}
	return q
}

func TestSummaryTellsWhatHappenedAndHowGoodTheDataWas(t *testing.T) {
	s := NewSummary()
	for _, a := range attack() {
		s.Add(a.finding(t))
	}
	s.Add(attack()[0].finding(t)) // the other stage of the same request
	var text, page bytes.Buffer
	s.Text(NewPrinter(&text, PrinterOptions{Width: 120}), quality())
	golden(t, "summary.txt", text.Bytes())
	text.Reset()
	s.Text(NewPrinter(&text, PrinterOptions{Width: 72}), quality())
	golden(t, "summary-narrow.txt", text.Bytes())
	if err := s.HTML(&page, quality(), time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.html", page.Bytes())
}

func TestCSVHoldsOneLinePerFinding(t *testing.T) {
	var out bytes.Buffer
	c := NewCSV(&out)
	for _, a := range attack() {
		if err := c.Write(a.finding(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	golden(t, "findings.csv", out.Bytes())
}
