package jsonindex

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func add(f *testing.F) {
	f.Helper()
	for _, s := range []string{`{}`, `[]`, `{"a":[1,-2.5e+3,true,false,null,"x\\\"y\u00e9"]}`, ` { "a" : [ 1 , 2 ] } `, "{\"a\":\"\n\"}",
		`{"a":{"b":[[],{}]},"c":""}`, `[01]`, `[1.]`, `["\x"]`, `{"a":1,}`, `[,]`, `"\\"`, `tru`, "[\"" + string(bytes.Repeat([]byte{'\\', '\\'}, 70)) + "\"]"} {
		f.Add([]byte(s))
	}
}

// FuzzValue compares what Value says with encoding/json, and the ends it notes with a walk of its own.
func FuzzValue(f *testing.F) {
	add(f)
	x := new(Index)
	f.Fuzz(func(t *testing.T, text []byte) {
		if !x.Load(text) {
			t.Fatal("not loaded")
		}
		end, ok := x.Value(0, 100)
		ok = ok && skipSpace(text, end) == len(text)
		if want := json.Valid(text) && depth(text) <= 100; ok != want {
			t.Fatalf("%q: %t, encoding/json says %t", text, ok, want)
		}
		if !ok {
			return
		}
		checkEnds(t, x)
	})
}

// depth counts how deep valid JSON is nested.
func depth(text []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// checkEnds compares what x knows of strings and containers with a walk byte by byte.
func checkEnds(t *testing.T, x *Index) {
	t.Helper()
	var open []int
	text := x.Text()
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end, escaped := i+1, false
			for ; text[end] != '"'; end++ {
				if text[end] == '\\' {
					escaped = true
					end++
				}
			}
			if got := x.End(i); got != end+1 {
				t.Fatalf("%q: the string at %d ends at %d, not %d", text, i, end+1, got)
			}
			if got := x.Escaped(i+1, end); got != escaped {
				t.Fatalf("%q: the string at %d: escaped %t", text, i, got)
			}
			i = end
		case '{', '[':
			open = append(open, i)
		case '}', ']':
			start := open[len(open)-1]
			open = open[:len(open)-1]
			if got := x.End(start); got != i+1 {
				t.Fatalf("%q: the container at %d ends at %d, not %d", text, start, i+1, got)
			}
			if got := x.step(start); got != i+1 {
				t.Fatalf("%q: stepping over the container at %d ends at %d, not %d", text, start, i+1, got)
			}
		}
	}
}

// FuzzMark compares the marks of the build with those of plain Go.
func FuzzMark(f *testing.F) {
	add(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		n := len(text)/64 + 1
		marks := make([][]uint64, 6)
		for i := range marks {
			marks[i] = make([]uint64, n)
		}
		slashes, controls := mark(text, marks[0], marks[1], marks[2])
		var wantSlashes, wantControls uint64
		for i, c := range text {
			bit := uint64(1) << (i & 63)
			switch {
			case c == '"':
				marks[3][i>>6] |= bit
			case c == '\\':
				marks[4][i>>6] |= bit
				wantSlashes |= bit
			case c < ' ':
				marks[5][i>>6] |= bit
				wantControls |= bit
			}
		}
		for i := range 3 {
			for w := range n {
				if marks[i][w] != marks[i+3][w] {
					t.Fatalf("%q: marks %d, word %d: %x, not %x", text, i, w, marks[i][w], marks[i+3][w])
				}
			}
		}
		if slashes != wantSlashes || controls != wantControls {
			t.Fatalf("%q: %x %x, not %x %x", text, slashes, controls, wantSlashes, wantControls)
		}
		plain := make([][]uint64, 3)
		for i := range plain {
			plain[i] = make([]uint64, n)
		}
		markPlain(text, plain[0], plain[1], plain[2])
		for i := range plain {
			for w := range n {
				if plain[i][w] != marks[i][w] {
					t.Fatalf("%q: plain Go marks %d, word %d: %x, not %x", text, i, w, plain[i][w], marks[i][w])
				}
			}
		}
	})
}

func TestMembers(t *testing.T) {
	x := new(Index)
	for text, want := range map[string]string{
		`{}`:        "",
		`[{"a":1}]`: "",
		`1`:         "",
		`{"a":1}`:   "a=1;",
		` { "a" : {"b":[1,{"c":2}],"x" : { } } , "d\"":"x" ,"e":[{"f":1}] , "g" : {} }`: `a={"b":[1,{"c":2}],"x" : { } }(b=[1,{"c":2}];x={ };);d\"="x";e=[{"f":1}];g={};`,
	} {
		x.Load([]byte(text))
		root := skipSpace(x.Text(), 0)
		if _, ok := x.Value(root, 9); !ok {
			t.Fatal(text)
		}
		show := func(m Member) string { return text[m.Name:m.NameEnd] + "=" + text[m.From:m.To] }
		got, all := "", x.Members(root)
		for i := 0; i < len(all); i = int(all[i].Next) {
			got += show(all[i])
			if kids := all[i+1 : all[i].Next]; len(kids) > 0 {
				got += "("
				for _, kid := range kids {
					got += show(kid) + ";"
				}
				got += ")"
			}
			got += ";"
		}
		if got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}

func TestManyMembers(t *testing.T) {
	object := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",\"k%d\":%d", i, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	x := new(Index)
	for n, want := range map[int]bool{MaxMembers: true, MaxMembers + 1: false} {
		x.Load([]byte(object(n)))
		if _, ok := x.Value(0, 9); ok != want {
			t.Errorf("%d members: %t", n, ok)
		}
	}
	x.Load([]byte(`{"a":` + object(maxKids+1) + `,"b":` + object(3) + `}`))
	if _, ok := x.Value(0, 9); !ok {
		t.Fatal("not valid")
	}
	all := x.Members(0)
	if len(all) != 5 || !all[0].Many || all[0].Next != 1 || all[1].Many || all[1].Next != 5 {
		t.Errorf("%+v", all)
	}
}

// FuzzEscapes compares what the index makes of backslashes with a look at every byte.
func FuzzEscapes(f *testing.F) {
	add(f)
	for n := 60; n < 70; n++ {
		f.Add([]byte(strings.Repeat(" ", n) + strings.Repeat(`\`, n-57) + `"`))
		f.Add([]byte(strings.Repeat(" ", n) + `\u00e9\x`))
	}
	x := new(Index)
	f.Fuzz(func(t *testing.T, text []byte) {
		x.Load(text)
		first, invalid := len(text), false
		for i := 0; i < len(text); i++ {
			begins := text[i] == '\\'
			if got := x.backslashes[i>>6]>>(i&63)&1 == 1; got != begins {
				t.Fatalf("%q: an escape begins at %d: %t", text, i, got)
			}
			if got := x.quotes[i>>6]>>(i&63)&1 == 1; got != (text[i] == '"') {
				t.Fatalf("%q: a quote at %d: %t", text, i, got)
			}
			if !begins {
				continue
			}
			first, invalid = min(first, i), invalid || !isEscape(text, i)
			if i++; i < len(text) && (x.quotes[i>>6]|x.backslashes[i>>6])>>(i&63)&1 == 1 {
				t.Fatalf("%q: what is escaped at %d stands for itself", text, i)
			}
		}
		if x.escape != first || x.invalid != invalid {
			t.Fatalf("%q: first %d, invalid %t, not %d %t", text, x.escape, x.invalid, first, invalid)
		}
	})
}
