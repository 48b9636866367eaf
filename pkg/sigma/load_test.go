package sigma

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// load reads one file and fails on any error problem.
func load(t *testing.T, text string) *Collection {
	t.Helper()
	c := Load([]File{{Name: "rules.yml", Data: []byte(text)}}, Options{})
	for _, p := range c.Problems {
		if !p.Warning {
			t.Errorf("unexpected problem: %v", p)
		}
	}
	return c
}

const ownRule = `title: Privileged container
id: 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52
name: privileged-container
status: stable
description: A container that runs with all of the node's rights was created or changed.
logsource: {product: kubernetes, service: audit, category: container}
detection:
  write: {verb: [create, update, patch], outcome: [success, unknown], dryRun: false}
  privileged: {container.securityContext.privileged: true}
  condition: write and privileged
falsepositives: [Node agents (CNI, CSI, monitoring) that a platform team deploys]
level: high
tags: [attack.privilege_escalation, attack.t1611]
x-foretop:
  needs: {level: Request, providers: {eks: yes, gke: yes, aks: yes}}
  reason: "{user.username} runs {container.name} ({image.repository}) privileged in {workload.kind} {objectRef.namespace}/{workload.name}"
  respond: Ask the owner; delete the workload if nobody claims it; then look at what it did on its node.
`

const ownFilter = `title: Node agents that ship with a distribution
id: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a11
logsource: {product: kubernetes, service: audit, category: container}
filter:
  rules: [privileged-container]
  agent:
    image.registry: registry.k8s.io
    image.repository: kube-proxy
  condition: not agent
x-foretop: {owner: foretop, reason: kube-proxy needs the host's network tables}
`

func TestARuleAndItsFilterLoadFromOneFile(t *testing.T) {
	c := load(t, ownRule+"---\n"+ownFilter)
	if len(c.Problems) != 0 || len(c.Rules) != 1 || len(c.Filters) != 1 {
		t.Fatalf("got %d rules, %d filters, problems %v", len(c.Rules), len(c.Filters), c.Problems)
	}
	r := c.Rules[0]
	if !r.Own || r.Level != High || r.Foretop.Needs.Providers["eks"] != "yes" || r.Foretop.Controlled != "ignore" {
		t.Errorf("rule not as written: %+v", r)
	}
	if got := c.FiltersFor(r); len(got) != 1 || got[0] != c.Filters[0] {
		t.Errorf("FiltersFor = %v", got)
	}
	if want := (Position{"rules.yml", strings.Count(ownRule, "\n") + 2}); c.Filters[0].Source != want {
		t.Errorf("filter at %v, want %v", c.Filters[0].Source, want)
	}
}

// replaced is text with one part exchanged; the part must be there.
func replaced(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in the text", old)
	}
	return strings.Replace(text, old, new, 1)
}

const thirdParty = `title: Deleting namespaces
id: 22222222-2222-4222-8222-222222222222
status: test
logsource:
    category: application
    product: kubernetes
    service: audit
detection:
    selection:
        verb: delete
        objectRef.resource: namespaces
    condition: selection
falsepositives:
    - Clean-up jobs
level: medium
tags: [attack.impact, attack.t9999, custom.tag]
custom: anything goes
`

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

func TestRulesForOtherLogSourcesAreCountedWhateverTheyHold(t *testing.T) {
	other := func(logsource string) string {
		return "title: x\nlogsource: " + logsource + "\ndetection:\n  a: &anchor {f|frobnicate: [[]]}\n  b: *anchor\n  a: {}\n  condition: a | count() > 1\n"
	}
	tests := []struct{ name, logsource, key string }{
		{"another product", "{product: windows, category: process_creation}", "windows/process_creation"},
		{"another service", "{product: kubernetes, service: kubelet}", "kubernetes/kubelet"},
		{"another product with the same service", "{product: bitbucket, service: audit}", "bitbucket/audit"},
		{"a category without product", "{category: webserver}", "webserver"},
		{"an unknown category without service", "{product: kubernetes, category: runtime}", "kubernetes/runtime"},
		{"case does not matter", "{product: AZURE, service: activitylogs}", "azure/activitylogs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, other(tt.logsource))
			if diff := cmp.Diff(map[string]int{tt.key: 1}, c.Skipped); diff != "" || len(c.Rules) != 0 {
				t.Errorf("%d rules, skipped %s", len(c.Rules), diff)
			}
		})
	}
}

