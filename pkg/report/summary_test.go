package report

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/sigma"
)

// copyOf is f with another id, actor and time: faster than to build a finding anew.
func copyOf(f *finding.Finding, n int, actor string, at time.Time) *finding.Finding {
	g := *f
	g.Event.ID = fmt.Sprintf("%016x%048x", n, n)
	g.User.Name, g.Timestamp = actor, at
	g.Event.Reason = fmt.Sprintf("%s did thing %d", actor, n)
	g.Kubernetes.Audit.AuditID = finding.AuditIDs{fmt.Sprint(n)}
	return &g
}

func TestNothingIsLostInTheCounts(t *testing.T) {
	s := NewSummary()
	acts := attack()
	base := map[sigma.Level]*finding.Finding{}
	for _, a := range acts {
		base[a.level] = a.finding(t)
	}
	const n = 20_000
	for i := range n {
		level := sigma.Level(1 + i%4)
		s.Add(copyOf(base[level], i, fmt.Sprintf("user-%d", i%3000), day.Add(time.Duration(i)*time.Second)))
	}
	if s.findings != n {
		t.Errorf("%d findings", s.findings)
	}
	var inStories, inRows int64
	for _, st := range s.stories.byActor {
		var steps int64
		for _, step := range st.steps {
			steps += step.count
		}
		if steps+st.leftOut != st.hits || len(st.steps) > maxSteps {
			t.Fatalf("%s: %d steps and %d left out of %d", st.actor, steps, st.leftOut, st.hits)
		}
		inStories += st.hits
	}
	if inStories+s.stories.leftOut != n || len(s.stories.byActor) > maxStories {
		t.Errorf("%d in %d stories and %d left out of %d", inStories, len(s.stories.byActor), s.stories.leftOut, n)
	}
	for _, r := range s.rows {
		inRows += r.hits
	}
	if inRows+s.leftOut != n || s.AtOrAbove(sigma.Informational) != n || s.AtOrAbove(sigma.Critical) != n/4 {
		t.Errorf("%d in rows, %d left out, %d at or above critical", inRows, s.leftOut, s.AtOrAbove(sigma.Critical))
	}
	if level, ok := s.Worst(); level != sigma.Critical || !ok {
		t.Errorf("the worst is %v", level)
	}
}

func TestSevereStoriesDriveOutOthers(t *testing.T) {
	s := NewSummary()
	low, critical := attack()[5].finding(t), attack()[0].finding(t)
	for i := range 3 * maxStories {
		s.Add(copyOf(low, i, fmt.Sprintf("scanner-%d", i), day))
	}
	s.Add(copyOf(critical, -1, "mallory", day))
	top := s.stories.sorted(1)
	if top[0].actor != "mallory" || len(s.stories.byActor) != maxStories {
		t.Errorf("the first of %d stories is of %s", len(s.stories.byActor), top[0].actor)
	}
}

func TestAStoryKeepsItsMostSevereSteps(t *testing.T) {
	s := NewSummary()
	low, critical := attack()[5].finding(t), attack()[0].finding(t)
	n := 0
	for range 10 * maxSteps {
		n++
		s.Add(copyOf(low, n, "mallory", day.Add(time.Duration(n)*time.Second)))
	}
	for range 5 {
		n++
		s.Add(copyOf(critical, n, "mallory", day.Add(time.Duration(n)*time.Second)))
	}
	for range 10 * maxSteps {
		n++
		s.Add(copyOf(low, n, "mallory", day.Add(-time.Duration(n)*time.Second)))
	}
	steps, leftOut := s.stories.sorted(1)[0].timeline(textSteps)
	severe := 0
	for i, m := range steps {
		if m.level == sigma.Critical {
			severe++
		}
		if i > 0 && m.first.Before(steps[i-1].first) {
			t.Error("the steps are not in the order of time")
		}
	}
	if severe != 5 || int(leftOut)+len(steps) != n {
		t.Errorf("%d severe steps, %d left out of %d", severe, leftOut, n)
	}
}

