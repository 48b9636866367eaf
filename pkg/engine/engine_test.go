package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// compile makes a set of rules written as YAML and fails on any error.
func compile(t testing.TB, documents ...string) *Set {
	t.Helper()
	c := sigma.Load([]sigma.File{{Name: "test.yml", Data: []byte(strings.Join(documents, "\n---\n"))}}, sigma.Options{})
	set, problems := Compile(c, Options{})
	for _, p := range slices.Concat(c.Problems, problems) {
		if !p.Warning {
			t.Fatal(p)
		}
	}
	return set
}

// thirdParty is a rule in the form of public rule sets.
func thirdParty(detection string) string {
	return "title: T\nid: 11111111-2222-4333-8444-555555555555\nlogsource: {product: kubernetes, service: audit}\nlevel: medium\ndetection:\n" + indent(detection)
}

// derivedRule is a rule on a record kind, without x-foretop.
func derivedRule(category, detection string) string {
	return "title: T\nid: 11111111-2222-4333-8444-555555555555\nlogsource: {product: kubernetes, service: audit, category: " + category + "}\nlevel: medium\ndetection:\n" + indent(detection)
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String() + "\n"
}

func judge(set *Set, event string) *Verdict { return judgeIn(set, event, envelope()) }

func judgeIn(set *Set, doc string, env *event.Envelope) *Verdict {
	v := new(Verdict)
	set.NewJudge().Judge([]byte(doc), env, v)
	return v
}

func envelope() *event.Envelope { return &event.Envelope{} }

