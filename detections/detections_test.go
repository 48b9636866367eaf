package detections

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/engine/ruletest"
	"github.com/foretop/foretop/pkg/sigma"
)

func collection(t *testing.T) *sigma.Collection {
	t.Helper()
	files, err := sigma.ReadDir(FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	c := sigma.Load(files, sigma.Options{})
	_, compiled := engine.Compile(c, engine.Options{})
	for _, p := range slices.Concat(c.Problems, compiled) {
		t.Errorf("%s: %s", p.Source, p.Message)
	}
	return c
}

func allRules(c *sigma.Collection) []*sigma.Rule {
	return slices.Concat(c.Rules, c.WaitingRules)
}

// The report itself demands two matching cases and two near misses of each rule, and a case of each exception.
func TestEveryRulePassesItsOwnTests(t *testing.T) {
	r, err := ruletest.Run(ruletest.Options{Dirs: []ruletest.Dir{{FS: FS, Root: ".", Tested: true}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			if !c.Passed {
				t.Errorf("%s: %s (%s)\n%s", s.Rule, c.Name, c.Source, c.Detail)
			}
		}
	}
	for _, p := range r.Problems {
		t.Errorf("%s: %s", p.Source, p.Message)
	}
	cases, _ := r.Count()
	t.Logf("%d cases of %d files", cases, len(r.Suites))
}

func TestEveryExceptionIsTestedOnEachRuleThatItNames(t *testing.T) {
	r, err := ruletest.Run(ruletest.Options{Dirs: []ruletest.Dir{{FS: FS, Root: ".", Tested: true}}})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			if c.Passed && c.Filter != "" {
				seen[s.Rule+" "+c.Filter] = true
			}
		}
	}
	for _, f := range collection(t).Filters {
		if f.All {
			t.Errorf("%s: a shipped exception names its rules", f.Source)
		}
		for _, rule := range f.Rules {
			if !seen[rule+" "+f.Title] {
				t.Errorf("%s: no case shows the exception %q at work on %s", f.Source, f.Title, rule)
			}
		}
	}
}

var technique = regexp.MustCompile(`^attack\.t[0-9]{4}(\.[0-9]{3})?$`)

func TestEveryRuleSaysWhatItsReaderNeeds(t *testing.T) {
	for _, r := range allRules(collection(t)) {
		if !r.Own || r.Foretop == nil {
			t.Errorf("%s: no rule of ours", r.Source)
			continue
		}
		var lacks []string
		lack := func(missing bool, what string) {
			if missing {
				lacks = append(lacks, what)
			}
		}
		lack(r.Name != strings.TrimSuffix(path.Base(r.Source.File), ".yml"), "a name like its file's")
		lack(!slices.ContainsFunc(r.Tags, technique.MatchString), "an ATT&CK technique")
		lack(!slices.Contains(r.Tags, "attack."+strings.ReplaceAll(path.Base(path.Dir(r.Source.File)), "-", "_")), "the tactic of its directory")
		lack(len(r.FalsePositives) == 0, "false positives")
		lack(r.Foretop.Needs.Level == "", "the audit level that it needs")
		lack(len(r.Foretop.Needs.Providers) != 3, "what each provider gives")
		lack(r.Foretop.Reason == "", "a reason")
		lack(r.Foretop.Respond == "", "how to respond")
		if len(lacks) > 0 {
			t.Errorf("%s lacks %s", r.Source, strings.Join(lacks, ", "))
		}
	}
}

// An exception binds an image by registry and repository up to the tag or digest: what ends within a name could be
// completed to somebody else's repository.
func TestExceptionsBindImagesAnchored(t *testing.T) {
	anchored := regexp.MustCompile(`^\^.*(\[:@\]|/|\$)$`)
	whole := regexp.MustCompile(`[/:]v?$`)
	for _, f := range collection(t).Filters {
		for _, s := range f.Detection.Selections {
			eachItem(s.Match, func(item *sigma.Item) {
				for _, v := range item.Values {
					switch {
					case !strings.Contains(item.Field, "image"):
					case v.Regexp != nil && !anchored.MatchString(v.Regexp.String()):
						t.Errorf("%s %s: %s is not anchored at both ends", f.Source, item.Field, v.Regexp)
					case v.Pattern != nil && !whole.MatchString(v.Pattern[0].Literal):
						t.Errorf("%s %s: %q ends within a name", f.Source, item.Field, v.Pattern[0].Literal)
					}
				}
			})
		}
	}
}

func eachItem(n sigma.Node, f func(*sigma.Item)) {
	switch n := n.(type) {
	case sigma.AllOf:
		for _, x := range n {
			eachItem(x, f)
		}
	case sigma.AnyOf:
		for _, x := range n {
			eachItem(x, f)
		}
	case *sigma.Item:
		f(n)
	}
}

func TestEveryRecordedEventIsUsed(t *testing.T) {
	tests, err := sigma.ReadTests(FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	bases, err := fs.Glob(FS, "testdata/*.json")
	if err != nil || len(bases) == 0 {
		t.Fatalf("%d recorded events: %v", len(bases), err)
	}
	for _, b := range bases {
		name := strings.TrimSuffix(path.Base(b), ".json")
		used := regexp.MustCompile(`base: ` + regexp.QuoteMeta(name) + `\b`)
		if !slices.ContainsFunc(tests, func(f sigma.File) bool { return used.Match(f.Data) }) {
			t.Errorf("%s: no test starts from it", b)
		}
	}
}
