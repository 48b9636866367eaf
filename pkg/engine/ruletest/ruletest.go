// Package ruletest runs the tests that stand beside rules: recorded events with a few changes, and the
// elements on which the rule must be true.
//
// A test file <rule>_test.yml holds
//
//	rule: name or id
//	placeholders: {name: [value]}  # site lists for this file, optional
//	cases:
//	  - name: what is special here; a near miss begins with "near"
//	    base: name                 # testdata/name.json, at or above the test file
//	    set: {/json/pointer: value}
//	    unset: [/json/pointer]
//	    envelope: {provider: eks, cluster: name, missing: [user.groups]}
//	    match: [{field: value}]    # the elements of the one finding; [] for none
//	    level: high                # optional
//	    filter: title or id        # this exception must be what suppresses the match
//	    also: [{set: ..., match: ...}]
package ruletest

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// Dir is a directory of rules, filters, tests and recorded events.
type Dir struct {
	// Name stands before the paths in messages, for example the directory as the user gave it.
	Name string
	FS   fs.FS
	Root string
	// Tested runs the tests found there and demands them of the rules and filters of ours there. Otherwise the
	// directory only lends its rules, filters and recorded events.
	Tested bool
}

// Options say what to test.
type Options struct {
	Dirs []Dir
	// Rule limits the run to one rule, by name, id or title; empty means all.
	Rule string
	// Placeholders are the site lists; a test file can add its own.
	Placeholders map[string][]string
	Engine       engine.Options
}

// Report is the outcome of a run.
type Report struct {
	Suites []Suite
	// Problems are what is wrong beside failing cases: documents that do not load, test files that cannot be
	// read, rules and filters without the tests they must have.
	Problems []sigma.Problem
}

// Suite is one test file.
type Suite struct {
	Rule   string // as the file names it
	Source sigma.Position
	Cases  []Result
}

// Result is one case, or one variant of a case.
type Result struct {
	Name   string
	Source sigma.Position
	Passed bool
	// Detail says line by line what was wanted and what was found; empty if the case passed.
	Detail string
	// Matching is true for a case that wants elements, Near for a near miss.
	Matching, Near bool
	// Filter is the title of the exception that the case exercises.
	Filter string
}

// Count gives the number of cases, and of those that failed.
func (r *Report) Count() (cases, failed int) {
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			cases++
			if !c.Passed {
				failed++
			}
		}
	}
	return cases, failed
}

// OK is true if every case passed and nothing else is wrong.
func (r *Report) OK() bool {
	_, failed := r.Count()
	return failed == 0 && len(r.Problems) == 0
}

// Run reads the directories and runs their tests. The error is for directories that cannot be read; all else
// is in the report.
func Run(o Options) (*Report, error) {
	r := &runner{options: o, tested: map[string]bool{}, covered: map[string]*coverage{}, exercised: map[sigma.Position]bool{}}
	for i := range o.Dirs {
		d := &o.Dirs[i]
		files, err := sigma.ReadDir(d.FS, d.Root)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			f.Name = d.display(f.Name)
			r.files = append(r.files, f)
			r.tested[f.Name] = d.Tested
		}
	}
	r.loadRules()
	for i := range o.Dirs {
		if err := r.dir(&o.Dirs[i]); err != nil {
			return nil, err
		}
	}
	r.checkCoverage()
	return &r.report, nil
}

func (d *Dir) display(name string) string {
	if d.Name == "" {
		return name
	}
	return path.Join(d.Name, name)
}

type runner struct {
	options Options
	files   []sigma.File
	tested  map[string]bool // by file name
	rules   *sigma.Collection
	covered map[string]*coverage // by rule key
	// exercised are the filters that a passing case saw at work.
	exercised map[sigma.Position]bool
	report    Report
}

// loadRules loads everything once, to find what is wrong beside the tests.
func (r *runner) loadRules() {
	r.rules = sigma.Load(r.files, sigma.Options{Placeholders: r.options.Placeholders})
	_, compiled := engine.Compile(r.rules, r.options.Engine)
	for _, p := range slices.Concat(r.rules.Problems, compiled) {
		if !p.Warning && r.tested[p.Source.File] {
			r.report.Problems = append(r.report.Problems, p)
		}
	}
}

func (r *runner) problem(at sigma.Position, title, format string, args ...any) {
	r.report.Problems = append(r.report.Problems, sigma.Problem{Source: at, Title: title, Message: fmt.Sprintf(format, args...)})
}

// dir runs the tests of one directory.
func (r *runner) dir(d *Dir) error {
	if !d.Tested {
		return nil
	}
	tests, err := sigma.ReadTests(d.FS, d.Root)
	if err != nil {
		return err
	}
	for _, f := range tests {
		at := sigma.Position{File: d.display(f.Name), Line: 1}
		t, problems := readTests(at.File, f.Data)
		r.report.Problems = append(r.report.Problems, problems...)
		if t != nil {
			r.suite(t, d, path.Dir(f.Name))
		}
	}
	return nil
}

// suite runs one test file. from is the directory in d where the search for recorded events begins.
func (r *runner) suite(t *testFile, d *Dir, from string) {
	rules, lists := r.rules, t.placeholders
	if len(lists) > 0 {
		merged := maps.Clone(r.options.Placeholders)
		if merged == nil {
			merged = map[string][]string{}
		}
		maps.Copy(merged, lists)
		rules = sigma.Load(r.files, sigma.Options{Placeholders: merged})
	}
	rule := findRule(rules.Rules, t.rule)
	if rule == nil {
		if waiting := findRule(rules.WaitingRules, t.rule); waiting != nil {
			r.problem(t.at, waiting.Title, "the rule %s %s; give the list in the test file under placeholders", t.rule, rules.Waiting[waiting.Key()])
			return
		}
		r.problem(t.at, "", "the rule %q is not loaded; correct the name, or see the rule's own problems", t.rule)
		return
	}
	if o := r.options.Rule; o != "" && findRule([]*sigma.Rule{rule}, o) == nil {
		return
	}
	b := &bench{rule: rule, filters: rules.FiltersFor(rule), options: r.options.Engine, bases: &bases{dir: d, from: from, all: r.options.Dirs}}
	if problem := b.compile(); problem != "" {
		r.problem(rule.Source, rule.Title, "%s", problem)
		return
	}
	s := Suite{Rule: t.rule, Source: t.at}
	cover := r.covered[rule.Key()]
	if cover == nil {
		cover = &coverage{}
		r.covered[rule.Key()] = cover
	}
	for i := range t.cases {
		result, exercised := b.run(&t.cases[i])
		cover.add(result)
		if exercised != nil {
			r.exercise(exercised)
		}
		s.Cases = append(s.Cases, result)
	}
	r.report.Suites = append(r.report.Suites, s)
}

func findRule(rules []*sigma.Rule, key string) *sigma.Rule {
	for _, r := range rules {
		if key == r.Name || key == r.ID || key == r.Title {
			return r
		}
	}
	return nil
}
