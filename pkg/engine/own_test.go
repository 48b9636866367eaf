package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// own is a rule of ours on containers, with room for more under x-foretop and for filters.
func own(extension, filters string) string {
	return `title: Privileged
id: 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52
name: privileged
status: stable
description: x
logsource: {product: kubernetes, service: audit, category: container}
detection:
  write: {verb: [create, update, patch], outcome: [success, unknown], dryRun: false, record.touched: true}
  privileged: {container.securityContext.privileged: true}
  system: {objectRef.namespace: kube-system}
  agent: {workload.kind: DaemonSet}
  condition: write and privileged
falsepositives: [none]
level: high
tags: [attack.privilege_escalation, attack.t1611]
x-foretop:
  needs: {level: Request}
  reason: "{user.username} runs {container.name} in {workload.name}"
  respond: ask
` + extension + filters
}

const privilegedPod = `{"kind":"Pod","metadata":{"name":"w-x","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"w","controller":true}]},"spec":{"containers":[{"name":"a","image":"x","securityContext":{"privileged":true}}]}}`

func by(user, doc string) string {
	return strings.Replace(doc, `"username":"u"`, `"username":"`+user+`"`, 1)
}

func TestControlledWorkloadsAreLeftOutAndCounted(t *testing.T) {
	created := write("create", "pods", "", privilegedPod, "")
	for _, c := range []struct {
		name, doc string
		matches   int
		counted   int
	}{
		{"the controller of the owner's kind", by("system:serviceaccount:kube-system:replicaset-controller", created), 0, 1},
		{"the controller manager without accounts", by("system:kube-controller-manager", created), 0, 1},
		{"another controller", by("system:serviceaccount:kube-system:job-controller", created), 1, 0},
		{"the same name in another namespace", by("system:serviceaccount:dev:replicaset-controller", created), 1, 0},
		{"a person who forged the owner", by("mallory", created), 1, 0},
		{"somebody who impersonates the controller", strings.Replace(by("mallory", created), `"objectRef"`, `"impersonatedUser":{"username":"system:serviceaccount:kube-system:replicaset-controller"},"objectRef"`, 1), 1, 0},
		{"the controller without an owner", by("system:serviceaccount:kube-system:replicaset-controller", strings.Replace(created, `"controller":true`, `"controller":false`, 1)), 1, 0},
		{"an owner of that kind in another group", by("system:serviceaccount:kube-system:replicaset-controller", strings.Replace(created, `apps/v1`, `evil.example/v1`, 1)), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(compile(t, own("", "")), c.doc)
			if len(v.Matches) != c.matches || len(v.ControlledMatches) != c.counted {
				t.Errorf("%d matches and %v controlled, want %d and %d", len(v.Matches), v.ControlledMatches, c.matches, c.counted)
			}
		})
	}
	t.Run("judged where the rule says so", func(t *testing.T) {
		v := judge(compile(t, own("  controlled: judge\n", "")), by("system:serviceaccount:kube-system:replicaset-controller", created))
		if len(v.Matches) != 1 {
			t.Errorf("%+v", v)
		}
	})
	t.Run("a controller's update of its own kind", func(t *testing.T) {
		_, _, deployment := workload("Deployment", `{"containers":[{"name":"a","securityContext":{"privileged":true}}]}`)
		v := judge(compile(t, own("", "")), by("system:serviceaccount:kube-system:deployment-controller", write("update", "deployments", "apps", deployment, "")))
		if len(v.Matches) != 0 || len(v.ControlledMatches) != 1 {
			t.Errorf("%+v", v)
		}
	})
}

const filterDocument = `---
title: Agent
id: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a11
logsource: {product: kubernetes, service: audit, category: container}
filter:
  rules: [privileged]
  agent: {image.repository: acme/agent, image.registry: registry.example.com}
  condition: not agent
x-foretop: {owner: us, reason: why`

