package integration

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/engine/ruletest"
	"github.com/foretop/foretop/pkg/event"
)

var update = flag.Bool("update", false, "rewrite the generated pages")

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pages are the Markdown files that make claims about the tree.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheFieldReferenceIsTheFieldTable(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Fields of rules\n\nMade from `pkg/event/fields.go`: `go test ./integration -run FieldReference -update`. A path that ends in\n" +
		"`.*` stands for everything below it. *Lacking* are providers that never report a field: a rule that asks for it is blind there.\n")
	section := func(title string, in func(event.Field) bool) {
		fmt.Fprintf(&page, "\n## %s\n\n| field | type | lacking | meaning |\n|---|---|---|---|\n", title)
		for _, f := range event.Fields {
			if in(f) {
				fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", f.Path, f.Type, strings.Join(f.Lacking, ", "), strings.ReplaceAll(f.Meaning, "|", `\|`))
			}
		}
	}
	section("Of the audit event", func(f event.Field) bool { return f.In == nil && !f.Derived })
	section("Derived, on every record", func(f event.Field) bool { return f.In == nil && f.Derived })
	for _, c := range event.Categories[1:] {
		section("Category `"+string(c)+"`", func(f event.Field) bool { return slices.Contains(f.In, c) })
	}
	const file = "../docs/reference/fields.md"
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readFile(t, file), page.String()); diff != "" {
		t.Errorf("the page differs from the table; run the command it names (-page +table):\n%s", diff)
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestTheExamplesOfTheGuideLoadAndPassTheirTests runs the rules and the tests in docs/writing-rules.md as they stand there.
func TestTheExamplesOfTheGuideLoadAndPassTheirTests(t *testing.T) {
	files, tested := fstest.MapFS{}, ""
	for i, b := range yamlBlock.FindAllStringSubmatch(readFile(t, "../docs/writing-rules.md"), -1) {
		name := fmt.Sprintf("example-%d.yml", i+1)
		if m := regexp.MustCompile(`(?m)^rule: (\S+)$`).FindStringSubmatch(b[1]); m != nil {
			tested, name = m[1], m[1]+"_test.yml"
		} else if m := regexp.MustCompile(`(?m)^name: (\S+)$`).FindStringSubmatch(b[1]); m != nil {
			name = m[1] + ".yml"
		}
		files[name] = &fstest.MapFile{Data: []byte(b[1])}
	}
	if tested == "" {
		t.Fatal("the guide has no example of a test")
	}
	report, err := ruletest.Run(ruletest.Options{Dirs: []ruletest.Dir{
		{Name: "docs/writing-rules.md", FS: files, Root: ".", Tested: true},
		{Name: "detections", FS: os.DirFS("../detections"), Root: "."},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		if strings.HasPrefix(p.Source.File, "docs/") {
			t.Errorf("%s: %s", p.Source, p.Message)
		}
	}
	cases := 0
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			cases++
			if !c.Passed {
				t.Errorf("%s: %s\n%s", c.Source, c.Name, c.Detail)
			}
		}
	}
	if cases < 5 {
		t.Errorf("%d cases were run", cases)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)`)

func TestLinksInTheDocumentsLeadToFiles(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(readFile(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
	}
}

var (
	mentioned = regexp.MustCompile(`foretop_[a-z][a-z_]+[a-z]`)
	// A metric is declared with its whole name, or by a helper of its package that adds the prefix.
	literal = regexp.MustCompile(`"([a-z]+_[a-z_]+)"`)
	suffix  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// metricNames are the strings in the code that can be the name of a metric, without the prefix.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, root := range []string{"../pkg", "../sources", "../sinks"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, m := range literal.FindAllStringSubmatch(readFile(t, path), -1) {
				names[strings.TrimPrefix(m[1], "foretop_")] = true
				names[filepath.Base(filepath.Dir(path))+"_"+m[1]] = true // the helper adds the adapter's name too
			}
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return names
}

func TestMetricsThatDocumentsAndAlertsNameExist(t *testing.T) {
	names := metricNames(t)
	for _, page := range append(pages(t), "../deployments/prometheus/alerts.yml") {
		for _, name := range mentioned.FindAllString(readFile(t, page), -1) {
			base := strings.TrimPrefix(name, "foretop_")
			if !names[base] && !names[suffix.ReplaceAllString(base, "")] {
				t.Errorf("%s names the metric %s, which no code declares", page, name)
			}
		}
	}
}

func TestVariablesThatTheDocumentsNameExist(t *testing.T) {
	variable := regexp.MustCompile(`FORETOP_[A-Z0-9_]+`)
	for _, page := range pages(t) {
		if filepath.Base(page) == "configuration.md" {
			continue // it is what the others are compared with
		}
		for _, name := range variable.FindAllString(readFile(t, page), -1) {
			// A name that ends in _ stands for a family, as in FORETOP_SOURCE_<NAME>_TYPE.
			if !strings.HasPrefix(name, "FORETOP_TEST_") && !strings.HasSuffix(name, "_") {
				knownVariable(t, page, name)
			}
		}
	}
}

func TestTestsThatTheDocumentsNameExist(t *testing.T) {
	var code strings.Builder
	for _, root := range []string{".", "../pkg", "../sources", "../sinks"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, "_test.go") {
				code.WriteString(readFile(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile("`(Test[A-Z][A-Za-z]+)`").FindAllStringSubmatch(readFile(t, page), -1) {
			if !strings.Contains(code.String(), "func "+m[1]+"(") {
				t.Errorf("%s names the test %s, which does not exist", page, m[1])
			}
		}
	}
}
