package engine_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// This file: events of which something is lost. What is certain of the rest must be true of the whole.

// writtenOrder is the order in which kube-apiserver writes an event.
var writtenOrder = []string{"kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser", "sourceIPs", "userAgent", "objectRef",
	"responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp", "annotations"}

// drawWhole draws an event that the decoder takes for one, in the order of kube-apiserver.
func drawWhole(t *rapid.T, env func(members) members) members {
	e := drawEvent(t).with("kind", "Event").with("apiVersion", "audit.k8s.io/v1").with("auditID", "a-1").with("requestURI", pick(t, requestURIs...)).
		with("verb", pick(t, "create", "update", "patch", "delete", "get")).with("user", members{{"username", pick(t, userNames...)}, {"groups", []any{pick(t, groupNames...)}}})
	e = slices.DeleteFunc(e, func(m namedValue) bool { return !slices.Contains(writtenOrder, m.key) })
	slices.SortStableFunc(e, func(a, b namedValue) int {
		return slices.Index(writtenOrder, a.key) - slices.Index(writtenOrder, b.key)
	})
	return env(e)
}

// certain fails if the verdict on a part of an event is certain of what is otherwise for the whole. A rule that names the
// outcome may also be true of outcome: unknown, which is what it is without a code.
func certain(t fataler, v *engine.Verdict, want, codeless expected, whole, part []byte, leave func(*sigma.Rule) bool) {
	t.Helper()
	got, blind, matched := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, m := range v.Matches {
		for _, e := range m.Elements {
			got[key(m.Rule.ID, e.Path)] = true
		}
		matched[m.Rule.ID] = m.Rule.Logsource.Category != "" // on another record
	}
	for _, b := range v.Blind {
		blind[b.Rule] = true
	}
	// Few custom kinds hold a pod: where the cut has taken it, its rules are not told blind.
	doc, err := decoded(whole)
	if err != nil {
		t.Fatalf("%v: %s", err, whole)
	}
	custom := !oneOf(textAt(doc, "objectRef", "apiGroup"), "", "apps", "batch", "extensions", "rbac.authorization.k8s.io", "authorization.openshift.io")
	for at, result := range want.truths {
		id, _, _ := strings.Cut(at, " ")
		i := slices.IndexFunc(want.rules, func(r *sigma.Rule) bool { return r.ID == id })
		if leave(want.rules[i]) || leftOpen(want.rules[i], "outcome") && codeless.truths[at] != result {
			continue
		}
		missed := result == yes && !got[at] && !blind[id] && !matched[id]
		if result == no && got[at] || missed && !(custom && strings.Contains(at, ".")) {
			t.Fatalf("rule %s: the engine is certain of %t on a part of an event, the reference of the opposite on the whole\nwhole %s\npart  %s\nThe rule: %s", at, got[at], whole, part, shown(want.rules, at))
		}
	}
}

// withoutStatus gives the event without its code.
func withoutStatus(doc map[string]any) map[string]any {
	doc = maps.Clone(doc)
	delete(doc, "responseStatus")
	return doc
}

func leftOpen(r *sigma.Rule, fields ...string) bool {
	found := false
	eachItem(&r.Detection, func(item *sigma.Item) {
		found = found || slices.Contains(fields, item.Field)
		for _, v := range item.Values {
			found = found || item.Op == sigma.OpFieldRef && slices.Contains(fields, v.Text)
		}
	})
	return found
}

func checkCut(t *rapid.T) {
	var rules []*sigma.Rule
	for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
		rules = append(rules, drawRule(t, i, true))
	}
	set := compiled(t, rules)
	j, v, d := set.NewJudge(), new(engine.Verdict), decode.New(decode.Options{})
	for range rapid.IntRange(1, 3).Draw(t, "events") {
		e := drawWhole(t, func(e members) members {
			return slices.DeleteFunc(e, func(m namedValue) bool { return m.key == "responseObject" })
		})
		s := newSpelling(pick(t, 0, rapid.Uint64().Draw(t, "seed")), false)
		s.value(e)
		whole, err := decoded(s.out)
		if err != nil {
			t.Fatalf("%v: %s", err, s.out)
		}
		line := s.out[:rapid.IntRange(len(s.out)/8, len(s.out)-1).Draw(t, "cut")]
		d.Decode(line, nil, func(it *decode.Item) {
			if it.Kind != decode.Event || !it.Envelope.Truncated || repeats(it.Canonical) {
				return // two spellings of one annotation are one key when decoded
			}
			env := it.Envelope
			j.Judge(it.Canonical, &env, v)
			doc := whole.(map[string]any)
			certain(t, v, judgeByReference(rules, doc, &env), judgeByReference(rules, withoutStatus(doc), &env), s.out, it.Canonical, func(r *sigma.Rule) bool {
				return labelledDryRun(doc) && leftOpen(r, "dryRun")
			})
		})
	}
}

func TestWhatIsCertainOfACutEventIsTrueOfTheWhole(t *testing.T) { rapid.Check(t, checkCut) }

// lacking are paths that a provider's form of log may not have.
var lacking = []string{"user.groups", "user.extra", "annotations", "sourceIPs", "userAgent", "stage", "level", "objectRef.namespace", "objectRef.apiVersion", "requestObject", "responseObject"}

// without gives the event without a path.
func (o members) without(path string) members {
	first, rest, deeper := strings.Cut(path, ".")
	var kept members
	for _, m := range o {
		if m.key == first {
			inner, isObject := m.value.(members)
			if !deeper {
				continue
			}
			if isObject {
				m.value = inner.without(rest)
			}
		}
		kept = append(kept, m)
	}
	return kept
}

func checkMissing(t *rapid.T) {
	var rules []*sigma.Rule
	for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
		rules = append(rules, drawRule(t, i, false))
	}
	set := compiled(t, rules)
	j, v := set.NewJudge(), new(engine.Verdict)
	for range rapid.IntRange(1, 3).Draw(t, "events") {
		e := drawWhole(t, func(e members) members { return e })
		env := envelopes[0]
		part := e
		for _, path := range lacking {
			if oneIn(t, 4) {
				env.Missing = append(env.Missing, path)
				part = part.without(path)
			}
		}
		all, some := newSpelling(0, false), newSpelling(0, false)
		all.value(e)
		some.value(part)
		whole, err := decoded(all.out)
		if err != nil {
			t.Fatalf("%v: %s", err, all.out)
		}
		j.Judge(some.out, &env, v)
		bodies := slices.Contains(env.Missing, "requestObject") || slices.Contains(env.Missing, "responseObject")
		doc := whole.(map[string]any)
		want := judgeByReference(rules, doc, &env)
		certain(t, v, want, want, all.out, some.out, func(r *sigma.Rule) bool {
			// Another body stands in for one that is missing, and what a patch touched is not known without it. Only GKE labels dry runs.
			return labelledDryRun(doc) && leftOpen(r, "dryRun") || bodies && (r.Logsource.Category != "" || leftOpen(r, "object.name"))
		})
	}
}

func TestWhatIsCertainWithoutAFieldIsTrueOfTheWhole(t *testing.T) { rapid.Check(t, checkMissing) }
