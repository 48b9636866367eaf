package finding

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// allowedTypes are the event types that ECS expects for a category
// (https://www.elastic.co/guide/en/ecs/8.17/ecs-allowed-values-event-category.html).
var allowedTypes = map[string][]string{
	"api":                 {"access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info", "start", "user"},
	"authentication":      {"start", "end", "info"},
	"configuration":       {"access", "change", "creation", "deletion", "info"},
	"iam":                 {"admin", "change", "creation", "deletion", "group", "info", "user"},
	"intrusion_detection": {"allowed", "denied", "info"},
	"process":             {"access", "change", "end", "info", "start"},
	"session":             {"start", "end", "info"},
}

func TestEveryEventTypeIsAllowedByACategory(t *testing.T) {
	resources := []string{
		"", "pods", "secrets", "roles", "clusterroles", "rolebindings", "clusterrolebindings", "serviceaccounts", "certificatesigningrequests",
		"tokenreviews", "selfsubjectaccessreviews", "users", "groups", "nodes", "widgets",
	}
	subs := []string{"", "exec", "attach", "portforward", "proxy", "ephemeralcontainers", "eviction", "token", "approval", "status", "scale", "log", "binding"}
	verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "post", ""}
	targets := []UserTarget{{}, {Name: []string{"a"}}, {Group: Names{[]string{"g"}}}}
	for _, resource := range resources {
		for _, sub := range subs {
			for _, verb := range verbs {
				for _, code := range []int{0, 200, 401, 403, 404, 500} {
					for i, target := range targets {
						ev := &event.Event{Verb: verb, ResponseStatus: &event.ResponseStatus{Code: code}}
						if resource != "" {
							ev.ObjectRef = &event.ObjectRef{Resource: resource, Subresource: sub}
						}
						if i > 0 {
							ev.ImpersonatedUser = &event.User{Username: "x"}
						}
						categories, types := classify(ev, target)
						checkPairs(t, categories, types)
						if !slices.Contains(categories, "intrusion_detection") {
							t.Fatalf("%s %s/%s: not intrusion detection: %v", verb, resource, sub, categories)
						}
					}
				}
			}
		}
	}
}

func checkPairs(t *testing.T, categories, types []string) {
	t.Helper()
	if len(categories) == 0 || len(types) == 0 {
		t.Fatalf("nothing said: %v %v", categories, types)
	}
	for _, c := range categories {
		if allowedTypes[c] == nil {
			t.Fatalf("%s is no category", c)
		}
		if !slices.ContainsFunc(types, func(k string) bool { return slices.Contains(allowedTypes[c], k) }) {
			t.Fatalf("category %s has none of the types %v", c, types)
		}
	}
	for _, k := range types {
		if !slices.ContainsFunc(categories, func(c string) bool { return slices.Contains(allowedTypes[c], k) }) {
			t.Fatalf("type %s is allowed by none of %v", k, categories)
		}
	}
}

