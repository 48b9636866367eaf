package sigma

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
func replaced(t *testing.T, text, part, by string) string {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%q is not in the text", part)
	}
	return strings.Replace(text, part, by, 1)
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

func TestProblemsQuoteNoControlCharacters(t *testing.T) {
	c := Load([]File{{"rules.yml", []byte(ruleWith(`"a\e[2J|\u202ebad\n": x`) + "---\n" + replaced(t, thirdParty, "level: medium", `level: "\e]0;x\a"`))}}, Options{})
	if len(c.Problems) != 2 {
		t.Errorf("problems %v", c.Problems)
	}
	for _, p := range c.Problems {
		if strings.ContainsAny(p.Message, "\x1b\x07\n\u202e") {
			t.Errorf("%q", p.Message)
		}
	}
}

func TestProblemsOfOneFileAreBounded(t *testing.T) {
	missing := strings.TrimSuffix(strings.Repeat("nobody,", 5000), ",")
	c := load(t, filterFor("["+missing+"]", "{product: kubernetes}"))
	if len(c.Problems) != maxProblems || !strings.Contains(c.Problems[maxProblems-1].Message, "further ones are not told") {
		t.Errorf("%d problems", len(c.Problems))
	}
	c = Load([]File{{"rules.yml", []byte(strings.Repeat("--- x\n", maxDocuments+1))}}, Options{})
	if len(c.Problems) != 1 || !mentions(c.Problems, "more than 5000 documents") {
		t.Errorf("%d problems", len(c.Problems))
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
