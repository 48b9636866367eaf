package decode

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/event"
)

// entry is a Cloud Audit entry; more goes into its protoPayload, outer into the entry.
func entry(method, resource, more, outer string) string {
	return fmt.Sprintf(`{"insertId":"g1","logName":"projects/p/logs/cloudaudit.googleapis.com%%2Factivity",%s"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog",`+
		`"authenticationInfo":{"principalEmail":"alice@example.com"},"authorizationInfo":[{"granted":true,"permission":%[2]q,"resource":%[3]q}],"methodName":%[2]q,%[4]s`+
		`"requestMetadata":{"callerIp":"203.0.113.24"},"resourceName":%[3]q,"serviceName":"k8s.io"},"resource":{"type":"k8s_cluster","labels":{"cluster_name":"c","location":"europe-west1-b","project_id":"p"}},"timestamp":"2026-03-04T10:15:20.123456Z"}`,
		outer, method, resource, more)
}

// decodeEntry decodes one entry into its event.
func decodeEntry(t *testing.T, body string) (*event.Event, decoded) {
	t.Helper()
	items := decode(t, New(Options{}), body, nil)
	if len(items) != 1 || items[0].Kind != Event {
		t.Fatalf("%+v", items)
	}
	e, err := event.Parse([]byte(items[0].canonical))
	if err != nil {
		t.Fatal(err)
	}
	return e, items[0]
}

