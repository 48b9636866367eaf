package report

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
		Fields: map[string][]string{
			"user.username": {a.user}, "verb": {a.verb}, "objectRef.resource": {a.resource}, "objectRef.namespace": {a.namespace}, "objectRef.name": {a.name},
		},
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
	out := append(CSVTitles(), '\n')
	for _, a := range attack() {
		out = append(append(out, CSVLine(a.finding(t))...), '\n')
	}
	golden(t, "findings.csv", out)
}

// somewhere says the same of every address.
type somewhere struct{}

func (somewhere) Locate(netip.Addr) finding.Place {
	return finding.Place{Geo: finding.Geo{CityName: "Amsterdam", CountryISOCode: "NL"}, AS: finding.AS{Number: 64500, Organization: finding.Named{Name: "Example Networks"}}}
}

func TestReportsSayWhoIsBehindANameAndWhereFrom(t *testing.T) {
	s := NewSummary()
	located := finding.NewBuilder(finding.Options{Locator: somewhere{}})
	var lines []string
	for i, u := range []event.User{
		{Username: "kubernetes-admin", Extra: map[string][]string{
			"arn": {"arn:aws:sts::111122223333:assumed-role/Admin/erin@example.com"}, "sessionName": {"erin@example.com"}, "accessKeyId": {"ASIAEXAMPLEEXAMPLE01"},
		}},
		{Username: "masterclient"},
		{},
	} {
		ev := &event.Event{AuditID: strconv.Itoa(i), User: u, Verb: "get", SourceIPs: []string{"203.0.113.7"}, StageTimestamp: time.Date(2026, 11, 20, 3, i, 0, 0, time.UTC)}
		rule := &sigma.Rule{ID: "r", Title: "T", Level: sigma.High, Foretop: &sigma.Extension{Reason: "{user.username} reads"}}
		f := located.Build(ev, &event.Envelope{Provider: "aks", Cluster: event.Cluster{ID: "c", Name: "c"}}, &engine.Match{
			Rule: rule, Level: sigma.High, Count: 1, Elements: []engine.Element{{Fields: map[string][]string{"user.username": {u.Username}}}},
		}, pipeline.Origin{})
		lines = append(lines, string(CSVLine(f)))
		s.Add(f)
	}
	var text, page bytes.Buffer
	s.Text(NewPrinter(&text, PrinterOptions{Width: 200}), &Quality{})
	if err := s.HTML(&page, &Quality{}, day); err != nil {
		t.Fatal(err)
	}
	for out, wants := range map[string][]string{
		text.String(): {
			"kubernetes-admin (Admin/erin@example.com) from 203.0.113.7 (Amsterdam, NL, AS64500 Example Networks) on c", "masterclient (shared) from 203.0.113.7",
			"unauthenticated from 203.0.113.7 (Amsterdam, NL, AS64500 Example Networks) on c", "kubernetes-admin (Admin/erin@example.com) reads",
		},
		page.String(): {
			"role Admin, session erin@example.com, account 111122223333, access key ASIAEXAMPLEEXAMPLE01, session name is caller chosen",
			"nobody can be named: aks local account", "(Amsterdam, NL, AS64500 Example Networks)",
		},
		lines[0]: {"kubernetes-admin (Admin/erin@example.com)", ",NL,AS64500 Example Networks"},
		lines[1]: {",nobody can be named: aks local account,aks_local_account,NL,"},
	} {
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
	}
}
