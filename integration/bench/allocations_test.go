package bench

import (
	"testing"

	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/pkg/engine"
)

// budgetEvents of each file are judged by every set of rules.
const budgetEvents = 3_000

// An event that matches nothing allocates nothing once buffers have grown, whatever the number of rules.
func TestAnEventWithoutMatchAllocatesNothing(t *testing.T) {
	sets := []ruleSet{
		{"none", ruleset.None},
		{"shipped", ruleset.Shipped},
		{"generated200", func() (*engine.Set, error) { return ruleset.Generated(200) }},
		{"generated1000", func() (*engine.Set, error) { return ruleset.Generated(1000) }},
	}
	for _, k := range kinds {
		f, err := k.generate(budgetEvents)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sets {
			w := newWorker(t, s.rules)
			var quiet [][]byte
			for _, line := range f.Lines {
				before := w.matches
				w.record(line)
				if w.matches == before && len(w.verdict.Suppressed) == 0 && len(w.verdict.ControlledMatches) == 0 {
					quiet = append(quiet, line)
				}
			}
			allocs := testing.AllocsPerRun(1, func() {
				for _, line := range quiet {
					w.record(line)
				}
			})
			t.Logf("%s, %s: %d of %d events match nothing", k.name, s.name, len(quiet), len(f.Lines))
			if len(quiet) < len(f.Lines)/2 {
				t.Errorf("%s, %s: only %d of %d events match nothing", k.name, s.name, len(quiet), len(f.Lines))
			}
			if allocs != 0 {
				t.Errorf("%s, %s: %d events that match nothing allocate %.0f times", k.name, s.name, len(quiet), allocs)
			}
		}
	}
}
