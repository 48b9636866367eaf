package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service is `foretop run` from a followed file to a file of findings.
type service struct {
	log, out, state string
	env             []string
}

func newService(t *testing.T, env ...string) *service {
	t.Helper()
	dir := t.TempDir()
	s := &service{log: filepath.Join(dir, "audit.log"), out: filepath.Join(dir, "findings.ndjson"), state: filepath.Join(dir, "state")}
	s.env = append([]string{
		"FORETOP_FILE_PATHS=" + s.log, "FORETOP_FILE_FOLLOW=true", "FORETOP_FILE_POLL_INTERVAL=20ms",
		"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + s.out, "FORETOP_STATE_DIR=" + s.state,
		"FORETOP_ADMIN_ADDRESS=127.0.0.1:0", "FORETOP_RULES=" + rules(t), "FORETOP_NO_BUILTIN=true", "FORETOP_CLUSTER_NAME=prod",
	}, env...)
	return s
}

func (s *service) findings(t *testing.T) int {
	t.Helper()
	return strings.Count(readFile(t, s.out), "\n")
}

func TestRunDrainsOnSIGTERMAndGoesOnWhereItEnded(t *testing.T) {
	s := newService(t)
	appendTo(t, s.log, lines(audit(1, "get", "alice"), audit(2, "list", "alice")))
	p := start(t, s.env, "run")
	until(t, "the first finding", p, func() bool { return s.findings(t) == 1 })
	appendTo(t, s.log, lines(audit(3, "delete", "alice"), "junk that is no JSON {"))
	until(t, "the second finding", p, func() bool { return s.findings(t) == 2 })
	p.terminate(t)
	if code := p.wait(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.stderr.String())
	}
	holds(t, p.stderr.String(), `"msg":"draining`, `"msg":"source ended"`)

	appendTo(t, s.log, lines(audit(4, "get", "bob")))
	p = start(t, s.env, "run")
	until(t, "the finding that came between the runs", p, func() bool { return s.findings(t) == 3 })
	p.terminate(t)
	if code := p.wait(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.stderr.String())
	}
	if docs := byID(documents(t, readFile(t, s.out))); len(docs) != 3 {
		t.Errorf("%d different findings, want 3", len(docs))
	}
	for _, path := range []string{s.out, filepath.Join(s.state, "dead-letters.ndjson"), filepath.Join(s.state, "positions.json")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestScanPrintsTheDocumentsThatRunStores(t *testing.T) {
	s := newService(t, "FORETOP_FILE_FOLLOW=false")
	appendTo(t, s.log, lines(audit(1, "get", "alice"), audit(2, "delete", "bob"), audit(3, "list", "bob")))
	p := start(t, s.env, "run")
	if code := p.wait(t); code != 0 {
		t.Fatalf("a finite source that was read: exit code %d\n%s", code, p.stderr.String())
	}
	r := foretop(t, nil, nil, "scan", "--output", "ndjson", "--no-builtin", "--rules", s.value("FORETOP_RULES"), "--cluster", "prod", s.log)
	stored, printed := byID(documents(t, readFile(t, s.out))), byID(documents(t, r.stdout))
	if len(stored) != 2 {
		t.Errorf("%d findings were stored, want 2", len(stored))
	}
	if diff := cmp.Diff(stored, printed); diff != "" {
		t.Error(diff)
	}
}

// jam makes a sink that takes no more: a pipe nobody reads.
func jam(t *testing.T, s *service) {
	t.Helper()
	pipe := newFIFO(t)
	s.env = append(s.env, "FORETOP_NDJSON_PATH="+pipe.path)
	var events []string
	for n := range 200 { // more findings than a pipe holds
		events = append(events, audit(n, "delete", "alice"))
	}
	appendTo(t, s.log, lines(events...))
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	s := newService(t, "FORETOP_DRAIN_TIMEOUT=10m")
	jam(t, s)
	p := start(t, s.env, "run")
	untilBusy(t, p)
	p.terminate(t)
	until(t, "the drain", p, func() bool { return strings.Contains(p.stderr.String(), "draining") })
	p.terminate(t)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		t.Error("the program goes on after the second signal")
	}
}

func TestADrainThatTakesTooLongIsGivenUpAndTold(t *testing.T) {
	s := newService(t, "FORETOP_DRAIN_TIMEOUT=1s")
	jam(t, s)
	p := start(t, s.env, "run")
	untilBusy(t, p)
	p.terminate(t)
	if code := p.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	holds(t, p.stderr.String(), "they will be delivered again")
}

