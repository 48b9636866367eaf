package ruletest

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/engine"
)

var update = flag.Bool("update", false, "write the goldens")

const rule = `title: Privileged container
id: 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52
name: privileged
logsource: {product: kubernetes, service: audit, category: container}
detection:
  write: {verb: [create, update], outcome: success, dryRun: false}
  privileged: {container.securityContext.privileged: true}
  _mesh: {container.name: mesh}
  condition: write and privileged
falsepositives: [Node agents]
level: high
tags: [attack.t1611]
x-foretop:
  needs: {level: Request}
  levels: [{when: _mesh, level: low, because: part of the mesh}]
  reason: "{user.username} runs {container.name} privileged"
  respond: Ask.
---
title: The node agent
id: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a11
logsource: {product: kubernetes, service: audit, category: container}
filter:
  rules: [privileged]
  agent: {container.name: agent, objectRef.namespace: kube-system}
  condition: not agent
x-foretop: {owner: us, reason: It reads counters of the kernel}
`

const base = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a-1","stage":"ResponseComplete",
"requestURI":"/apis/apps/v1/namespaces/shop/deployments","verb":"create","user":{"username":"alice","groups":["dev","system:authenticated"]},
"sourceIPs":["192.0.2.7"],"userAgent":"kubectl/v1.36.0",
"objectRef":{"resource":"deployments","namespace":"shop","name":"web","apiGroup":"apps","apiVersion":"v1"},
"responseStatus":{"code":201},
"requestObject":{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","namespace":"shop"},
 "spec":{"template":{"spec":{"containers":[{"name":"app","image":"shop/app:1"},{"name":"side","image":"shop/side:1"}]}}}},
"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:05.100000Z",
"annotations":{"authorization.k8s.io/decision":"allow"}}`

const passing = `rule: privileged
cases:
  - name: the second container
    base: deployment
    set: {/requestObject/spec/template/spec/containers/1/securityContext/privileged: true}
    match: [{container.name: side, user.groups: [dev], objectRef.apiGroup: apps, container.nothing: null}]
    level: high
    also:
      - name: and a third, of the mesh
        set:
          /requestObject/spec/template/spec/containers/-/name: mesh
          /requestObject/spec/template/spec/containers/2/securityContext: {privileged: true}
        match: [{name: mesh}, {name: side}]
        level: high
      - set: {/requestObject/spec/template/spec/containers/1/name: mesh}
        match: [{path: "requestObject.spec.template.spec.containers[1]"}]
        level: low
  - name: near, escalation allowed
    base: deployment
    set: {/requestObject/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation: true}
    match: []
    also:
      - unset: [/responseStatus]
        set: {/requestObject/spec/template/spec/containers/0/securityContext/privileged: true}
        match: []
  - name: the agent is excepted
    base: deployment
    set:
      /objectRef/namespace: kube-system
      /requestObject/spec/template/spec/containers/0: {name: agent, securityContext: {privileged: true}}
    match: []
    filter: The node agent
    also:
      - set: {/objectRef/namespace: other}
        match: [{container.name: agent}]