func TestMissingLogSourceKeysAreWildcards(t *testing.T) {
	for _, ls := range []string{
		"{product: kubernetes}", "{service: audit}", "{product: Kubernetes, service: Audit}", "{category: application}",
		"{product: kubernetes, category: pod}", "{product: kubernetes, service: audit, category: policy_rule}",
		"{product: kubernetes, service: audit, definition: any text}",
	} {
		text := thirdParty[:strings.Index(thirdParty, "logsource")] + "logsource: " + ls + "\n" + thirdParty[strings.Index(thirdParty, "detection"):]
		if c := load(t, text); len(c.Rules) != 1 {
			t.Errorf("%s: %d rules, skipped %v", ls, len(c.Rules), c.Skipped)
		}
	}
}

func TestOneBadDocumentLeavesTheOthers(t *testing.T) {
	second := replaced(t, thirdParty, "22222222-2222", "33333333-3333")
	third := replaced(t, thirdParty, "22222222-2222", "44444444-4444")
	for _, bad := range []string{"title: [unclosed\n", "\tx: y\n", "a: b: c\n", "%BAD\n--- x\n", "- a\n- b\n", "just text\n", "a: 'x\n", "x: \"\\q\"\n", "a: \x00\n"} {
		c := Load([]File{{Name: "rules.yml", Data: []byte(thirdParty + "---\n" + bad + "---\n" + second + "...\n# nothing\n---\n# empty\n--- # third\n" + third)}}, Options{})
		if len(c.Rules) != 3 {
			t.Errorf("after %q: %d rules, problems %v", bad, len(c.Rules), c.Problems)
		}
		if len(c.Problems) != 1 {
			t.Errorf("after %q: problems %v", bad, c.Problems)
			continue
		}
		first := strings.Count(thirdParty, "\n") + 1
		if line := c.Problems[0].Source.Line; line < first || line > first+strings.Count(bad, "\n")+1 {
			t.Errorf("after %q: the problem is said to be on line %d: %v", bad, line, c.Problems[0])
		}
	}
}

func TestBrokenYAMLThatNamesAnotherProductIsAWarning(t *testing.T) {
	for text, warning := range map[string]bool{
		"logsource:\n  product: windows\ndetection: [\n":                true,
		"logsource:\n  product: \"linux\"\ndetection: [\n":              true,
		"logsource:\n  product: kubernetes\ndetection: [\n":             false,
		"logsource:\n  product: windows\nx-foretop: {}\ndetection: [\n": false,
		"detection: [\n": false,
	} {
		c := Load([]File{{Name: "rules.yml", Data: []byte(text)}}, Options{})
		if len(c.Problems) != 1 || c.Problems[0].Warning != warning {
			t.Errorf("%q: %v", text, c.Problems)
		}
	}
}

func TestFilesThatCannotBeTextAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("# filler\n", maxFileBytes/8): "split it",
		"title: \xff\xfe": "not UTF-8",
	} {
		c := Load([]File{{Name: "rules.yml", Data: []byte(text)}}, Options{})
		if !mentions(c.Problems, want) {
			t.Errorf("no problem says %q: %v", want, c.Problems)
		}
	}
}

func TestByteOrderMarksAndWindowsLineEndsAreRead(t *testing.T) {
	c := load(t, "\ufeff"+strings.ReplaceAll(thirdParty+"---\n"+ownRule, "\n", "\r\n"))
	if len(c.Rules) != 2 || c.Rules[1].Source.Line != strings.Count(thirdParty, "\n")+2 {
		t.Errorf("%d rules, problems %v", len(c.Rules), c.Problems)
	}
}