func TestResourceNamesOfEveryShape(t *testing.T) {
	for _, c := range []struct{ method, resource, want string }{
		{"io.k8s.core.v1.pods.get", "core/v1/namespaces/a/pods/p", "get pods a/p /api/v1/namespaces/a/pods/p"},
		{"io.k8s.core.v1.pods.list", "core/v1/namespaces/a/pods", "list pods a/ /api/v1/namespaces/a/pods"},
		{"io.k8s.core.v1.pods.list", "core/v1/pods", "list pods / /api/v1/pods"},
		{"io.k8s.core.v1.pods.deletecollection", "core/v1/namespaces/a/pods", "deletecollection pods a/ /api/v1/namespaces/a/pods"},
		{"io.k8s.core.v1.pods.create", "core/v1/namespaces/a/pods/p", "create pods a/p /api/v1/namespaces/a/pods"},
		{"io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/a/pods/p/exec/p", "create pods/exec a/p /api/v1/namespaces/a/pods/p/exec"},
		{"io.k8s.core.v1.pods.exec.get", "core/v1/namespaces/a/pods/exec/exec/exec", "get pods/exec a/exec /api/v1/namespaces/a/pods/exec/exec"},
		{"io.k8s.core.v1.pods.attach.create", "core/v1/namespaces/a/pods/p/attach/p", "create pods/attach a/p /api/v1/namespaces/a/pods/p/attach"},
		{"io.k8s.core.v1.pods.portforward.create", "core/v1/namespaces/a/pods/p", "create pods/portforward a/p /api/v1/namespaces/a/pods/p/portforward"},
		{"io.k8s.core.v1.pods.eviction.create", "core/v1/namespaces/a/pods/p/eviction", "create pods/eviction a/p /api/v1/namespaces/a/pods/p/eviction"},
		{"io.k8s.core.v1.pods.ephemeralcontainers.patch", "core/v1/namespaces/a/pods/p/ephemeralcontainers", "patch pods/ephemeralcontainers a/p /api/v1/namespaces/a/pods/p/ephemeralcontainers"},
		{"io.k8s.core.v1.namespaces.get", "core/v1/namespaces/a", "get namespaces a/a /api/v1/namespaces/a"},
		{"io.k8s.core.v1.namespaces.create", "core/v1/namespaces/a", "create namespaces /a /api/v1/namespaces"},
		{"io.k8s.core.v1.namespaces.list", "core/v1/namespaces", "list namespaces / /api/v1/namespaces"},
		{"io.k8s.core.v1.namespaces.status.update", "core/v1/namespaces/a/status", "update namespaces/status a/a /api/v1/namespaces/a/status"},
		{"io.k8s.core.v1.namespaces.finalize.update", "core/v1/namespaces/a/finalize", "update namespaces/finalize a/a /api/v1/namespaces/a/finalize"},
		{"com.example.v1.status.list", "example.com/v1/namespaces/a/status", "list status.example.com a/ /apis/example.com/v1/namespaces/a/status"},
		{"io.k8s.core.v1.nodes.status.patch", "core/v1/nodes/n/status", "patch nodes/status /n /api/v1/nodes/n/status"},
		{"io.k8s.core.v1.nodes.proxy.get", "core/v1/nodes/n:10250/proxy/run/a/b", "get nodes/proxy /n:10250 /api/v1/nodes/n:10250/proxy/run/a/b"},
		{"io.k8s.core.v1.services.proxy.get", "core/v1/namespaces/a/services/https:s:443/proxy/", "get services/proxy a/https:s:443 /api/v1/namespaces/a/services/https:s:443/proxy/"},
		{"io.k8s.authorization.rbac.v1.clusterroles.patch", "rbac.authorization.k8s.io/v1/clusterroles/system:x:y", "patch clusterroles.rbac.authorization.k8s.io /system:x:y /apis/rbac.authorization.k8s.io/v1/clusterroles/system:x:y"},
		{"io.k8s.rbac.v1.clusterroles.patch", "rbac.authorization.k8s.io/v1/clusterroles/a/b", "patch clusterroles.rbac.authorization.k8s.io /a/b /apis/rbac.authorization.k8s.io/v1/clusterroles/a/b"},
		{"io.k8s.apps.v1.deployments.scale.update", "apps/v1/namespaces/a/deployments/d/scale", "update deployments/scale.apps a/d /apis/apps/v1/namespaces/a/deployments/d/scale"},
		{"com.coreos.database.etcd.v1beta2.etcdbackups.create", "etcd.database.coreos.com/v1beta2/namespaces/a/etcdbackups/b", "create etcdbackups.etcd.database.coreos.com a/b /apis/etcd.database.coreos.com/v1beta2/namespaces/a/etcdbackups"},
		{"com.e.d.c.b.a.v1alpha1.things.approve.update", "a.b.c.d.e.com/v1alpha1/things/t/approve", "update things/approve.a.b.c.d.e.com /t /apis/a.b.c.d.e.com/v1alpha1/things/t/approve"},
		{"io.k8s.authorization.v1.subjectaccessreviews.create", "authorization.k8s.io/v1/subjectaccessreviews", "create subjectaccessreviews.authorization.k8s.io / /apis/authorization.k8s.io/v1/subjectaccessreviews"},
		{"io.k8s.core.v1.pods.use", "core/v1/namespaces/a/pods/p", "use pods a/p /api/v1/namespaces/a/pods/p"},
		{"io.k8s.get", "readyz", "get - /readyz"},
		{"io.k8s.get", "", "get - /"},
		{"io.k8s.get", "api/v1", "get - /api/v1"},
		{"io.k8s.get", "apis/apps/v1", "get - /apis/apps/v1"},
		{"io.k8s.post", "HNAP1", "post - /HNAP1"},
		{"io.k8s.core.templates.preview.create", "core/templates/preview", "create - /core/templates/preview"},
	} {
		e, _ := decodeEntry(t, entry(c.method, c.resource, "", ""))
		got := e.Verb + " -"
		if r := e.ObjectRef; r != nil {
			resource := r.Resource
			if r.Subresource != "" {
				resource += "/" + r.Subresource
			}
			got = e.Verb + " " + strings.TrimSuffix(resource+"."+r.APIGroup, ".") + " " + r.Namespace + "/" + r.Name
		}
		if got += " " + e.RequestURI; got != c.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.method, c.resource, got, c.want)
		}
	}
}

