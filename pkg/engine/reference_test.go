package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/sigma"
)

// This file holds a slow, obvious evaluator of rules over the request, on encoding/json, and compares the engine
// with it over generated rules and hostile events.

// leaves are what a path leads to in the reference: scalars, and whether there was a null or a container.
type leaves struct {
	present, null, holder bool
	scalars               []any
}

func (l *leaves) follow(v any, segments []string) {
	if list, ok := v.([]any); ok {
		if len(segments) == 0 {
			l.present = true
			l.holder = l.holder || len(list) > 0
		}
		for _, e := range list {
			l.follow(e, segments)
		}
		return
	}
	if len(segments) == 0 {
		l.present = true
		switch v := v.(type) {
		case nil:
			l.null = true
		case map[string]any:
			l.holder = l.holder || len(v) > 0
		default:
			l.scalars = append(l.scalars, v)
		}
		return
	}
	object, ok := v.(map[string]any)
	for n := 1; ok && n <= len(segments); n++ {
		if child, has := object[strings.Join(segments[:n], ".")]; has {
			l.follow(child, segments[n:])
		}
	}
}

func textOf(v any) string {
	if b, ok := v.(bool); ok {
		return strconv.FormatBool(b)
	}
	return fmt.Sprint(v)
}

func referenceItem(event any, item *sigma.Item) bool {
	var l leaves
	l.follow(event, strings.Split(item.Field, "."))
	one := func(v sigma.Value) bool {
		if item.Op == sigma.OpExists {
			return l.present == v.Bool
		}
		if v.Kind == sigma.Null {
			return !l.present || l.null
		}
		if len(v.Pattern) == 1 && v.Pattern[0].Wild == sigma.Many && item.Op == sigma.OpMatch {
			return len(l.scalars) > 0 || l.holder
		}
		for _, s := range l.scalars {
			if referenceValue(item, v, s) {
				return true
			}
		}
		return false
	}
	result := item.All
	for _, v := range item.Values {
		if item.All {
			result = result && one(v)
		} else {
			result = result || one(v)
		}
	}
	return result != item.Neg
}

func referenceValue(item *sigma.Item, v sigma.Value, scalar any) bool {
	text := textOf(scalar)
	number, err := strconv.ParseFloat(text, 64)
	switch item.Op {
	case sigma.OpRegexp:
		return v.Regexp.MatchString(text)
	case sigma.OpLT:
		_, isBool := scalar.(bool)
		return err == nil && !isBool && number < v.Number
	case sigma.OpGTE:
		_, isBool := scalar.(bool)
		return err == nil && !isBool && number >= v.Number
	}
	want := v.Text
	if want2, err2 := strconv.ParseFloat(want, 64); err == nil && err2 == nil && v.Pattern == nil && number == want2 {
		return true
	}
	if !item.Cased {
		text, want = strings.ToLower(text), strings.ToLower(want)
	}
	if v.Pattern == nil {
		return text == want
	}
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for _, p := range v.Pattern {
		switch p.Wild {
		case sigma.Many:
			re.WriteString(".*")
		case sigma.One:
			re.WriteString(".")
		default:
			literal := p.Literal
			if !item.Cased {
				literal = strings.ToLower(literal)
			}
			re.WriteString(regexp.QuoteMeta(literal))
		}
	}
	return regexp.MustCompile(re.String() + `\z`).MatchString(text)
}

func referenceNode(event any, n sigma.Node) bool {
	switch n := n.(type) {
	case sigma.AllOf:
		for _, x := range n {
			if !referenceNode(event, x) {
				return false
			}
		}
		return true
	case sigma.AnyOf:
		for _, x := range n {
			if referenceNode(event, x) {
				return true
			}
		}
		return false
	}
	return referenceItem(event, n.(*sigma.Item))
}

func referenceExpr(event any, d *sigma.Detection, e sigma.Expr) bool {
	switch e := e.(type) {
	case sigma.And:
		for _, x := range e {
			if !referenceExpr(event, d, x) {
				return false
			}
		}
		return true
	case sigma.Or:
		for _, x := range e {
			if referenceExpr(event, d, x) {
				return true
			}
		}
		return false
	case sigma.Not:
		return !referenceExpr(event, d, e.X)
	}
	return referenceNode(event, d.Selections[e.(sigma.Ref)].Match)
}

