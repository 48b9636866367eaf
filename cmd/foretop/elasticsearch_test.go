package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

const findingsStream, deadLettersStream = "logs-foretop.findings-default", "logs-foretop.deadletters-default"

func TestElasticsearchGetsWhatScanPrints(t *testing.T) {
	es := estest.New(t)
	env := []string{"FORETOP_ELASTICSEARCH_ADDRESSES=" + es.URL}
	holds(t, foretop(t, nil, env, "setup", "elasticsearch", "--dry-run").want(t, 0).stdout, "Dry run")
	holds(t, foretop(t, nil, env, "setup", "elasticsearch").want(t, 0).stdout, "Done")

	s := newService(t, append(env, "FORETOP_FILE_FOLLOW=false", "FORETOP_SINKS=elasticsearch", "FORETOP_DEAD_LETTERS=elasticsearch")...)
	s.env = without(s.env, "FORETOP_NDJSON_PATH")
	appendTo(t, s.log, lines(audit(1, "get", "alice"), `{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`, audit(2, "delete", "bob")))
	foretop(t, nil, s.env, "run").want(t, 0)

	stored := make(map[string]document)
	for id, body := range es.Documents(t, findingsStream) {
		var d document
		if err := json.Unmarshal(body, &d); err != nil {
			t.Fatal(err)
		}
		if field(d, "event.ingested") == nil || field(d, "event.id") != id {
			t.Errorf("id %s, event %v", id, d["event"])
		}
		stored[id] = byID([]document{d})[id]
	}
	printed := foretop(t, nil, nil, "scan", "--output", "ndjson", "--no-builtin", "--rules", s.value("FORETOP_RULES"), "--cluster", "prod", s.log)
	if diff := cmp.Diff(byID(documents(t, printed.stdout)), stored); diff != "" {
		t.Error(diff)
	}
	if n := len(es.Documents(t, deadLettersStream)); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

// A server without our templates is a fault that a human has to cure: the service says so, is not ready, and
// loses nothing.
func TestAServerThatWasNotSetUpShowsInReadiness(t *testing.T) {
	es := estest.New(t)
	s := newService(t, "FORETOP_ELASTICSEARCH_ADDRESSES="+es.URL, "FORETOP_SINKS=elasticsearch")
	s.env = without(s.env, "FORETOP_NDJSON_PATH")
	appendTo(t, s.log, lines(audit(1, "get", "alice")))
	p := start(t, s.env, "run")
	until(t, "the service", p, func() bool { return logged(p, "serving metrics", "address") != "" })
	base := "http://" + logged(p, "serving metrics", "address")
	until(t, "readiness to say so", p, func() bool {
		text := get(t, base+"/readyz")
		return strings.Contains(text, `"status": "not ready"`) && strings.Contains(text, "setup")
	})
	holds(t, get(t, base+"/healthz"), "alive")
	holds(t, foretop(t, nil, []string{"FORETOP_ELASTICSEARCH_ADDRESSES=" + es.URL}, "setup", "elasticsearch").want(t, 0).stdout, "Done")
	until(t, "the finding, without a restart", p, func() bool { return len(es.Documents(t, findingsStream)) == 1 })
	until(t, "readiness", p, func() bool { return strings.Contains(get(t, base+"/readyz"), `"status": "ready"`) })
	p.terminate(t)
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.stderr.String())
	}
}

// value is that of a variable of the service.
func (s *service) value(name string) string {
	for _, pair := range s.env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// without leaves a variable out.
func without(env []string, name string) (out []string) {
	for _, pair := range env {
		if !strings.HasPrefix(pair, name+"=") {
			out = append(out, pair)
		}
	}
	return out
}

func TestSecretsOfEventsAreInNoOutput(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	event := strings.Replace(audit(1, "delete", "alice"), `"responseStatus"`,
		`"requestObject":{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s1","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"pw\":\"`+secret+`\"}}"}},`+
			`"stringData":{"pw":"`+secret+`"},"data":{"token":"`+secret+`"}},"responseStatus"`, 1)
	event = strings.Replace(event, "/secrets/s1", "/secrets/s1?token="+secret+"&access_token="+secret, 1)
	in := lines(event, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":{"stringData":{"password":"`+secret+`"},,`)
	own, dead := rules(t), filepath.Join(t.TempDir(), "dead.ndjson")
	for _, output := range []string{"table", "ndjson", "csv", "html"} {
		r := foretop(t, []byte(in), nil, "scan", "--no-builtin", "--rules", own, "--output", output, "--dead-letter", dead).want(t, 0)
		holds(t, r.stdout, "delete was used")
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("%s holds the secret", output)
		}
	}
	s := newService(t, "FORETOP_FILE_FOLLOW=false", "FORETOP_INCLUDE_BODIES=true", "FORETOP_LOG_LEVEL=debug")
	appendTo(t, s.log, in)
	r := foretop(t, nil, s.env, "run").want(t, 0)
	found, letters := readFile(t, s.out), readFile(t, filepath.Join(s.state, "dead-letters.ndjson"))
	holds(t, found, "delete was used", "foretop")
	for name, text := range map[string]string{
		"the log": r.stderr, "the findings": found, "the dead letters": letters, "the dead letters of scan": readFile(t, dead),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s: the secret is there", name)
		}
		if name != "the log" && text == "" {
			t.Errorf("%s: nothing is there", name)
		}
	}
}
