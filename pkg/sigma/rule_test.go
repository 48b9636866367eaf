package sigma

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestARuleOfOthersKeepsItsMetadata(t *testing.T) {
	text := replaced(t, thirdParty, "status: test", "status: test\nname: ns-delete\nauthor: [A, B]\ndate: 2024-05-06\nmodified: 2024/05/07\nlicense: DRL-1.1\nreferences: https://example.org\ndescription: |\n  What it\n  does.")
	c := load(t, text)
	if len(c.Problems) > 0 {
		t.Errorf("problems: %v", c.Problems)
	}
	want := &Rule{
		Title: "Deleting namespaces", ID: "22222222-2222-4222-8222-222222222222", Name: "ns-delete", Status: "test",
		Description: "What it\ndoes.", Author: "A, B", Date: "2024-05-06", Modified: "2024/05/07", License: "DRL-1.1",
		References: []string{"https://example.org"}, Tags: []string{"attack.impact", "attack.t9999", "custom.tag"},
		FalsePositives: []string{"Clean-up jobs"}, Level: Medium,
		Logsource: Logsource{Category: "application", Product: "kubernetes", Service: "audit"},
		Source:    Position{"rules.yml", 1},
	}
	if diff := cmp.Diff(want, c.Rules[0], cmpopts.IgnoreFields(Rule{}, "Detection")); diff != "" {
		t.Error(diff)
	}
}

