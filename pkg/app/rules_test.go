package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/event"
)

// The client library of Pub/Sub starts a goroutine of OpenCensus when it is loaded.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// ruleText is a rule of a third party that is true for a verb.
func ruleText(name, verb, level string) string {
	return "title: " + name + "\nid: " + ruleID(name) + "\nstatus: test\nlogsource: {product: kubernetes, service: audit}\n" +
		"detection:\n  sel: {verb: " + verb + "}\n  condition: sel\nlevel: " + level + "\n"
}

// ruleID makes a UUID of a name of one letter.
func ruleID(name string) string {
	return "00000000-0000-4000-8000-0000000000" + string("0123456789abcdef"[name[0]>>4]) + string("0123456789abcdef"[name[0]&15])
}

func writeRules(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func mustLoad(t *testing.T, files map[string]string) *Rules {
	t.Helper()
	dir := t.TempDir()
	writeRules(t, dir, files)
	r, err := LoadRules(RuleOptions{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheBuiltInRulesAreAllValid(t *testing.T) {
	r, err := LoadRules(RuleOptions{Builtin: detections.FS})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Set.Rules()) < 10 {
		t.Errorf("%d rules", len(r.Set.Rules()))
	}
}

func TestRulesOfTheSiteStandBesideTheBuiltInOnes(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, map[string]string{"mine.yml": ruleText("A", "list", "high")})
	builtin, err := LoadRules(RuleOptions{Builtin: detections.FS})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "mine.yml"), dir + "/."} {
		both, err := LoadRules(RuleOptions{Builtin: detections.FS, Paths: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(both.Set.Rules()), len(builtin.Set.Rules())+1; got != want {
			t.Errorf("%s: %d rules, want %d", path, got, want)
		}
		last := both.Set.Rules()[len(both.Set.Rules())-1]
		if want := filepath.Join(dir, "mine.yml"); last.Source.File != want {
			t.Errorf("the rule is said to stand in %s, want %s", last.Source.File, want)
		}
	}
}

func TestABadRuleMakesTheSetBad(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, map[string]string{"good.yml": ruleText("A", "list", "high"), "bad.yml": ruleText("B", "list", "extreme")})
	_, err := LoadRules(RuleOptions{Paths: []string{dir}})
	var bad *BadRulesError
	if !errors.As(err, &bad) || len(bad.Problems) != 1 || !strings.Contains(err.Error(), filepath.Join(dir, "bad.yml")) {
		t.Fatalf("got %v", err)
	}
	r, err := LoadRules(RuleOptions{Paths: []string{dir}, SkipInvalid: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Set.Rules()) != 1 || r.Invalid() != 1 {
		t.Errorf("%d rules, %d invalid", len(r.Set.Rules()), r.Invalid())
	}
}

func TestNothingToLoadIsAnError(t *testing.T) {
	empty := t.TempDir()
	foreign := t.TempDir()
	writeRules(t, foreign, map[string]string{"windows.yml": strings.Replace(ruleText("A", "list", "high"), "product: kubernetes", "product: windows", 1)})
	for name, o := range map[string]RuleOptions{
		"an empty directory":              {Paths: []string{empty}},
		"a directory that does not exist": {Paths: []string{filepath.Join(empty, "none")}},
		"rules for another product":       {Paths: []string{foreign}},
		"missing placeholders":            {Builtin: detections.FS, Placeholders: filepath.Join(empty, "none.yml")},
		"no rules at all":                 {},
	} {
		if _, err := LoadRules(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlaceholdersBringWaitingRulesIntoForce(t *testing.T) {
	without, err := LoadRules(RuleOptions{Builtin: detections.FS})
	if err != nil {
		t.Fatal(err)
	}
	if len(without.Collection.Waiting) == 0 {
		t.Fatal("no built-in rule waits for a site's list")
	}
	lists := filepath.Join(t.TempDir(), "lists.yml")
	if err := os.WriteFile(lists, []byte("allowed_registries: [registry.example]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with, err := LoadRules(RuleOptions{Builtin: detections.FS, Placeholders: lists})
	if err != nil {
		t.Fatal(err)
	}
	if len(with.Set.Rules()) <= len(without.Set.Rules()) {
		t.Errorf("%d rules with the list, %d without", len(with.Set.Rules()), len(without.Set.Rules()))
	}
	if with.Set.Hash() == without.Set.Hash() {
		t.Error("the hash of the set does not tell that lists were given")
	}
}

// watch starts a RuleWatch on dir in a synctest bubble and returns it with a function that waits for the
// next looks to be over.
func watch(t *testing.T, dir string, registry prometheus.Registerer) (*RuleWatch, func()) {
	t.Helper()
	w, err := WatchRules(RuleOptions{Paths: []string{dir}}, slog.New(slog.DiscardHandler), registry)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, 30*time.Second)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w, func() {
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
	}
}

func TestChangedRulesAreReplacedAndBadOnesRefused(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, map[string]string{"a.yml": ruleText("A", "list", "high")})
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		w, wait := watch(t, dir, registry)
		first := w.Current()

		wait()
		if w.Current() != first {
			t.Error("an unchanged set was replaced")
		}

		writeRules(t, dir, map[string]string{"b.yml": ruleText("B", "get", "low")})
		wait()
		second := w.Current()
		if second == first || len(second.Set.Rules()) != 2 {
			t.Fatalf("%d rules after a second file", len(second.Set.Rules()))
		}

		writeRules(t, dir, map[string]string{"b.yml": ruleText("B", "get", "extreme")})
		wait()
		wait()
		if w.Current() != second {
			t.Error("a bad set replaced a good one")
		}
		if !strings.Contains(w.Failure(), "b.yml") {
			t.Errorf("the failure does not name the file: %q", w.Failure())
		}
		if got := testutil.ToFloat64(w.reloads.WithLabelValues("failed")); got != 1 {
			t.Errorf("one bad set was counted %v times", got)
		}

		writeRules(t, dir, map[string]string{"b.yml": ruleText("B", "get", "low")})
		wait()
		if w.Failure() != "" || w.Current() != second {
			t.Error("going back to the set in force does not end the failure")
		}

		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		wait()
		if w.Current() != second || w.Failure() == "" {
			t.Error("a directory that has gone did not keep the old set and say so")
		}
		if got := testutil.ToFloat64(w.counts.WithLabelValues("loaded")); got != 2 {
			t.Errorf("metric says %v rules", got)
		}
		if got := testutil.CollectAndCount(w.info); got != 1 {
			t.Errorf("%d sets are said to be in force", got)
		}
	})
}

// Kubernetes updates a mounted ConfigMap by turning one link, ..data, that the visible names lead through.
func TestAConfigMapIsReadOnceAndReplacedAtATime(t *testing.T) {
	dir := t.TempDir()
	publish := func(version string, files map[string]string) {
		t.Helper()
		versioned := filepath.Join(dir, "..2026_"+version)
		if err := os.Mkdir(versioned, 0o755); err != nil {
			t.Fatal(err)
		}
		writeRules(t, versioned, files)
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(filepath.Base(versioned), next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("1", map[string]string{"a.yml": ruleText("A", "list", "high")})
	if err := os.Symlink(filepath.Join("..data", "a.yml"), filepath.Join(dir, "a.yml")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w, wait := watch(t, dir, nil)
		if n := len(w.Current().Set.Rules()); n != 1 {
			t.Fatalf("%d rules: the hidden copies were read too", n)
		}
		before := w.Current()
		publish("2", map[string]string{"a.yml": ruleText("A", "get", "high")})
		wait()
		if w.Current() == before {
			t.Error("the new version was not seen")
		}
	})
}

func TestFilesThatKeepChangingAreNotReadForGood(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, map[string]string{"a.yml": ruleText("A", "list", "high")})
	synctest.Test(t, func(t *testing.T) {
		w, _ := watch(t, dir, nil)
		first := w.Current()
		time.Sleep(30*time.Second - time.Millisecond)
		for i := range 5 {
			writeRules(t, dir, map[string]string{"a.yml": ruleText("A", "v"+strings.Repeat("v", i), "high")})
			time.Sleep(settleDelay)
			synctest.Wait()
			if w.Current() != first {
				t.Fatalf("replaced while the copy was under way (%d)", i)
			}
		}
		time.Sleep(2 * settleDelay)
		synctest.Wait()
		if w.Current() == first {
			t.Error("not replaced after the copy was over")
		}
	})
}

func TestTheSetTellsWhichProxiesAreTrusted(t *testing.T) {
	r := mustLoad(t, map[string]string{"a.yml": `title: From outside
id: 00000000-0000-4000-8000-000000000001
status: test
logsource: {product: kubernetes, service: audit}
detection:
  sel: {client.address: 192.0.2.7}
  condition: sel
level: high
`})
	if got := judgeOne(t, r, `{"sourceIPs":["192.0.2.7","10.1.1.1"]}`); got != 0 {
		t.Error("a private address is trusted without having been named")
	}
	dir := t.TempDir()
	writeRules(t, dir, map[string]string{"a.yml": strings.Join([]string{
		"title: From outside", "id: " + ruleID("a"), "status: test", "logsource: {product: kubernetes, service: audit}",
		"detection:", "  sel: {client.address: 192.0.2.7}", "  condition: sel", "level: high", "",
	}, "\n")})
	r, err := LoadRules(RuleOptions{Paths: []string{dir}, TrustedProxies: prefixes("10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	if got := judgeOne(t, r, `{"sourceIPs":["192.0.2.7","10.1.1.1"]}`); got != 1 {
		t.Error("a trusted proxy was taken for the client")
	}
}

func judgeOne(t *testing.T, r *Rules, canonical string) int {
	t.Helper()
	var v verdict
	r.Set.NewJudge().Judge([]byte(canonical), &event.Envelope{}, &v)
	return len(v.Matches)
}
