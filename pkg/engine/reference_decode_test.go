package engine_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// This file: recorded events, changed byte by byte, on their way through the decoder to the engine.

// shippedRules are the rules that Foretop ships, without their exceptions.
func shippedRules(t fataler) []*sigma.Rule {
	t.Helper()
	files, err := sigma.ReadDir(detections.FS, ".")
	if err != nil {
		t.Fatalf("%v", err)
	}
	rules := sigma.Load(files, sigma.Options{}).Rules
	if len(rules) == 0 {
		t.Fatalf("no rules")
	}
	return rules
}

// recordedEvents are the events that the tests of the shipped rules start from, one line each.
func recordedEvents(t fataler) [][]byte {
	t.Helper()
	names, err := fs.Glob(detections.FS, "testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d recorded events, %v", len(names), err)
	}
	var all [][]byte
	for _, name := range names {
		b, err := detections.FS.ReadFile(path.Clean(name))
		if err != nil {
			t.Fatalf("%v", err)
		}
		var line bytes.Buffer
		if err := json.Compact(&line, b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, line.Bytes())
	}
	return all
}

// path of bytes from a record to a verdict.
type journey struct {
	rules              []*sigma.Rule
	decoder            *decode.Decoder
	judge, second      *engine.Judge
	via, again, direct *engine.Verdict
}

func newJourney(t fataler, rules []*sigma.Rule) *journey {
	set := compiled(t, rules)
	return &journey{rules: rules, decoder: decode.New(decode.Options{}), judge: set.NewJudge(), second: set.NewJudge(),
		via: new(engine.Verdict), again: new(engine.Verdict), direct: new(engine.Verdict)}
}

// check decodes a record and holds every item against encoding/json.
func (y *journey) check(t fataler, record []byte) {
	t.Helper()
	valid := json.Valid(record)
	faults := 0
	rest := slices.Clone(record)
	y.decoder.Decode(record, nil, func(it *decode.Item) {
		stretch := record[it.Offset : it.Offset+it.Length]
		for i := range stretch {
			rest[it.Offset+i] = ' '
		}
		switch {
		case it.Kind == decode.Broken:
			faults++
			if valid && oneOf(it.Class, decode.ClassNotJSON, decode.ClassTruncated) && !mayHoldText(record) {
				t.Fatalf("the decoder calls valid JSON %s (%s): %s", it.Class, it.Detail, record)
			}
		case it.Kind == decode.Event:
			if !json.Valid(it.Canonical) {
				t.Fatalf("canonical bytes are no JSON: %s\nof %s", it.Canonical, record)
			}
			y.checkEvent(t, it, stretch)
			if it.Envelope.Truncated {
				faults++
				if valid && !mayHoldText(record) {
					t.Fatalf("the decoder takes valid JSON for cut: %s", record)
				}
				return
			}
			if it.Envelope.Format == decode.FormatText {
				faults++ // what follows the first line is not in its stretch
			}
		case oneOf(it.Class, decode.ClassText, decode.ClassLegacyText, decode.ClassNotAuditEvent):
			faults++ // text; and events of other groups may be cut
			return
		}
		// What a shipper put around an event may be cut where the event in it is whole: nothing of it is lost.
		inside := it.Kind == decode.Event && !oneOf(it.Envelope.Format, decode.FormatNative, decode.FormatMerged)
		if it.Kind != decode.Broken && !inside && len(stretch) > 0 && stretch[0] == '{' && !areValues(stretch) {
			t.Fatalf("the decoder finds no fault in %s", stretch)
		}
	})
	if len(record) > 5 && record[0] == 0 && record[5] == '{' {
		rest = rest[5:] // Confluent's serializer puts a zero byte and the schema's number there
	}
	if faults == 0 && !valid {
		// Several values may follow each other, with commas between them, behind a byte order mark. Nothing else may stand there.
		if left := bytes.Trim(bytes.TrimPrefix(rest, []byte("\ufeff")), " \t\r\n,"); len(left) > 0 {
			t.Fatalf("the decoder finds no fault in what is no valid JSON and passes over %q: %s", left, record)
		}
	}
}

// areValues is true for JSON values that follow each other, with or without commas.
func areValues(b []byte) bool {
	for {
		if b = bytes.TrimLeft(b, ", \t\r\n"); len(b) == 0 {
			return true
		}
		var v json.RawMessage
		d := json.NewDecoder(bytes.NewReader(b))
		if d.Decode(&v) != nil {
			return false
		}
		b = b[d.InputOffset():]
	}
}

// mayHoldText is true if JSON text can be inside a string of the record: its faults are those of the text.
func mayHoldText(record []byte) bool {
	return bytes.Contains(record, []byte(`{\"`)) || bytes.Contains(record, []byte(`\u00`)) || bytes.Contains(record, []byte(`[Truncated...]`))
}