func TestWrongRulesAreRejectedWithAReason(t *testing.T) {
	tests := []struct{ name, base, old, new, want string }{
		{"without title", thirdParty, "title: Deleting namespaces\n", "", "title is missing"},
		{"with an id that is no UUID", thirdParty, "22222222-2222-4222-8222-222222222222", "ns-1", `id "ns-1" is no UUID`},
		{"with an unknown level", thirdParty, "level: medium", "level: severe", `unknown level "severe"; use one of informational, low`},
		{"with an unknown status", thirdParty, "status: test", "status: beta", `unknown status "beta"; use one of stable`},
		{"with an unknown selection", thirdParty, "condition: selection", "condition: selektion", "unknown selection"},
		{"without condition", thirdParty, "    condition: selection\n", "", "has no condition"},
		{"with an empty list of conditions", thirdParty, "condition: selection", "condition: []", "list of conditions is empty"},
		{"with a mapping as condition", thirdParty, "condition: selection", "condition: {a: b}", "a condition must be text"},
		{"with only a condition", thirdParty, "    selection:\n        verb: delete\n        objectRef.resource: namespaces\n", "", "has no selection"},
		{"with a list as detection", thirdParty, "detection:\n    selection:\n        verb: delete\n        objectRef.resource: namespaces\n    condition: selection\n", "detection: [x]\n", "detection must be a mapping"},
		{"with a list as title", thirdParty, "title: Deleting namespaces", "title: [x]", "title must be text"},
		{"with maps as tags", thirdParty, "tags: [attack.impact,", "tags: [{a: b},", "tags must be a list of texts"},
		{"with a key twice", thirdParty, "        verb: delete\n", "        verb: delete\n        verb: update\n", `key "verb" stands twice (first on line 10)`},
		{"with an alias", thirdParty, "verb: delete\n        objectRef.resource: namespaces", "verb: &v delete\n        objectRef.resource: *v", "aliases (*v) are not read"},
		{"with a merge key", thirdParty, "verb: delete", "<<: {verb: delete}", "merge keys"},
		{"with a foreign tag", thirdParty, "verb: delete", "verb: !exec delete", "the YAML tag !exec is not read"},
		{"with binary data", thirdParty, "verb: delete", "verb: !!binary aGVsbG8=", "the YAML tag !!binary is not read"},
		{"with deep nesting", thirdParty, "custom: anything goes", "custom: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested deeper than 24"},
		{"with an unknown category", thirdParty, "category: application", "category: containers", "log source kubernetes/audit/containers is not judged here"},
		{"without log source", thirdParty, "logsource:\n    category: application\n    product: kubernetes\n    service: audit\n", "", "logsource is missing"},
		{"with an empty log source", thirdParty, "logsource:\n    category: application\n    product: kubernetes\n    service: audit\n", "logsource: {}\n", "logsource is missing or empty"},
		{"with a detection and a filter", thirdParty, "custom: anything goes", "filter: {}", "more than one of detection, filter and correlation"},
		{"with a misspelt detection", thirdParty, "detection:", "detections:", "has no detection"},

		{"of ours without id", ownRule, "id: 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52\n", "", "id is missing"},
		{"of ours without name", ownRule, "name: privileged-container\n", "", "name is missing"},
		{"of ours without level", ownRule, "level: high\n", "", "level is missing"},
		{"of ours without technique", ownRule, ", attack.t1611", "", "tags name no ATT&CK technique"},
		{"of ours without false positives", ownRule, "falsepositives: [Node agents (CNI, CSI, monitoring) that a platform team deploys]\n", "", "falsepositives is missing"},
		{"of ours without needs", ownRule, "  needs: {level: Request, providers: {eks: yes, gke: yes, aks: yes}}\n", "", "needs.level is missing"},
		{"of ours without reason", ownRule, `  reason: "{user`, `  owner: "{user`, "x-foretop.reason is missing"},
		{"of ours without respond", ownRule, "respond: Ask the owner;", "version: x", "respond is missing"},
		{"of ours with an unknown extension key", ownRule, "respond: Ask", "responds: Ask", `unknown key "responds" in x-foretop; known are needs`},
		{"of ours with a filter's key", ownRule, "respond: Ask", "expires: 2026-01-01\n  respond: Ask", `unknown key "expires" in x-foretop`},
		{"of ours with an unknown audit level", ownRule, "level: Request,", "level: request,", `needs.level is "request"; write one of Metadata`},
		{"of ours with an unknown provider", ownRule, "eks: yes", "ibm: yes", `unknown key "ibm" in x-foretop.needs.providers`},
		{"of ours with a text as needs", ownRule, "needs: {level: Request, providers: {eks: yes, gke: yes, aks: yes}}", "needs: Request", "needs must be a mapping"},
		{"of ours with an open brace", ownRule, "{user.username}", "{user.username", "unmatched brace"},
		{"of ours with an empty reference", ownRule, "{user.username}", "{ }", "empty reference"},
		{"of ours with a wrong controlled", ownRule, "  respond: Ask", "  controlled: maybe\n  respond: Ask", `controlled is "maybe"; write ignore or judge`},
		{"of ours with a level over an unknown selection", ownRule, "  respond: Ask", "  levels: [{when: nobody, level: low, because: x}]\n  respond: Ask", "unknown selection"},
		{"of ours with an unknown level override", ownRule, "  respond: Ask", "  levels: [{when: write, level: lower, because: x}]\n  respond: Ask", "unknown level"},
		{"of ours with a level without reason", ownRule, "  respond: Ask", "  levels: [{when: write, level: low}]\n  respond: Ask", "because is missing"},
		{"of ours with a level without condition", ownRule, "  respond: Ask", "  levels: [{level: low, because: x}]\n  respond: Ask", "condition is missing"},
		{"of ours for another log source", ownRule, "product: kubernetes", "product: kubernets", "log source kubernets/audit/container is not judged here"},
		{"of ours with a text as extension", ownRule[:strings.Index(ownRule, "x-foretop")], "level: high", "level: high\nx-foretop: yes", "x-foretop must be a mapping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Load([]File{{Name: "rules.yml", Data: []byte(replaced(t, tt.base, tt.old, tt.new))}}, Options{})
			if len(c.Rules) != 0 {
				t.Errorf("the rule was loaded")
			}
			if !mentions(c.Problems, tt.want) {
				t.Errorf("no problem says %q: %v", tt.want, c.Problems)
			}
		})
	}
}