func TestFiltersApplyToTheElementTheyDescribe(t *testing.T) {
	set := compile(t, own("", filterDocument+"}\n"))
	pod := func(images ...string) string {
		var list []string
		for _, i := range images {
			list = append(list, `{"name":"`+i+`","image":"`+i+`","securityContext":{"privileged":true}}`)
		}
		return write("create", "pods", "", `{"kind":"Pod","spec":{"containers":[`+strings.Join(list, ",")+`]}}`, "")
	}
	if v := judge(set, pod("registry.example.com/acme/agent:1")); len(v.Matches) != 0 || len(v.Suppressed) != 1 {
		t.Errorf("the excepted container alone: %+v", v)
	}
	v := judge(set, pod("registry.example.com/acme/agent:1", "evil.example/acme/agent:1"))
	if len(v.Matches) != 1 || v.Matches[0].Count != 1 || v.Matches[0].Elements[0].Name != "evil.example/acme/agent:1" || len(v.Matches[0].Suppressed) != 1 {
		t.Errorf("an excepted container hid another one: %+v", v)
	}
}

func TestFiltersExpireByTheEventsTime(t *testing.T) {
	set := compile(t, own("", filterDocument+", expires: 2026-03-01}\n"))
	doc := strings.Replace(write("create", "pods", "", `{"kind":"Pod","spec":{"containers":[{"name":"a","image":"registry.example.com/acme/agent:1","securityContext":{"privileged":true}}]}}`, ""),
		`"verb"`, `"stageTimestamp":"TIME","verb"`, 1)
	for at, want := range map[string]int{"2026-02-27T23:00:00.000000Z": 0, "2026-03-05T00:00:00.000000Z": 1} {
		if got := len(judge(set, strings.Replace(doc, "TIME", at, 1)).Matches); got != want {
			t.Errorf("at %s: %d matches, want %d", at, got, want)
		}
	}
}

func TestLevelsAreDecidedByTheFirstTrueRow(t *testing.T) {
	set := compile(t, own("  levels:\n    - {when: agent, level: medium, because: node agent}\n    - {when: system, level: critical, because: system}\n", ""))
	_, _, daemon := workload("DaemonSet", `{"containers":[{"name":"a","securityContext":{"privileged":true}}]}`)
	for _, c := range []struct {
		doc  string
		want sigma.Level
	}{
		{write("create", "daemonsets", "apps", daemon, ""), sigma.Medium},
		{write("create", "pods", "", privilegedPod, ""), sigma.High},
		{strings.Replace(write("create", "pods", "", privilegedPod, ""), `"namespace":"n"`, `"namespace":"kube-system"`, 1), sigma.Critical},
	} {
		v := judge(set, c.doc)
		if len(v.Matches) != 1 || v.Matches[0].Level != c.want {
			t.Errorf("%+v, want level %v", v.Matches, c.want)
		}
	}
}

func TestUnknownIsNotAbsent(t *testing.T) {
	set := compile(t, thirdParty("s: {verb: list}\nhuman: {user.groups: dev}\ncondition: s and not human"))
	doc := `{"stage":"ResponseComplete","verb":"list","user":{"username":"u"}}`
	if v := judge(set, doc); len(v.Matches) != 1 {
		t.Error("an absent group did not match `not human`")
	}
	missing := &event.Envelope{Missing: []string{"user.groups"}}
	for _, item := range []string{"user.groups: null", "user.groups|exists: false", "user.groups|neq: dev", "user.groups|exists: true", "user.groups: dev"} {
		if v := judgeIn(compile(t, thirdParty("s: {verb: list, "+item+"}\ncondition: s")), doc, missing); len(v.Matches) != 0 || len(v.Blind) != 1 {
			t.Errorf("%s on groups that the provider cannot give: %+v", item, v)
		}
	}
	v := judgeIn(set, doc, missing)
	if len(v.Matches) != 0 || len(v.Blind) != 1 || v.Blind[0].Field != "user.groups" {
		t.Errorf("groups that the provider cannot give: %+v", v)
	}
}

