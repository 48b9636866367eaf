package finding

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// everyRequest is a rule that is true for every request, with the sentence that it is to say.
func everyRequest(t testing.TB, reason string) *engine.Set {
	t.Helper()
	rule := `title: Every request
id: 3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0010
name: every-request
status: stable
description: x
logsource: {product: kubernetes, service: audit}
detection: {never: {verb: no such verb}, condition: not never}
falsepositives: [all]
level: low
tags: [attack.credential-access, attack.t1552.007]
x-foretop: {needs: {level: Metadata}, respond: ask, reason: ` + jsonText(reason) + "}\n"
	rules := sigma.Load([]sigma.File{{Name: "every.yml", Data: []byte(rule)}}, sigma.Options{})
	set, problems := engine.Compile(rules, engine.Options{})
	if all := append(rules.Problems, problems...); len(all) > 0 {
		t.Fatal(all)
	}
	return set
}

// findings takes a record all the way: decoded, judged by a rule that is true for everything, written down.
func findings(t *testing.T, record []byte, meta map[string]string, o decode.Options, b *Builder) []*Finding {
	t.Helper()
	judge := everyRequest(t, "{user.effective.username} listed the Secrets of {cluster.name}").NewJudge()
	var out []*Finding
	decode.New(o).Decode(record, meta, func(it *decode.Item) {
		if it.Kind != decode.Event {
			t.Fatalf("no event: %s %s", it.Class, it.Detail)
		}
		var v engine.Verdict
		judge.Judge(it.Canonical, &it.Envelope, &v)
		ev, err := event.Parse(it.Canonical)
		if err != nil {
			t.Fatal(err)
		}
		for i := range v.Matches {
			out = append(out, b.Build(ev, &it.Envelope, &v.Matches[i], testOrigin))
		}
	})
	return out
}

// fieldsOf are all fields of an event that a sentence may name, as the engine gives them to a match.
func fieldsOf(t testing.TB, ev *event.Event, env *event.Envelope) map[string][]string {
	t.Helper()
	reason := ""
	for _, f := range event.Fields {
		if f.In == nil && !strings.HasSuffix(f.Path, "*") {
			reason += "{" + f.Path + "}"
		}
	}
	var v engine.Verdict
	everyRequest(t, reason).NewJudge().Judge([]byte(jsonText(ev)), env, &v)
	if len(v.Matches) != 1 {
		t.Fatalf("%d matches", len(v.Matches))
	}
	return v.Matches[0].Elements[0].Fields
}

// withFields is m with the event's fields beside those of its first element.
func withFields(t testing.TB, m engine.Match, ev *event.Event, env *event.Envelope) engine.Match {
	t.Helper()
	fields := fieldsOf(t, ev, env)
	m.Elements = slices.Clone(m.Elements)
	if len(m.Elements) == 0 {
		m.Elements, m.Count = []engine.Element{{}}, 1
	}
	maps.Copy(fields, m.Elements[0].Fields)
	m.Elements[0].Fields = fields
	return m
}

// object is a JSON object.
type object = map[string]any

// listSecrets is an audit event, changed by with.
func listSecrets(with object) object {
	ev := object{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "6b8a3e0e-1a2b-4f0f-8d0e-55d1a6b2c4ff",
		"stage": "ResponseComplete", "requestURI": "/api/v1/secrets?limit=500", "verb": "list", "sourceIPs": []string{"203.0.113.24"},
		"userAgent": "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0", "objectRef": object{"resource": "secrets", "apiVersion": "v1"},
		"responseStatus":           object{"metadata": object{}, "code": 200},
		"requestReceivedTimestamp": "2026-03-04T10:15:20.123456Z", "stageTimestamp": "2026-03-04T10:15:20.223456Z",
	}
	maps.Copy(ev, with)
	return ev
}

