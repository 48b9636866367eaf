package ruleset

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

func TestSets(t *testing.T) {
	for name, c := range map[string]struct {
		rules func() (*engine.Set, error)
		low   int
		high  int
	}{
		"none":          {None, 0, 0},
		"shipped":       {Shipped, 15, 500},
		"generated200":  {func() (*engine.Set, error) { return Generated(200) }, 200, 200},
		"generated1000": {func() (*engine.Set, error) { return Generated(1000) }, 1000, 1000},
	} {
		set, err := c.rules()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := len(set.Rules()); n < c.low || n > c.high {
			t.Errorf("%s: %d rules", name, n)
		}
	}
}

func TestGeneratedRulesAreTheSameEveryTime(t *testing.T) {
	few, many := Files(100), Files(300)
	for i := range few {
		if !bytes.Equal(few[i].Data, many[i].Data) {
			t.Fatalf("rule %d depends on how many there are:\n%s\n%s", i, few[i].Data, many[i].Data)
		}
	}
	texts := make(map[string]bool)
	for _, f := range many {
		_, detection, _ := strings.Cut(string(f.Data), "\ndetection:\n")
		texts[detection] = true
	}
	if len(texts) < 295 {
		t.Errorf("%d different rules of 300", len(texts))
	}
}

// Whatever a set's size, its shapes have the proportions that the comment of shape states.
func TestProportions(t *testing.T) {
	for _, n := range []int{100, 200, 1000} {
		count := make(map[string]int)
		for i := range n {
			count[newWriter(i).draft().shape]++
		}
		for _, s := range shapes() {
			if got := count[s.name] * 100 / n; got != s.percent {
				t.Errorf("%d rules: %d %% are %s, want %d", n, got, s.name, s.percent)
			}
		}
	}
}

// Rules of every kind that the engine tells apart are there.
func TestVariety(t *testing.T) {
	collection := sigma.Load(Files(200), sigma.Options{})
	if len(collection.Problems) > 0 {
		t.Fatal(collection.Problems)
	}
	var all strings.Builder
	categories := make(map[string]int)
	own := 0
	for _, r := range collection.Rules {
		categories[r.Logsource.Category]++
		if r.Own {
			own++
		}
	}
	for _, f := range Files(200) {
		all.Write(f.Data)
	}
	for _, category := range []string{"", "pod", "container", "volume", "subject", "policy_rule"} {
		if categories[category] < 2 {
			t.Errorf("%d rules of category %q", categories[category], category)
		}
	}
	for _, part := range []string{
		"|startswith", "|endswith", "|contains", "|re:", "|cidr", "|lt", "1 of ", "and not filter", "and not known", "objectRef.apiGroup",
		"sourceIPs", "impersonatedUser", "userAgent", "user.groups", "annotations.", "requestObject.", "responseObject.", "  levels:", "\nfilter:",
		"exec.command", "image.repository", "image.registry", "hostPath", "capabilities", ": null", "responseStatus.code",
	} {
		if !strings.Contains(all.String(), part) {
			t.Errorf("no rule has %q", part)
		}
	}
	if own < 80 || own > 160 || len(collection.Filters) < 30 {
		t.Errorf("%d own rules, %d filters", own, len(collection.Filters))
	}
}

// maxMatches is the part of the events that may match any rule: more, and the rows would measure how matches are reported.
const maxMatches = 0.03

func TestGeneratedRulesMatchRarely(t *testing.T) {
	for _, n := range []int{200, 1000} {
		set, err := Generated(n)
		if err != nil {
			t.Fatal(err)
		}
		for name, recording := range map[string]func(int) (*traffic.File, error){"metadata": traffic.Metadata, "bodies": traffic.Bodies, "large": traffic.Generated} {
			f, err := recording(2000)
			if err != nil {
				t.Fatal(err)
			}
			events, rules := matching(t, set, f)
			rate := float64(events) / float64(len(f.Lines))
			t.Logf("%d rules on %s: %.2f %% of the events match, %d rules: %v", n, name, rate*100, len(rules), rules)
			if rate > maxMatches {
				t.Errorf("%d rules on %s: %.2f %% of the events match", n, name, rate*100)
			}
		}
	}
}

// matching counts the events that any rule matches, and names the rules.
func matching(t *testing.T, set *engine.Set, f *traffic.File) (events int, rules []string) {
	t.Helper()
	decoder, judge, verdict := decode.New(decode.Options{}), set.NewJudge(), new(engine.Verdict)
	for _, line := range f.Lines {
		decoder.Decode(line, nil, func(it *decode.Item) {
			if it.Kind != decode.Event {
				t.Fatalf("%s: %s", it.Class, it.Detail)
			}
			judge.Judge(it.Canonical, &it.Envelope, verdict)
			if len(verdict.Panics) > 0 {
				t.Fatal(verdict.Panics)
			}
			if len(verdict.Matches) > 0 {
				events++
			}
			for _, m := range verdict.Matches {
				if !slices.Contains(rules, m.Rule.Title) {
					rules = append(rules, m.Rule.Title)
				}
			}
		})
	}
	return events, rules
}