`

// tree is a directory with the rule, its tests and the recorded event, and other files by name.
func tree(tests string, more ...string) fstest.MapFS {
	fsys := fstest.MapFS{
		"rules/tactic/privileged.yml":      {Data: []byte(rule)},
		"rules/tactic/privileged_test.yml": {Data: []byte(tests)},
		"rules/testdata/deployment.json":   {Data: []byte(base)},
	}
	for i := 0; i+1 < len(more); i += 2 {
		fsys[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	return fsys
}

func run(t *testing.T, fsys fstest.MapFS) *Report {
	t.Helper()
	r, err := Run(Options{Dirs: []Dir{{FS: fsys, Root: "rules", Tested: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func details(r *Report) string {
	var b strings.Builder
	if err := WriteTable(&b, r, true); err != nil {
		panic(err)
	}
	return b.String()
}

func TestARuleWithAllItsTestsPasses(t *testing.T) {
	r := run(t, tree(passing))
	if !r.OK() {
		t.Fatal(details(r))
	}
	var got []string
	for _, c := range r.Suites[0].Cases {
		kind := ""
		switch {
		case c.Matching:
			kind = "match"
		case c.Near:
			kind = "near"
		}
		got = append(got, kind+"|"+c.Filter+"|"+c.Name)
	}
	want := []string{
		"match||the second container", "match||the second container: and a third, of the mesh", "match||the second container (also 2)",
		"near||near, escalation allowed", "near||near, escalation allowed (also 1)",
		"|The node agent|the agent is excepted", "match||the agent is excepted (also 1)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// oneCase is a test file with a single case, given as the lines below its name.
func oneCase(lines string) string {
	return "rule: privileged\ncases:\n  - name: case\n    base: deployment\n    " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n    ") + "\n"
}

func TestFailingCasesSayWhatWasFound(t *testing.T) {
	const on = "set: {/requestObject/spec/template/spec/containers/1/securityContext/privileged: true}\n"
	tests := []struct {
		name, lines string
		want        []string
	}{
		{"no match where one is wanted", "match: [{container.name: side}]",
			[]string{"want 1 element, got no match", `- {container.name: "side"}`, "containers[0] is false", `privileged wants container.securityContext.privileged is "true"`, "has nothing"}},
		{"another element", on + "match: [{container.name: app}]",
			[]string{"want 1 element, got 1 element", `- {container.name: "app"}`, `+ requestObject.spec.template.spec.containers[1] {container.name: "side"}`}},
		{"a match where none is wanted", on + "match: []",
			[]string{"want no match, got 1 element", `+ requestObject.spec.template.spec.containers[1] {name: "side"}`}},
		{"a value of a list that is missing", on + "match: [{user.groups: [dev, ops]}]",
			[]string{`- {user.groups: ["dev", "ops"]}`, `{user.groups: ["dev", "system:authenticated"]}`}},
		{"a field that should be absent", on + "match: [{objectRef.name: null}]",
			[]string{"- {objectRef.name: nothing}", `{objectRef.name: "web"}`}},
		{"another level", on + "match: [{}]\nlevel: low", []string{"want level low, got high"}},
		{"a level with its reason", on[:len(on)-2] + ", /requestObject/spec/template/spec/containers/1/name: mesh}\nmatch: [{}]\nlevel: high",
			[]string{"want level high, got low (part of the mesh)"}},
		{"a filter in the way", on[:len(on)-2] + ", /requestObject/spec/template/spec/containers/1/name: agent, /objectRef/namespace: kube-system}\nmatch: [{}]",
			[]string{`suppressed by the filter "The node agent"`}},
		{"a filter that does nothing", "match: []\nfilter: The node agent", []string{`filter "The node agent" suppressed nothing`}},
		{"a filter that is not there", "match: []\nfilter: Another", []string{`filter "Another" does not apply to the rule`}},
		{"an unknown field", "envelope: {provider: gke, missing: [responseStatus]}\nunset: [/responseStatus]\n" + on + "match: [{}]", []string{"undecided: outcome is unknown"}},
		{"a category without records", "set: {/verb: delete}\nmatch: [{}]", []string{"a container rule judges the objects that create, update and patch requests write"}},
		{"an event that is not there", "match: []\nalso: [{base: nothing, match: []}]", []string{"base nothing is not there; record an event as testdata/nothing.json"}},
		{"an event outside", "match: []\nalso: [{base: ../../secret, match: []}]", []string{`base "../../secret" is no name of a file`}},
		{"an event that is no JSON", "match: []\nalso: [{base: broken, match: []}]", []string{"base broken is no JSON object"}},
		{"two events", "match: []\nalso: [{base: two, match: []}]", []string{"base two holds more than one JSON value"}},
		{"a pointer beyond a list", "set: {/sourceIPs/5: x}\nmatch: []", []string{"line 5: /sourceIPs/5: index 5 is beyond the list's end (1 elements)"}},
		{"a pointer below text", "set: {/verb/x: y}\nmatch: []", []string{`/verb/x: "x" lies below a plain value`}},
		{"a name at a list", "set: {/sourceIPs/x: y}\nmatch: []", []string{`"x" stands at a list`}},
		{"nothing to remove", "unset: [/user/uid]\nmatch: []", []string{"/user/uid: there is nothing to remove"}},
		{"nothing to remove in a list", "unset: [/sourceIPs/1]\nmatch: []", []string{"/sourceIPs/1: there is nothing to remove"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tree(oneCase(tt.lines), "rules/testdata/broken.json", "[1", "rules/testdata/two.json", "{} {}"))
			if len(r.Suites) == 0 {
				t.Fatal(details(r))
			}
			cases := r.Suites[0].Cases
			last := cases[len(cases)-1]
			if last.Passed {
				t.Fatal("the case passed")
			}
			for _, want := range tt.want {
				if !strings.Contains(last.Detail, want) {
					t.Errorf("the detail does not say %q:\n%s", want, last.Detail)
				}
			}
		})
	}
}

func problems(r *Report) []string {
	var all []string
	for _, p := range r.Problems {
		all = append(all, p.Source.String()+" "+p.Message)
	}
	return all
}

func TestRulesAndFiltersOfOursMustHaveTests(t *testing.T) {
	const two = "the rule has 1 matching cases and 1 near misses"
	few := `rule: 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52