func TestFlattenedFieldsMatchAsOtherSigmaToolsDo(t *testing.T) {
	const pod = `{"stage":"ResponseComplete","verb":"create","objectRef":{"resource":"pods","apiVersion":"v1"},
		"user":{"username":"Bob","groups":["dev","system:authenticated"],"extra":{"a.b/c":["x"]}},"sourceIPs":["10.1.2.3","2001:db8::1"],
		"requestURI":"/api/v1/pods?dryRun=All&x=a%20b","responseStatus":{"code":201},"userAgent":"kubectl/v1",
		"annotations":{"authorization.k8s.io/decision":"allow"},"stageTimestamp":"2026-03-04T10:15:20.151000Z",
		"requestObject":{"spec":{"hostPID":true,"nodeName":null,"volumes":[],"containers":[{"name":"a","image":"nginx:1","securityContext":{"privileged":true}},{"name":"b","image":"redis:7"}]}}}`
	for _, c := range []struct {
		name, detection string
		want            bool
	}{
		{"values compare without case", "s: {user.username: bOB}\ncondition: s", true},
		{"cased compares with case", "s: {user.username|cased: bOB}\ncondition: s", false},
		{"a list is true if any element is", "s: {user.groups: dev}\ncondition: s", true},
		{"items of one selection may be met by different elements", "s: {requestObject.spec.containers.name: b, requestObject.spec.containers.securityContext.privileged: true}\ncondition: s", true},
		{"not over a list means that no element matches", "s: {verb: create}\nn: {requestObject.spec.containers.image|startswith: redis}\ncondition: s and not n", false},
		{"a number equals its text", "s: {responseStatus.code: '201'}\ncondition: s", true},
		{"a number equals another spelling of it", "s: {responseStatus.code: 201.0}\ncondition: s", true},
		{"a boolean equals its text", "s: {requestObject.spec.hostPID: 'true'}\ncondition: s", true},
		{"null is true for an absent field", "s: {objectRef.subresource: null}\ncondition: s", true},
		{"null is true for a null", "s: {requestObject.spec.nodeName: null}\ncondition: s", true},
		{"null is false for a value", "s: {verb: null}\ncondition: s", false},
		{"an empty string is not an absent field", "s: {objectRef.subresource: ''}\ncondition: s", false},
		{"an empty apiGroup is the core group", "s: {objectRef.apiGroup: ''}\ncondition: s", true},
		{"exists is true for a null", "s: {requestObject.spec.nodeName|exists: true}\ncondition: s", true},
		{"exists false is true for an absent field", "s: {objectRef.name|exists: false}\ncondition: s", true},
		{"a star is not an empty list", "s: {requestObject.spec.volumes: '*'}\ncondition: s", false},
		{"a star is a list with something in it", "s: {requestObject.spec.containers: '*'}\ncondition: s", true},
		{"a star within", "s: {requestURI: '/api/*pods*'}\ncondition: s", true},
		{"a question mark is one character", "s: {verb: 'creat?'}\ncondition: s", true},
		{"a question mark is not two characters", "s: {verb: 'crea?'}\ncondition: s", false},
		{"contains with all", "s: {userAgent|contains|all: [kube, v1]}\ncondition: s", true},
		{"contains with all needs all", "s: {userAgent|contains|all: [kube, v2]}\ncondition: s", false},
		{"a regular expression searches", "s: {userAgent|re: 'ctl/v[0-9]'}\ncondition: s", true},
		{"cidr over a list", "s: {sourceIPs|cidr: '2001:db8::/32'}\ncondition: s", true},
		{"cidr that fits none", "s: {sourceIPs|cidr: 192.168.0.0/16}\ncondition: s", false},
		{"greater than", "s: {responseStatus.code|gt: 200}\ncondition: s", true},
		{"hour of a time", "s: {stageTimestamp|hour: 10}\ncondition: s", true},
		{"fieldref", "s: {user.username|fieldref: user.groups}\ncondition: s", false},
		{"neq is true if no value matches", "s: {user.groups|neq: admin}\ncondition: s", true},
		{"neq is false if one does", "s: {user.groups|neq: dev}\ncondition: s", false},
		{"keywords search every value", "s: [redis]\ncondition: s", true},
		{"keywords may be regular expressions", "s:\n  - '|re': 'red.s'\ncondition: s", true},
		{"keywords that are nowhere", "s: [mongo]\ncondition: s", false},
		{"a dotted key is a path", "s: {annotations.authorization.k8s.io/decision: allow}\ncondition: s", true},
		{"a dedotted name in a rule is the same field", "s: {annotations.authorization_k8s_io/decision: allow}\ncondition: s", true},
		{"a key with dots below an object", "s: {user.extra.a.b/c: x}\ncondition: s", true},
		{"1 of with a pattern", "s_a: {verb: delete}\ns_b: {verb: create}\ncondition: 1 of s_*", true},
		{"all of them", "a: {verb: create}\nb: {verb: delete}\ncondition: all of them", false},
		{"the alias privileged", "s: {privileged: true}\ncondition: s", true},
		{"the alias image", "s: {image|startswith: nginx}\ncondition: s", true},
		{"the alias resource with the core group", "s: {resource: pods, apiGroup: ''}\ncondition: s", true},
		{"derived fields are there for every rule", "s: {outcome: success, dryRun: true, request.path: /api/v1/pods, request.query.x: a b}\ncondition: s", true},
		{"the client is the last address that is no proxy", "s: {client.ip: '2001:db8::1'}\ncondition: s", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := len(judge(compile(t, thirdParty(c.detection)), pod).Matches) == 1; got != c.want {
				t.Errorf("got %t, want %t for\n%s", got, c.want, c.detection)
			}
		})
	}
}

