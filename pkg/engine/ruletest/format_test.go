package ruletest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/sigma"
)

func TestWrongTestFilesAreProblems(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no YAML", "rule: [", "not YAML"},
		{"nothing", "", "the file is empty"},
		{"two documents", "rule: a\n---\nrule: b\n", "a test file is one document"},
		{"a list", "- a\n", "the test file must be a mapping"},
		{"no rule", "cases: [{name: a, base: deployment, match: []}]\n", "rule is missing"},
		{"another rule", strings.Replace(oneCase("match: []"), "rule: privileged", "rule: nobody", 1), `the rule "nobody" is not loaded`},
		{"no cases", "rule: privileged\n", "cases is missing or empty"},
		{"cases as text", "rule: privileged\ncases: x\n", "cases must be a list"},
		{"a case as text", "rule: privileged\ncases: [x]\n", "a case must be a mapping"},
		{"an unknown key", oneCase("match: []\nmatches: []"), `unknown key "matches" in a case`},
		{"a key twice", oneCase("match: []\nmatch: []"), `key "match" stands twice`},
		{"no match", oneCase("level: high"), "match is missing"},
		{"no name", "rule: privileged\ncases: [{base: deployment, match: []}]\n", "name is missing"},
		{"no base", "rule: privileged\ncases: [{name: x, match: []}]\n", "base is missing"},
		{"an element as text", oneCase("match: [x]"), "an element is described by a mapping"},
		{"an element with a map", oneCase("match: [{a: {b: c}}]"), "a must be a value or a list"},
		{"a level without match", oneCase("match: []\nlevel: low"), "a case without match has no level"},
		{"an unknown level", oneCase("match: [{}]\nlevel: severe"), "unknown level"},
		{"a filter with match", oneCase("match: [{}]\nfilter: x"), "its match must be []"},
		{"no pointer", oneCase("set: {verb: x}\nmatch: []"), `"verb" is no JSON pointer`},
		{"a list as set", oneCase("set: [x]\nmatch: []"), "set must be a mapping"},
		{"no number of JSON", oneCase("set: {/a: .inf}\nmatch: []"), "no number that JSON can hold"},
		{"an alias", "rule: &a privileged\ncases: [{name: *a, base: deployment, match: []}]\n", "aliases are not read"},
		{"deep nesting", oneCase("set: {/a: " + strings.Repeat("[", 80) + strings.Repeat("]", 80) + "}\nmatch: []"), "nested deeper than 64"},
		{"deep variants", oneCase("match: []\nalso: " + strings.Repeat("[{match: [], also: ", 9) + "[]" + strings.Repeat("}]", 9)), "also is nested deeper than 8"},
		{"wrong placeholders", "placeholders: x\n" + oneCase("match: []"), "placeholders must map"},
		{"great size", oneCase("match: []") + strings.Repeat("# filler\n", maxTestBytes/8), "split it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tree(tt.text))
			for _, p := range r.Problems {
				if p.Source.File == "rules/tactic/privileged_test.yml" && p.Source.Line >= 1 && strings.Contains(p.Message, tt.want) {
					return
				}
			}
			t.Errorf("no problem says %q: %v", tt.want, r.Problems)
		})
	}
}

func TestPointersSetAndRemove(t *testing.T) {
	doc := func() any {
		return map[string]any{"a": map[string]any{"b": []any{"x", "y"}}, "k/~": "v", "n": nil}
	}
	tests := []struct {
		name string
		c    change
		want any
	}{
		{"an existing value", change{pointer: "/a/b/1", value: "z"}, map[string]any{"a": map[string]any{"b": []any{"x", "z"}}, "k/~": "v", "n": nil}},
		{"append", change{pointer: "/a/b/-", value: "z"}, map[string]any{"a": map[string]any{"b": []any{"x", "y", "z"}}, "k/~": "v", "n": nil}},
		{"one past the end", change{pointer: "/a/b/2/c", value: "z"}, map[string]any{"a": map[string]any{"b": []any{"x", "y", map[string]any{"c": "z"}}}, "k/~": "v", "n": nil}},
		{"new objects and lists", change{pointer: "/p/0/q", value: "z"}, map[string]any{"a": map[string]any{"b": []any{"x", "y"}}, "k/~": "v", "n": nil, "p": []any{map[string]any{"q": "z"}}}},
		{"below null", change{pointer: "/n/q", value: "z"}, map[string]any{"a": map[string]any{"b": []any{"x", "y"}}, "k/~": "v", "n": map[string]any{"q": "z"}}},
		{"escapes", change{pointer: "/k~1~0", remove: true}, map[string]any{"a": map[string]any{"b": []any{"x", "y"}}, "n": nil}},
		{"of a list", change{pointer: "/a/b/0", remove: true}, map[string]any{"a": map[string]any{"b": []any{"y"}}, "k/~": "v", "n": nil}},
	}
	for _, tt := range tests {
		got, err := apply(doc(), tt.c)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", tt.name, err, diff)
		}
	}
}

func FuzzReadTests(f *testing.F) {
	f.Add([]byte(passing))
	f.Add([]byte(oneCase("set: {/a/-/b: [1, {c: null}]}\nunset: [/verb]\nmatch: [{a: [b]}]\nenvelope: {missing: [x]}")))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, problems := readTests("f_test.yml", data)
		if (file == nil) != (len(problems) > 0) {
			t.Fatalf("file %v, problems %v", file, problems)
		}
		if file == nil {
			return
		}
		fsys := tree("")
		rules := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(rule)}}, sigma.Options{})
		b := &bench{rule: rules.Rules[0], filters: rules.Filters, bases: &bases{dir: &Dir{FS: fsys, Root: "rules"}, from: "rules"}}
		if problem := b.compile(); problem != "" {
			t.Fatal(problem)
		}
		for i := range file.cases {
			file.cases[i].base = "deployment"
			b.run(&file.cases[i])
		}
	})
}