func TestRequestsAreClassifiedByWhatTheyDo(t *testing.T) {
	ref := func(resource, sub string) *event.ObjectRef {
		return &event.ObjectRef{Resource: resource, Subresource: sub}
	}
	for _, c := range []struct {
		name              string
		ev                event.Event
		targets           UserTarget
		categories, types []string
	}{
		{"exec over websocket", event.Event{Verb: "get", ObjectRef: ref("pods", "exec")}, UserTarget{}, []string{"session", "process", "intrusion_detection"}, []string{"start", "info"}},
		{"a refused request", event.Event{Verb: "create", ObjectRef: ref("rolebindings", ""), ResponseStatus: &event.ResponseStatus{Code: 403}}, UserTarget{}, []string{"api", "intrusion_detection"}, []string{"denied"}},
		{"a failed authentication", event.Event{Verb: "list", ObjectRef: ref("pods", ""), ResponseStatus: &event.ResponseStatus{Code: 401}}, UserTarget{}, []string{"authentication", "intrusion_detection"}, []string{"start", "info"}},
		{"a binding of a user and a group", event.Event{Verb: "create", ObjectRef: ref("clusterrolebindings", "")}, UserTarget{Name: []string{"u"}, Group: Names{[]string{"g"}}}, []string{"iam", "intrusion_detection"}, []string{"creation", "admin", "user", "group", "info"}},
		{"a token", event.Event{Verb: "create", ObjectRef: ref("serviceaccounts", "token")}, UserTarget{}, []string{"iam", "intrusion_detection"}, []string{"creation", "user", "info"}},
		{"an approval", event.Event{Verb: "update", ObjectRef: ref("certificatesigningrequests", "approval")}, UserTarget{}, []string{"iam", "intrusion_detection"}, []string{"change", "user", "info"}},
		{"a secret read", event.Event{Verb: "list", ObjectRef: ref("secrets", "")}, UserTarget{}, []string{"configuration", "intrusion_detection"}, []string{"access", "info"}},
		{"a secret read by impersonation", event.Event{Verb: "get", ObjectRef: ref("secrets", ""), ImpersonatedUser: &event.User{}}, UserTarget{}, []string{"configuration", "iam", "intrusion_detection"}, []string{"access", "admin", "user", "info"}},
		{"roles listed", event.Event{Verb: "list", ObjectRef: ref("roles", "")}, UserTarget{}, []string{"iam", "configuration", "intrusion_detection"}, []string{"access", "admin", "info"}},
		{"pods deleted", event.Event{Verb: "deletecollection", ObjectRef: ref("pods", "")}, UserTarget{}, []string{"configuration", "intrusion_detection"}, []string{"deletion", "info"}},
		{"an eviction", event.Event{Verb: "create", ObjectRef: ref("pods", "eviction")}, UserTarget{}, []string{"configuration", "intrusion_detection"}, []string{"deletion", "info"}},
		{"a path", event.Event{Verb: "get"}, UserTarget{}, []string{"api", "intrusion_detection"}, []string{"access", "info"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			categories, types := classify(&c.ev, c.targets)
			if diff := cmp.Diff([][]string{c.categories, c.types}, [][]string{categories, types}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLevelsHaveTheSeveritiesThatElasticSecurityTakesOver(t *testing.T) {
	want := map[sigma.Level]int{sigma.Informational: 21, sigma.Low: 21, sigma.Medium: 47, sigma.High: 73, sigma.Critical: 99, -3: 21, 17: 99}
	for level, severity := range want {
		if got := severities[clampLevel(level)].severity; got != severity {
			t.Errorf("level %d is %d, want %d", level, got, severity)
		}
	}
}

func TestTagsNameTacticsAndTechniques(t *testing.T) {
	got := threatOf([]string{"attack.privilege_escalation", "attack.T1552.007", "attack.t1611", "attack.t9999", "attack.t1610", "attack.ta0003", "cve.2024-1", "attack.g0007", "attack.nonsense"})
	want := Threat{
		Framework: "MITRE ATT&CK",
		Tactic:    Labelled{[]string{"TA0004", "TA0003"}, []string{"Privilege Escalation", "Persistence"}, []string{"https://attack.mitre.org/tactics/TA0004/", "https://attack.mitre.org/tactics/TA0003/"}},
		Technique: Technique{
			Labelled{
				[]string{"T1552", "T1611", "T1610", "T9999"}, []string{"Unsecured Credentials", "Escape to Host", "Deploy Container"},
				[]string{"https://attack.mitre.org/techniques/T1552/", "https://attack.mitre.org/techniques/T1611/", "https://attack.mitre.org/techniques/T1610/", "https://attack.mitre.org/techniques/T9999/"},
			},
			Labelled{[]string{"T1552.007"}, []string{"Container API"}, []string{"https://attack.mitre.org/techniques/T1552/007/"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := threatOf([]string{"cve.2024-1"}); got.Framework != "" {
		t.Errorf("a rule without ATT&CK tags got %+v", got)
	}
}

func TestEverySubtechniqueHasItsParentInTheTable(t *testing.T) {
	for id, name := range techniques {
		if !techniqueTag.MatchString("t"+id[1:]) || name == "" {
			t.Errorf("%q: %q", id, name)
		}
		if len(id) > 5 && techniques[id[:5]] == "" {
			t.Errorf("the parent of %s has no name", id)
		}
	}
}
