package sigma

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens")

func TestADirectoryOfOthersRulesLoadsAsItDid(t *testing.T) {
	files, err := ReadDir(os.DirFS("testdata"), "community")
	if err != nil {
		t.Fatal(err)
	}
	c := Load(files, Options{Placeholders: map[string][]string{"sandbox_namespaces": {"sandbox-*", "playground"}}})
	got := describe(c)
	const golden = "testdata/community.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

// describe writes a collection as text.
func describe(c *Collection) string {
	var b strings.Builder
	for _, r := range c.Rules {
		fmt.Fprintf(&b, "rule %s: %s [%s] at %s\n", r.Key(), r.Title, r.Level, r.Source)
		describeDetection(&b, r.Detection)
		for _, f := range c.FiltersFor(r) {
			fmt.Fprintf(&b, "  filtered by %s\n", f.Title)
		}
	}
	for _, f := range c.Filters {
		fmt.Fprintf(&b, "filter %s for %v all %v at %s\n", f.Title, f.Rules, f.All, f.Source)
		describeDetection(&b, f.Detection)
	}
	for _, co := range c.Correlations {
		fmt.Fprintf(&b, "correlation %s: %s %v by %v in %s field %q bounds %v at %s\n",
			co.Title, co.Type, co.Rules, co.GroupBy, co.Timespan, co.Field, co.Bounds, co.Source)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Skipped)) {
		fmt.Fprintf(&b, "skipped %s: %d\n", key, c.Skipped[key])
	}
	for _, p := range c.Problems {
		fmt.Fprintf(&b, "problem warning=%v %v\n", p.Warning, p)
	}
	return b.String()
}

func describeDetection(b *strings.Builder, d Detection) {
	var selections []string
	for _, s := range d.Selections {
		selections = append(selections, s.Name)
		fmt.Fprintf(b, "  %d %s: %s\n", s.Line, s.Name, render(s.Match))
	}
	fmt.Fprintf(b, "  condition %s\n", renderExpr(d.Condition, selections))
}