func TestRulesOfOneRequestAreOneMoment(t *testing.T) {
	s := NewSummary()
	for i, a := range attack()[:3] { // high, critical, medium
		f := copyOf(a.finding(t), i, "mallory", day)
		f.Kubernetes.Audit.AuditID = finding.AuditIDs{"one"}
		s.Add(f)
	}
	other := copyOf(attack()[1].finding(t), 3, "mallory", day)
	s.Add(other)
	moments, leftOut := s.stories.sorted(1)[0].timeline(1)
	if len(moments) != 1 || moments[0].level != sigma.Critical || len(moments[0].also) != 2 || leftOut != 1 {
		t.Fatalf("%d left out, moments %+v", leftOut, moments)
	}
	if want := "; also high Command run in a system pod, medium Secret read"; !strings.HasSuffix(moments[0].text(), want) {
		t.Errorf("%q", moments[0].text())
	}
}

func TestTheSummaryDoesNotDependOnTheOrderOfFindings(t *testing.T) {
	var findings []*finding.Finding
	for i, a := range attack() {
		for k := range 7 {
			findings = append(findings, copyOf(a.finding(t), i*100+k, a.user, day.Add(time.Duration(i*k)*time.Hour)))
		}
	}
	render := func() string {
		s := NewSummary()
		for _, f := range findings {
			s.Add(f)
		}
		var text, page bytes.Buffer
		s.Text(NewPrinter(&text, PrinterOptions{}), &Quality{})
		if err := s.HTML(&page, &Quality{}, day); err != nil {
			t.Fatal(err)
		}
		return text.String() + page.String()
	}
	want := render()
	for range 5 {
		rand.Shuffle(len(findings), func(i, j int) { findings[i], findings[j] = findings[j], findings[i] })
		if diff := cmp.Diff(want, render()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestRepeatedFindingsCountOnce(t *testing.T) {
	s := NewSummary()
	f := attack()[0].finding(t)
	for range 3 {
		s.Add(f)
	}
	g := copyOf(f, 1, "x", day)
	g.Event.ID = "no id of ours"
	s.Add(g)
	s.Add(g)
	if s.findings != 3 || s.repeated != 2 {
		t.Errorf("%d findings, %d repeated", s.findings, s.repeated)
	}
}

func TestIDsAreRememberedForAWhile(t *testing.T) {
	r := recent{half: 10}
	for i := range 100 {
		if !r.add(fmt.Sprintf("%016x", i)) {
			t.Fatalf("%d is new", i)
		}
		if len(r.now)+len(r.before) > 20 {
			t.Fatalf("%d ids", len(r.now)+len(r.before))
		}
		for back := range min(i+1, 11) {
			if r.add(fmt.Sprintf("%016x", i-back)) {
				t.Fatalf("%d was forgotten after %d others", i-back, back)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := NewSummary()
	s.seen.half = 1 << 12
	base := attack()[2].finding(t)
	var before, after runtime.MemStats
	grow := func(from, to int) {
		for i := from; i < to; i++ {
			s.Add(copyOf(base, i, fmt.Sprintf("user-%d", i%50_000), day.Add(time.Duration(i)*time.Second)))
		}
	}
	grow(0, 100_000)
	runtime.GC()
	runtime.ReadMemStats(&before)
	grow(100_000, 200_000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("100,000 further findings took %d KiB", grown>>10)
	}
	runtime.KeepAlive(s)
}

func TestAnEmptyRunSaysSo(t *testing.T) {
	var text, page bytes.Buffer
	s := NewSummary()
	s.Text(NewPrinter(&text, PrinterOptions{}), &Quality{Rules: 1})
	if err := s.HTML(&page, &Quality{}, day); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "No findings.") || !strings.Contains(page.String(), "No findings.") {
		t.Errorf("%s\n%s", text.String(), page.String())
	}
	if _, ok := s.Worst(); ok {
		t.Error("there is a worst level without findings")
	}
}

func TestNumbersAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 2431008: "2,431,008", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for _, c := range []struct {
		n, total int64
		want     string
	}{{0, 0, "0 %"}, {1, 1, "100 %"}, {1, 3, "33.3 %"}, {999_999, 1_000_000, "99.9 %"}, {1, 50_000, "0.002 %"}, {81, 100, "81 %"}} {
		if got := percent(c.n, c.total); got != c.want {
			t.Errorf("%d of %d: %s, want %s", c.n, c.total, got, c.want)
		}
	}
	if PeakRSS() < 0 || runtime.GOOS == "linux" && PeakRSS() < 1<<20 {
		t.Errorf("peak memory %d", PeakRSS())
	}
}