func TestWhatAnEntryDoesNotTellIsMissing(t *testing.T) {
	const create, pod = "io.k8s.core.v1.pods.create", "core/v1/namespaces/a/pods/p"
	body := `"request":{"@type":"core.k8s.io/v1.Pod","kind":"Pod"},"response":{"@type":"core.k8s.io/v1.Pod","kind":"Pod"},`
	labels := `"labels":{"authorization.k8s.io/decision":"allow"},`
	noUser := func(s string) string { return strings.Replace(s, `"principalEmail":"alice@example.com"`, "", 1) }
	noGrant := func(s string) string { return strings.Replace(s, `"granted":true,`, "", 1) }
	for _, c := range []struct {
		name, body string
		missing    []string
	}{
		{"all that an entry can have", entry(create, pod, body, labels), nil},
		{"no labels, but granted", entry(create, pod, body, ""), nil},
		{"no labels, and not granted", noGrant(entry(create, pod, body+`"status":{"code":7},`, "")), []string{"responseStatus.details", "responseStatus.message", "annotations"}},
		{"no bodies", entry(create, pod, "", labels), []string{"requestObject", "responseObject"}},
		{"a read has no request body", entry("io.k8s.core.v1.pods.get", pod, "", labels), []string{"responseObject"}},
		{"an exec has none", entry("io.k8s.core.v1.pods.exec.create", pod+"/exec", "", labels), nil},
		{"a generated name", entry(create, "core/v1/namespaces/a/pods", `"request":{"kind":"Pod"},`, labels), []string{"objectRef.name", "responseObject"}},
		{"a patch that is no object", entry("io.k8s.core.v1.pods.patch", pod, `"request":{"@type":"k8s.io/Patch"},`, labels), []string{"requestObject", "responseObject"}},
		{"a part of a split entry", entry(create, pod, body, labels+`"split":{"uid":"u","totalSplits":2},`), []string{"requestObject", "responseObject"}},
		{"nobody, refused", noUser(entry(create, pod, body+`"status":{"code":16},`, "")), []string{"responseStatus.details", "responseStatus.message"}},
		{"a caller left out for privacy", noUser(entry(create, pod, body, labels)), []string{"user.username"}},
		{"an address left out for privacy", strings.Replace(entry(create, pod, body, labels), "203.0.113.24", "private", 1), []string{"sourceIPs"}},
		{"a failure with the API server's answer", entry(create, pod, `"request":{},"response":{"@type":"core.k8s.io/v1.Status","code":403},`, labels), nil},
	} {
		_, it := decodeEntry(t, c.body)
		missing := it.Envelope.Missing
		if len(missing) < len(gkeMissing) || !slices.Equal(missing[:len(gkeMissing)], gkeMissing) {
			t.Errorf("%s: %v", c.name, missing)
			continue
		}
		if diff := cmp.Diff(strings.Join(c.missing, " "), strings.Join(missing[len(gkeMissing):], " ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestStatusOfAnEntry(t *testing.T) {
	const pod = "core/v1/namespaces/a/pods/p"
	for _, c := range []struct {
		name, method, more string
		code               int
		exact              bool
	}{
		{"a create", "io.k8s.core.v1.pods.create", "", 201, false},
		{"a create with an empty status", "io.k8s.core.v1.pods.create", `"status":{},`, 201, false},
		{"an update", "io.k8s.core.v1.pods.update", `"status":{"code":0},`, 200, false},
		{"a token", "io.k8s.core.v1.pods.token.create", "", 201, false},
		{"an exec, which gRPC cannot say", "io.k8s.core.v1.pods.exec.create", `"status":{"code":2,"message":"UNKNOWN"},`, 101, false},
		{"an exec by WebSocket", "io.k8s.core.v1.pods.exec.get", `"status":{},`, 101, false},
		{"a proxied request", "io.k8s.core.v1.pods.proxy.create", "", 200, false},
		{"already exists", "io.k8s.core.v1.pods.create", `"status":{"code":10},`, 409, false},
		{"already exists, in gRPC's own code", "io.k8s.core.v1.pods.create", `"status":{"code":6.0},`, 409, false},
		{"refused", "io.k8s.core.v1.pods.get", `"status":{"code":"7"},`, 403, false},
		{"unauthenticated", "io.k8s.core.v1.pods.get", `"status":{"code":16},`, 401, false},
		{"the API server's own answer", "io.k8s.core.v1.pods.create", `"status":{"code":3},"response":{"@type":"core.k8s.io/v1.Status","code":4.22e+02,"kind":"Status"},`, 422, true},
		{"an answer without its type", "io.k8s.core.v1.pods.create", `"status":{"code":5},"response":{"kind":"Status","code":404},`, 404, true},
		{"a delete's answer has no code", "io.k8s.core.v1.pods.delete", `"response":{"@type":"core.k8s.io/v1.Status","status":"Success"},`, 200, false},
		{"a patch of an old object", "io.k8s.core.v1.pods.patch", `"response":{"metadata":{"creationTimestamp":"2026-03-01T00:00:00Z"}},`, 200, true},
		{"a patch of an object that is as old as the request", "io.k8s.core.v1.pods.patch", `"response":{"metadata":{"creationTimestamp":"2026-03-04T10:15:20Z"}},`, 200, false},
	} {
		e, it := decodeEntry(t, entry(c.method, pod, c.more, ""))
		if exact := !slices.Contains(it.Envelope.Inferred, "responseStatus.code"); e.ResponseStatus == nil || e.ResponseStatus.Code != c.code || exact != c.exact {
			t.Errorf("%s: %+v, exact %v, want %d, %v", c.name, e.ResponseStatus, exact, c.code, c.exact)
		}
	}
}

func TestBodiesOfAnEntry(t *testing.T) {
	for _, c := range []struct{ name, method, request, want string }{
		{"the type mark is no member", "io.k8s.core.v1.pods.create", `{"@type":"core.k8s.io/v1.Pod","kind":"Pod","spec":{"replicas":1e+06}}`, `{"kind":"Pod","spec":{"replicas":1e+06}}`},
		{"written with an escape", "io.k8s.core.v1.pods.create", `{"\u0040type":"x","kind":"Pod"}`, `{"kind":"Pod"}`},
		{"a merge patch", "io.k8s.core.v1.pods.patch", `{"@type":"k8s.io/Patch","spec":{"hostPID":true}}`, `{"spec":{"hostPID":true}}`},
		{"a JSON Patch", "io.k8s.core.v1.pods.patch", `{"@type":"k8s.io/Patch","value":[{"op":"add","path":"/spec/hostPID","value":true}]}`, `[{"op":"add","path":"/spec/hostPID","value":true}]`},
		{"a member called value", "com.example.v1.things.patch", `{"@type":"k8s.io/Patch","value":[1]}`, `{"value":[1]}`},
		{"nothing", "io.k8s.core.v1.pods.create", `null`, ``},
	} {
		e, _ := decodeEntry(t, entry(c.method, "core/v1/namespaces/a/pods/p", `"request":`+c.request+`,`, ""))
		if string(e.RequestObject) != c.want {
			t.Errorf("%s: %s, want %s", c.name, e.RequestObject, c.want)
		}
	}
}

func TestWhoAndFromWhere(t *testing.T) {
	whole := entry("io.k8s.core.v1.pods.get", "core/v1/namespaces/a/pods/p", "", "")
	for from, want := range map[string]string{
		`"principalEmail":"system:serviceaccount:a:b"`:                    "system:serviceaccount:a:b 203.0.113.24",
		`"principalSubject":"user:bob@example.com"`:                       "bob@example.com 203.0.113.24",
		`"principalEmail":"","principalSubject":"serviceAccount:x@y.iam"`: "x@y.iam 203.0.113.24",
		`"principalSubject":"principal://iam.googleapis.com/a/subject/b"`: "principal://iam.googleapis.com/a/subject/b 203.0.113.24",
		`"authoritySelector":"x"`:                                         "x 203.0.113.24",
		``:                                                                " 203.0.113.24",
	} {
		e, _ := decodeEntry(t, strings.Replace(whole, `"principalEmail":"alice@example.com"`, from, 1))
		if got := e.User.Username + " " + strings.Join(e.SourceIPs, ","); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	for from, want := range map[string]string{
		`"callerIp":"gce-internal-ip"`:                                      "gce-internal-ip ",
		`"callerIP":"::1","callerSuppliedUserAgent":"kubectl/v1,gzip(gfe)"`: "::1 kubectl/v1",
		`"callerSuppliedUserAgent":"x"`:                                     " x",
	} {
		e, _ := decodeEntry(t, strings.Replace(whole, `"callerIp":"203.0.113.24"`, from, 1))
		if got := strings.Join(e.SourceIPs, ",") + " " + e.UserAgent; got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}

func TestEntriesInEveryEnvelope(t *testing.T) {
	one := entry("io.k8s.core.v1.pods.get", "core/v1/namespaces/a/pods/p", "", "")
	two := strings.Replace(one, `"g1"`, `"g2"`, 1)
	data := base64.StdEncoding.EncodeToString([]byte(one))
	snake := strings.NewReplacer(`"insertId"`, `"insert_id"`, `"logName"`, `"log_name"`, `"protoPayload"`, `"proto_payload"`, `"methodName"`, `"method_name"`,
		`"resourceName"`, `"resource_name"`, `"serviceName"`, `"service_name"`, `"authenticationInfo"`, `"authentication_info"`, `"principalEmail"`, `"principal_email"`).Replace(one)
	for _, c := range []struct{ name, body, want string }{
		{"alone", one, "event g1"},
		{"as gcloud prints them", "[\n" + one + ",\n" + two + "\n]", "event g1 event g2"},
		{"one a line", one + "\n" + two, "event g1 event g2"},
		{"names in the other spelling", snake, "event g1"},
		{"an unescaped log name", strings.Replace(one, "%2F", "/", 1), "event g1"},
		{"a push request", `{"message":{"data":"` + data + `","messageId":"1","publishTime":"2026-03-04T10:15:21Z"},"subscription":"projects/p/subscriptions/s"}`, "event g1"},
		{"a pull answer", `{"receivedMessages":[{"ackId":"a","message":{"data":"` + data + `","messageId":"1"}}]}`, "event g1"},
		{"a received message", `{"ackId":"a","message":{"data":"` + data + `","message_id":"1"}}`, "event g1"},
		{"a message", `{"data":"` + data + `","attributes":{},"messageId":"1","publishTime":"2026-03-04T10:15:21Z"}`, "event g1"},
		{"in a shipper's key", `{"message":` + quote(one) + `}`, "event g1"},
		{"another service", strings.Replace(one, `"k8s.io"`, `"container.googleapis.com"`, 1), "skipped other_category"},
		{"another resource's", strings.Replace(strings.Replace(one, `"k8s.io"`, `"compute.googleapis.com"`, 1), "k8s_cluster", "gce_instance", 1), "skipped other_category"},
		{"a cluster outside of Google Cloud", strings.Replace(strings.Replace(one, `"k8s.io"`, `"anthosgke.googleapis.com"`, 1), "cloudaudit.", "externalaudit.", 1), "event g1"},
		{"an application's log", `{"insertId":"x","logName":"projects/p/logs/stdout","textPayload":"GET /"}`, "skipped other_category"},
		{"no method", strings.Replace(one, `"methodName"`, `"x"`, 1), "broken missing_fields"},
	} {
		if got := strings.Join(summaries(t, c.body), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLongRunningAndSplitEntriesKeepTheirAuditID(t *testing.T) {
	for _, c := range []struct{ outer, id, stage string }{
		{`"operation":{"id":"op","first":true},`, "op", "ResponseStarted"},
		{`"operation":{"id":"op","last":true},`, "op", "ResponseComplete"},
		{`"operation":{"id":"op","first":"true","last":"true"},`, "op", "ResponseComplete"},
		{``, "g1", "ResponseComplete"},
		{`"split":{"uid":"u","index":1},`, "g", "ResponseComplete"},
		{`"split":{"uid":"u","index":7},`, "g1", "ResponseComplete"},
	} {
		e, _ := decodeEntry(t, entry("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/a/pods/p/exec/p", "", c.outer))
		if e.AuditID != c.id || e.Stage != c.stage {
			t.Errorf("%s: %s %s, want %s %s", c.outer, e.AuditID, e.Stage, c.id, c.stage)
		}
	}
	first := strings.Replace(entry("io.k8s.core.v1.configmaps.update", "core/v1/configmaps/c", "", `"split":{"uid":"u"},`), `"g1"`, `"f3e7a5f0-1111-4222-8333-444455556666-0"`, 1)
	if e, _ := decodeEntry(t, first); e.AuditID != "f3e7a5f0-1111-4222-8333-444455556666" {
		t.Error(e.AuditID)
	}
}

// A shipper can cut an entry anywhere. What comes before the cut is judged; what lies behind it is unknown.
func TestCutEntriesAreReadAsFarAsTheyGo(t *testing.T) {
	whole := entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/a/pods/p", `"request":{"@type":"core.k8s.io/v1.Pod","kind":"Pod","spec":{"hostPID":true,"containers":[{"name":"c","image":"i"}]}},`, `"labels":{"authorization.k8s.io/decision":"allow"},`)
	events := 0
	for cut := len(whole) - 1; cut > 0; cut-- {
		for _, it := range decode(t, New(Options{}), whole[:cut], nil) {
			if it.Kind != Event {
				continue
			}
			events++
			e, err := event.Parse([]byte(it.canonical))
			if err != nil {
				t.Fatal(err)
			}
			env := it.Envelope
			switch {
			case !env.Truncated:
				t.Fatalf("cut at %d: not marked", cut)
			case e.User.Username != "alice@example.com" || e.ObjectRef == nil || e.ObjectRef.Name != "p" || e.Verb != "create" || e.RequestURI != "/api/v1/namespaces/a/pods":
				t.Fatalf("cut at %d: %s", cut, it.canonical)
			case e.ResponseStatus == nil && !slices.Contains(env.Missing, "responseStatus"), len(e.RequestObject) == 0 && !slices.Contains(env.Missing, "requestObject"):
				t.Fatalf("cut at %d: what is behind it is not missing: %v %s", cut, env.Missing, it.canonical)
			}
		}
	}
	if at := strings.Index(whole, `"request":`); events < len(whole)-at-10 {
		t.Errorf("%d of the cuts behind byte %d of %d gave an event", events, at, len(whole))
	}
}

// What archives and other tools keep of entries: the payload and the resource.
func TestAnEntryThatAnArchiveHasShortenedIsReadAsFarAsItGoes(t *testing.T) {
	const who = `"authenticationInfo":{"principalEmail":"alice@example.com"},"methodName":"io.k8s.core.v1.pods.exec.create","resourceName":"core/v1/namespaces/a/pods/p/exec","requestMetadata":{"callerIp":"203.0.113.24"}`
	const where = `"resource":{"type":"k8s_cluster","labels":{"project_id":"p"}}`
	for name, c := range map[string]struct {
		payload, decision string
		code              int
	}{
		"nothing of how it ended":    {who, "", 101},
		"a right, nothing of how":    {who + `,"authorizationInfo":[{"permission":"io.k8s.core.v1.pods.exec.create"}]`, "allow", 101},
		"a right that was refused":   {who + `,"authorizationInfo":[{"granted":false,"permission":"io.k8s.core.v1.pods.exec.create"}]`, "", 403},
		"a status, and no rights":    {who + `,"status":{}`, "allow", 101},
		"a status that tells of 403": {who + `,"status":{"code":7}`, "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"protoPayload":{` + c.payload + `},` + where + `}`
			e, it := decodeEntry(t, body)
			if e.Annotations[event.AnnotationDecision] != c.decision || e.ResponseStatus == nil || e.ResponseStatus.Code != c.code {
				t.Errorf("decision %q, status %+v", e.Annotations[event.AnnotationDecision], e.ResponseStatus)
			}
			if c.decision == "" && !slices.Contains(it.Envelope.Missing, "annotations") {
				t.Errorf("the decision is not unknown: %q", it.Envelope.Missing)
			}
			again, _ := decodeEntry(t, body)
			other, _ := decodeEntry(t, strings.Replace(body, "alice", "bob", 1))
			if !strings.HasPrefix(e.AuditID, "sha256-") || e.AuditID != again.AuditID || e.AuditID == other.AuditID || !slices.Contains(it.Envelope.Inferred, "auditID") {
				t.Errorf("ids %s, %s, %s; inferred %q", e.AuditID, again.AuditID, other.AuditID, it.Envelope.Inferred)
			}
		})
	}
}

func TestAnEventThatAnArchiveHasShortenedIsReadAsFarAsItGoes(t *testing.T) {
	const body = `{"kind":"Event","verb":"create","objectRef":{"resource":"pods","namespace":"a"},"responseStatus":{"code":%d}%s}`
	for name, c := range map[string]struct {
		code    int
		more    string
		missing bool
	}{
		"without a user":                    {201, "", true},
		"without a user, not authenticated": {401, "", false},
		"with one":                          {201, `,"user":{"username":"alice"}`, false},
		"with an empty one":                 {403, `,"user":{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, it := decodeEntry(t, fmt.Sprintf(body, c.code, c.more))
			if !strings.HasPrefix(e.AuditID, "sha256-") || !slices.Contains(it.Envelope.Inferred, "auditID") {
				t.Errorf("id %s, inferred %q", e.AuditID, it.Envelope.Inferred)
			}
			if slices.Contains(it.Envelope.Missing, "user") != c.missing {
				t.Errorf("missing %q", it.Envelope.Missing)
			}
		})
	}
	items := decode(t, New(Options{}), `{"kind":"Event","apiVersion":"v1","reason":"Scheduled","involvedObject":{"kind":"Pod"}}`, nil)
	if len(items) != 1 || items[0].Kind != Skipped {
		t.Errorf("an event of another API group: %+v", items)
	}
}
