package sigma

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var selectionNames = []string{"selection", "sel_a", "sel_b", "filter_main", "_base", "_other", "keywords", "and_more"}

func TestConditionsParseWithSigmasPrecedence(t *testing.T) {
	tests := []struct{ in, want string }{
		{"selection", "selection"},
		{"selection or sel_a and sel_b", "(selection or (sel_a and sel_b))"},
		{"not selection and sel_a", "(not selection and sel_a)"},
		{"not (selection and sel_a)", "not (selection and sel_a)"},
		{"not not selection", "not not selection"},
		{"(selection or sel_a) and sel_b", "((selection or sel_a) and sel_b)"},
		{"((selection))", "selection"},
		{"selection and sel_a and sel_b", "(selection and sel_a and sel_b)"},
		{"SELECTION_IS_NOT", ""},
		{"selection AND NOT sel_a Or sel_b", "((selection and not sel_a) or sel_b)"},
		{"1 of them", "(selection or sel_a or sel_b or filter_main or keywords or and_more)"},
		{"any of them", "(selection or sel_a or sel_b or filter_main or keywords or and_more)"},
		{"all of sel_*", "(sel_a and sel_b)"},
		{"1 OF SEL_*", ""},
		{"1 Of sel_*", "(sel_a or sel_b)"},
		{"all of *_main", "filter_main"},
		{"all of *e*_*", "(sel_a and sel_b and filter_main)"},
		{"1 of _*", "(_base or _other)"},
		{"1 of sel_a", "sel_a"},
		{"selection and not 1 of filter_*", "(selection and not filter_main)"},
		{"not 1 of sel_* or _base", "(not (sel_a or sel_b) or _base)"},
		{"selection and(sel_a)or not(sel_b)", "((selection and sel_a) or not sel_b)"},
		{"selection\n  and sel_a", "(selection and sel_a)"},
		{"and_more", "and_more"},
	}
	for _, tt := range tests {
		e, err := (&parser{names: selectionNames}).parse(tt.in)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q parsed as %s", tt.in, renderExpr(e, selectionNames))
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if got := renderExpr(e, selectionNames); got != tt.want {
			t.Errorf("%q\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestWrongConditionsAreRefusedWithAReason(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"an unknown name", "selektion", `unknown selection "selektion"; known are selection, sel_a`},
		{"a pattern without a quantifier", "sel_*", `"sel_*" at character 1 needs "1 of" or "all of"`},
		{"a pattern for nothing", "1 of nothing_*", "matches no selection"},
		{"a count", "2 of sel_*", `"2 of" at character 1: Sigma has only 1 of and all of`},
		{"an aggregation", "selection | count() by user > 5", "write a correlation"},
		{"two names", "selection sel_a", `"sel_a" at character 11 is one too many`},
		{"nothing after and", "selection and", "ends where a selection should stand"},
		{"nothing before and", "and selection", `"and" at character 1 stands where a selection should`},
		{"an open bracket", "(selection", "bracket at character 1 is not closed"},
		{"a closing bracket too many", "selection)", `")" at character 10 is one too many`},
		{"empty brackets", "()", `")" at character 2 stands where`},
		{"nothing", "  ", "it is empty"},
		{"a quantifier without a pattern", "1 of", "needs them or a pattern"},
		{"a quantifier over brackets", "1 of (selection)", "needs them or a pattern"},
		{"deep nesting", strings.Repeat("(", 100) + "selection" + strings.Repeat(")", 100), "nested deeper than 64"},
		{"many negations", strings.Repeat("not ", 100) + "selection", "nested deeper than 64"},
		{"great length", strings.Repeat("selection or ", 1000) + "selection", "more than 8192 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := (&parser{names: selectionNames}).parse(tt.in)
			if err == nil {
				t.Fatalf("parsed as %s", renderExpr(e, selectionNames))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestExpandedConditionsAreBounded(t *testing.T) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = "s" + strings.Repeat("x", i)
	}
	_, err := (&parser{names: names}).parse(strings.TrimSuffix(strings.Repeat("1 of them and ", 50), " and "))
	if err == nil || !strings.Contains(err.Error(), "more than 5000 parts") {
		t.Errorf("got %v", err)
	}
}

// generated makes a random condition as a tree, and a text of it with brackets and case at random.
func generated(t *rapid.T, depth int) (Expr, string) {
	word := func(s string) string {
		if rapid.Bool().Draw(t, "upper") {
			return strings.ToUpper(s)
		}
		return s
	}
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	if depth == 0 {
		kind = 0
	}
	switch kind {
	case 1, 2:
		n := rapid.IntRange(2, 4).Draw(t, "n")
		exprs, texts := make([]Expr, n), make([]string, n)
		for i := range n {
			exprs[i], texts[i] = generated(t, depth-1)
			if _, leaf := exprs[i].(Ref); !leaf {
				texts[i] = "(" + texts[i] + ")"
			}
		}
		if kind == 1 {
			return And(exprs), strings.Join(texts, " "+word("and")+" ")
		}
		return Or(exprs), strings.Join(texts, " "+word("or")+" ")
	case 3:
		x, text := generated(t, depth-1)
		return Not{x}, word("not") + " (" + text + ")"
	}
	i := rapid.IntRange(0, len(selectionNames)-1).Draw(t, "ref")
	return Ref(i), selectionNames[i]
}

func holds(e Expr, truth []bool) bool {
	switch e := e.(type) {
	case And:
		for _, x := range e {
			if !holds(x, truth) {
				return false
			}
		}
		return true
	case Or:
		for _, x := range e {
			if holds(x, truth) {
				return true
			}
		}
		return false
	case Not:
		return !holds(e.X, truth)
	}
	return truth[e.(Ref)]
}

func TestAParsedConditionMeansWhatItsTreeMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, text := generated(t, 4)
		got, err := (&parser{names: selectionNames}).parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for assignment := range 1 << len(selectionNames) {
			truth := make([]bool, len(selectionNames))
			for i := range truth {
				truth[i] = assignment>>i&1 == 1
			}
			if holds(got, truth) != holds(want, truth) {
				t.Fatalf("%q means %s", text, renderExpr(got, selectionNames))
			}
		}
	})
}

func TestAnyLiteralSurvivesEscaping(t *testing.T) {
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune(`ab\*?%ü `))).Draw(t, "text")
		v := stringValue(parseValue(escape.Replace(text)))
		if v.Pattern != nil || v.Text != text {
			t.Fatalf("%q came back as %q, pattern %v", text, v.Text, v.Pattern)
		}
	})
}

func FuzzCondition(f *testing.F) {
	f.Add("selection and not 1 of filter_*")
	f.Add("((selection) or all of them")
	f.Add("1 of sel_* | count() > 3")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := (&parser{names: selectionNames}).parse(text)
		if err != nil {
			if e != nil {
				t.Errorf("%q gave an expression and an error", text)
			}
			return
		}
		printed := renderExpr(e, selectionNames)
		again, err := (&parser{names: selectionNames}).parse(printed)
		if err != nil && len(printed) <= maxCondBytes && !strings.Contains(err.Error(), "nested deeper") {
			t.Fatalf("%q printed as %q does not parse: %v", text, printed, err)
		}
		if err == nil && renderExpr(again, selectionNames) != printed {
			t.Errorf("%q printed as %q, then %q", text, printed, renderExpr(again, selectionNames))
		}
	})
}
