package finding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

func TestNamesTellTheKindOfIdentity(t *testing.T) {
	for _, c := range []struct{ name, provider, want string }{
		{"", "", "unknown"},
		{"system:anonymous", "", "anonymous"},
		{"system:serviceaccount:ci:deployer", "", "serviceaccount"},
		{"system:node:worker-1", "", "node"},
		{"system:kube-scheduler", "", "system"},
		{"eks:node-manager", "eks", "system"},
		{"eks:node-manager", "", "user"},
		{"aksService", "aks", "system"},
		{"nodeclient", "aks", "node"},
		{"masterclient", "aks", "user"},
		{"alice@example.com", "gke", "user"},
		{"kubernetes-admin", "eks", "user"},
	} {
		if got := kindOf(c.name, c.provider); got != c.want {
			t.Errorf("%q on %q is %s, want %s", c.name, c.provider, got, c.want)
		}
	}
}

func TestImagesAreTakenApart(t *testing.T) {
	for in, want := range map[string]imageName{
		"nginx":                                  {repository: "nginx"},
		"nginx:1.27":                             {repository: "nginx", tag: "1.27"},
		"localhost:5000/a/b":                     {repository: "localhost:5000/a/b"},
		"registry.example:5000/a/b:v1@sha256:ab": {"registry.example:5000/a/b", "v1", "sha256:ab"},
		"a@sha256:ab":                            {repository: "a", digest: "sha256:ab"},
		"":                                       {},
		":":                                      {},
	} {
		if got := splitImage(in); got != want {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestUserAgentsAreTakenApartWhereTheyHaveTheUsualForm(t *testing.T) {
	for in, want := range map[string][2]string{
		"kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0": {"kubectl", "v1.33.1"},
		"kube-probe/1.33+":  {"kube-probe", "1.33+"},
		"curl":              {},
		"Mozilla/5.0 (X11)": {"Mozilla", "5.0"},
		"a b/c":             {},
		"x/\x1b[2J":         {},
		"":                  {},
	} {
		if got := agentOf(in); got.Name != want[0] || got.Version != want[1] || got.Original != in {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// build makes a finding of a plain request by a rule with a reason.
func build(t testing.TB, ev *event.Event, env event.Envelope, m engine.Match) *Finding {
	t.Helper()
	if m.Rule == nil {
		m.Rule = &sigma.Rule{ID: "r", Title: "T"}
	}
	return testBuilder(false).Build(ev, &env, &m, testOrigin)
}

func reasonOf(t testing.TB, template string, ev *event.Event, env event.Envelope, elements ...engine.Element) string {
	t.Helper()
	m := engine.Match{Rule: &sigma.Rule{ID: "r", Title: "T", Foretop: &sigma.Extension{Reason: template}}, Elements: elements, Count: len(elements)}
	return build(t, ev, env, withFields(t, m, ev, &env)).Event.Reason
}

func TestReasons(t *testing.T) {
	ev := &event.Event{
		User: event.User{Username: "alice", Groups: []string{"a", "b", "c", "d", "e", "f", "g"}}, Verb: "get", SourceIPs: []string{"10.0.0.1"},
		ObjectRef: &event.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web"}, UserAgent: "curl\x1b[31m\u202e/1\n",
	}
	exec := &event.Event{
		Verb: "get", ObjectRef: &event.ObjectRef{Resource: "pods", Name: "web", Subresource: "exec"}, RequestURI: "/exec?command=echo&command=--token&command=s3cr3t",
	}
	clusterWide := &event.Event{User: event.User{Username: "alice"}, Verb: "list", ObjectRef: &event.ObjectRef{Resource: "nodes"}}
	element := func(fields map[string][]string) engine.Element {
		return engine.Element{Category: "container", Fields: fields}
	}
	for _, c := range []struct {
		name, template string
		ev             *event.Event
		env            event.Envelope
		elements       []engine.Element
		want           string
	}{
		{"fields of the element come first", "{user.username} runs {container.name}", ev, event.Envelope{}, []engine.Element{element(map[string][]string{"container.name": {"app"}, "user.username": {"bob"}})}, "bob runs app"},
		{"several elements", "{container.name} is privileged", ev, event.Envelope{}, []engine.Element{element(map[string][]string{"container.name": {"app"}}), element(nil), element(nil)}, "app is privileged and 2 more"},
		{"many values", "groups {user.groups}", ev, event.Envelope{}, nil, "groups a, b, c, d, e, 2 others"},
		{"control characters", "with {userAgent}", ev, event.Envelope{}, nil, `with curl\x1b[31m\u202e/1\n`},
		{"a secret in a command", "runs {exec.command}", exec, event.Envelope{}, nil, "runs echo --token [redacted value, 6 bytes]"},
		{"an object without a namespace", "{verb} {objectRef.resource} {objectRef.namespace}/{objectRef.name}", clusterWide, event.Envelope{}, nil, "list nodes *"},
		{"a field that is not there", "as {impersonatedUser.username}", ev, event.Envelope{}, nil, "as (none)"},
		{"a field that the provider cannot give", "groups {impersonatedUser.groups}", ev, event.Envelope{Missing: []string{"impersonatedUser"}}, nil, "groups (unknown)"},
		{"a field behind a cut", "{responseStatus.code}", ev, event.Envelope{Truncated: true}, nil, "(unknown)"},
		{"a user name with an access key id in it", "{user.username} asks", &event.Event{User: event.User{Username: "dev:AKIAIOSFODNN7EXAMPLE"}}, event.Envelope{}, nil, "dev:AKIAIOSFODNN7EXAMPLE asks"},
		{"nobody", "{user.username} asks", &event.Event{}, event.Envelope{}, nil, "an unauthenticated client asks"},
		{"braces that do not close", "a {b", ev, event.Envelope{}, nil, "a {b"},
		{"no template", "", ev, event.Envelope{Cluster: event.Cluster{Name: "prod"}}, nil, "alice: get pods shop/web on prod (unknown)"},
		{"no template, impersonated", "", &event.Event{User: event.User{Username: "a"}, ImpersonatedUser: &event.User{Username: "b"}, Verb: "get", RequestURI: "/logs/?x=1"}, event.Envelope{}, nil, "a as b: get /logs/ on unknown (unknown)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := reasonOf(t, c.template, c.ev, c.env, c.elements...); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestReasonsAreBoundedOnARuneBoundary(t *testing.T) {
	for n := range 8 {
		ev := &event.Event{User: event.User{Username: strings.Repeat("a", n) + strings.Repeat("日本", 400)}}
		got := reasonOf(t, strings.Repeat("{user.username}", 9), ev, event.Envelope{}, engine.Element{}, engine.Element{})
		if len(got) > maxReason || !utf8.ValidString(got) || !strings.HasSuffix(got, "… and 1 more") {
			t.Errorf("%d bytes: %q", len(got), got[len(got)-40:])
		}
	}
}

func TestWhoActsOnWhom(t *testing.T) {
	binding := `{"kind":"RoleBinding","metadata":{"name":"x"},"roleRef":{"kind":"Role","name":"admin"},"subjects":[{"kind":"ServiceAccount","name":"a"},{"kind":"ServiceAccount","name":"b","namespace":"n"},{"kind":"User","name":"u"},{"kind":"Group","name":"g"},{"kind":"User","name":"u"},7]}`
	for _, c := range []struct {
		name   string
		ev     event.Event
		users  []string
		groups []string
	}{
		{"a binding", event.Event{Verb: "create", ObjectRef: &event.ObjectRef{Resource: "rolebindings", Namespace: "shop"}, RequestObject: json.RawMessage(binding)}, []string{"system:serviceaccount:shop:a", "system:serviceaccount:n:b", "u"}, []string{"g"}},
		{"a binding that was refused", event.Event{Verb: "create", ObjectRef: &event.ObjectRef{Resource: "rolebindings", Namespace: "shop"}, RequestObject: json.RawMessage(binding), ResponseObject: json.RawMessage(`{"kind":"Status","subjects":[{"kind":"User","name":"no"}]}`)}, []string{"system:serviceaccount:shop:a", "system:serviceaccount:n:b", "u"}, []string{"g"}},
		{"a binding that was read", event.Event{Verb: "get", ObjectRef: &event.ObjectRef{Resource: "rolebindings", Namespace: "shop"}, ResponseObject: json.RawMessage(binding)}, nil, nil},
		{"a token", event.Event{Verb: "create", ObjectRef: &event.ObjectRef{Resource: "serviceaccounts", Namespace: "ci", Name: "deployer", Subresource: "token"}}, []string{"system:serviceaccount:ci:deployer"}, nil},
		{"a certificate", event.Event{Verb: "create", ObjectRef: &event.ObjectRef{Resource: "certificatesigningrequests", Name: "x"}, RequestObject: json.RawMessage(`{"spec":{"request":"` + csr + `","username":"mallory"}}`)}, []string{"eve", "mallory"}, []string{"system:masters"}},
		{"a certificate request that is none", event.Event{Verb: "create", ObjectRef: &event.ObjectRef{Resource: "certificatesigningrequests"}, RequestObject: json.RawMessage(`{"spec":{"request":"LS0t","username":"mallory"}}`)}, []string{"mallory"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := build(t, &c.ev, event.Envelope{}, engine.Match{})
			if diff := cmp.Diff([][]string{c.users, c.groups}, [][]string{f.User.Target.Name, f.User.Target.Group.Name}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// csr is spec.request of a request for O=system:masters, CN=eve (openssl req -new -newkey ed25519).
const csr = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHbU1Gb0NBUUF3SnpFWE1CVUdBMVVFQ2d3T2MzbHpkR1Z0T20xaGMzUmxjbk14RERBS0JnTlZCQU1NQTJWMgpaVEFxTUFVR0F5dGxjQU1oQU9hcDV0M2g4VTR4Q0tpMmZZSkZEUlZlU0o5dktWMEt1SE1jdnZ0NUtIRHRvQUF3CkJRWURLMlZ3QTBFQWxWajZSK3gvcytOcFBpL3ZJTDQ2c0VNaEJUSWF1SUNqY0VkeXNVSjYzSzlVUlg0NU5IemsKTE8zSFpMTkJVd1RRSUJhNFd4MEZYMjVMcGtKaXJlZjhBdz09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="

func TestGeneratedNamesComeFromTheResponse(t *testing.T) {
	f := build(t, &event.Event{
		Verb: "create", ObjectRef: &event.ObjectRef{Resource: "pods", Namespace: "shop", APIVersion: "v1"},
		ResponseObject: json.RawMessage(`{"kind":"Pod","metadata":{"name":"web-x2x7p","uid":"u-1"}}`),
	}, event.Envelope{}, engine.Match{})
	if f.Orchestrator.Resource.Name != "web-x2x7p" || f.Kubernetes.Pod != (Object{"web-x2x7p", "u-1"}) {
		t.Errorf("%+v %+v", f.Orchestrator, f.Kubernetes.Pod)
	}
	if f.Kubernetes.Audit.ObjectRef.Name != "" {
		t.Error("the audit event's own field must stay as it was")
	}
}

func TestContainersOfTheObjectWhereTheRuleIsNotAboutContainers(t *testing.T) {
	for kind, body := range map[string]string{
		"pods":      `{"kind":"Pod","spec":{"containers":[{"name":"a","image":"x:1"}],"initContainers":[{"name":"i","image":"y@sha256:0"}]}}`,
		"cronjobs":  `{"kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x:1"}],"initContainers":[{"name":"i","image":"y@sha256:0"}]}}}}}}`,
		"widgets":   `{"kind":"Widget","spec":{"template":{"spec":{"containers":[{"name":"a","image":"x:1"}],"initContainers":[{"name":"i","image":"y@sha256:0"}]}}}}`,
		"templates": `{"kind":"PodTemplate","template":{"spec":{"containers":[{"name":"a","image":"x:1"}],"initContainers":[{"name":"i","image":"y@sha256:0"}]}}}`,
	} {
		f := build(t, &event.Event{Verb: "create", ObjectRef: &event.ObjectRef{Resource: kind}, RequestObject: json.RawMessage(body)}, event.Envelope{}, engine.Match{})
		want := Container{Name: []string{"i", "a"}, Image: Image{Name: []string{"y", "x"}, Tag: []string{"1"}, Hash: ImageHash{All: []string{"sha256:0"}}}}
		if diff := cmp.Diff(want, f.Container); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

func TestTheClientStandsBehindTrustedProxies(t *testing.T) {
	ev := &event.Event{SourceIPs: []string{"198.51.100.1", "fe80::1%eth0", "172.31.4.5"}}
	f := build(t, ev, event.Envelope{Provider: "aks"}, engine.Match{})
	if f.Source != (Source{IP: "fe80::1", Address: "fe80::1%eth0"}) || !f.Foretop.AddressForwarded {
		t.Errorf("%+v, forwarded %v", f.Source, f.Foretop.AddressForwarded)
	}
	if diff := cmp.Diff([]string{"198.51.100.1", "fe80::1", "172.31.4.5"}, f.Related.IP); diff != "" {
		t.Error(diff)
	}
	b := NewBuilder(Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("172.16.0.0/12")}})
	f = b.Build(ev, &event.Envelope{}, &engine.Match{Rule: &sigma.Rule{Title: "T"}}, testOrigin)
	if f.Source.IP != "198.51.100.1" {
		t.Errorf("%+v", f.Source)
	}
}

func TestAnEventWithoutATimeGetsOne(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("x", 3600))
	for _, c := range []struct {
		name string
		ev   event.Event
		env  event.Envelope
		want string
	}{
		{"the stage's", event.Event{StageTimestamp: at, RequestReceivedTimestamp: at.Add(-time.Hour)}, event.Envelope{Time: at.Add(time.Hour)}, "2026-01-02T02:04:05.000006Z"},
		{"the request's", event.Event{RequestReceivedTimestamp: at}, event.Envelope{Time: at.Add(time.Hour)}, "2026-01-02T02:04:05.000006Z"},
		{"the shipper's", event.Event{}, event.Envelope{Time: at}, "2026-01-02T02:04:05.000006Z"},
		{"its own", event.Event{}, event.Envelope{}, "2026-05-11T08:15:00Z"},
	} {
		f := build(t, &c.ev, c.env, engine.Match{})
		if got := f.Timestamp.Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		if missing := slices.Contains(f.Foretop.Provenance.Missing, "stageTimestamp"); missing != (c.name == "its own") {
			t.Errorf("%s: missing %v", c.name, f.Foretop.Provenance.Missing)
		}
	}
}

func TestPivotsQuoteWhatTheyAreMadeOf(t *testing.T) {
	f := build(t, &event.Event{AuditID: "\x1b", User: event.User{Username: `a" or user.name : * \`}, SourceIPs: []string{"private"}}, event.Envelope{}, engine.Match{})
	var queries []string
	for _, p := range f.Foretop.Related {
		queries = append(queries, p.Query)
	}
	if diff := cmp.Diff([]string{`related.user : "a\" or user.name : * \\"`}, queries); diff != "" {
		t.Error(diff)
	}
}

func TestElementsAreBounded(t *testing.T) {
	m := engine.Match{Count: 5000}
	values := slices.Repeat([]string{strings.Repeat("v", 10_000)}, 50)
	for i := range 150 {
		e := engine.Element{Category: "container", Path: fmt.Sprintf("requestObject.spec.containers[%d]", i), Name: "c"}
		for range 3 {
			e.Evidence = append(e.Evidence, engine.Evidence{Field: "container.image", Values: values})
		}
		m.Elements = append(m.Elements, e)
	}
	f := build(t, &event.Event{}, event.Envelope{}, m)
	if n := len(f.Foretop.Elements); n == 0 || n > maxElements || f.Foretop.ElementsCount != 5000 {
		t.Errorf("%d elements of %d", n, f.Foretop.ElementsCount)
	}
	if n := len(f.Document().Body); n > 600_000 {
		t.Errorf("the document has %d bytes", n)
	}
	if got := f.Foretop.Elements[0].Evidence[0].Values; len(got) != maxValues+1 || got[maxValues] != "and 30 more" {
		t.Errorf("%d values, the last %q", len(got), got[len(got)-1])
	}
}

// hostile is an event whose every string is long, no UTF-8, or acts on a terminal.
func hostile() (*event.Event, event.Envelope, engine.Match) {
	bad := "\x00\x1b]0;x\x07\u0085\u202e\u200b\u2028\xff\xfe" + strings.Repeat("é\r", 9000)
	list := slices.Repeat([]string{bad}, 300)
	extra := map[string][]string{}
	annotations := map[string]string{"": bad, ".": bad, "..": bad, "\x00": bad}
	for i := range 300 {
		extra[fmt.Sprint(i, "\x00", bad[:20])] = list[:20]
		annotations[fmt.Sprint(i, ".", bad[:20])] = bad
	}
	user := event.User{Username: bad, UID: bad, Groups: list, Extra: extra}
	body := json.RawMessage(`{"metadata":{"name":` + quote(bad) + `,"labels":{"":"x","a.b":"y"}},"spec":{"containers":[{"name":1,"image":["x"]}]},"":{"":{}},"n":` + strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500) + `}`)
	ev := &event.Event{
		AuditID: bad, Verb: "create", RequestURI: "/" + bad + "?" + bad + "&command=" + bad, User: user, ImpersonatedUser: &user, SourceIPs: list, UserAgent: bad,
		ObjectRef:      &event.ObjectRef{Resource: "pods", Namespace: bad, Name: "", APIGroup: bad, APIVersion: bad, Subresource: "exec"},
		ResponseStatus: &event.ResponseStatus{Code: -1, Message: bad, Reason: bad}, RequestObject: body, ResponseObject: json.RawMessage(`[{"op":"x"},1,"\ud800"]`),
		RequestReceivedTimestamp: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), StageTimestamp: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), Annotations: annotations,
	}
	env := event.Envelope{Format: bad, Cluster: event.Cluster{ID: bad, Name: bad}, Inferred: list, Missing: list}
	m := engine.Match{Rule: &sigma.Rule{ID: "r", Title: "T"}, Elements: []engine.Element{{Category: bad, Path: bad, Name: bad, Evidence: []engine.Evidence{{Field: "userAgent", Values: list}}}}}
	return ev, env, m
}

func TestHostileEventsMakeValidBoundedDocuments(t *testing.T) {
	ev, env, m := hostile()
	body := testBuilder(true).Build(ev, &env, &m, testOrigin).Document().Body
	if !json.Valid(body) || !utf8.Valid(body) {
		t.Fatal("no valid JSON")
	}
	if len(body) > 4<<20 {
		t.Errorf("the document has %d bytes", len(body))
	}
	if bytes.ContainsFunc(body, func(r rune) bool { return acts(r) && r != utf8.RuneError }) {
		t.Error("the document holds characters that act on a terminal")
	}
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	walk(t, "", doc, 0)
}

// walk checks what Elasticsearch demands of any document: names that are no empty or dotted ones where
// they become fields, bounded depth and terms.
func walk(t *testing.T, path string, v any, depth int) {
	t.Helper()
	if depth > 26 {
		t.Fatalf("%s is %d deep", path, depth)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "" || strings.Contains(k, "\x00") || strings.Contains(k, ".") && !strings.HasSuffix(path, ".extra") {
				t.Errorf("%s has a field named %q", path, k)
			}
			walk(t, path+"."+k, e, depth+1)
		}
	case []any:
		for _, e := range v {
			walk(t, path, e, depth+1)
		}
	case string:
		if len(v) > maxText {
			t.Errorf("%s has %d bytes", path, len(v))
		}
	}
}

func FuzzBuild(f *testing.F) {
	for _, x := range examples() {
		raw, err := json.Marshal(readEvent(f, x.name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, "{user.username} {requestObject.metadata.name}", "requestObject.spec")
	}
	f.Fuzz(func(t *testing.T, raw []byte, template, field string) {
		ev := new(event.Event)
		if len(raw) > 1<<16 || json.Unmarshal(raw, ev) != nil {
			return
		}
		before, err := json.Marshal(ev)
		if err != nil {
			return // a time that JSON cannot write
		}
		m := engine.Match{
			Rule:     &sigma.Rule{ID: "r", Title: "T", Foretop: &sigma.Extension{Reason: template}},
			Elements: []engine.Element{{Category: "container", Path: field, Evidence: []engine.Evidence{{Field: field, Values: []string{string(raw[:min(len(raw), 100)])}}}}},
		}
		b := testBuilder(true)
		body := b.Build(ev, &event.Envelope{}, &m, testOrigin).Document().Body
		if !json.Valid(body) || !utf8.Valid(body) || bytes.ContainsFunc(body, func(r rune) bool { return acts(r) && r != utf8.RuneError }) {
			t.Fatalf("no clean JSON: %s", body)
		}
		if again := b.Build(ev, &event.Envelope{}, &m, testOrigin).Document().Body; !bytes.Equal(body, again) {
			t.Fatalf("two documents of one event:\n%s", cmp.Diff(string(body), string(again)))
		}
		after, err := json.Marshal(ev)
		if err != nil || !bytes.Equal(before, after) {
			t.Fatalf("the event was changed:\n%s", cmp.Diff(string(before), string(after)))
		}
	})
}

func TestAFindingOutlivesTheBuffersOfItsEvent(t *testing.T) {
	buffer := []byte("native|eks|cluster-id|cluster-name|aws|1234|region|zone|user.groups")
	parts := strings.Split(unsafe.String(&buffer[0], len(buffer)), "|")
	env := event.Envelope{
		Format: parts[0], Provider: parts[1], Cluster: event.Cluster{ID: parts[2], Name: parts[3]},
		Cloud: event.Cloud{Provider: parts[4], AccountID: parts[5], Region: parts[6], Zone: parts[7]}, Missing: parts[8:], Inferred: parts[8:],
	}
	f := build(t, &event.Event{AuditID: "a"}, env, engine.Match{})
	before := string(encode(f))
	for i := range buffer {
		buffer[i] = '#'
	}
	if after := string(encode(f)); after != before || strings.Contains(after, "#") {
		t.Errorf("the finding changed with the buffer:\n%s", cmp.Diff(before, after))
	}
}

func TestTheDocumentCarriesItsOriginAndItsID(t *testing.T) {
	f := build(t, &event.Event{AuditID: "a"}, event.Envelope{}, engine.Match{})
	d := f.Document()
	if d.Origin != testOrigin || d.ID != f.Event.ID || len(d.ID) != 64 || !bytes.Contains(d.Body, []byte(`"id":"`+d.ID+`"`)) {
		t.Errorf("%+v", d)
	}
	if d2 := f.Document(); &d.Body[0] != &d2.Body[0] {
		t.Error("the document was encoded twice")
	}
	for stream, want := range map[string]string{"kafka/audit/3": "kafka", "/var/log/audit.log": "", "cloudwatch/g/s": "cloudwatch"} {
		f := NewBuilder(Options{}).Build(&event.Event{}, &event.Envelope{}, &engine.Match{Rule: &sigma.Rule{}}, pipeline.Origin{Stream: stream})
		if f.Event.Provider != want {
			t.Errorf("%s is of %q", stream, f.Event.Provider)
		}
	}
}

func TestVisibleEscapesWhateverActsOnATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain ascii ~":            "plain ascii ~",
		"grün 日本 🎉":                "grün 日本 🎉",
		"\x1b[2J\x07\x00":          `\x1b[2J\x07\x00`,
		"a\nb\rc\td\x7f":           `a\nb\rc\td\x7f`,
		"\u0085\u009b31m":          `\x85\x9b31m`,
		"\u202e\u2066\u200b\ufeff": `\u202e\u2066\u200b\ufeff`,
		"\u2028\u2029":             `\u2028\u2029`,
		"\xff\xc3":                 `\xff\xc3`,
		"\U000e0041":               `\U000e0041`,
		"\u3164\u115f\ufe0f":       `\u3164\u115f\ufe0f`,
		"\u00ad":                   `\xad`,
		"\ufffd":                   `\ufffd`,
	} {
		if got := Visible(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, x := range examples() {
		b.Run(x.name, func(b *testing.B) {
			ev := readEvent(b, x.name)
			builder := testBuilder(false)
			b.ReportAllocs()
			for b.Loop() {
				builder.Build(ev, &x.env, &x.match, testOrigin)
			}
		})
	}
}

func BenchmarkRedact(b *testing.B) {
	ev := readEvent(b, "two-containers")
	item, err := json.Marshal(ev)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(item)))
	for b.Loop() {
		Redact(item)
	}
}
