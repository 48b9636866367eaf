package app

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
)

// The tests of this file put recorded attacks into the envelopes of every cloud and shipper, by wrappers that know nothing of
// the decoder, and compare the findings with those of the events as the API server wrote them.

// attacks are recorded attacks, with what honest people did that looks like them.
func attacks(t *testing.T) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "detections", "testdata", "attacks.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return lines(t, b)
}

func lines(t *testing.T, zipped []byte) (all [][]byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		all = append(all, bytes.Clone(s.Bytes()))
	}
	if s.Err() != nil || len(all) < 100 {
		t.Fatalf("%d events, %v", len(all), s.Err())
	}
	return all
}

// sight is what people see of a finding: which rule, on which request, by whom, on what.
type sight struct{ rule, audit, actor, object string }

// seen is what became of one recording in one envelope.
type seen struct {
	found map[sight]string       // to the finding's id
	blind map[[2]string][]string // rule and audit id, to the fields that are unknown
	lost  map[string]int         // items that were no events, by class
	total map[string]int         // findings by rule
	dim   map[string]int         // rules that were blind, by rule
}

// look judges records with all the rules that we ship.
func look(t *testing.T, rules *Rules, records []pipeline.Record) *seen {
	t.Helper()
	s := &seen{found: map[sight]string{}, blind: map[[2]string][]string{}, lost: map[string]int{}, total: map[string]int{}, dim: map[string]int{}}
	o := JudgeOptions{
		Rules: func() *Rules { return rules },
		Decode: func(string) decode.Options {
			return decode.Options{Cluster: event.Cluster{ID: "c", Name: "c"}, Cloud: event.Cloud{Region: "eu-west-1"}}
		},
	}
	o.Observe = func(j *Judged) {
		if len(j.Findings)+len(j.Verdict.Blind) == 0 {
			return
		}
		ev, err := event.Parse(j.Item.Canonical)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range j.Verdict.Blind {
			key := [2]string{b.Rule, ev.AuditID}
			if len(s.blind[key]) == 0 {
				s.dim[b.Rule]++
			}
			s.blind[key] = append(s.blind[key], b.Field)
		}
		for _, f := range j.Findings {
			ref := f.Kubernetes.Audit.ObjectRef
			what := strings.Join([]string{ref.APIGroup, ref.Resource, ref.Subresource, ref.Namespace, f.Orchestrator.Resource.Name}, "/")
			key := sight{f.Rule.UUID, ev.AuditID, f.Kubernetes.Audit.User.Username, what}
			if _, again := s.found[key]; !again {
				s.total[f.Rule.UUID]++
			}
			s.found[key] = f.Event.ID
		}
	}
	var fx pipeline.Effects
	for i := range records {
		records[i].Pos = fmt.Sprint(i)
	}
	NewProcessor(o).Process(t.Context(), "src", pipeline.NewBatch(context.Background(), "s/0", records, func(error) {}), &fx)
	for _, d := range fx.DeadLetters {
		s.lost[d.Class]++
	}
	for class, n := range fx.Counts.Skipped {
		s.lost[class] += n
	}
	return s
}

func ourRules(t *testing.T) *Rules {
	t.Helper()
	lists := filepath.Join(t.TempDir(), "lists.yml")
	if err := os.WriteFile(lists, []byte("allowed_registries: [registry.example.com, docker.io, registry.k8s.io]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := LoadRules(RuleOptions{Builtin: detections.FS, Placeholders: lists})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func bare(events [][]byte) (records []pipeline.Record) {
	for _, e := range events {
		records = append(records, pipeline.Record{Body: e})
	}
	return records
}

func TestAnAttackGivesTheSameFindingsInEveryEnvelope(t *testing.T) {
	var some [][]byte // a fourth of them is enough for so many envelopes
	for i, e := range attacks(t) {
		if i%4 == 0 {
			some = append(some, e)
		}
	}
	compareEnvelopes(t, some, envelopes)
}

// Among ordinary work, what a provider leaves out must not turn an exception off either.
func TestAttacksAndOrdinaryWorkGiveTheSameFindingsOnGKE(t *testing.T) {
	gke := slices.DeleteFunc(slices.Clone(envelopes), func(e envelope) bool { return e.name != "gke" })
	compareEnvelopes(t, attacks(t), gke)
	compareEnvelopes(t, lines(t, detections.Story), gke)
}

func compareEnvelopes(t *testing.T, events [][]byte, envelopes []envelope) {
	t.Helper()
	rules := ourRules(t)
	want := look(t, rules, bare(events))
	if len(want.found) < 50 || len(want.lost) > 0 {
		t.Fatalf("%d findings on the recording, %v", len(want.found), want.lost)
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "envelope (%d events)\tfindings\tsame\tsame id\tblind\n", len(events))
	for _, e := range envelopes {
		got := look(t, rules, e.wrap(t, events))
		same, ids := 0, 0
		for s, id := range got.found {
			first, ok := want.found[s]
			if !ok {
				t.Errorf("%s: a finding that the event itself does not give: %+v", e.name, s)
				continue
			}
			same++
			if id == first {
				ids++
			}
		}
		missed := 0
		for s := range want.found {
			if _, ok := got.found[s]; ok {
				continue
			}
			missed++
			if len(got.blind[[2]string{s.rule, s.audit}]) == 0 {
				t.Errorf("%s: no finding, and not reported as blind: %+v", e.name, s)
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", e.name, len(got.found), same, ids, missed)
		if !e.lossy && (missed > 0 || ids != same || !maps.Equal(got.dim, want.dim)) {
			t.Errorf("%s loses nothing: %d of %d findings, %d with their ids, blind %v", e.name, same, len(want.found), ids, got.dim)
		}
		if len(got.lost) > 0 && !e.mixed {
			t.Errorf("%s: %v", e.name, got.lost)
		}
		if e.name == "gke" {
			reportBlind(w, rules, want, got)
		}
	}
	w.Flush()
	t.Log("\n" + table.String())
}

// reportBlind writes what each rule keeps on GKE.
func reportBlind(w *tabwriter.Writer, rules *Rules, want, got *seen) {
	fmt.Fprintln(w, "\nrule on GKE\tnative\tfound\tblind\tfor want of")
	for _, r := range rules.Set.Rules() {
		fields := map[string]bool{}
		for key, list := range got.blind {
			if key[0] == r.Key() {
				for _, f := range list {
					fields[f] = true
				}
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", r.Name, want.total[r.ID], got.total[r.ID], got.dim[r.Key()], strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
	}
}