// onEKS is a subscription's payload with an event of the cluster prod of the account 111122223333.
func onEKS(ev object) object {
	return object{
		"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/eks/prod/cluster",
		"logStream": "kube-apiserver-audit-0123456789abcdef0123456789abcdef", "subscriptionFilters": []string{"all"},
		"logEvents": []any{object{"id": "3612", "timestamp": 1772619320151, "message": jsonText(ev)}},
	}
}

// onAKS is a message of an event hub with an event of the cluster aks-demo.
func onAKS(ev object) object {
	return object{"records": []any{object{
		"category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
		"properties": object{"log": jsonText(ev) + "\n", "stream": "stdout", "pod": "kube-apiserver-7d9b8c6f5d-abcde"},
		"resourceId": "/SUBSCRIPTIONS/00000000-1111-2222-3333-444444444444/RESOURCEGROUPS/RG-DEMO/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-DEMO",
		"location":   "westeurope", "time": "2026-03-04T10:15:20.151355367Z",
	}}}
}

// onGKE is an entry of Cloud Logging about the cluster demo-gke; with changes its protoPayload.
func onGKE(with object) object {
	payload := object{
		"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": "io.k8s.core.v1.secrets.list",
		"resourceName": "core/v1/secrets", "status": object{},
		"requestMetadata": object{"callerIp": "203.0.113.24", "callerSuppliedUserAgent": "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0,gzip(gfe)"},
	}
	maps.Copy(payload, with)
	return object{
		"insertId": "65ebd51f-8295-56e8-bbb0-fdcaefd9a418", "logName": "projects/demo-project/logs/cloudaudit.googleapis.com%2Fdata_access",
		"labels":       object{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "access granted by IAM permissions."},
		"operation":    object{"id": "65ebd51f-8295-56e8-bbb0-fdcaefd9a418", "producer": "k8s.io", "first": true, "last": true},
		"resource":     object{"type": "k8s_cluster", "labels": object{"cluster_name": "demo-gke", "location": "europe-west1-b", "project_id": "demo-project"}},
		"protoPayload": payload, "timestamp": "2026-03-04T10:15:20.123456Z", "receiveTimestamp": "2026-03-04T10:15:20.523456789Z",
	}
}

func unmanaged(ev object) object { return ev }

var providers = []struct {
	name string
	wrap func(object) object
}{{"eks", onEKS}, {"aks", onAKS}, {"gke", onGKE}, {"native", unmanaged}}

func jsonText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, lists and texts of this file
	}
	return string(raw)
}

// identityView is what of a document tells who it was and where.
func identityView(t *testing.T, name string, f *Finding) object {
	t.Helper()
	var doc object
	if err := json.Unmarshal(f.Document().Body, &doc); err != nil {
		t.Fatal(err)
	}
	orchestrator, foretop := doc["orchestrator"].(object), doc["foretop"].(object)
	view := object{
		"case": name, "actor": f.Actor(), "reason": f.Event.Reason, "foretop.identity": foretop["identity"],
		"orchestrator.cluster": orchestrator["cluster"], "related.user": doc["related"].(object)["user"],
	}
	for _, key := range []string{"user", "cloud"} {
		if doc[key] != nil {
			view[key] = doc[key]
		}
	}
	return view
}

func TestIdentitiesOfEachProvider(t *testing.T) {
	for _, p := range providers {
		t.Run(p.name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("testdata", "identities", p.name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var cases []object
			if err := json.Unmarshal(raw, &cases); err != nil {
				t.Fatal(err)
			}
			o := decode.Options{}
			if p.name == "native" {
				o.Cluster = event.Cluster{Name: "on-site", ID: "on-site"}
			}
			var views []object
			for _, c := range cases {
				name := c["name"].(string)
				delete(c, "name")
				if p.name != "gke" {
					c = listSecrets(c)
				}
				got := findings(t, []byte(jsonText(p.wrap(c))), nil, o, testBuilder(false))
				if len(got) != 1 {
					t.Fatalf("%s: %d findings", name, len(got))
				}
				views = append(views, identityView(t, name, got[0]))
			}
			out, err := json.MarshalIndent(views, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "identities-"+p.name+".json", append(out, '\n'))
		})
	}
}

