package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/engine/ruletest"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/pkg/sigma"
)

// ListRules prints the rules in force, and those that are not with the reason.
func ListRules(out *os.File, flags RuleFlags) error {
	rules, err := LoadRules(flags.Options())
	if err != nil {
		return err
	}
	p := report.ForFile(out)
	var rows [][]string
	for _, r := range rules.Set.Rules() {
		name := r.Name
		if name == "" {
			name = r.ID
		}
		rows = append(rows, []string{r.Level.String(), name, r.Title, categoryName(r.Logsource.Category), r.Source.String()})
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return levelRank(b[0]) - levelRank(a[0]) })
	p.Table([]report.Column{
		{Title: "LEVEL"}, {Title: "RULE", Min: 12}, {Title: "TITLE", Min: 20}, {Title: "JUDGES"}, {Title: "FILE", Min: 16},
	}, rows)
	p.Line("")
	p.Line("%d rules, %d exceptions, %d correlations (not run yet)", len(rows), len(rules.Collection.Filters), len(rules.Collection.Correlations))
	for _, r := range rules.Collection.WaitingRules {
		p.Line("left out: %s: %s", r.Title, rules.Collection.Waiting[r.Key()])
	}
	for _, source := range slices.Sorted(maps.Keys(rules.Collection.Skipped)) {
		p.Line("for another log source: %d of %s", rules.Collection.Skipped[source], source)
	}
	return p.Err()
}

func categoryName(category string) string {
	if category == "" || category == "application" {
		return "request"
	}
	return category
}

func levelRank(name string) int { return slices.Index(config.Levels, name) }

// ShowRule prints a rule's document, and which exceptions apply to it.
func ShowRule(out *os.File, flags RuleFlags, key string) error {
	o := flags.Options()
	in, err := o.read()
	if err != nil {
		return err
	}
	rules, err := o.compile(in)
	if rules == nil {
		return err
	}
	i := slices.IndexFunc(rules.Collection.Rules, func(r *sigma.Rule) bool { return key == r.ID || key == r.Name || key == r.Title })
	if i < 0 {
		return fmt.Errorf("no rule %q is loaded; `foretop rules list` shows their names and ids", key)
	}
	r := rules.Collection.Rules[i]
	p := report.ForFile(out)
	p.Line("# %s", r.Source)
	for _, line := range documentAt(in.files, r.Source) {
		p.Line("%s", line)
	}
	for _, f := range rules.Collection.FiltersFor(r) {
		p.Line("# exception: %s (%s)", f.Title, f.Source)
	}
	return p.Err()
}

// documentAt gives the lines of the YAML document that begins at a position.
func documentAt(files []sigma.File, at sigma.Position) []string {
	i := slices.IndexFunc(files, func(f sigma.File) bool { return f.Name == at.File })
	if i < 0 {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(files[i].Data), "\n"), "\n")
	if at.Line > len(lines) {
		return nil
	}
	lines = lines[max(0, at.Line-1):]
	if end := slices.IndexFunc(lines[min(1, len(lines)):], func(l string) bool { return strings.HasPrefix(l, "---") }); end >= 0 {
		lines = lines[:end+1]
	}
	return lines
}

// errLint is returned when lint found errors, which it has printed.
var errLint = errors.New("the rules have errors")

// LintRules prints every problem of the rules at paths; without paths, of the built-in ones. Built-in rules
// are read beside those at paths, so that exceptions for them can be checked.
func LintRules(out *os.File, flags RuleFlags) error {
	rules, err := LoadRules(flags.Options())
	var bad *BadRulesError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	p := report.ForFile(out)
	failed, warned := 0, 0
	for _, problem := range rules.Problems {
		switch {
		case !problem.Warning:
			failed++
			p.Line("%s: error: %s", problem.Source, problem.Message)
		case len(flags.Paths) == 0 || !strings.HasPrefix(problem.Source.File, builtinPrefix):
			warned++
			p.Line("%s: warning: %s", problem.Source, problem.Message)
		}
	}
	p.Line("%d rules, %d errors, %d warnings", len(rules.Set.Rules()), failed, warned)
	if failed > 0 {
		return errLint
	}
	return p.Err()
}

// RuleTestOptions are what `foretop rules test` was asked for.
type RuleTestOptions struct {
	Rules   RuleFlags // Paths are the directories to test; none means the built-in rules
	Rule    string    // only this one, by id, name or title
	JUnit   string    // file of a JUnit report, empty for none
	Verbose bool
}

// errRuleTests is returned when a test failed, which the report says.
var errRuleTests = errors.New("tests of rules failed")

// TestRules runs the tests that stand beside rules.
func TestRules(out io.Writer, o RuleTestOptions) error {
	options := ruletest.Options{Rule: o.Rule}
	if !o.Rules.NoBuiltin {
		options.Dirs = append(options.Dirs, ruletest.Dir{Name: builtinPrefix, FS: detections.FS, Root: ".", Tested: len(o.Rules.Paths) == 0})
	}
	for _, path := range o.Rules.Paths {
		options.Dirs = append(options.Dirs, ruletest.Dir{Name: path, FS: os.DirFS(path), Root: ".", Tested: true})
	}
	if len(options.Dirs) == 0 {
		return errors.New("nothing to test: name a directory of rules")
	}
	if o.Rules.Placeholders != "" {
		lists, err := config.ReadPlaceholders(o.Rules.Placeholders)
		if err != nil {
			return fmt.Errorf("--placeholders: %w", err)
		}
		options.Placeholders = lists
	}
	r, err := ruletest.Run(options)
	if err != nil {
		return err
	}
	if o.JUnit != "" {
		if err := writeFile(o.JUnit, func(w io.Writer) error { return ruletest.WriteJUnit(w, r) }); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	var text bytes.Buffer
	if err := ruletest.WriteTable(&text, r, o.Verbose); err != nil {
		return err
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return err
	}
	if !r.OK() {
		return errRuleTests
	}
	return nil
}
