package engine

import (
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

// elementFates is fates for rules on derived records.
func elementFates(t *testing.T, doc string, env *event.Envelope, category string, want map[string]string) {
	t.Helper()
	for item, want := range want {
		if got := fate(judgeIn(compile(t, derivedRule(category, "s:\n  "+item+"\ncondition: s")), doc, env)); got != want {
			t.Errorf("%s: %s, want %s, on %s", item, got, want, doc)
		}
	}
}

func TestWhatAPatchDoesNotNameIsUnknownWithoutItsResult(t *testing.T) {
	doc := `{"verb":"patch","user":{"username":"u"},"objectRef":{"resource":"deployments","apiGroup":"apps","name":"d"},"responseStatus":{"code":200},
		"requestObject":{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x"}]}}}}}`
	elementFates(t, doc, envelope(), "container", map[string]string{
		"container.name: a": "match", "container.name: b": "blind", "container.securityContext.runAsNonRoot: true": "blind", "container.securityContext.runAsNonRoot: null": "blind",
		"container.type: container": "match", "container.type: initContainer": "no", "image.repository: library/x": "match", "image.tag: null": "match", "image.tag: '1'": "no",
		"workload.kind: Deployment": "match", "workload.kind: Pod": "no", "workload.name: d": "match", "workload.containers: 1": "blind", "workload.controlled: false": "match",
		"record.touched: true": "match", "record.touched: false": "no", "verb: create": "no", "user.username: v": "no",
	})
	excepted := compile(t, derivedRule("container", "s: {container.name: a}\nn: {container.securityContext.runAsNonRoot: true}\ncondition: s and not n"))
	if got := fate(judge(excepted, doc)); got != "blind" {
		t.Errorf("an exception that the rest of the object may meet: %s", got)
	}
	if got := fate(judge(compile(t, derivedRule("container", "s: [nothing]\ncondition: s")), doc)); got != "no" {
		t.Errorf("keywords are searched for in the event, which is whole: %s", got)
	}
	byController := strings.Replace(doc, `"u"`, `"system:serviceaccount:kube-system:job-controller"`, 1)
	elementFates(t, byController, envelope(), "container", map[string]string{"workload.controlled: false": "blind", "workload.controlled: true": "blind"})
	// The verdict on one event says nothing of the next.
	j, v := excepted.NewJudge(), new(Verdict)
	j.Judge([]byte(doc), envelope(), v)
	j.Judge([]byte(strings.Replace(doc, `"patch"`, `"create"`, 1)), envelope(), v)
	if fate(v) != "match" {
		t.Errorf("a whole object after a patch: %+v", v)
	}
}

func TestRulesOnElementsAreBlindToThoseBehindTheCut(t *testing.T) {
	cut := func(category, item, doc, want string) {
		t.Helper()
		elementFates(t, cutBefore+doc+`}`, cutEnvelope, category, map[string]string{item: want})
	}
	const pod = `,"objectRef":{"resource":"pods"},"requestObject":{"kind":"Pod"`
	cut("container", "container.name: a", ``, "blind")
	cut("container", "stage: other", ``, "no")
	cut("subject", "subject.name: a", ``, "blind")
	cut("subject", "subject.name: a", `,"objectRef":{"resource":"rolebindings"}`, "blind")
	cut("policy_rule", "rule.verbs: get", `,"objectRef":{"resource":"clusterroles"}`, "blind")
	cut("container", "container.name: a", `,"objectRef":{"resource":"rolebindings"}`, "no")
	cut("container", "container.name: a", `,"objectRef":{"resource":"secrets"}`, "no")
	cut("container", "container.name: a", `,"objectRef":{"resource":"pods","subresource":"status"}`, "no")
	cut("container", "container.name: a", `,"objectRef":{"resource":"pods"},"responseStatus":{"code":403}`, "blind")
	cut("container", "container.name: a", pod+`}`, "blind")
	cut("pod", "pod.hostPID: true", pod+`}`, "blind")
	cut("container", "container.name: a", pod+`,"spec":{}}`, "blind")
	cut("container", "container.name: b", pod+`,"spec":{"containers":[{"name":"a"}]}}`, "blind")
	cut("container", "container.name: a", pod+`,"spec":{"containers":[{"name":"a"}]}}`, "match")
	cut("volume", "volume.name: v", pod+`,"spec":{"containers":[{"name":"a"}]}}`, "blind")
	cut("container", "container.name: b", pod+`,"spec":{"containers":[{"name":"a"}]},"status":{}}`, "blind") // unknown on the container itself
	cut("volume", "volume.name: v", pod+`,"spec":{"containers":[{"name":"a"}]},"status":{}}`, "no")
	cut("subject", "subject.name: a", `,"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io"},"requestObject":{"kind":"RoleBinding","subjects":[]}`, "blind")
	cut("container", "container.name: b", pod+`,"spec":{"containers":[{"name":"a"}]}},"annotations":{}`, "no")
}

func TestWhatIsCountedOrJoinedIsUnknownWhereAPartMayLieBehindTheCut(t *testing.T) {
	container := `{"name":"a","image":"x","volumeMounts":[{"name":"v","readOnly":true}]}`
	pod := cutBefore + `,"objectRef":{"resource":"pods"},"requestObject":{"kind":"Pod","metadata":{"generateName":"x-"},"spec":{"volumes":[{"name":"v"}],"containers":[` + container + `]`
	elementFates(t, pod+`}}}`, cutEnvelope, "volume", map[string]string{
		"workload.containers: 1": "blind", "mount.writable: false": "blind", "mount.containers: a": "match", "mount.containers: b": "blind", "workload.name: x": "match",
	})
	elementFates(t, pod+`},"status":{}}}`, cutEnvelope, "volume", map[string]string{"workload.containers: 1": "match", "workload.containers: 2": "no", "mount.writable: false": "match"})
	named := `,"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io"},"requestObject":{"kind":"RoleBinding","subjects":[{"kind":"ServiceAccount","name":"a"}`
	elementFates(t, cutBefore+named+`]}}`, cutEnvelope, "subject", map[string]string{"subject.identity|startswith: 'system:'": "blind"})
	elementFates(t, cutBefore+named+`,{}]}}`, cutEnvelope, "subject", map[string]string{"subject.identity: 'system:serviceaccount::a'": "match"})
	inherited := cutBefore + `,"objectRef":{"resource":"pods"},"requestObject":{"kind":"Pod","spec":{"securityContext":{"runAsNonRoot":true},"containers":[{"name":"a"}`
	elementFates(t, inherited+`]}}}`, cutEnvelope, "container", map[string]string{"container.securityContext.runAsNonRoot: true": "blind"})
	elementFates(t, inherited+`,{}]}}}`, cutEnvelope, "container", map[string]string{"container.securityContext.runAsNonRoot: true": "match"})
	controlled := strings.Replace(cutBefore, `"u"`, `"system:serviceaccount:kube-system:job-controller"`, 1) + `,"objectRef":{"resource":"pods"},"requestObject":{"kind":"Pod","spec":{}}}`
	elementFates(t, controlled, cutEnvelope, "pod", map[string]string{"workload.controlled: false": "blind"})
}

func TestTheLastOfTwoEqualKeysHidesTheFirstInACustomKind(t *testing.T) {
	one, other := `{"containers":[{"name":"a"}]}`, `{"containers":[{"name":"b"}]}`
	for _, body := range []string{
		`{"spec":` + one + `,"spec":` + other + `}`,
		`{"spec":{"list":[{"x":` + one + `,"\u0078":` + other + `}]}}`,
		`{"spec":` + one + `,"x":{},"spec":{"template":` + other + `}}`,
	} {
		doc := `{"verb":"create","objectRef":{"resource":"rollouts","apiGroup":"argoproj.io"},"requestObject":` + body + `}`
		elementFates(t, doc, envelope(), "container", map[string]string{"container.name: a": "no", "container.name: b": "match"})
	}
}
