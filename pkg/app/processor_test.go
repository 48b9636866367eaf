package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

type verdict = engine.Verdict

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// auditEvent is one event as the API server writes it.
func auditEvent(id, verb, stage string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":%q,`+
		`"requestURI":"/api/v1/namespaces/default/secrets","verb":%q,"user":{"username":"alice"},"sourceIPs":["192.0.2.7"],`+
		`"objectRef":{"resource":"secrets","namespace":"default","apiVersion":"v1"},"responseStatus":{"code":200},`+
		`"requestReceivedTimestamp":"2026-11-20T03:12:44.112000Z","stageTimestamp":"2026-11-20T03:12:44.119000Z"}`, id, stage, verb)
}

func options(r *Rules) JudgeOptions {
	return JudgeOptions{
		Rules:  func() *Rules { return r },
		Decode: func(string) decode.Options { return decode.Options{Cluster: event.Cluster{ID: "c", Name: "c"}} },
	}
}

// process judges records as one batch of stream "audit/0" and checks the conservation law.
func process(t *testing.T, p *Processor, records ...pipeline.Record) *pipeline.Effects {
	t.Helper()
	for i := range records {
		if records[i].Pos == "" {
			records[i].Pos = fmt.Sprint(i)
		}
	}
	var fx pipeline.Effects
	p.Process(t.Context(), "src", pipeline.NewBatch(context.Background(), "audit/0", records, func(error) {}), &fx)
	sum := fx.Counts.Evaluated + fx.Counts.Dropped + len(fx.DeadLetters)
	for _, n := range fx.Counts.Skipped {
		sum += n
	}
	if sum != fx.Counts.Items {
		t.Errorf("%d items, %d accounted for", fx.Counts.Items, sum)
	}
	return &fx
}

func records(bodies ...string) (out []pipeline.Record) {
	for _, body := range bodies {
		out = append(out, pipeline.Record{Body: []byte(body)})
	}
	return out
}

