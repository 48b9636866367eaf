package sigma

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filterFor is a filter as a site writes it, with the given rules and log source.
func filterFor(rules, logsource string) string {
	return "title: Site filter\nlogsource: " + logsource + "\nfilter:\n  rules: " + rules +
		"\n  admins: {user.username: alice}\n  condition: not admins\n"
}

func TestFiltersApplyByIDNameAndLogSource(t *testing.T) {
	const audit = "{product: kubernetes, service: audit}"
	tests := []struct {
		name, rules, logsource string
		want                   []string // titles of the rules that the filter applies to
	}{
		{"by id", "[22222222-2222-4222-8222-222222222222]", audit, []string{"Deleting namespaces"}},
		{"by id in capitals", "[6F0D1C7E-2B7A-4A53-9D55-0A3F4C0B7F52]", audit, []string{"Privileged container"}},
		{"by name", "[privileged-container]", audit, []string{"Privileged container"}},
		{"as one text", "privileged-container", audit, []string{"Privileged container"}},
		{"any", "any", audit, []string{"Privileged container", "Deleting namespaces"}},
		{"all, in a list and capitals", "[ALL]", audit, []string{"Privileged container", "Deleting namespaces"}},
		{"an empty list", "[]", audit, []string{"Privileged container", "Deleting namespaces"}},
		{"any within a category", "any", "{product: kubernetes, service: audit, category: container}", []string{"Privileged container"}},
		{"any within the request", "any", "{product: kubernetes, service: audit, category: application}", []string{"Deleting namespaces"}},
		{"any within the product", "any", "{product: kubernetes}", []string{"Privileged container", "Deleting namespaces"}},
		{"any within another category", "any", "{product: kubernetes, service: audit, category: volume}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, ownRule+"---\n"+thirdParty+"---\n"+filterFor(tt.rules, tt.logsource))
			var got []string
			for _, r := range c.Rules {
				if len(c.FiltersFor(r)) == 1 {
					got = append(got, r.Title)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || len(c.Problems) != 0 {
				t.Errorf("%s\nproblems %v", diff, c.Problems)
			}
		})
	}
}

func TestFiltersThatMissTheirRuleAreWarnedOf(t *testing.T) {
	windows := "title: w\nid: 55555555-5555-4555-8555-555555555555\nlogsource: {product: windows}\ndetection: {}\n"
	rejected := replaced(t, thirdParty, "condition: selection", "condition: nothing")
	tests := []struct{ name, docs, filter, want string }{
		{"an unknown name", ownRule, filterFor("[nobody]", "{product: kubernetes}"), "names the rule nobody, which is not loaded"},
		{"a title", ownRule, filterFor("[Privileged container]", "{product: kubernetes}"), "which is not loaded"},
		{"a rejected rule", rejected, filterFor("[22222222-2222-4222-8222-222222222222]", "{product: kubernetes}"), "which was rejected"},
		{"a rule for another log source", windows, filterFor("[55555555-5555-4555-8555-555555555555]", "{product: kubernetes}"), "another log source (windows)"},
		{"a category that does not cover the rule", ownRule, filterFor("[privileged-container]", "{product: kubernetes, category: application}"), "does not cover the rule's category"},
		{"no negation", ownRule, strings.Replace(filterFor("any", "{product: kubernetes}"), "not admins", "admins", 1), "holds no not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Load([]File{{"r.yml", []byte(tt.docs)}, {"f.yml", []byte(tt.filter)}}, Options{})
			found := false
			for _, p := range c.Problems {
				found = found || p.Warning && p.Source.File == "f.yml" && strings.Contains(p.Message, tt.want)
			}
			if !found || len(c.Filters) != 1 {
				t.Errorf("%d filters, problems %v", len(c.Filters), c.Problems)
			}
		})
	}
}

func TestARejectedFilterLeavesItsRule(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"without owner", "owner: foretop, ", "", "owner is missing"},
		{"without reason", ", reason: kube-proxy needs the host's network tables", "", "reason is missing"},
		{"without id", "id: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a11\n", "", "id is missing"},
		{"with a wrong date", "owner: foretop", "owner: foretop, expires: soon", `expires is "soon"; write a date`},
		{"with an unknown key", "owner: foretop", "owner: foretop, respond: x", `unknown key "respond" in x-foretop`},
		{"without rules", "  rules: [privileged-container]\n", "", "filter.rules is missing"},
		{"with maps as rules", "[privileged-container]", "[{a: b}]", "filter.rules must be a list of texts"},
		{"with a list of conditions", "condition: not agent", "condition: [not agent]", "one condition, not a list"},
		{"without condition", "  condition: not agent\n", "", "has no condition"},
		{"with an unknown modifier", "image.registry:", "image.registry|foo:", "unknown modifier"},
		{"with a list as filter", ownFilter[strings.Index(ownFilter, "filter:\n"):strings.Index(ownFilter, "x-foretop")], "filter: [x]\n", "filter must be a mapping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Load([]File{{"rules.yml", []byte(ownRule + "---\n" + replaced(t, ownFilter, tt.old, tt.new))}}, Options{})
			if len(c.Rules) != 1 || len(c.Filters) != 0 || !mentions(c.Problems, tt.want) {
				t.Errorf("%d rules, %d filters, problems %v", len(c.Rules), len(c.Filters), c.Problems)
			}
		})
	}
}

func TestADateExpiresAtItsEnd(t *testing.T) {
	for in, want := range map[string]string{
		"2026-12-31":                  "2027-01-01T00:00:00Z",
		"'2026-12-31T12:00:00+02:00'": "2026-12-31T10:00:00Z",
		"2026-12-31T12:00:00Z":        "2026-12-31T12:00:00Z",
	} {
		c := load(t, ownRule+"---\n"+replaced(t, ownFilter, "owner: foretop", "owner: foretop, expires: "+in))
		if got := c.Filters[0].Foretop.Expires.UTC().Format("2006-01-02T15:04:05Z07:00"); got != want {
			t.Errorf("%s expires at %s, want %s", in, got, want)
		}
	}
}