// checkEvent judges an event where it stands, by its canonical bytes, and, if it is native, by those of the record.
func (y *journey) checkEvent(t fataler, it *decode.Item, stretch []byte) {
	t.Helper()
	env := it.Envelope
	canonical := slices.Clone(it.Canonical)
	y.judge.JudgeAt(it.Index, it.Root, &env, y.via)
	if string(canonical) != string(it.Canonical) {
		t.Fatalf("judging wrote to %s", it.Canonical)
	}
	y.second.Judge(canonical, &env, y.again)
	if a, b := outline(y.via), outline(y.again); !slices.Equal(a, b) || !reflect.DeepEqual(y.via.Matches, y.again.Matches) {
		t.Fatalf("judged where it stands: %v, judged by its canonical bytes: %v: %s", a, b, canonical)
	}
	if env.Truncated {
		return
	}
	value, err := decoded(it.Canonical)
	if err != nil {
		t.Fatalf("%v: %s", err, it.Canonical)
	}
	if len(env.Missing) == 0 && !env.BodiesRemoved && len(env.Inferred) == 0 && !repeats(it.Canonical) {
		agree(t, y.via, judgeByReference(y.rules, value.(map[string]any), &env), it.Canonical)
	}
	if env.Format != decode.FormatNative || len(stretch) == 0 || stretch[0] != '{' {
		return // or it was compressed
	}
	if !json.Valid(stretch) {
		t.Fatalf("a native event is no valid JSON: %s", stretch)
	}
	// Two spellings of one annotation are one key when decoded; an underscore is no dot where it is escaped.
	if len(env.Inferred) == 0 && !repeats(it.Canonical) && !bytes.Contains(bytes.ToLower(stretch), []byte(`\u005f`)) {
		y.second.Judge(stretch, &env, y.direct)
		if a, b := outline(y.via), outline(y.direct); !slices.Equal(a, b) {
			t.Fatalf("judged as decoded: %v, judged as recorded: %v: %s", a, b, stretch)
		}
	}
}

// outline is a verdict as text, in order.
func outline(v *engine.Verdict) []string {
	var all []string
	for _, m := range v.Matches {
		for _, e := range m.Elements {
			all = append(all, key(m.Rule.ID, e.Path))
		}
	}
	for _, b := range v.Blind {
		all = append(all, b.Rule+" blind for "+b.Field)
	}
	for rule, n := range v.ControlledMatches {
		all = append(all, strings.Repeat("controlled ", n)+rule)
	}
	slices.Sort(all)
	return all
}

// repeats is true if an object has a key twice.
func repeats(doc []byte) bool {
	d := json.NewDecoder(bytes.NewReader(doc))
	found := false
	var walk func()
	walk = func() {
		token, err := d.Token()
		if err != nil {
			return
		}
		open, ok := token.(json.Delim)
		if !ok {
			return
		}
		seen := make(map[string]bool)
		for d.More() {
			if open == '{' {
				name, err := d.Token()
				text, ok := name.(string)
				if err != nil || !ok {
					return
				}
				found = found || seen[text]
				seen[text] = true
			}
			walk()
		}
		_, _ = d.Token() // the closing bracket
	}
	walk()
	return found
}

// shards are what mutations insert: what JSON forbids, what it allows, and what tells readers apart.
var shards = []string{`"`, `\`, `\\`, `\"`, `{`, `}`, `[`, `]`, `,`, `:`, " ", "\n", "\t", "\r", "\x00", "\x1f", "\x7f", "\xff", "\xc3", "0", "01", "-", "-0", "+1", ".5", "1.", "1e", "1e+", "1E400", "0x1", "tru", "true", "nul", "null", "NaN", "Infinity",
	`\u12`, `\u12g4`, `\ud800`, `\udc00`, `\ud83d\ude00`, `\x`, `\'`, `'`, "/*x*/", "//", "\ufeff", "\u2028", `""`, `"":`, `,,`, `{}`, `[]`, `,"verb":"get"`, `"\u0076erb":"create",`, `,"requestObject":null`, `"kind":"Status",`, "[Truncated...]", `"a":[[[[]]]],`}