func TestTruncatedEventsAreJudgedOnWhatIsLeft(t *testing.T) {
	// The decoder closes the prefix: here the cut was within requestObject.
	doc := `{"stage":"ResponseComplete","verb":"create","requestURI":"/api/v1/namespaces/n/pods","user":{"username":"u"},"objectRef":{"resource":"pods","namespace":"n"},"responseStatus":{"code":201},
		"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"a","securityContext":{"privileged":true}}]}}}`
	cut := &event.Envelope{Truncated: true}
	if v := judgeIn(compile(t, own("", "")), doc, cut); len(v.Matches) != 1 {
		t.Errorf("what the prefix says did not match: %+v", v)
	}
	hostPID := compile(t, derivedRule("pod", "p: {pod.hostPID: true}\ncondition: p"))
	if v := judgeIn(hostPID, doc, cut); len(v.Matches) != 0 || len(v.Blind) != 1 {
		t.Errorf("what may lie behind the cut is not unknown: %+v", v)
	}
	annotation := compile(t, thirdParty("s: {verb: create}\nn: {annotations.x: y}\ncondition: s and not n"))
	if v := judgeIn(annotation, doc, cut); len(v.Matches) != 0 || len(v.Blind) != 1 {
		t.Errorf("annotations come behind the cut: %+v", v)
	}
	impersonated := compile(t, thirdParty("s: {verb: create, impersonatedUser.username: null}\ncondition: s"))
	if v := judgeIn(impersonated, doc, cut); len(v.Matches) != 0 || len(v.Blind) != 1 {
		t.Errorf("keys in another order than the API server's tell nothing of absent ones: %+v", v)
	}
	native := strings.Replace(doc, `"verb":"create","requestURI":"/api/v1/namespaces/n/pods"`, `"requestURI":"/api/v1/namespaces/n/pods","verb":"create"`, 1)
	if v := judgeIn(impersonated, native, cut); len(v.Matches) != 1 {
		t.Errorf("the API server writes impersonatedUser before objectRef: %+v", v)
	}
	before := compile(t, thirdParty("s: {verb: create}\nn: {objectRef.name: y}\ncondition: s and not n"))
	if v := judgeIn(before, doc, cut); len(v.Matches) != 1 {
		t.Errorf("objectRef lies before the cut, whole: %+v", v)
	}
}

func TestAForeignMemberBeforeTheCutSaysNothingOfTheOthers(t *testing.T) {
	set := compile(t, thirdParty("s: {userAgent: [curl, '']}\ncondition: s"))
	cut := &event.Envelope{Truncated: true}
	if v := judgeIn(set, `{"verb":"get","user":{"username":"a"},"sourceIPs":["1.2.3.4"],"shipper":7}`, cut); len(v.Matches) != 0 || len(v.Blind) != 1 {
		t.Errorf("userAgent may lie behind the cut: %+v", v)
	}
}

func TestBodiesThatTheLevelLeftOutMakeRulesBlind(t *testing.T) {
	v := judge(compile(t, own("", "")), write("create", "pods", "", "", ""))
	if len(v.Matches) != 0 || len(v.Blind) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestRequestReceivedIsJudgedByRulesThatNameTheStage(t *testing.T) {
	doc := `{"stage":"RequestReceived","verb":"get"}`
	if v := judge(compile(t, thirdParty("s: {verb: get}\ncondition: s")), doc); !v.SkippedStage || len(v.Matches) != 0 {
		t.Errorf("%+v", v)
	}
	if v := judge(compile(t, thirdParty("s: {verb: get, stage: RequestReceived}\ncondition: s")), doc); v.SkippedStage || len(v.Matches) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestARuleThatPanicsStopsNoOther(t *testing.T) {
	set := compile(t, thirdParty("s: {verb: get}\ncondition: s"), strings.Replace(thirdParty("s: {verb: get}\ncondition: s"), "1111", "2222", 1))
	set.rules[0].selections = nil
	v := judge(set, `{"verb":"get"}`)
	if len(v.Panics) != 1 || len(v.Matches) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestFieldsThatDoNotExistRejectRulesOfOurs(t *testing.T) {
	text := strings.Replace(own("", ""), "container.securityContext.privileged", "contianer.privileged", 1)
	c := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(text)}}, sigma.Options{})
	set, problems := Compile(c, Options{})
	if len(set.Rules()) != 0 || len(problems) != 1 || problems[0].Warning || problems[0].Source.Line != 9 {
		t.Errorf("%d rules, problems %v", len(set.Rules()), problems)
	}
}

