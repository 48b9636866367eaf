package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/finding"
)

// sample is one finding as the HTML report shows it.
type sample struct {
	ID, Reason, Actor, Identity, Address, Cluster, Object, Outcome, AuditID, Position string
	Time                                                                              time.Time
	Evidence                                                                          []evidence
}

type evidence struct{ Element, Field, Values string }

const maxSampleEvidence = 12

// addSample keeps the earliest findings of a row.
func (r *row) addSample(f *finding.Finding) {
	i, _ := slices.BinarySearchFunc(r.samples, f, func(s sample, f *finding.Finding) int {
		return cmp.Or(s.Time.Compare(f.Timestamp), strings.Compare(s.ID, f.Event.ID))
	})
	if i == maxSamples {
		return
	}
	if len(r.samples) == maxSamples {
		r.samples = r.samples[:maxSamples-1]
	}
	r.samples = slices.Insert(r.samples, i, sampleOf(f))
}

func sampleOf(f *finding.Finding) sample {
	s := sample{
		ID: f.Event.ID, Reason: shorten(f.Event.Reason), Actor: f.Actor(), Identity: cloudIdentity(&f.Foretop.Identity), Address: locate(f).String(), Cluster: f.Orchestrator.Cluster.Name,
		Object: objectOf(f), Outcome: f.Event.Outcome, Time: f.Timestamp,
		Position: strings.Trim(f.Foretop.Source.Stream+" "+f.Foretop.Source.Position, " "),
	}
	if len(f.Kubernetes.Audit.AuditID) > 0 {
		s.AuditID = f.Kubernetes.Audit.AuditID[0]
	}
	for _, e := range f.Foretop.Elements {
		for _, ev := range e.Evidence {
			if len(s.Evidence) == maxSampleEvidence {
				break
			}
			s.Evidence = append(s.Evidence, evidence{
				Element: strings.Clone(e.Name), Field: ev.Field, Values: shorten(strings.Join(ev.Values, ", ")),
			})
		}
	}
	// The finding's strings may share one long text: copies let go of it.
	for _, p := range []*string{&s.Reason, &s.Actor, &s.Address, &s.Cluster, &s.AuditID, &s.Position} {
		*p = strings.Clone(*p)
	}
	return s
}

// objectOf names the object of a finding: resource/subresource namespace/name, or the path.
func objectOf(f *finding.Finding) string {
	r, ref := f.Orchestrator.Resource, f.Kubernetes.Audit.ObjectRef
	if r.Type == "" {
		return f.URL.Path
	}
	out := r.Type
	if ref.Subresource != "" {
		out += "/" + ref.Subresource
	}
	if name := strings.Trim(f.Orchestrator.Namespace+"/"+r.Name, "/"); name != "" {
		out += " " + name
	}
	return out
}