func TestEveryItemHasOneFate(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	type fate struct {
		Items, Evaluated, Documents int
		Skipped                     map[string]int
		DeadLetters                 []string
	}
	for name, tc := range map[string]struct {
		record pipeline.Record
		want   fate
	}{
		"an event that matches": {
			pipeline.Record{Body: []byte(auditEvent("1", "list", "ResponseComplete"))}, fate{Items: 1, Evaluated: 1, Documents: 1},
		},
		"an event that does not": {
			pipeline.Record{Body: []byte(auditEvent("1", "get", "ResponseComplete"))}, fate{Items: 1, Evaluated: 1},
		},
		"an event that has only arrived": {
			pipeline.Record{Body: []byte(auditEvent("1", "list", "RequestReceived"))}, fate{Items: 1, Skipped: map[string]int{SkipStage: 1}},
		},
		"a list of events": {
			pipeline.Record{Body: []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` +
				auditEvent("1", "list", "ResponseComplete") + "," + auditEvent("2", "list", "ResponseComplete") + `]}`)},
			fate{Items: 2, Evaluated: 2, Documents: 2},
		},
		"something else": {
			pipeline.Record{Body: []byte(`{"hello":1}`)}, fate{Items: 1, Skipped: map[string]int{decode.ClassOtherJSON: 1}},
		},
		"a tombstone by its body": {
			pipeline.Record{}, fate{Items: 1, Skipped: map[string]int{decode.ClassTombstone: 1}},
		},
		"a tombstone by its meta": {
			pipeline.Record{Body: []byte{}, Meta: map[string]string{pipeline.MetaTombstone: "true"}}, fate{Items: 1, Skipped: map[string]int{decode.ClassTombstone: 1}},
		},
		"junk": {
			pipeline.Record{Body: []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1",,,}`)}, fate{Items: 1, DeadLetters: []string{decode.ClassNotJSON}},
		},
		"the beginning of a record, with who did what": {
			pipeline.Record{Body: []byte(auditEvent("1", "list", "ResponseComplete")[:300]), Meta: map[string]string{pipeline.MetaOversize: "99999999"}},
			fate{Items: 1, Evaluated: 1, Documents: 1},
		},
		"the beginning of a record, without": {
			pipeline.Record{Body: []byte(auditEvent("1", "list", "ResponseComplete")[:80]), Meta: map[string]string{pipeline.MetaOversize: "99999999"}},
			fate{Items: 1, DeadLetters: []string{decode.ClassTruncated}},
		},
		"a stretch that the source could not read": {
			pipeline.Record{Body: []byte("hello"), Meta: map[string]string{pipeline.MetaUndecodable: "true"}}, fate{Items: 1, DeadLetters: []string{ClassUndecodable}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			fx := process(t, NewProcessor(options(rules)), tc.record)
			got := fate{Items: fx.Counts.Items, Evaluated: fx.Counts.Evaluated, Documents: len(fx.Documents), Skipped: fx.Counts.Skipped}
			for _, d := range fx.DeadLetters {
				got.DeadLetters = append(got.DeadLetters, d.Class)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestADeadLetterOfABeginningTellsTheWholeLength(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	record := pipeline.Record{Body: []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","le`), Meta: map[string]string{pipeline.MetaOversize: "99999999"}}
	fx := process(t, NewProcessor(options(rules)), record, records(`{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`)[0])
	if len(fx.DeadLetters) != 2 || !strings.Contains(fx.DeadLetters[0].Detail, "99999999 bytes") || strings.Contains(fx.DeadLetters[1].Detail, "99999999") {
		t.Errorf("%+v", fx.DeadLetters)
	}
}

func TestADocumentSaysWhereItsEventStands(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	fx := process(t, NewProcessor(options(rules)), records(auditEvent("1", "get", "ResponseComplete"), auditEvent("2", "list", "ResponseComplete"))...)
	if len(fx.Documents) != 1 {
		t.Fatalf("%d documents", len(fx.Documents))
	}
	d := fx.Documents[0]
	if d.Origin.Source != "src" || d.Origin.Stream != "audit/0" || d.Origin.Pos != "1" {
		t.Errorf("origin %+v", d.Origin)
	}
	var doc struct {
		Event struct{ ID string }
		User  struct{ Name string }
		Rule  struct{ Ruleset string }
	}
	if err := json.Unmarshal(d.Body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Event.ID != d.ID || doc.User.Name != "alice" {
		t.Errorf("%+v, id %s", doc, d.ID)
	}
	if !strings.Contains(string(d.Body), rules.Set.Hash()) {
		t.Error("the document does not carry the hash of the rule set")
	}
}

func TestADeadLetterKeepsTheItemWithoutItsSecrets(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	body := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":{"stringData":{"pw":"hunter2hunter2"}},`
	record := pipeline.Record{Body: []byte(body), Pos: "17"}
	fx := process(t, NewProcessor(options(rules)), record)
	if len(fx.DeadLetters) != 1 {
		t.Fatalf("%d dead letters", len(fx.DeadLetters))
	}
	d := fx.DeadLetters[0]
	sum := sha256.Sum256([]byte(body))
	if d.SHA256 != hex.EncodeToString(sum[:]) || d.Length != len(body) || d.Origin.Pos != "17" || d.Time.IsZero() {
		t.Errorf("%+v", d)
	}
	if strings.Contains(string(d.Body), "hunter2") || strings.Contains(d.Detail, "hunter2") {
		t.Errorf("the secret is kept: %s / %s", d.Body, d.Detail)
	}
	clear(record.Body)
	if !strings.Contains(string(d.Body), "audit.k8s.io/v1") {
		t.Error("the dead letter shares its bytes with the record")
	}
}

func TestFindingsBelowTheMinimumLevelAreLeftOut(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "low"), "b.yml": ruleText("B", "list", "high")})
	for level, want := range map[sigma.Level]int{sigma.Informational: 2, sigma.Low: 2, sigma.Medium: 1, sigma.High: 1, sigma.Critical: 0} {
		o := options(rules)
		o.MinLevel = level
		fx := process(t, NewProcessor(o), records(auditEvent("1", "list", "ResponseComplete"))...)
		if len(fx.Documents) != want || fx.Counts.Evaluated != 1 {
			t.Errorf("%s: %d documents, want %d", level, len(fx.Documents), want)
		}
	}
}

// A batch is judged by one set, even if the rules change meanwhile.
func TestABatchIsJudgedByOneSet(t *testing.T) {
	first := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	second := mustLoad(t, map[string]string{"b.yml": ruleText("B", "list", "low")})
	current := first
	o := options(nil)
	o.Rules = func() *Rules { return current }
	o.Observe = func(*Judged) { current = second } // as a reload that comes with the first event
	p := NewProcessor(o)
	two := records(auditEvent("1", "list", "ResponseComplete"), auditEvent("2", "list", "ResponseComplete"))
	for batch, hash := range []string{first.Set.Hash(), second.Set.Hash()} {
		for _, d := range process(t, p, two...).Documents {
			if !strings.Contains(string(d.Body), hash) {
				t.Errorf("batch %d: a document of another set", batch)
			}
		}
	}
}

func TestAPanicCostsOneEventAndNothingElse(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	o := options(rules)
	p := NewProcessor(o)
	process(t, p) // takes the rules into use
	good := *p.rules
	p.rules = &good
	p.judge = nil // the next Judge call panics, and the processor makes itself a new one
	p.o.Rules = func() *Rules { return &good }
	fx := process(t, p, records(auditEvent("1", "list", "ResponseComplete"), auditEvent("2", "list", "ResponseComplete"))...)
	if len(fx.DeadLetters) != 1 || fx.DeadLetters[0].Class != pipeline.ClassPanic || fx.DeadLetters[0].Origin.Pos != "0" {
		t.Errorf("%+v", fx.DeadLetters)
	}
	if len(fx.Documents) != 1 || fx.Counts.Evaluated != 1 {
		t.Errorf("%d documents, %d evaluated after the panic", len(fx.Documents), fx.Counts.Evaluated)
	}
}

// brokenRegexp takes the compiled pattern out of every regular expression of a rule, so that it panics.
func brokenRegexp(n sigma.Node) {
	switch n := n.(type) {
	case sigma.AllOf:
		for _, kid := range n {
			brokenRegexp(kid)
		}
	case sigma.AnyOf:
		for _, kid := range n {
			brokenRegexp(kid)
		}
	case *sigma.Item:
		for i := range n.Values {
			n.Values[i].Regexp = nil
		}
	}
}

func TestAnEventOnWhichARulePanicsKeepsItsOtherFindings(t *testing.T) {
	panicking := strings.Replace(ruleText("B", "x", "high"), "verb: x", "user.username|re: 'al.*'", 1)
	collection := sigma.Load([]sigma.File{{Name: "a.yml", Data: []byte(ruleText("A", "list", "high"))}, {Name: "b.yml", Data: []byte(panicking)}}, sigma.Options{})
	for _, selection := range collection.Rules[1].Detection.Selections {
		brokenRegexp(selection.Match)
	}
	set, problems := engine.Compile(collection, engine.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	fx := process(t, NewProcessor(options(&Rules{Set: set, Collection: collection})), records(auditEvent("1", "list", "ResponseComplete"))...)
	if len(fx.Documents) != 1 {
		t.Errorf("%d documents: the finding of the rule that works does not stand", len(fx.Documents))
	}
	if len(fx.DeadLetters) != 1 || fx.DeadLetters[0].Class != pipeline.ClassRulePanic || !strings.Contains(fx.DeadLetters[0].Detail, ruleID("B")) ||
		strings.Contains(fx.DeadLetters[0].Detail, "alice") {
		t.Errorf("%+v", fx.DeadLetters)
	}
	if fx.Counts.Evaluated != 0 || fx.Counts.Items != 1 {
		t.Errorf("%+v: the item is both evaluated and a dead letter", fx.Counts)
	}
}

func TestMetricsCountWhatJudgingGives(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	registry := prometheus.NewRegistry()
	o := options(rules)
	o.Metrics = NewJudgeMetrics(registry)
	o.Decode = func(string) decode.Options { return decode.Options{} }
	p := NewProcessor(o)
	for range 2 {
		process(t, p, records(auditEvent("1", "list", "ResponseComplete"), auditEvent("2", "get", "ResponseComplete"), `{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`)...)
	}
	for name, got := range map[string]float64{
		"matches":         testutil.ToFloat64(o.Metrics.matches.WithLabelValues(ruleID("A"))) - 2,
		"unknown cluster": testutil.ToFloat64(o.Metrics.unknownCluster.WithLabelValues("src")) - 4,
	} {
		if got != 0 {
			t.Errorf("%s is wrong by %v", name, got)
		}
	}
	if n := testutil.CollectAndCount(registry, "foretop_decode_errors_total"); n != 1 {
		t.Errorf("%d classes of decode errors", n)
	}
}

func TestANativeEventThatMatchesNothingAllocatesNothing(t *testing.T) {
	rules := mustLoad(t, map[string]string{"a.yml": ruleText("A", "list", "high")})
	p := NewProcessor(options(rules))
	batch := pipeline.NewBatch(context.Background(), "audit/0", records(auditEvent("1", "get", "ResponseComplete")), func(error) {})
	var fx pipeline.Effects
	got := testing.AllocsPerRun(100, func() {
		fx.Reset()
		p.Process(context.Background(), "src", batch, &fx)
	})
	if got > 0 {
		t.Errorf("%v allocations for one event", got)
	}
}