func TestSpellingsOfOneEventAreOneEvent(t *testing.T) {
	set := compile(t, thirdParty("s: {verb: get, user.username: 'a<b', annotations.authorization.k8s.io/decision: allow, objectRef.resource: secrets}\ncondition: s"))
	for name, doc := range map[string]string{
		"plain":                     `{"verb":"get","user":{"username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		"another order, spaces":     "{ \"annotations\" : {\"authorization.k8s.io/decision\" : \"allow\"},\n\"objectRef\":{\"resource\":\"secrets\"}, \"user\":{\"username\":\"a<b\"},\"verb\":\"get\"}",
		"escapes in values":         `{"verb":"\u0067et","user":{"username":"a\u003cb"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		"escapes in keys":           `{"v\u0065rb":"get","user":{"username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		"dedotted annotations":      `{"verb":"get","user":{"username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization_k8s_io/decision":"allow"}}`,
		"dedotted with the slash":   `{"verb":"get","user":{"username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization_k8s_io_decision":"allow"}}`,
		"the last of duplicates":    `{"verb":"list","user":{"username":"x"},"objectRef":{"resource":"pods"},"verb":"get","user":{"username":"y","username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/decision":"allow"}}`,
		"unknown keys in between":   `{"x":[{"verb":"list"}],"verb":"get","y":"}{","user":{"uid":"\"","username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		"a duplicate in other case": `{"verb":"get","VERB":"list","user":{"username":"a<b"},"objectRef":{"resource":"secrets"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if v := judge(set, doc); len(v.Matches) != 1 {
				t.Errorf("no match")
			}
		})
	}
}

func TestDuplicateKeysInBodiesTakeTheLast(t *testing.T) {
	set := compile(t, thirdParty("s: {requestObject.spec.type: NodePort}\ncondition: s"))
	for doc, want := range map[string]int{
		`{"verb":"create","requestObject":{"spec":{"type":"ClusterIP","type":"NodePort"}}}`:               1,
		`{"verb":"create","requestObject":{"spec":{"type":"NodePort","type":"ClusterIP"}}}`:               0,
		`{"verb":"create","requestObject":{"spec":{"type":"NodePort"},"spec":{"type":"ClusterIP"}}}`:      0,
		`{"verb":"create","requestObject":{"spec":{"type":"NodePort"}},"requestObject":{"spec":{"a":1}}}`: 0,
	} {
		if got := len(judge(set, doc).Matches); got != want {
			t.Errorf("%d matches, want %d for %s", got, want, doc)
		}
	}
}

// workload wraps a pod spec into each kind that can hold one.
func workload(kind, spec string) (resource, group, object string) {
	template := `"template":{"metadata":{"labels":{"a":"b"}},"spec":` + spec + `}`
	name := `"kind":"` + kind + `","metadata":{"name":"w","namespace":"n"}`
	switch kind {
	case "Pod":
		return "pods", "", `{` + name + `,"spec":` + spec + `}`
	case "CronJob":
		return "cronjobs", "batch", `{` + name + `,"spec":{"jobTemplate":{"spec":{` + template + `}}}}`
	case "PodTemplate":
		return "podtemplates", "", `{` + name + `,` + template + `}`
	case "Job":
		return "jobs", "batch", `{` + name + `,"spec":{` + template + `}}`
	case "Rollout":
		return "rollouts", "argoproj.io", `{` + name + `,"spec":{"strategy":{},` + template + `}}`
	case "Application":
		return "applications", "example.org", `{` + name + `,"spec":{"roles":[{"name":"r","pod":` + spec + `}]}}`
	case "ReplicationController":
		return "replicationcontrollers", "", `{` + name + `,"spec":{` + template + `}}`
	}
	return strings.ToLower(kind) + "s", "apps", `{` + name + `,"spec":{` + template + `}}`
}

func write(verb, resource, group, request, response string) string {
	doc := fmt.Sprintf(`{"stage":"ResponseComplete","verb":%q,"user":{"username":"u"},"objectRef":{"resource":%q,"apiGroup":%q,"namespace":"n","name":"w"},"responseStatus":{"code":200}`, verb, resource, group)
	if request != "" {
		doc += `,"requestObject":` + request
	}
	if response != "" {
		doc += `,"responseObject":` + response
	}
	return doc + "}"
}

func TestDerivedRecordsOfEveryWorkloadKind(t *testing.T) {
	const spec = `{"securityContext":{"runAsUser":0},"containers":[{"name":"a","image":"nginx"},{"name":"b","image":"x","securityContext":{"privileged":true}}],
		"initContainers":[{"name":"i","image":"ghcr.io/o/r:v1@sha256:00"}],"volumes":[{"name":"v","hostPath":{"path":"/var//lib/../run/"}}]}`
	set := compile(t,
		derivedRule("container", "p: {container.securityContext.privileged: true, container.securityContext.runAsUser: 0}\ncondition: p"),
		strings.Replace(derivedRule("container", "p: {container.type: initContainer, image.registry: ghcr.io, image.repository: o/r, image.tag: v1, image.digest: 'sha256:00'}\ncondition: p"), "1111", "2222", 1),
		strings.Replace(derivedRule("volume", "p: {volume.hostPath.cleaned: /var/run}\ncondition: p"), "1111", "3333", 1),
		strings.Replace(derivedRule("pod", "p: {workload.name: w, workload.containers: 3}\ncondition: p"), "1111", "4444", 1))
	for _, kind := range []string{"Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "PodTemplate", "Rollout", "Application"} {
		resource, group, object := workload(kind, spec)
		for _, verb := range []string{"create", "update"} {
			t.Run(verb+" "+kind, func(t *testing.T) {
				v := judge(set, write(verb, resource, group, object, ""))
				if len(v.Matches) != 4 {
					t.Fatalf("%d rules matched, want 4: %+v", len(v.Matches), v)
				}
				for _, m := range v.Matches {
					if m.Count != 1 || m.Elements[0].Path == "" {
						t.Errorf("%s: %d elements, first %+v", m.Elements[0].Category, m.Count, m.Elements[0])
					}
				}
			})
		}
		t.Run("status of "+kind, func(t *testing.T) {
			doc := strings.Replace(write("update", resource, group, object, ""), `"name":"w"},`, `"name":"w","subresource":"status"},`, 1)
			if v := judge(set, doc); len(v.Matches) != 0 {
				t.Errorf("a status update was judged: %+v", v.Matches)
			}
		})
	}
}

func TestElementPathsAndEvidence(t *testing.T) {
	set := compile(t, derivedRule("container", "w: {verb: create}\np: {container.securityContext.privileged: true}\ncondition: w and p"))
	_, _, object := workload("CronJob", `{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y","securityContext":{"privileged":true}}]}`)
	v := judge(set, write("create", "cronjobs", "batch", object, object))
	if len(v.Matches) != 1 {
		t.Fatalf("%+v", v)
	}
	got := v.Matches[0].Elements[0]
	want := Element{
		Category: "container", Path: "responseObject.spec.jobTemplate.spec.template.spec.containers[1]", Name: "b",
		Evidence: []Evidence{{"w", "verb", []string{"create"}}, {"p", "container.securityContext.privileged", []string{"true"}}},
		Fields:   got.Fields,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if image := got.Fields["image.repository"]; len(image) != 1 || image[0] != "library/y" {
		t.Errorf("image.repository is %q", image)
	}
}

func TestBodiesThatAreNotTheObjectFallThrough(t *testing.T) {
	set := compile(t, derivedRule("pod", "p: {pod.hostPID: true}\ncondition: p"))
	request := `{"kind":"Pod","spec":{"hostPID":true,"containers":[{"name":"a"}]}}`
	for name, response := range map[string]string{
		"status": `{"kind":"Status","status":"Success"}`, "table": `{"kind":"Table","rows":[]}`, "marker": `"skipped-too-big-size-object"`, "null": `null`, "none": ``,
	} {
		v := judge(set, write("create", "pods", "", request, response))
		if len(v.Matches) != 1 || !strings.HasPrefix(v.Matches[0].Elements[0].Path, "requestObject.") {
			t.Errorf("%s: %+v", name, v.Matches)
		}
	}
}

func TestPatchesOfEveryForm(t *testing.T) {
	set := compile(t, derivedRule("container", "p: {container.securityContext.privileged: true, record.touched: true}\ncondition: p"))
	object := func(containers string) string {
		return `{"kind":"Deployment","metadata":{"name":"w"},"spec":{"template":{"spec":{"containers":[` + containers + `]}}}}`
	}
	whole := object(`{"name":"a","image":"x","securityContext":{"privileged":true}},{"name":"b","image":"y"}`)
	for _, c := range []struct {
		name, request, response string
		want                    int
	}{
		{"strategic merge of the container", `{"spec":{"template":{"spec":{"containers":[{"name":"a","securityContext":{"privileged":true}}]}}}}`, whole, 1},
		{"merge of another container", `{"spec":{"template":{"spec":{"containers":[{"name":"b","image":"z"}]}}}}`, whole, 0},
		{"only the order", `{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"a"}]}}}}`, whole, 0},
		{"only labels", `{"metadata":{"labels":{"a":"b"}}}`, whole, 0},
		{"rollout restart", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"x"}}}}}`, whole, 0},
		{"JSON patch of the container", `[{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`, whole, 1},
		{"JSON patch of another one", `[{"op":"replace","path":"/spec/template/spec/containers/1/image","value":"z"}]`, whole, 0},
		{"JSON patch of all", `[{"op":"replace","path":"/spec/template/spec","value":{}}]`, whole, 1},
		{"JSON patch that only tests", `[{"op":"test","path":"/spec/template/spec/containers/0","value":{}}]`, whole, 0},
		{"merge without an answer", `{"spec":{"template":{"spec":{"containers":[{"name":"a","securityContext":{"privileged":true}}]}}}}`, "", 1},
		{"JSON patch without an answer", `[{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`, "", 1},
		{"JSON patch with escapes, without an answer", `[{"op":"add","path":"/metadata/labels/a~1b","value":"x"},{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"c","securityContext":{"privileged":true}}}]`, "", 1},
		{"JSON patch with an index out of range, and junk", `[{"op":"add","path":"/spec/template/spec/containers/99999999999/securityContext","value":{"privileged":true}},{"op":"add"},7,{"op":"add","path":"x"}]`, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := len(judge(set, write("patch", "deployments", "apps", c.request, c.response)).Matches); got != c.want {
				t.Errorf("%d matches, want %d", got, c.want)
			}
		})
	}
}

// A custom kind keeps its pod specs where it likes.
func TestPodSpecsOfCustomKindsAreFoundWithTheirCounterparts(t *testing.T) {
	rule := func(category string) *Set {
		return compile(t, derivedRule(category, "p: {record.touched: true}\ncondition: p"))
	}
	const containers = `"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]`
	kinds := map[string]string{
		"podSpec":       `{"kind":"Job","spec":{"podSpec":{` + containers + `}}}`,
		"top":           `{"kind":"Job","worker":{` + containers + `}}`,
		"groups":        `{"kind":"Job","spec":{"groups":[{"name":"other"},{"name":"g","template":{"metadata":{"labels":{"l":"w"}},"spec":{` + containers + `}}}]}}`,
		"a.b":           `{"kind":"Job","spec":{"a.b":{"spec":{` + containers + `}}}}`,
		"list itself":   `{"kind":"Job","spec":{"pods":[{` + containers + `}]}}`,
		"numbered keys": `{"kind":"Job","spec":{"0":{` + containers + `}}}`,
	}
	for _, c := range []struct {
		kind, category, patch string
		want                  []string // paths of the touched elements
	}{
		{"podSpec", "container", `{"spec":{"podSpec":{"containers":[{"name":"a","image":"x"}]}}}`, []string{"spec.podSpec.containers[0]"}},
		{"podSpec", "container", `{"spec":{"replicas":2}}`, nil},
		{"podSpec", "container", `[{"op":"replace","path":"/spec/podSpec/containers/1/image","value":"y"}]`, []string{"spec.podSpec.containers[1]"}},
		{"podSpec", "container", `[{"op":"add","path":"/spec/podSpec/securityContext","value":{}}]`, []string{"spec.podSpec.containers[0]", "spec.podSpec.containers[1]"}},
		{"podSpec", "container", `[{"op":"add","path":"/spec/podSpec/hostPID","value":true}]`, nil},
		{"podSpec", "pod", `[{"op":"add","path":"/spec/podSpec/hostPID","value":true}]`, []string{"spec.podSpec"}},
		{"podSpec", "pod", `{"spec":{"podSpec":{"hostPID":true}}}`, []string{"spec.podSpec"}},
		{"podSpec", "pod", `{"spec":{"podSpec":{"containers":[]}}}`, nil},
		{"podSpec", "volume", `[{"op":"add","path":"/spec/podSpec/containers/0/volumeMounts/-","value":{"name":"v"}}]`, []string{"spec.podSpec.volumes[0]"}},
		{"podSpec", "volume", `[{"op":"add","path":"/spec/podSpec/containers/-","value":{"name":"c","volumeMounts":[{"name":"v"}]}}]`, []string{"spec.podSpec.volumes[0]"}},
		{"podSpec", "volume", `[{"op":"add","path":"/spec/podSpec/containers/0/volumeMounts/-","value":{"name":"w"}}]`, nil},
		{"podSpec", "volume", `[{"op":"replace","path":"/spec/podSpec/containers/0/volumeMounts/0/readOnly","value":false}]`, []string{"spec.podSpec.volumes[0]"}},
		{"top", "pod", `{"worker":{"hostPID":true}}`, []string{"worker"}},
		{"groups", "container", `{"spec":{"groups":[{"name":"g"}]}}`, []string{"spec.groups[1].template.spec.containers[0]", "spec.groups[1].template.spec.containers[1]"}},
		{"groups", "pod", `{"spec":{"groups":[]}}`, []string{"spec.groups[1].template.spec"}},
		{"groups", "pod", `{"metadata":{"labels":{}}}`, nil},
		{"groups", "container", `[{"op":"add","path":"/spec/groups/-","value":{}}]`, []string{"spec.groups[1].template.spec.containers[0]", "spec.groups[1].template.spec.containers[1]"}},
		{"groups", "container", `[{"op":"replace","path":"/spec/groups/1/template/spec/containers/0/image","value":"x"}]`, []string{"spec.groups[1].template.spec.containers[0]"}},
		{"groups", "container", `[{"op":"replace","path":"/spec/groups/1/replicas","value":1}]`, nil},
		{"groups", "volume", `{"spec":{"groups":[{"name":"g"}]}}`, []string{"spec.groups[1].template.spec.volumes[0]"}},
		{"a.b", "pod", `{"spec":{"a.b":{"spec":{"hostPID":true}}}}`, []string{"spec.a.b.spec"}},
		{"list itself", "pod", `[{"op":"add","path":"/spec/pods/0/hostPID","value":true}]`, []string{"spec.pods[0]"}},
		{"numbered keys", "pod", `{"spec":{"0":{"hostPID":true}}}`, []string{"spec.0"}},
	} {
		v := judge(rule(c.category), write("patch", "jobs", "example.com", c.patch, kinds[c.kind]))
		var got []string
		for _, m := range v.Matches {
			for _, e := range m.Elements {
				got = append(got, strings.TrimPrefix(e.Path, "responseObject."))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s of %s, %s: (-want +got)\n%s", c.category, c.kind, c.patch, diff)
		}
	}
	t.Run("fields of the spec and of what holds it", func(t *testing.T) {
		set := compile(t, derivedRule("container", "p: {container.name: b, pod.metadata.labels.l: w}\ncondition: p"))
		request := strings.Replace(kinds["groups"], `,{"name":"b","image":"y"}`, "", 1)
		v := judge(set, write("update", "jobs", "example.com", request, kinds["groups"]))
		if len(v.Matches) != 1 || !v.Matches[0].Elements[0].Injected {
			t.Errorf("%+v", v.Matches)
		}
		own := compile(t, strings.NewReplacer("privileged: {container.securityContext.privileged: true}", "privileged: {container.name: b}",
			"{container.name} in", "{container.name} {pod.metadata.labels.l} {pod.volumes.name} in").Replace(own("", "")))
		v = judge(own, write("update", "jobs", "example.com", request, kinds["groups"]))
		if len(v.Matches) != 1 || fmt.Sprint(v.Matches[0].Elements[0].Fields["pod.metadata.labels.l"], v.Matches[0].Elements[0].Fields["pod.volumes.name"]) != "[w] [v]" {
			t.Errorf("%+v", v.Matches)
		}
	})
}

func TestWhatAdmissionPutInIsMarked(t *testing.T) {
	set := compile(t, derivedRule("container", "p: {container.securityContext.privileged: true}\ncondition: p"))
	request := `{"kind":"Pod","spec":{"containers":[{"name":"a"}]}}`
	response := `{"kind":"Pod","spec":{"containers":[{"name":"a"},{"name":"sidecar","securityContext":{"privileged":true}}]}}`
	v := judge(set, write("create", "pods", "", request, response))
	if len(v.Matches) != 1 || !v.Matches[0].Elements[0].Injected {
		t.Errorf("%+v", v.Matches)
	}
}

func TestEphemeralContainers(t *testing.T) {
	set := compile(t, derivedRule("container", "p: {record.touched: true}\ncondition: p"))
	response := `{"kind":"Pod","spec":{"containers":[{"name":"a","image":"x"}],"ephemeralContainers":[{"name":"debugger-1","image":"busybox"}]}}`
	doc := strings.Replace(write("patch", "pods", "", `{"spec":{"ephemeralContainers":[{"name":"debugger-1","image":"busybox"}]}}`, response), `"name":"w"}`, `"name":"w","subresource":"ephemeralcontainers"}`, 1)
	v := judge(set, doc)
	if len(v.Matches) != 1 || v.Matches[0].Count != 1 || v.Matches[0].Elements[0].Name != "debugger-1" {
		t.Errorf("%+v", v.Matches)
	}
}

func TestAnEphemeralContainerTouchesTheVolumesThatItMounts(t *testing.T) {
	set := compile(t, derivedRule("volume", "p: {record.touched: true}\ncondition: p"))
	pod := `{"kind":"Pod","spec":{"volumes":[{"name":"a","hostPath":{"path":"/"}},{"name":"b"}],
		"containers":[{"name":"c","volumeMounts":[{"name":"b"}]}],"ephemeralContainers":[{"name":"d","volumeMounts":[{"name":"a"}]}]}}`
	doc := strings.Replace(write("update", "pods", "", pod, pod), `"name":"w"}`, `"name":"w","subresource":"ephemeralcontainers"}`, 1)
	v := judge(set, doc)
	if len(v.Matches) != 1 || v.Matches[0].Count != 1 || v.Matches[0].Elements[0].Name != "a" {
		t.Errorf("%+v", v.Matches)
	}
}

func TestSubjectsAndPolicyRulesAreJudgedOneByOne(t *testing.T) {
	set := compile(t,
		derivedRule("subject", "p: {subject.identity: 'system:serviceaccount:a:default', roleRef.name: admin}\ncondition: p"),
		strings.Replace(derivedRule("policy_rule", "p: {rule.verbs: get, rule.resources: secrets}\ncondition: p"), "1111", "2222", 1))
	binding := `{"kind":"RoleBinding","subjects":[{"kind":"User","name":"x"},{"kind":"ServiceAccount","name":"default","namespace":"a"}],"roleRef":{"name":"admin"}}`
	v := judge(set, write("create", "rolebindings", "rbac.authorization.k8s.io", binding, ""))
	if len(v.Matches) != 1 || v.Matches[0].Elements[0].Path != "requestObject.subjects[1]" {
		t.Errorf("%+v", v.Matches)
	}
	mixed := `{"kind":"Role","rules":[{"verbs":["get"],"resources":["pods"]},{"verbs":["create"],"resources":["secrets"]}]}`
	if v := judge(set, write("create", "roles", "rbac.authorization.k8s.io", mixed, "")); len(v.Matches) != 0 {
		t.Errorf("verb of one rule and resource of another made a match: %+v", v.Matches)
	}
}