// elsewhere is everything by which an event could claim to be of another cluster, account or region.
func elsewhere() object {
	claims := object{
		"cloud":        object{"provider": "gcp", "account": object{"id": "666666666666"}, "project": object{"id": "evil-project"}, "region": "mars-1", "availability_zone": "mars-1a"},
		"orchestrator": object{"cluster": object{"name": "evil", "id": "evil-id"}}, "openshift": object{"cluster_id": "evil"},
		"k8s.cluster.name": "evil", "k8s.cluster.uid": "evil", "cluster": "evil", "cluster_name": "evil", "resourceId": "/subscriptions/evil/resourcegroups/r/providers/microsoft.containerservice/managedclusters/evil",
		"logGroup": "/aws/eks/evil/cluster", "owner": "666666666666", "location": "mars", "resource": object{"labels": object{"cluster_name": "evil", "project_id": "evil-project", "location": "mars"}},
	}
	extra := object{"arn": []string{"arn:aws:sts::666666666666:assumed-role/evil/evil"}, "canonicalArn": []string{"arn:aws:iam::666666666666:role/evil"}}
	for key, value := range claims {
		extra[key] = []string{jsonText(value)}
	}
	with := object{
		"user":               object{"username": "mallory", "uid": "aws-iam-authenticator:666666666666:AROAEXAMPLEEXAMPLE666", "groups": []string{"evil"}, "extra": extra},
		"objectRef":          object{"resource": "pods", "namespace": "evil", "name": "evil", "apiVersion": "v1"},
		"verb":               "create",
		"annotations":        object{"cluster": "evil", "k8s.cluster.name": "evil", "orchestrator.cluster.name": "evil"},
		"requestObject":      claims,
		"responseObject":     claims,
		"sourceIPs":          []string{"203.0.113.24"},
		"authenticationInfo": object{"principalEmail": "x@evil-project.iam.gserviceaccount.com"},
		"request":            claims, "response": claims,
		"resourceName": "core/v1/namespaces/evil/pods/evil", "methodName": "io.k8s.core.v1.pods.create",
	}
	return with
}

func TestAnEventCannotChangeItsClusterOrAccount(t *testing.T) {
	for _, p := range providers {
		t.Run(p.name, func(t *testing.T) {
			with := elsewhere()
			o := decode.Options{}
			ev := listSecrets(with)
			for _, key := range []string{"authenticationInfo", "request", "response", "resourceName", "methodName"} {
				if p.name != "gke" {
					delete(ev, key)
				}
			}
			honest, forged := listSecrets(object{"user": object{"username": "mallory"}}), ev
			switch p.name {
			case "gke":
				honest, forged = object{}, with
				delete(forged, "responseObject")
			case "native":
				o.Cluster = event.Cluster{Name: "on-site", ID: "on-site"}
			}
			want := findings(t, []byte(jsonText(p.wrap(honest))), nil, o, testBuilder(false))
			got := findings(t, []byte(jsonText(p.wrap(forged))), nil, o, testBuilder(false))
			if len(want) != 1 || len(got) != 1 {
				t.Fatalf("%d and %d findings", len(want), len(got))
			}
			if got[0].Cloud != want[0].Cloud || got[0].Orchestrator.Cluster != want[0].Orchestrator.Cluster {
				t.Errorf("the event changed where it is from:\n%+v %+v\nwant\n%+v %+v", got[0].Cloud, got[0].Orchestrator.Cluster, want[0].Cloud, want[0].Orchestrator.Cluster)
			}
			if name := want[0].Orchestrator.Cluster.Name; name == event.UnknownCluster || name == "" {
				t.Errorf("the transport's cluster is not known: %q", name)
			}
			if p.name != "gke" && got[0].Foretop.Identity.Account != "666666666666" {
				t.Errorf("the identity's own account is lost: %+v", got[0].Foretop.Identity)
			}
		})
	}
}

