package bench

import (
	"sync"
	"testing"

	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

// Where more than one event in so many has a finding, a benchmark measures how findings are written. The recorded cluster
// has an account that is refused all day, which is a finding of level low.
const (
	leastEventsPerFinding = 200
	minLevel              = "medium"
)

var counted sync.Map // by *traffic.File: func() (int, error)

// findingsOf is the number of findings that the shipped rules give on the traffic: what every process over it has to
// end with. Counting is done once for each file.
func findingsOf(b *testing.B, f *traffic.File) int {
	b.Helper()
	once, _ := counted.LoadOrStore(f, sync.OnceValues(func() (int, error) { return countFindings(f) }))
	n, err := once.(func() (int, error))()
	if err != nil {
		b.Fatal(err)
	}
	if n == 0 || n*leastEventsPerFinding > len(f.Lines) {
		b.Fatalf("%d findings in %d events: some are wanted, and few", n, len(f.Lines))
	}
	return n
}

// countFindings judges in this process, and counts different findings of minLevel or above.
func countFindings(f *traffic.File) (int, error) {
	set, err := ruleset.Shipped()
	if err != nil {
		return 0, err
	}
	least, err := sigma.ParseLevel(minLevel)
	if err != nil {
		return 0, err
	}
	ids, failed := make(map[string]bool), error(nil)
	judge, builder := set.NewJudge(), finding.NewBuilder(finding.Options{})
	var v engine.Verdict
	emit := func(it *decode.Item) {
		judge.JudgeAt(it.Index, it.Root, &it.Envelope, &v)
		for i := range v.Matches {
			if v.Matches[i].Level < least {
				continue
			}
			ev, err := event.Parse(it.Canonical)
			if err != nil {
				failed = err
				return
			}
			ids[builder.Build(ev, &it.Envelope, &v.Matches[i], pipeline.Origin{}).Event.ID] = true
		}
	}
	decoder := decode.New(decode.Options{})
	for _, line := range f.Lines {
		decoder.Decode(line, nil, emit)
	}
	return len(ids), failed
}
