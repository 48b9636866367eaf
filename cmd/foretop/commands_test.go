package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDemoHoldsAnAttackStory(t *testing.T) {
	story := foretop(t, nil, nil, "demo").want(t, 0)
	r := foretop(t, []byte(story.stdout), nil, "scan", "--fail-on", "critical").want(t, 2)
	holds(t, r.stdout, "critical", "Story", "Privileged container")
}

func TestDecodePrintsEventsWithTheirProvenance(t *testing.T) {
	in := lines(`{"log":`+fmt.Sprintf("%q", audit(1, "get", "alice"))+`,"kubernetes":{"pod_name":"x"}}`, audit(2, "get", "bob"), `{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`, "I1120 a log line")
	r := foretop(t, []byte(in), nil, "decode", "--cluster", "prod").want(t, 0)
	docs := documents(t, r.stdout)
	if len(docs) != 2 {
		t.Fatalf("%d events, want 2\n%s", len(docs), r.stdout)
	}
	for i, want := range []string{"in:log", "native"} {
		provenance, _ := docs[i]["foretop.provenance"].(document)
		if provenance["format"] != want || provenance["cluster"] != "prod" {
			t.Errorf("event %d: %v, want format %s", i, provenance, want)
		}
		if docs[i]["kind"] != "Event" || docs[i]["apiVersion"] != "audit.k8s.io/v1" {
			t.Errorf("event %d is no audit event: %v", i, docs[i])
		}
	}
	holds(t, r.stderr, "not_json", "skipped: text")
	foretop(t, nil, nil, "decode", "/nonexistent").want(t, 3)
}

func TestExplainShowsWhatWasTrueAndWhatWasFalse(t *testing.T) {
	in := []byte(lines(audit(1, "get", "alice"), audit(2, "delete", "bob")))
	args := []string{"explain", "--no-builtin", "--rules", rules(t), "--rule", "delete-used"}
	r := foretop(t, in, nil, args...).want(t, 0)
	holds(t, r.stdout, "false", "true, level high", "verb: wants", "has get", "has delete")
	r = foretop(t, in, nil, append(args, "--limit", "1")...).want(t, 0)
	if strings.Contains(r.stdout, "has delete") || !strings.Contains(r.stderr, "1 events explained") {
		t.Errorf("the limit does not hold: %s%s", r.stdout, r.stderr)
	}
	r = foretop(t, in, nil, append(args, "--audit-id", "00000000-0000-4000-9000-000000000002")...).want(t, 0)
	if strings.Contains(r.stdout, "has get") {
		t.Errorf("events with other audit ids are explained: %s", r.stdout)
	}
	holds(t, foretop(t, in, nil, append(args, "--rule", "none")...).want(t, 1).stderr, `no rule "none" is loaded`)
	holds(t, foretop(t, in, nil, args[:4]...).want(t, 1).stderr, "name the rule")
	holds(t, foretop(t, []byte("\n"), nil, args...).want(t, 1).stderr, "no event to explain")
}

func TestExplainKeepsEventsAsideThatHoldNothingForTheRule(t *testing.T) {
	pod := strings.Replace(audit(2, "create", "bob"), `"responseStatus"`, `"requestObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"x","securityContext":{"privileged":true}}]}},"responseStatus"`, 1)
	pod = strings.Replace(pod, `"resource":"secrets"`, `"resource":"pods"`, 1)
	args := []string{"explain", "--rule", "privileged-container", "--limit", "2"}
	r := foretop(t, []byte(lines(audit(1, "get", "alice"), pod)), nil, args...).want(t, 0)
	holds(t, r.stdout, "bob", "container c", "true, level high")
	holds(t, r.stderr, "not judged by this rule: 1")
	if strings.Contains(r.stdout, "alice") {
		t.Errorf("shows an event that has no container: %s", r.stdout)
	}
	r = foretop(t, []byte(lines(audit(1, "get", "alice"), audit(2, "get", "alice"), audit(3, "get", "alice"))), nil, args...).want(t, 0)
	if n := strings.Count(r.stdout, "not judged: "); n != 2 {
		t.Errorf("%d events are shown, want 2\n%s", n, r.stdout)
	}
}

func TestRulesAreListedAndShown(t *testing.T) {
	own := rules(t)
	r := foretop(t, nil, nil, "rules", "list", "--rules", own).want(t, 0)
	holds(t, r.stdout, "privileged-container", "get-used", "high", "left out", "allowed_registries")
	r = foretop(t, nil, nil, "rules", "show", "--rules", own, "get-used").want(t, 0)
	holds(t, r.stdout, filepath.Join(own, "get.yml")+":1", "title: get was used", "level: low")
	if strings.Contains(r.stdout, "delete") {
		t.Errorf("shows more than the rule: %s", r.stdout)
	}
	holds(t, foretop(t, nil, nil, "rules", "show", "privileged-container").want(t, 0).stdout, "title: Privileged container")
	exception := write(t, filepath.Join(own, "exceptions.yml"), "title: The backup reads\nid: 00000000-0000-4000-8000-000000000009\n"+
		"logsource: {product: kubernetes, service: audit}\nfilter:\n  rules: [get-used]\n  backup: {user.username: backup}\n  condition: not backup\n")
	r = foretop(t, nil, nil, "rules", "show", "--rules", own, "get-used").want(t, 0)
	holds(t, r.stdout, "# exception: The backup reads ("+exception+":1)")
	foretop(t, nil, nil, "rules", "show", "none").want(t, 1)
	foretop(t, nil, nil, "rules", "show").want(t, 1)
}

