package bench

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/engine"
)

// BenchmarkDerived judges only events that have derived records, writes of workloads, roles and bindings with their bodies, and
// only by rules about such records: what one of them costs. With the row of no rules on the same events, the rest is known.
func BenchmarkDerived(b *testing.B) {
	sets := []ruleSet{
		{"none", ruleset.None},
		{"shipped", ruleset.ShippedDerived},
		{"generated200", func() (*engine.Set, error) { return ruleset.GeneratedDerived(200) }},
	}
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		part := withRecords(b, f)
		if len(part.Lines) == 0 {
			b.Skipf("%s has no event with a body", f.Name)
		}
		for _, s := range sets {
			b.Run(s.name, func(b *testing.B) {
				w := newWorker(b, s.rules)
				perEvent(b, part, w.record)
				w.check(b)
			})
		}
	})
}

// withRecords is the part of a file that holds objects of which derived records are made.
func withRecords(tb testing.TB, f *traffic.File) *traffic.File {
	tb.Helper()
	part := &traffic.File{Name: f.Name}
	for _, line := range f.Lines {
		var e struct {
			Verb           string
			ObjectRef      struct{ Resource, Subresource string }
			RequestObject  json.RawMessage
			ResponseObject json.RawMessage
		}
		if err := json.Unmarshal(line, &e); err != nil {
			tb.Fatal(err)
		}
		body := len(e.RequestObject) > 0 || len(e.ResponseObject) > 0
		if body && e.ObjectRef.Subresource == "" && slices.Contains(writes, e.Verb) && slices.Contains(recordResources, e.ObjectRef.Resource) {
			part.Lines = append(part.Lines, line)
			part.Bytes += int64(len(line)) + 1
		}
	}
	return part
}

var (
	writes          = []string{"create", "update", "patch"}
	recordResources = []string{
		"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs", "podtemplates",
		"roles", "clusterroles", "rolebindings", "clusterrolebindings",
	}
)