func TestLevelsOverrideInOrderAndCountAsUse(t *testing.T) {
	text := replaced(t, ownRule, "  condition: write", "  _known: {objectRef.namespace: kube-system}\n  condition: write")
	text = replaced(t, text, "  respond: Ask", "  levels:\n    - {when: not _known, level: critical, because: outside the system}\n    - {when: write, level: low, because: x}\n  respond: Ask")
	c := load(t, text)
	if len(c.Problems) > 0 {
		t.Fatal(c.Problems)
	}
	want := []LevelWhen{{Not{Ref(2)}, Critical, "outside the system"}, {Ref(0), Low, "x"}}
	if diff := cmp.Diff(want, c.Rules[0].Foretop.Levels); diff != "" {
		t.Error(diff)
	}
}

func TestWarningsDoNotReject(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"no id", "id: 22222222-2222-4222-8222-222222222222\n", "", "id is missing"},
		{"no level", "level: medium\n", "", "medium is assumed"},
		{"an unused selection", "    condition: selection", "    spare: {verb: get}\n    condition: selection", "selection spare is not used"},
		{"timeframe", "    condition: selection", "    timeframe: 5m\n    condition: selection", "timeframe is ignored"},
		{"a foreign taxonomy", "status: test", "taxonomy: ecs", `taxonomy "ecs" is unknown`},
		{"a long title", "Deleting namespaces", strings.Repeat("x", 257), "longer than 256"},
		{"all with one value", "verb: delete", "verb|contains|all: delete", "all with a single value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, replaced(t, thirdParty, tt.old, tt.new))
			if len(c.Rules) != 1 || len(c.Problems) != 1 || !strings.Contains(c.Problems[0].Message, tt.want) {
				t.Errorf("%d rules, problems %v", len(c.Rules), c.Problems)
			}
		})
	}
}

func TestARuleOfOursWaitsForTheSiteListItNeeds(t *testing.T) {
	text := replaced(t, ownRule, "write and privileged", "write and privileged and not _known")
	text = replaced(t, text, "  condition:", "  _known: {'user.username|expand': '%deployers%'}\n  condition:")
	declared := replaced(t, text, "needs: {level: Request", "needs: {level: Request, placeholders: ['%deployers%']")
	tests := []struct {
		name, text     string
		lists          map[string][]string
		rules, waiting int
		problem        string
	}{
		{"declared and not given", declared, nil, 0, 1, ""},
		{"declared and empty", declared, map[string][]string{"deployers": {}}, 0, 1, ""},
		{"declared and given", declared, map[string][]string{"deployers": {"ci"}}, 1, 0, ""},
		{"used but not declared", text, nil, 0, 0, "%deployers% has no values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Load([]File{{"rules.yml", []byte(tt.text)}}, Options{Placeholders: tt.lists})
			if len(c.Rules) != tt.rules || len(c.Waiting) != tt.waiting || len(c.WaitingRules) != tt.waiting || (tt.problem == "") != (len(c.Problems) == 0) ||
				tt.problem != "" && !mentions(c.Problems, tt.problem) {
				t.Errorf("%d rules, waiting %v, problems %v", len(c.Rules), c.Waiting, c.Problems)
			}
			if why := c.Waiting["6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52"]; tt.waiting == 1 && !strings.Contains(why, "deployers") {
				t.Errorf("waiting says %q", why)
			}
		})
	}
}

func TestLevelsHaveNamesAndSeverities(t *testing.T) {
	for level, want := range map[Level]struct {
		name     string
		severity int
	}{Informational: {"informational", 21}, Low: {"low", 21}, Medium: {"medium", 47}, High: {"high", 73}, Critical: {"critical", 99}} {
		parsed, err := ParseLevel(strings.ToUpper(want.name))
		if level.String() != want.name || level.Severity() != want.severity || parsed != level || err != nil {
			t.Errorf("%d: %s %d %v %v", level, level, level.Severity(), parsed, err)
		}
	}
	if _, err := ParseLevel("none"); err == nil {
		t.Error("none parsed as a level")
	}
}