func TestTheOutermostEnvelopeSaysWhereAnEventIsFrom(t *testing.T) {
	ev := listSecrets(object{"user": object{"username": "mallory"}})
	group := map[string]string{
		decode.MetaLogGroup: "/aws/eks/prod/cluster", decode.MetaLogStream: "kube-apiserver-audit-0123", decode.MetaAccount: "111122223333", decode.MetaRegion: "eu-west-1",
	}
	bound := map[string]string{decode.MetaClusterName: "on-site", decode.MetaClusterID: "on-site"}
	subscription := map[string]string{decode.MetaProject: "a-project"}
	const aksID = "/subscriptions/00000000-1111-2222-3333-444444444444/resourcegroups/rg-demo/providers/microsoft.containerservice/managedclusters/aks-demo"
	for _, c := range []struct {
		name   string
		meta   map[string]string
		record object
		want   Cluster
		cloud  Cloud
	}{
		{"a bare message of a log group", group, ev, Cluster{"prod", "arn:aws:eks:eu-west-1:111122223333:cluster/prod"}, Cloud{Provider: "aws", Account: ID{"111122223333"}, Region: "eu-west-1", Service: Named{"eks"}}},
		{"Azure's envelope in a log group", group, onAKS(ev), Cluster{"prod", "arn:aws:eks:eu-west-1:111122223333:cluster/prod"}, Cloud{Provider: "aws", Account: ID{"111122223333"}, Region: "eu-west-1", Service: Named{"eks"}}},
		{"Google's entry in a log group", group, onGKE(object{}), Cluster{"prod", "arn:aws:eks:eu-west-1:111122223333:cluster/prod"}, Cloud{Provider: "aws", Account: ID{"111122223333"}, Region: "eu-west-1", Service: Named{"eks"}}},
		{"Azure's envelope in a subscription's payload", nil, onEKS(onAKS(ev)), Cluster{"prod", "prod"}, Cloud{Provider: "aws", Account: ID{"111122223333"}, Service: Named{"eks"}}},
		{"a subscription's payload in Azure's envelope", nil, onAKS(onEKS(ev)), Cluster{"aks-demo", aksID}, Cloud{Provider: "azure", Account: ID{"00000000-1111-2222-3333-444444444444"}, Region: "westeurope", Service: Named{"aks"}}},
		{"Google's entry in Azure's envelope", nil, onAKS(onGKE(object{})), Cluster{"aks-demo", aksID}, Cloud{Provider: "azure", Account: ID{"00000000-1111-2222-3333-444444444444"}, Region: "westeurope", Service: Named{"aks"}}},
		{"Azure's envelope from a sender who is known", bound, onAKS(ev), Cluster{"on-site", "on-site"}, Cloud{Provider: "azure", Service: Named{"aks"}}},
		{"Google's entry from a sender who is known", bound, onGKE(object{}), Cluster{"on-site", "on-site"}, Cloud{Provider: "gcp", Service: Named{"gke"}}},
		{"Azure's envelope through Pub/Sub", subscription, onAKS(ev), Cluster{"aks-demo", aksID}, Cloud{Provider: "azure", Account: ID{"00000000-1111-2222-3333-444444444444"}, Region: "westeurope", Service: Named{"aks"}}},
	} {
		got := findings(t, []byte(jsonText(c.record)), c.meta, decode.Options{}, testBuilder(false))
		if len(got) != 1 {
			t.Errorf("%s: %d findings", c.name, len(got))
			continue
		}
		if got[0].Orchestrator.Cluster != c.want || got[0].Cloud != c.cloud {
			t.Errorf("%s is from\n%+v %+v\nwant\n%+v %+v", c.name, got[0].Orchestrator.Cluster, got[0].Cloud, c.want, c.cloud)
		}
	}
}