// mutate changes a few stretches of a line.
func mutate(t *rapid.T, line []byte, other []byte) []byte {
	b := slices.Clone(line)
	for range rapid.IntRange(1, 4).Draw(t, "mutations") {
		at := place(t, b)
		end := min(len(b), at+pick(t, 1, 1, 2, 3, 8, 20, 64, 300))
		switch rapid.IntRange(0, 7).Draw(t, "mutation") {
		case 0, 1, 2:
			b = slices.Insert(b, at, []byte(pick(t, shards...))...)
		case 3:
			b = slices.Delete(b, at, end)
		case 4:
			b = slices.Insert(b, at, b[at:end]...)
		case 5:
			to := place(t, b)
			stretch := slices.Clone(b[at:end])
			b = slices.Delete(b, at, end)
			b = slices.Insert(b, min(to, len(b)), stretch...)
		case 6:
			if at < len(b) {
				b[at] = byte(rapid.IntRange(0, 255).Draw(t, "byte"))
			}
		case 7:
			from := place(t, other)
			b = slices.Insert(b, at, other[from:min(len(other), from+pick(t, 1, 10, 100, 1000))]...)
		}
	}
	return b
}

// place draws an index: half the time that of a byte which means something to JSON, or the one behind it.
func place(t *rapid.T, b []byte) int {
	at := rapid.IntRange(0, len(b)).Draw(t, "at")
	if at == len(b) || rapid.Bool().Draw(t, "anywhere") {
		return at
	}
	if i := bytes.IndexAny(b[at:], `"{}[],:\`); i >= 0 {
		at += i + rapid.IntRange(0, 1).Draw(t, "behind")
	}
	return min(at, len(b))
}

func checkMutations(t *rapid.T, y *journey, lines [][]byte) {
	for range rapid.IntRange(1, 4).Draw(t, "records") {
		y.check(t, mutate(t, pick(t, lines...), pick(t, lines...)))
	}
}

func TestMutatedRecordsAreJudgedAsEncodingJSONReadsThem(t *testing.T) {
	lines, y := recordedEvents(t), newJourney(t, shippedRules(t))
	for _, line := range lines {
		y.check(t, line)
	}
	rapid.Check(t, func(t *rapid.T) { checkMutations(t, y, lines) })
}

// Generated events in every wrapping give the same verdict where they stand and by themselves, and that of the reference.
func checkRecords(t *rapid.T) {
	duplicates := rapid.Bool().Draw(t, "duplicates")
	var rules []*sigma.Rule
	for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
		rules = append(rules, drawRule(t, i, !duplicates))
	}
	y := newJourney(t, rules)
	for range rapid.IntRange(1, 3).Draw(t, "records") {
		var events [][]byte
		for i := range rapid.IntRange(1, 3).Draw(t, "events") {
			e := drawEvent(t).with("kind", "Event").with("apiVersion", "audit.k8s.io/v1").with("auditID", fmt.Sprint("a-", i)).with("verb", pick(t, "create", "patch", "delete")).with("requestURI", pick(t, requestURIs...))
			s := newSpelling(rapid.Uint64().Draw(t, "seed"), duplicates)
			s.value(e)
			events = append(events, s.out)
		}
		y.check(t, wrapped(t, events))
	}
}

// wrapped makes a record of events, as shippers do.
func wrapped(t *rapid.T, events [][]byte) []byte {
	first := events[0]
	quoted := func() string {
		s := newSpelling(rapid.Uint64().Draw(t, "quoting"), false)
		s.text(string(first))
		return string(s.out)
	}
	pad := strings.Repeat(" ", rapid.IntRange(0, 70).Draw(t, "pad"))
	switch rapid.IntRange(0, 10).Draw(t, "wrapping") {
	case 1:
		return []byte(`{"kind":"EventList",` + pad + `"apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + string(bytes.Join(events, []byte(pad+","))) + `]}`)
	case 2:
		return []byte(pad + `[` + string(bytes.Join(events, []byte(","))) + pad + `]`)
	case 3:
		return append(bytes.Join(events, []byte("\n")), '\n')
	case 4:
		return []byte(`{"log":` + pad + quoted() + `,"stream":"stdout"}`)
	case 5:
		return []byte(`{"kubernetes":{"pod":"x",` + pad + `"audit":` + string(first) + `},"x":[{}]}`)
	case 6:
		return []byte(`{"@timestamp":"2026-03-04T10:15:21Z",` + pad + string(bytes.TrimLeft(first, "{ \t\r\n")))
	case 7:
		return []byte(`{"@timestamp":"2026-03-04T10:15:21Z","message":` + quoted() + `}`)
	case 8:
		return []byte(`{"records":[{"category":"kube-audit","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/C","time":"2026-03-04T10:15:20.1Z","properties":{"log":` + quoted() + `}}]}`)
	case 9:
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(bytes.Join(events, []byte("\n")))
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	case 10:
		return []byte(`2026-03-04T10:15:20.1Z stdout F ` + string(bytes.ReplaceAll(bytes.ReplaceAll(first, []byte("\n"), []byte(" ")), []byte("\r"), []byte(" "))))
	}
	return []byte(pad + string(first) + pad)
}

func TestRecordsAreJudgedAsTheEventsInThem(t *testing.T) { rapid.Check(t, checkRecords) }
