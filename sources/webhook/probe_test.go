package webhook

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/foretop/foretop/pkg/pipeline"
)

func probe(t *testing.T, cfg Config, o Options) map[string]pipeline.Check {
	t.Helper()
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	checks := make(map[string]pipeline.Check)
	if records := s.Probe(t.Context(), 10, func(c pipeline.Check) {
		if c.State != pipeline.CheckOK && c.Fix == "" {
			t.Errorf("%s: no fix", c.Name)
		}
		name, _, _ := strings.Cut(c.Name, " ")
		checks[name] = c
	}); len(records) > 0 {
		t.Errorf("%d records", len(records))
	}
	return checks
}

func want(t *testing.T, c pipeline.Check, state pipeline.CheckState, detail string) {
	t.Helper()
	if c.State != state || !strings.Contains(c.Detail, detail) {
		t.Errorf("%s: %d %q, want %d %q", c.Name, c.State, c.Detail, state, detail)
	}
}

func TestProbeTellsWhatIsWrongBeforeAnybodyPosts(t *testing.T) {
	cfg, f := severalClusters(t)
	cfg.QueueDir = t.TempDir() + "/queue"
	checks := probe(t, cfg, Options{})
	want(t, checks["address"], pipeline.CheckOK, "/audit")
	want(t, checks["certificate"], pipeline.CheckWarning, "127.0.0.1")
	want(t, checks["senders"], pipeline.CheckOK, "prod (token), dev (token), edge (client certificate), mesh (client certificate), vault (token and client certificate)")
	want(t, checks["queue"], pipeline.CheckOK, "1GiB")
	if _, err := os.Stat(cfg.QueueDir); err == nil {
		t.Error("the probe made the queue")
	}
	s := serve(t, cfg, newConsumer().emit)
	cfg.Address = strings.TrimSuffix(strings.TrimPrefix(s.url, "https://"), "/audit")
	want(t, probe(t, cfg, Options{})["address"], pipeline.CheckWarning, "already")

	cfg = Config{Address: "192.0.2.1:1", InsecurePlaintext: true, InsecureAnonymous: true, QueueDir: f.file + "/below"}
	checks = probe(t, cfg, Options{})
	want(t, checks["address"], pipeline.CheckFailed, "192.0.2.1")
	want(t, checks["certificate"], pipeline.CheckWarning, "plain HTTP")
	want(t, checks["senders"], pipeline.CheckWarning, "forge")
	want(t, checks["queue"], pipeline.CheckFailed, f.file)

	cfg = plain()
	want(t, probe(t, cfg, Options{})["senders"], pipeline.CheckWarning, "without a name")
	want(t, probe(t, cfg, Options{Cluster: "prod"})["senders"], pipeline.CheckOK, "token")
	cfg.TLSCertFile, cfg.TLSKeyFile = f.ca.server("old", time.Now().Add(-time.Hour))
	want(t, probe(t, cfg, Options{})["certificate"], pipeline.CheckFailed, "valid until")
	cfg.TLSCertFile, cfg.TLSKeyFile = f.ca.server("long", time.Now().Add(365*24*time.Hour))
	want(t, probe(t, cfg, Options{})["certificate"], pipeline.CheckOK, "valid until")
}

func TestMetricsTellWhatWasAnswered(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	cfg := plain()
	cfg.QueueDir = t.TempDir()
	ca := newAuthority(t, "servers")
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
	s := serve(t, cfg, newConsumer().emit, func(o *Options) { o.Registerer = registry })
	s.ca = ca
	s.post(list("1"))
	do(t, client(t, ca, nil), request(t, s.url, "wrong", list("1")))
	expect := `
# HELP foretop_webhook_requests_total Requests answered, by HTTP status code.
# TYPE foretop_webhook_requests_total counter
foretop_webhook_requests_total{code="200",source="test"} 1
foretop_webhook_requests_total{code="401",source="test"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expect), "foretop_webhook_requests_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(err, problems)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 14 {
		t.Errorf("%d series (%v)", n, err)
	}
	if _, err := New(cfg, Options{Name: "test", Registerer: registry}); err == nil {
		t.Error("two sources of one name would be counted as one")
	}
}