// The vocabulary is small, so that rules and events meet.
var (
	drawField = rapid.SampledFrom([]string{"verb", "objectRef.resource", "objectRef.subresource", "objectRef.apiVersion", "user.username", "user.groups",
		"user.extra.a.b/c", "responseStatus.code", "requestObject.spec.a", "requestObject.spec.a.b", "requestObject.x", "responseObject.spec.a", "sourceIPs", "annotations.k.v", "stage", "level"})
	drawText  = rapid.SampledFrom([]string{"get", "GET", "pods", "secrets", "a", "A.b", "exec", "", "200", "200.0", "2e2", "true", "null", "ä", "Ä", "x\ny", "a*b", "\"q\"", "\\"})
	drawKey   = rapid.SampledFrom([]string{"verb", "objectRef", "resource", "subresource", "apiVersion", "user", "username", "groups", "extra", "a.b/c", "a", "b", "b/c", "spec", "spec.a", "x", "requestObject", "responseObject", "responseStatus", "code", "sourceIPs", "annotations", "k", "v", "k.v", "stage", "level", "user.username", "other"})
	drawTop   = rapid.SampledFrom([]string{"verb", "objectRef", "user", "responseStatus", "requestObject", "responseObject", "sourceIPs", "annotations", "stage", "level", "user.username", "other"})
	drawPlain = rapid.SampledFrom([]string{"200", "-1", "2.5e1", "200.0", "true", "false", "null", "1e400"})
)

// drawJSON writes a random value with random spacing, escapes and duplicate keys.
func drawJSON(t *rapid.T, b *strings.Builder, depth int, key *rapid.Generator[string]) {
	space := func() { b.WriteString(rapid.SampledFrom([]string{"", "", "", " ", "\n\t"}).Draw(t, "space")) }
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind = 9
	}
	space()
	switch {
	case kind >= 5 && depth > 0:
		b.WriteByte('{')
		for i, n := 0, rapid.IntRange(0, 6).Draw(t, "members"); i < n; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			drawString(t, b, key.Draw(t, "key"))
			space()
			b.WriteByte(':')
			drawJSON(t, b, depth-1, drawKey)
		}
		space()
		b.WriteByte('}')
	case kind == 4:
		b.WriteByte('[')
		for i, n := 0, rapid.IntRange(0, 3).Draw(t, "elements"); i < n; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			drawJSON(t, b, depth-1, drawKey)
		}
		space()
		b.WriteByte(']')
	case kind == 3:
		b.WriteString(drawPlain.Draw(t, "plain"))
	default:
		drawString(t, b, drawText.Draw(t, "text"))
	}
	space()
}

func drawString(t *rapid.T, b *strings.Builder, text string) {
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r < ' ' || r == '"' || r == '\\' || rapid.IntRange(0, 15).Draw(t, "escape") == 0:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

func drawItem(t *rapid.T) *sigma.Item {
	item := &sigma.Item{Field: drawField.Draw(t, "field"), Neg: rapid.IntRange(0, 7).Draw(t, "neg") == 0}
	n := rapid.IntRange(1, 3).Draw(t, "values")
	switch rapid.IntRange(0, 7).Draw(t, "op") {
	case 0:
		item.Op = sigma.OpExists
		item.Values = []sigma.Value{{Kind: sigma.Bool, Bool: rapid.Bool().Draw(t, "exists")}}
		return item
	case 1:
		item.Op = sigma.OpRegexp
		item.Values = []sigma.Value{{Regexp: regexp.MustCompile(rapid.SampledFrom([]string{"^g", "t$", "[0-9]+", "", "x.y"}).Draw(t, "re"))}}
		return item
	case 2:
		item.Op = rapid.SampledFrom([]sigma.Op{sigma.OpLT, sigma.OpGTE}).Draw(t, "compare")
		item.Values = []sigma.Value{{Kind: sigma.Number, Text: "100", Number: 100}}
		return item
	}
	item.All, item.Cased = rapid.IntRange(0, 4).Draw(t, "all") == 0, rapid.IntRange(0, 4).Draw(t, "cased") == 0
	for range n {
		item.Values = append(item.Values, drawValue(t))
	}
	return item
}

func drawValue(t *rapid.T) sigma.Value {
	text := drawText.Draw(t, "want")
	literal, many, one := sigma.Part{Literal: text}, sigma.Part{Wild: sigma.Many}, sigma.Part{Wild: sigma.One}
	switch rapid.IntRange(0, 8).Draw(t, "shape") {
	case 0:
		return sigma.Value{Kind: sigma.Null}
	case 1:
		return sigma.Value{Pattern: []sigma.Part{literal, many}}
	case 2:
		return sigma.Value{Pattern: []sigma.Part{many, literal}}
	case 3:
		return sigma.Value{Pattern: []sigma.Part{many, literal, many}}
	case 4:
		return sigma.Value{Pattern: []sigma.Part{literal, one, many, literal}}
	case 5:
		return sigma.Value{Pattern: []sigma.Part{many}}
	}
	return sigma.Value{Text: text}
}

func drawNode(t *rapid.T, depth int) sigma.Node {
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") > 0 {
		return drawItem(t)
	}
	nodes := make([]sigma.Node, rapid.IntRange(1, 3).Draw(t, "nodes"))
	for i := range nodes {
		nodes[i] = drawNode(t, depth-1)
	}
	if rapid.Bool().Draw(t, "any") {
		return sigma.AnyOf(nodes)
	}
	return sigma.AllOf(nodes)
}