func TestLintTellsEveryProblemWithItsPlace(t *testing.T) {
	dir := rules(t)
	holds(t, foretop(t, nil, nil, "rules", "lint", dir).want(t, 0).stdout, "0 errors")
	bad := write(t, filepath.Join(dir, "bad.yml"), fmt.Sprintf(rule, "list", 3, "extreme"))
	r := foretop(t, nil, nil, "rules", "lint", dir).want(t, 1)
	holds(t, r.stdout, bad+":", "error: ", "1 errors")
	holds(t, foretop(t, nil, nil, "rules", "lint").want(t, 0).stdout, "0 errors")
}

func TestTestsOfRulesRun(t *testing.T) {
	dir := rules(t)
	write(t, filepath.Join(dir, "testdata", "event.json"), audit(1, "get", "alice"))
	test := "rule: get-used\ncases:\n  - name: a get\n    base: event\n    match: [{verb: get}]\n  - name: near, a list\n    base: event\n    set: {/verb: list}\n    match: []\n"
	path := write(t, filepath.Join(dir, "get_test.yml"), test)
	holds(t, foretop(t, nil, nil, "rules", "test", "--no-builtin", "--rule", "get-used", dir).want(t, 0).stdout, "get-used", "2 cases")
	write(t, path, strings.Replace(test, "/verb: list", "/verb: get", 1))
	junit := filepath.Join(t.TempDir(), "junit.xml")
	r := foretop(t, nil, nil, "rules", "test", "--no-builtin", "--rule", "get-used", "--junit", junit, dir).want(t, 1)
	holds(t, r.stdout, "near, a list")
	holds(t, readFile(t, junit), "<testsuite", "near, a list")
}

func TestConfigListsAndMasks(t *testing.T) {
	holds(t, foretop(t, nil, nil, "config").want(t, 0).stdout, "FORETOP_KAFKA_BROKERS", "FORETOP_ELASTICSEARCH_ADDRESSES", "required")
	holds(t, foretop(t, nil, nil, "config", "--markdown").want(t, 0).stdout, "| `FORETOP_BUDGET` | `64MiB` | size |")
	env := []string{
		"FORETOP_KAFKA_BROKERS=a:1", "FORETOP_KAFKA_TOPICS=t", "FORETOP_KAFKA_SASL_MECHANISM=plain", "FORETOP_KAFKA_SASL_USER=u",
		"FORETOP_KAFKA_SASL_PASSWORD=hunter2hunter2", "FORETOP_ELASTICSEARCH_ADDRESSES=http://localhost:9200",
		"FORETOP_ELASTICSEARCH_API_KEY_FILE=" + write(t, filepath.Join(t.TempDir(), "key"), "hunter2:hunter2\n"),
	}
	r := foretop(t, nil, env, "config", "--effective").want(t, 0)
	holds(t, r.stdout, "a:1", "***", "default", "env", "file")
	wrong := foretop(t, nil, append(env, "FORETOP_BUDGET=lots"), "config", "--effective").want(t, 1)
	holds(t, wrong.stdout, "FORETOP_KAFKA_TOPICS")
	holds(t, wrong.stderr, "FORETOP_BUDGET=lots")
	if strings.Contains(r.stdout+r.stderr+wrong.stdout+wrong.stderr, "hunter2") {
		t.Error("a secret is shown")
	}
	foretop(t, nil, nil, "config", "--effective", "--markdown").want(t, 1)
}

func TestSetupNeedsItsAddressesAndSaysWhich(t *testing.T) {
	holds(t, foretop(t, nil, nil, "setup", "elasticsearch").want(t, 1).stderr, "FORETOP_ELASTICSEARCH_ADDRESSES is required")
	holds(t, foretop(t, nil, nil, "setup", "kibana").want(t, 1).stderr, "FORETOP_KIBANA_URL is required")
	holds(t, foretop(t, nil, nil, "setup", "grafana").want(t, 1).stderr, `no command "grafana"`)
	env := []string{"FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "FORETOP_KAFKA_BROKERS=a:1", "FORETOP_KIBANA_URL=http://localhost:5601"}
	r := foretop(t, nil, env, "setup", "elasticsearch", "--dry-run").want(t, 1)
	holds(t, r.stderr, "refused")
}

func TestHelpShowsExamples(t *testing.T) {
	for _, command := range []string{"scan", "run", "decode", "rules list", "rules show", "rules lint", "rules test", "explain", "setup elasticsearch", "setup kibana", "config", "demo"} {
		r := foretop(t, nil, nil, append(strings.Fields(command), "--help")...).want(t, 0)
		holds(t, r.stdout, "Examples:", "foretop ")
	}
	holds(t, foretop(t, nil, nil, "completion", "bash").want(t, 0).stdout, "bash completion")
	holds(t, foretop(t, nil, nil, "version").want(t, 0).stdout, "foretop ", "go1.")
	holds(t, foretop(t, nil, nil, "scna").want(t, 1).stderr, `unknown command "scna"`, "scan")
}
