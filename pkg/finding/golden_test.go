package finding

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

var update = flag.Bool("update", false, "write the golden files")

// readEvent reads testdata/events/<name>.json.
func readEvent(t testing.TB, name string) *event.Event {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	ev := new(event.Event)
	if err := json.Unmarshal(raw, ev); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return ev
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func testRule(id, name, title string, level sigma.Level, category, reason string, tags ...string) *sigma.Rule {
	return &sigma.Rule{
		ID: id, Name: name, Title: title, Status: "stable", Level: level, Own: true,
		Description: "What the rule is about.", Author: "A. Author, B. Author", Modified: "2026-04-01", License: "DRL 1.1",
		References: []string{"javascript:alert(1)", "https://kubernetes.io/docs/"}, Tags: tags,
		FalsePositives: []string{"Platform teams"},
		Logsource:      sigma.Logsource{Product: "kubernetes", Service: "audit", Category: category},
		Foretop:        &sigma.Extension{Reason: reason, Respond: "Ask the owner.", Version: "1.2.0"},
	}
}

type example struct {
	name  string
	env   event.Envelope
	match engine.Match
}

func request(evidence ...engine.Evidence) []engine.Element {
	return []engine.Element{{Evidence: evidence}}
}

func examples() []example {
	native := event.Envelope{Format: "native", Cluster: event.Cluster{ID: "prod-eu", Name: "prod-eu"}}
	eks := event.Envelope{
		Format: "cloudwatch", Provider: "eks",
		Cluster: event.Cluster{ID: "arn:aws:eks:eu-west-1:111122223333:cluster/prod", Name: "prod"},
		Cloud:   event.Cloud{Provider: "aws", AccountID: "111122223333", Region: "eu-west-1"},
	}
	gke := event.Envelope{
		Format: "gke-logentry", Provider: "gke",
		Cluster:  event.Cluster{ID: "projects/acme/locations/europe-west1-b/clusters/prod", Name: "prod"},
		Cloud:    event.Cloud{Provider: "gcp", ProjectID: "acme", Region: "europe-west1", Zone: "europe-west1-b"},
		Inferred: []string{"responseStatus.code", "stage"},
		Missing:  []string{"user.groups", "user.uid", "user.extra", "impersonatedUser", "level", "requestObject"},
	}
	cut := event.Envelope{Format: "aks-diagnostic", Provider: "aks", Cluster: event.Cluster{ID: "aks1", Name: "aks1"}, Truncated: true}
	return []example{
		{"anonymous-read", native, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0001", "anonymous-secret-read", "Secrets read without authentication", sigma.Critical, "", "{user.username} lists {objectRef.resource} in {objectRef.namespace} from {client.address}", "attack.credential_access", "attack.t1552.007", "attack.initial-access", "attack.t1078.001"),
			Level: sigma.Critical, Count: 1,
			Elements: request(engine.Evidence{Selection: "anonymous", Field: "user.username", Values: []string{"system:anonymous"}}, engine.Evidence{Selection: "read", Field: "requestURI", Values: []string{"/api/v1/namespaces/kube-system/secrets?limit=500&access_token=hunter2hunter2"}}),
		}},
		{"eks-session-exec", eks, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0002", "pod-exec", "Command run in a container", sigma.Medium, "", "{user.username} runs {exec.command} in {objectRef.namespace}/{objectRef.name}", "attack.execution", "attack.t1609"),
			Level: sigma.High, Because: "a database client", Count: 1,
			Elements: request(engine.Evidence{Selection: "exec", Field: "exec.command", Values: []string{"mysql -u root -pS3cr3tPassw0rd -e select 1"}}, engine.Evidence{Selection: "exec", Field: "request.query.command", Values: []string{"mysql", "-u", "root", "-pS3cr3tPassw0rd", "-e", "select 1"}}),
		}},
		{"impersonation", native, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0003", "impersonate-privileged", "Impersonation of a privileged identity", sigma.High, "", "{user.username} acts as {impersonatedUser.username} ({impersonatedUser.groups})", "attack.privilege-escalation", "attack.t1550", "attack.t1134", "attack.t9999"),
			Level: sigma.High, Count: 1,
			Elements: request(engine.Evidence{Selection: "masters", Field: "impersonatedUser.groups", Values: []string{"system:masters", "system:authenticated"}}),
		}},
		{"binding", native, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0004", "cluster-admin-binding", "cluster-admin granted", sigma.Critical, "subject", "{user.username} grants {roleRef.name} to {subject.identity}", "attack.persistence", "attack.t1098.006"),
			Level: sigma.Critical, Count: 3, BodySource: "responseObject", Suppressed: []string{"Break-glass accounts"},
			Elements: []engine.Element{
				{Category: "subject", Path: "responseObject.subjects[0]", Name: "bot", Fields: map[string][]string{"subject.identity": {"system:serviceaccount:build:bot"}, "roleRef.name": {"cluster-admin"}}, Evidence: []engine.Evidence{{Selection: "admin", Field: "roleRef.name", Values: []string{"cluster-admin"}}}},
				{Category: "subject", Path: "responseObject.subjects[1]", Name: "contractors", Fields: map[string][]string{"subject.identity": {"contractors"}}, Evidence: []engine.Evidence{{Selection: "admin", Field: "roleRef.name", Values: []string{"cluster-admin"}}}},
			},
		}},
		{"two-containers", native, engine.Match{
			Rule:  testRule("6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52", "privileged-container", "Privileged container", sigma.High, "container", "{user.username} runs {container.name} ({image.repository}) privileged in {workload.kind} {objectRef.namespace}/{workload.name}", "attack.privilege_escalation", "attack.t1611"),
			Level: sigma.High, Count: 2, BodySource: "responseObject",
			Elements: []engine.Element{
				{
					Category: "container", Path: "responseObject.spec.template.spec.containers[0]", Name: "app",
					Fields:   map[string][]string{"container.name": {"app"}, "image.repository": {"shop/web"}, "workload.kind": {"Deployment"}, "workload.name": {"web"}},
					Evidence: []engine.Evidence{{Selection: "privileged", Field: "container.securityContext.privileged", Values: []string{"true"}}, {Selection: "env", Field: "container.env.value", Values: []string{"correct-horse-battery"}}},
				},
				{
					Category: "container", Path: "responseObject.spec.template.spec.containers[1]", Name: "side", Injected: true,
					Evidence: []engine.Evidence{{Selection: "privileged", Field: "container.securityContext.privileged", Values: []string{"true"}}, {Selection: "args", Field: "container.args", Values: []string{"--token", "abcdef.0123456789abcdef", "--verbose"}}},
				},
			},
		}},
		{"truncated", cut, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0006", "configmap-write", "ConfigMap written", sigma.Low, "", "{user.username} writes {objectRef.name} with code {responseStatus.code}", "attack.t1552.001"),
			Level: sigma.Low, Count: 1, Elements: request(engine.Evidence{Selection: "write", Field: "verb", Values: []string{"create"}}),
		}},
		{"gke-role", gke, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0007", "role-change", "Role changed", sigma.Medium, "", "{user.username} ({user.groups}) changes role {objectRef.namespace}/{objectRef.name} from {client.address}", "attack.persistence"),
			Level: sigma.Medium, Count: 1, Elements: request(engine.Evidence{Selection: "roles", Field: "objectRef.resource", Values: []string{"roles"}}),
		}},
		{"unauthenticated", native, engine.Match{
			Rule: &sigma.Rule{Title: "Failed authentication", ID: "3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0008", Level: sigma.Informational}, Level: sigma.Informational,
			Count: 1, Elements: request(engine.Evidence{Selection: "selection", Field: "userAgent", Values: []string{"curl/8.7.1\x1b[2J\u202eevil"}}),
		}},
		{"secret-write", native, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0009", "secret-changed", "Secret written", sigma.Low, "", "{user.username} writes {objectRef.name}: {requestObject.stringData.dsn}", "attack.credential-access"),
			Level: sigma.Low, Count: 1,
			Elements: []engine.Element{{
				Fields: map[string][]string{"requestObject.stringData.dsn": {"postgres://app:hunter2hunter2@db/payments"}},
				Evidence: []engine.Evidence{
					{Selection: "dsn", Field: "requestObject.stringData.dsn", Values: []string{"postgres://app:hunter2hunter2@db/payments"}},
					{Selection: "note", Field: "requestObject.metadata.annotations.note", Values: []string{"password=hunter2hunter2"}},
					{Selection: "data", Field: "responseObject.data.token", Values: []string{"aHVudGVyMmh1bnRlcjI="}},
				},
			}},
		}},
		{"non-resource", native, engine.Match{
			Rule:  testRule("3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f000b", "node-reads-logs", "Node reads logs of the control plane", sigma.Low, "", ""),
			Level: sigma.Low, Count: 1, Elements: request(engine.Evidence{Selection: "path", Field: "request.path", Values: []string{"/logs/"}}),
		}},
	}
}

func testBuilder(bodies bool) *Builder {
	return NewBuilder(Options{
		Version: "1.0.0", SetHash: "5e7", Labels: map[string]string{"team.name": "platform"}, IncludeBodies: bodies,
		SourceTypes: map[string]string{"prod": "kafka"},
		Now:         func() time.Time { return time.Date(2026, 5, 11, 8, 15, 0, 0, time.UTC) },
	})
}

var testOrigin = pipeline.Origin{Source: "prod", Stream: "kafka/audit/3", Pos: "1042", Offset: 17, Length: 900}

func TestDocumentsOfEachKindOfEvent(t *testing.T) {
	for _, x := range examples() {
		t.Run(x.name, func(t *testing.T) {
			ev := readEvent(t, x.name)
			m := withFields(t, x.match, ev, &x.env)
			f := testBuilder(x.name == "secret-write").Build(ev, &x.env, &m, testOrigin)
			var out bytes.Buffer
			if err := json.Indent(&out, f.Document().Body, "", "  "); err != nil {
				t.Fatal(err)
			}
			out.WriteByte('\n')
			golden(t, x.name+".json", out.Bytes())
		})
	}
}