func drawExpr(t *rapid.T, selections, depth int) sigma.Expr {
	kind := rapid.IntRange(0, 3).Draw(t, "expr")
	if depth == 0 || kind == 3 {
		return sigma.Ref(rapid.IntRange(0, selections-1).Draw(t, "ref"))
	}
	if kind == 2 {
		return sigma.Not{X: drawExpr(t, selections, depth-1)}
	}
	list := []sigma.Expr{drawExpr(t, selections, depth-1), drawExpr(t, selections, depth-1)}
	if kind == 1 {
		return sigma.Or(list)
	}
	return sigma.And(list)
}

func drawRule(t *rapid.T, i int) *sigma.Rule {
	r := &sigma.Rule{Title: fmt.Sprint("rule ", i), ID: strconv.Itoa(i), Logsource: sigma.Logsource{Product: "kubernetes", Service: "audit"}}
	for s := range rapid.IntRange(1, 3).Draw(t, "selections") {
		r.Detection.Selections = append(r.Detection.Selections, sigma.Selection{Name: fmt.Sprint("s", s), Match: drawNode(t, 2)})
	}
	r.Detection.Condition = drawExpr(t, len(r.Detection.Selections), 3)
	return r
}

func namesStage(d *sigma.Detection) bool {
	var walk func(n sigma.Node) bool
	walk = func(n sigma.Node) bool {
		var kids []sigma.Node
		switch n := n.(type) {
		case sigma.AllOf:
			kids = n
		case sigma.AnyOf:
			kids = n
		case *sigma.Item:
			return n.Field == "stage"
		}
		return slices.ContainsFunc(kids, walk)
	}
	for _, s := range d.Selections {
		if walk(s.Match) {
			return true
		}
	}
	return false
}

func TestTheEngineAgreesWithTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := new(sigma.Collection)
		for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
			c.Rules = append(c.Rules, drawRule(t, i))
		}
		set, problems := Compile(c, Options{})
		for _, p := range problems {
			if !p.Warning {
				t.Fatal(p)
			}
		}
		j, v := set.NewJudge(), new(Verdict)
		for range rapid.IntRange(1, 4).Draw(t, "events") {
			compareWithReference(t, set, j, v)
		}
	})
}

func compareWithReference(t *rapid.T, set *Set, j *Judge, v *Verdict) {
	var b strings.Builder
	drawJSON(t, &b, 5, drawTop)
	doc := strings.TrimSpace(b.String())
	if !strings.HasPrefix(doc, "{") {
		return
	}
	d := json.NewDecoder(bytes.NewReader([]byte(doc)))
	d.UseNumber()
	var decoded map[string]any
	if err := d.Decode(&decoded); err != nil {
		t.Fatalf("the generator wrote %s: %v", doc, err)
	}
	j.Judge([]byte(doc), envelope(), v)
	got := make(map[string]bool)
	for _, m := range v.Matches {
		got[m.Rule.ID] = true
	}
	early := decoded["stage"] == "RequestReceived"
	for _, r := range set.Rules() {
		want := referenceExpr(decoded, &r.Detection, r.Detection.Condition) && (!early || namesStage(&r.Detection))
		if got[r.ID] != want {
			t.Fatalf("%s: engine %t, reference %t on\n%s", r.Title, got[r.ID], want, doc)
		}
	}
	if len(v.Panics) > 0 {
		t.Fatal(v.Panics)
	}
}