cases:
  - {name: one, base: deployment, set: {/requestObject/spec/template/spec/containers/1/securityContext/privileged: true}, match: [{}]}
  - {name: near, base: deployment, match: []}
  - {name: silent but not called so, base: deployment, match: []}
`
	got := problems(run(t, tree(few)))
	if len(got) != 2 || !strings.HasPrefix(got[0], "rules/tactic/privileged.yml:1 "+two) ||
		!strings.HasPrefix(got[1], "rules/tactic/privileged.yml:19 no passing case shows the exception at work") {
		t.Errorf("problems %q", got)
	}

	fsys := tree(passing)
	delete(fsys, "rules/tactic/privileged_test.yml")
	if got := problems(run(t, fsys)); len(got) != 2 || !strings.Contains(got[0], "0 matching cases and 0 near misses") {
		t.Errorf("problems %q", got)
	}

	failing := strings.Replace(passing, "/objectRef/namespace: kube-system", "/objectRef/namespace: shop", 1)
	if got := problems(run(t, tree(failing))); len(got) != 1 || !strings.Contains(got[0], "no passing case") {
		t.Errorf("a failing case counts for its filter: %q", got)
	}

	third := "title: t\nid: 11111111-1111-4111-8111-111111111111\nlevel: low\nlogsource: {product: kubernetes}\ndetection: {a: {verb: get}, condition: a}\n" +
		"---\ntitle: f\nlogsource: {product: kubernetes}\nfilter: {rules: any, a: {verb: list}, condition: not a}\n"
	if r := run(t, tree(passing, "rules/third.yml", third)); !r.OK() {
		t.Errorf("others' rules need no tests: %q", problems(r))
	}
}

func TestOnlyTestedDirectoriesAreHeldToTests(t *testing.T) {
	builtin := tree(passing)
	delete(builtin, "rules/tactic/privileged_test.yml")
	site := fstest.MapFS{
		"site.yml":      {Data: []byte("title: Site\nlogsource: {product: kubernetes, category: container}\nfilter: {rules: [privileged], a: {container.name: side}, condition: not a}\nx-foretop: {owner: us, reason: ours}\nid: 33333333-3333-4333-8333-333333333333\n")},
		"site_test.yml": {Data: []byte(oneCase("set: {/requestObject/spec/template/spec/containers/1/securityContext/privileged: true}\nmatch: []\nfilter: 33333333-3333-4333-8333-333333333333"))},
	}
	r, err := Run(Options{Dirs: []Dir{{Name: "builtin", FS: builtin, Root: "rules"}, {Name: "/etc/site", FS: site, Root: ".", Tested: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || len(r.Suites) != 1 || r.Suites[0].Source.File != "/etc/site/site_test.yml" {
		t.Error(details(r))
	}
}

func TestBrokenRulesAreProblems(t *testing.T) {
	r := run(t, tree(passing, "rules/bad.yml", strings.Replace(rule, "condition: write and privileged", "condition: nobody", 1)))
	if got := strings.Join(problems(r), "\n"); !strings.Contains(got, `rules/bad.yml:9 condition: unknown selection "nobody"`) {
		t.Errorf("problems %s", got)
	}
	unknown := strings.Replace(rule, "container.securityContext.privileged: true", "no.such.field: true", 1)
	if got := strings.Join(problems(run(t, tree(passing, "rules/tactic/privileged.yml", unknown))), "\n"); !strings.Contains(got, "no.such.field") {
		t.Errorf("problems %s", got)
	}
}

func TestARuleThatWaitsIsTestedWithAListOfItsTestFile(t *testing.T) {
	waiting := strings.Replace(rule, "needs: {level: Request}", "needs: {level: Request, placeholders: [trusted]}", 1)
	waiting = strings.Replace(waiting, "  condition: write and privileged", "  trusted: {'user.username|expand': '%trusted%'}\n  condition: write and privileged and not trusted", 1)
	without := run(t, tree(passing, "rules/tactic/privileged.yml", waiting))
	if got := strings.Join(problems(without), "\n"); !strings.Contains(got, "needs the site list trusted; give the list in the test file under placeholders") {
		t.Errorf("problems %s", got)
	}
	with := run(t, tree("placeholders: {trusted: [bob]}\n"+passing, "rules/tactic/privileged.yml", waiting))
	if !with.OK() {
		t.Error(details(with))
	}
	trusted := run(t, tree("placeholders: {trusted: [alice]}\n"+passing, "rules/tactic/privileged.yml", waiting))
	if _, failed := trusted.Count(); failed == 0 {
		t.Error("the list has no effect")
	}
}

func TestOneRuleCanBeTestedAlone(t *testing.T) {
	r, err := Run(Options{Rule: "other", Dirs: []Dir{{FS: tree(passing), Root: "rules", Tested: true}}})
	if err != nil || !r.OK() || len(r.Suites) != 0 {
		t.Errorf("%v\n%s", err, details(r))
	}
	r, err = Run(Options{Rule: "privileged", Dirs: []Dir{{FS: tree(passing), Root: "rules", Tested: true}}})
	if err != nil || !r.OK() || len(r.Suites) != 1 {
		t.Errorf("%v\n%s", err, details(r))
	}
}

func TestAnUnreadableDirectoryIsAnError(t *testing.T) {
	if _, err := Run(Options{Dirs: []Dir{{FS: fstest.MapFS{}, Root: "rules"}}}); err == nil {
		t.Error("no error")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestReportsAreWrittenAsTableAndJUnit(t *testing.T) {
	tests := strings.Replace(passing, "match: [{name: mesh}, {name: side}]", `match: [{name: mesh}, {name: "<&\e[31m"}]`, 1)
	r := run(t, tree(tests, "rules/bad.yml", "title: x\nlogsource: {product: kubernetes}\ndetection: {a: {verb|foo: get}, condition: a}\n"))
	var table, verbose, junit bytes.Buffer
	for _, err := range []error{WriteTable(&table, r, false), WriteTable(&verbose, r, true), WriteJUnit(&junit, r)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "table.golden", table.String())
	golden(t, "verbose.golden", verbose.String())
	golden(t, "junit.golden.xml", junit.String())
	var parsed junitSuites
	if err := xml.Unmarshal(junit.Bytes(), &parsed); err != nil || parsed.Tests != 8 || parsed.Failures != 2 {
		t.Errorf("%v: %d tests, %d failures", err, parsed.Tests, parsed.Failures)
	}
	if strings.ContainsRune(verbose.String(), 0x1b) {
		t.Error("the table holds a control character")
	}
}

func TestElementsFindTheirOwnDescriptions(t *testing.T) {
	// The first description fits both elements, the second only the first element.
	f := finding{doc: map[string]any{}}
	missing, surplus := f.assign(
		[]expectation{{{"kind", []string{"c"}}}, {{"kind", []string{"c"}}, {"only", []string{"first"}}}},
		elements(map[string][]string{"kind": {"c"}, "only": {"first"}}, map[string][]string{"kind": {"c"}}),
	)
	if len(missing)+len(surplus) != 0 {
		t.Errorf("left over: %v %v", missing, surplus)
	}
}

func elements(fields ...map[string][]string) []engine.Element {
	var all []engine.Element
	for _, f := range fields {
		all = append(all, engine.Element{Fields: f})
	}
	return all
}