func TestRulesOfOursMustSayWhichOutcomeAndNoDryRun(t *testing.T) {
	for _, field := range []string{"outcome: [success, unknown], ", "dryRun: false, "} {
		text := strings.Replace(own("", ""), field, "", 1)
		c := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(text)}}, sigma.Options{})
		if set, problems := Compile(c, Options{}); len(set.Rules()) != 0 || len(problems) != 1 {
			t.Errorf("without %s: %d rules, problems %v", field, len(set.Rules()), problems)
		}
	}
}

func TestNothingIsAllocatedForAnEventThatMatchesNothing(t *testing.T) {
	set := compile(t, own("", filterDocument+"}\n"), strings.Replace(thirdParty("s: {verb: delete, userAgent|contains: curl}\ncondition: s"), "1111", "2222", 1))
	j, v := set.NewJudge(), new(Verdict)
	env := envelope()
	for name, doc := range map[string]string{
		"a read":  `{"stage":"ResponseComplete","verb":"get","requestURI":"/api/v1/pods?limit=1","user":{"username":"Bob \u003c"},"userAgent":"CURL","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`,
		"a write": by("u", write("create", "configmaps", "", `{"kind":"ConfigMap","data":{"a":"b"}}`, "")),
	} {
		doc := []byte(doc)
		if n := testing.AllocsPerRun(100, func() { j.Judge(doc, env, v) }); n != 0 {
			t.Errorf("%s: %v allocations an event", name, n)
		}
	}
}

func TestMatchesOwnTheirBytes(t *testing.T) {
	set := compile(t, own("", ""))
	doc := []byte(write("create", "pods", "", privilegedPod, ""))
	v := new(Verdict)
	set.NewJudge().Judge(doc, envelope(), v)
	for i := range doc {
		doc[i] = 'X'
	}
	if source := v.Matches[0].BodySource; source != "requestObject" {
		t.Errorf("the body was read from %q", source)
	}
	e := v.Matches[0].Elements[0]
	if e.Name != "a" || e.Fields["user.username"][0] != "u" || e.Fields["workload.name"][0] != "w-x" {
		t.Errorf("the match changed with the buffer: %+v", e)
	}
}

func TestExplainTellsWhatWasFalse(t *testing.T) {
	set := compile(t, own("", filterDocument+"}\n"))
	x, err := set.Explain([]byte(write("create", "pods", "", `{"kind":"Pod","spec":{"containers":[{"name":"a","image":"nginx"}]}}`, "")), envelope(), "privileged")
	if err != nil || len(x.Records) != 1 || x.Records[0].Result != "false" {
		t.Fatalf("%+v %v", x, err)
	}
	results := map[string]string{}
	for _, s := range x.Records[0].Selections {
		results[s.Name] = s.Result
	}
	if results["write"] != "true" || results["privileged"] != "false" {
		t.Errorf("%v", results)
	}
	if x, _ := set.Explain([]byte(`{"verb":"get","objectRef":{"resource":"pods"}}`), envelope(), "privileged"); x.Note == "" {
		t.Error("no note for an event without records")
	}
	if _, err := set.Explain(nil, envelope(), "nope"); err == nil {
		t.Error("no error for a rule that does not exist")
	}
}

func TestTimeOfAnEventFallsBackToTheShippers(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	j := compile(t, thirdParty("s: {verb: get}\ncondition: s")).NewJudge()
	j.env, j.verdict = &event.Envelope{Time: at}, new(Verdict)
	j.scanHeader(parsed(&j.index, []byte(`{"verb":"get"}`)))
	if got := j.eventTime(); !got.Equal(at) {
		t.Error(got)
	}
}

func TestMatchesBelowALevelAreNotDescribed(t *testing.T) {
	j, v := compile(t, thirdParty("s: {verb: get}\ncondition: s")).NewJudge(), new(Verdict)
	for level, described := range map[sigma.Level]bool{sigma.Medium: true, sigma.High: false} {
		j.DescribeFrom(level)
		j.Judge([]byte(`{"verb":"get"}`), envelope(), v)
		if len(v.Matches) != 1 || v.Matches[0].Count != 1 || v.Matches[0].Level != sigma.Medium || (len(v.Matches[0].Elements) == 1) != described {
			t.Errorf("from %s: %+v", level, v.Matches)
		}
	}
}