func TestTheLaterOfTwoDocumentsWithOneIDIsRejected(t *testing.T) {
	later := replaced(t, thirdParty, "22222222-2222-4222-8222-222222222222", "6F0D1C7E-2B7A-4A53-9D55-0A3F4C0B7F52")
	c := Load([]File{{"a.yml", []byte(ownRule)}, {"b.yml", []byte(later)}}, Options{})
	if len(c.Rules) != 1 || !c.Rules[0].Own || !mentions(c.Problems, "is already used at a.yml:2") {
		t.Errorf("%d rules, problems %v", len(c.Rules), c.Problems)
	}
	if got := c.Problems[0].Source; got != (Position{"b.yml", 2}) {
		t.Errorf("reported at %v", got)
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

func TestTheHashChangesWithContentAndListsAlone(t *testing.T) {
	hash := func(lists map[string][]string, files ...string) string {
		var in []File
		for i, f := range files {
			in = append(in, File{Name: strings.Repeat("x", i), Data: []byte(f)})
		}
		return Load(in, Options{Placeholders: lists}).Hash
	}
	base := hash(nil, "a", "b")
	if len(base) != 64 || base != hash(nil, "a", "b") {
		t.Errorf("not stable: %s", base)
	}
	seen := map[string]string{base: "base"}
	for name, h := range map[string]string{
		"moved bytes": hash(nil, "ab", ""), "order": hash(nil, "b", "a"), "more": hash(nil, "a", "b", ""),
		"list": hash(map[string][]string{"l": {"v"}}, "a", "b"), "values": hash(map[string][]string{"l": {"v", "w"}}, "a", "b"),
		"split values": hash(map[string][]string{"l": {"vw"}}, "a", "b"),
	} {
		if other, dup := seen[h]; dup {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[h] = name
	}
}

func TestDocumentsOfManyValuesAreBounded(t *testing.T) {
	values := strings.TrimSuffix(strings.Repeat("x,", maxItemValues), ",")
	var b strings.Builder
	for i := range 6 {
		b.WriteString("a" + strings.Repeat("b", i) + ": [" + values + "]\n")
	}
	c := Load([]File{{"rules.yml", []byte(ruleWith(b.String()))}}, Options{})
	if !mentions(c.Problems, "more than 50000 values") {
		t.Errorf("problems %v", c.Problems)
	}
	c = Load([]File{{"rules.yml", []byte(ruleWith("a: [" + values + ",y]"))}}, Options{})
	if !mentions(c.Problems, "more than 10000 values") {
		t.Errorf("problems %v", c.Problems)
	}
}

func TestRegularExpressionsOfADocumentAreBoundedTogether(t *testing.T) {
	c := Load([]File{{"rules.yml", []byte(ruleWith("a|re: [" + strings.TrimSuffix(strings.Repeat("'x{900}x{900}x{900}x{900}',", 15), ",") + "]"))}}, Options{})
	if !mentions(c.Problems, "more than 50000 instructions") {
		t.Errorf("problems %v", c.Problems)
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

func FuzzLoad(f *testing.F) {
	f.Add([]byte(ownRule + "---\n" + ownFilter))
	f.Add([]byte(thirdParty))
	f.Add([]byte(correlationDocs))
	f.Add([]byte(ruleWith("a|re|i: '(x|y)+'\nb|base64offset|contains: foo\nc|cidr: 10.0.0.0/8")))
	f.Add([]byte("--- {a: [b\r\n...\u2028\n%YAML 1.2\n---\n- &x *x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Load([]File{{Name: "f.yml", Data: data}}, Options{Placeholders: siteLists})
		last := strings.Count(string(data), "\n") + 1
		check := func(p Position) {
			t.Helper()
			if p.File != "f.yml" || p.Line < 1 || p.Line > last {
				t.Errorf("position %v is not within the file of %d lines", p, last)
			}
		}
		for _, p := range c.Problems {
			check(p.Source)
			if p.Message == "" {
				t.Error("a problem without message")
			}
		}
		for _, r := range c.Rules {
			check(r.Source)
			for _, s := range r.Detection.Selections {
				check(Position{"f.yml", s.Line})
				render(s.Match)
			}
			names := make([]string, len(r.Detection.Selections))
			if renderExpr(r.Detection.Condition, names) == "<nil>" {
				t.Error("a rule without condition was loaded")
			}
			c.FiltersFor(r)
		}
		for _, fl := range c.Filters {
			check(fl.Source)
		}
		for _, co := range c.Correlations {
			check(co.Source)
		}
	})
}