func TestWhatTellsAPersonMayLieBehindACut(t *testing.T) {
	for _, u := range []event.User{{Username: "kubernetes-admin"}, {Username: "system:serviceaccount:x:default"}} {
		if id := identityOf(&event.Event{User: u}, "eks", true); id.Shared {
			t.Errorf("%s of a cut event is shared: %s", u.Username, id.SharedReason)
		}
		if id := identityOf(&event.Event{User: u}, "eks", false); !id.Shared {
			t.Errorf("%s is not shared", u.Username)
		}
	}
}

func TestARNsAreReadByTheirFields(t *testing.T) {
	for in, want := range map[string]arn{
		"arn:aws:iam::111122223333:role/a/b":           {"aws", "iam", "", "111122223333", "role/a/b"},
		"arn:aws-cn:sts::1:assumed-role/R/s":           {"aws-cn", "sts", "", "1", "assumed-role/R/s"},
		"arn:aws-us-gov:eks:us-gov-west-1:1:cluster/c": {"aws-us-gov", "eks", "us-gov-west-1", "1", "cluster/c"},
		"arn:aws:sts::1:assumed-role/R/with:colon":     {"aws", "sts", "", "1", "assumed-role/R/with:colon"},
		"arn:aws:iam::1:root":                          {"aws", "iam", "", "1", "root"},
		"arn:aws-iso-b:iam::1:user/x":                  {"aws-iso-b", "iam", "", "1", "user/x"},
		"":                                             {},
		"arn":                                          {},
		"arn:aws:iam::1":                               {},
		"arn:aws:iam::1:":                              {},
		"arn::iam::1:x":                                {},
		"arn:awsome:iam::1:x":                          {},
		"ARN:aws:iam::1:user/x":                        {},
		" arn:aws:iam::1:user/x":                       {},
		"system:serviceaccount:a:b:c:d":                {},
	} {
		if got, ok := parseARN(in); got != want || ok != (want != arn{}) {
			t.Errorf("%q is read as %+v, %v", in, got, ok)
		}
	}
}

func TestPermissionSetsAreCutOutOfRoles(t *testing.T) {
	for role, want := range map[string]string{
		"AWSReservedSSO_PlatformAdmin_0123456789abcdef": "PlatformAdmin",
		"AWSReservedSSO_a_b_0123456789abcdef":           "a_b",
		"AWSReservedSSO__0123456789abcdef":              "",
		"AWSReservedSSO_x_0123456789abcdeX":             "",
		"AWSReservedSSO_x_0123":                         "",
		"AWSReservedSSO_":                               "",
		"PlatformAdmin_0123456789abcdef":                "",
	} {
		if got := permissionSet(role); got != want {
			t.Errorf("%s: %q, want %q", role, got, want)
		}
	}
}

func TestInstancesAndToolsAreKnownByTheirSessionNames(t *testing.T) {
	for _, id := range []string{"i-0abc0abc0abc0abc0", "i-0abc1234", "mi-0abc0abc0abc0abc0"} {
		if !isInstanceID(id) {
			t.Errorf("%s is an instance", id)
		}
	}
	for _, id := range []string{"", "i-", "i-0ABC1234", "i-0abc123", "i-0abc12345", "mi-0abc1234", "x-0abc1234", "i-0abc1234/x"} {
		if isInstanceID(id) {
			t.Errorf("%s is no instance", id)
		}
	}
	for _, session := range []string{"EKSGetTokenAuth", "botocore-session-1772619320", "aws-go-sdk-1772619320151355367", "1772619320151355367", strconv.Itoa(1772619320)} {
		if !isToolSession(session) {
			t.Errorf("%s tells nobody's name", session)
		}
	}
	for _, session := range []string{"", "alice", "alice@example.com", "i-0abc0abc0abc0abc0", "12345", "GitHubActions"} {
		if isToolSession(session) {
			t.Errorf("%s is taken for a tool's", session)
		}
	}
}