// untilBusy waits until a batch is in flight: a drain without one is over at once.
func untilBusy(t *testing.T, p *process) {
	t.Helper()
	until(t, "something in flight", p, func() bool {
		address := logged(p, "serving metrics", "address")
		return address != "" && strings.Contains(get(t, "http://"+address+"/metrics"), `foretop_batches_inflight{source="file"} 1`)
	})
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestRunServesMetricsAndHealth(t *testing.T) {
	s := newService(t)
	appendTo(t, s.log, lines(audit(1, "get", "alice")))
	p := start(t, s.env, "run")
	until(t, "the first finding", p, func() bool { return s.findings(t) == 1 })
	base := "http://" + logged(p, "serving metrics", "address")
	until(t, "the settlement", p, func() bool {
		return strings.Contains(get(t, base+"/metrics"), `foretop_items_total{result="evaluated",source="file"} 1`)
	})
	holds(t, get(t, base+"/readyz"), `"status": "ready"`, `"name": "file"`, `"name": "ndjson"`, `"name": "dead-letters"`, "2 in force")
	holds(t, get(t, base+"/healthz"), `"status": "alive"`)
	holds(t, get(t, base+"/metrics"),
		"foretop_build_info{", "foretop_ruleset_info{", `foretop_rules{state="loaded"} 2`,
		`foretop_rule_matches_total{rule="get-used"} 1`, `foretop_rule_matches_total{rule="delete-used"} 0`)
	p.terminate(t)
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestRunReloadsRules(t *testing.T) {
	s := newService(t, "FORETOP_RELOAD_INTERVAL=1s")
	appendTo(t, s.log, lines(audit(1, "get", "alice")))
	p := start(t, s.env, "run")
	until(t, "the first finding", p, func() bool { return s.findings(t) == 1 })
	dir := s.value("FORETOP_RULES")
	write(t, filepath.Join(dir, "bad.yml"), strings.ReplaceAll(strings.ReplaceAll(rule, "%[1]s", "list"), "%[2]d", "7"))
	until(t, "the refusal of a bad rule", p, func() bool { return strings.Contains(p.stderr.String(), "changed rules refused") })
	write(t, filepath.Join(dir, "bad.yml"), strings.NewReplacer("%[1]s", "list", "%[2]d", "7", "%[3]s", "high").Replace(rule))
	until(t, "the new rules", p, func() bool { return strings.Contains(p.stderr.String(), "rules replaced") })
	appendTo(t, s.log, lines(audit(2, "list", "alice")))
	until(t, "the finding of the new rule", p, func() bool { return s.findings(t) == 2 })
}

func TestRunRefusesToStart(t *testing.T) {
	good := newService(t)
	appendTo(t, good.log, lines(audit(1, "get", "alice")))
	bad := filepath.Dir(write(t, filepath.Join(t.TempDir(), "bad.yml"), strings.NewReplacer("%[1]s", "list", "%[2]d", "7", "%[3]s", "extreme").Replace(rule)))
	for name, tc := range map[string]struct {
		env  []string
		want []string
	}{
		"without a source":               {[]string{"FORETOP_SINKS=ndjson"}, []string{"no source is configured", "FORETOP_KAFKA_BROKERS"}},
		"with every problem at once":     {[]string{"FORETOP_KAFKA_TOPICS=a", "FORETOP_BUDGET=x", "FORETOP_WORKERS=many", "FORETOP_KAFKA_BROKER=b"}, []string{"FORETOP_BUDGET", "FORETOP_WORKERS", "FORETOP_KAFKA_BROKERS is required", "did you mean FORETOP_KAFKA_BROKERS?"}},
		"with a setting without effect":  {append(good.env, "FORETOP_ELASTICSEARCH_ADDRESSES=http://localhost:1"), []string{"FORETOP_ELASTICSEARCH_ADDRESSES has no effect", "FORETOP_SINKS"}},
		"with two sources and no names":  {append(good.env, "FORETOP_KAFKA_BROKERS=a:1"), []string{"FORETOP_SOURCES=file,kafka"}},
		"with an invalid rule":           {append(good.env, "FORETOP_RULES="+bad), []string{"bad.yml:"}},
		"with an admin address in use":   {append(good.env, "FORETOP_ADMIN_ADDRESS=192.0.2.1:1"), []string{"admin address 192.0.2.1:1"}},
		"without telling a wrong secret": {append(good.env, "FORETOP_NDJSON_PASSWORD=hunter2hunter2"), []string{"FORETOP_NDJSON_PASSWORD is no setting"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := foretop(t, nil, tc.env, "run").want(t, 1)
			holds(t, r.stderr, tc.want...)
			if strings.Contains(r.stderr, "hunter2") {
				t.Errorf("the secret is told: %s", r.stderr)
			}
		})
	}
}

func TestSeveralSourcesHaveNamesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	one := write(t, filepath.Join(dir, "one.log"), lines(audit(1, "get", "alice")))
	two := write(t, filepath.Join(dir, "two.log"), lines(audit(1, "get", "alice")))
	out := filepath.Join(dir, "out.ndjson")
	r := foretop(t, nil, []string{
		"FORETOP_SOURCES=prod,prod-eu", "FORETOP_SOURCE_PROD_TYPE=file", "FORETOP_SOURCE_PROD_PATHS=" + one, "FORETOP_SOURCE_PROD_CLUSTER_NAME=prod",
		"FORETOP_SOURCE_PROD_EU_TYPE=file", "FORETOP_SOURCE_PROD_EU_PATHS=" + two, "FORETOP_SOURCE_PROD_EU_CLUSTER_NAME=eu",
		"FORETOP_SOURCE_PROD_EU_CLUSTER_ID=arn:aws:eks:eu-west-1:1:cluster/eu",
		"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + out, "FORETOP_STATE_DIR=" + dir, "FORETOP_ADMIN_ADDRESS=127.0.0.1:0",
		"FORETOP_RULES=" + rules(t), "FORETOP_NO_BUILTIN=true",
	}, "run")
	r.want(t, 0)
	got := make(map[string]string)
	for _, d := range documents(t, readFile(t, out)) {
		name, _ := field(d, "orchestrator.cluster.name").(string)
		source, _ := field(d, "foretop.source.name").(string)
		got[source] = name
	}
	if diff := cmp.Diff(map[string]string{"prod": "prod", "prod-eu": "eu"}, got); diff != "" {
		t.Error(diff)
	}
}
