package engine

import (
	"slices"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// matched handles a true condition: controlled workloads, exceptions, the level, the evidence.
func (j *Judge) matched(i int, r *rule) {
	if r.skipControlled && r.category != event.Request && j.isControlled() {
		j.verdict.addControlled(r.source.Key())
		return
	}
	m := j.matchOf(i, r)
	for f := range r.filters {
		if !j.excluded(&r.filters[f]) {
			continue
		}
		title := r.filters[f].source.Title
		m.suppress(title)
		j.verdict.Suppressed = append(j.verdict.Suppressed, Suppression{Rule: r.source.Key(), Filter: title})
		return
	}
	decided := j.level(r)
	if m.Count == 0 || decided.level > m.Level {
		m.Level, m.Because = decided.level, decided.because
	}
	if r.category != event.Request {
		m.BodySource = j.object.source
	}
	m.Count++
	if r.category == event.Request && decided.level < j.described {
		return
	}
	if len(m.Elements) < MaxElements {
		m.Elements = append(m.Elements, j.describe(r, decided))
	}
}

// level decides the level on the current record: the first true row of x-foretop.levels, else the rule's own.
func (j *Judge) level(r *rule) levelWhen {
	for l := range r.levels {
		if j.condition(&r.program, r.levels[l].when) == yes {
			return r.levels[l]
		}
	}
	return levelWhen{level: r.source.Level}
}

// excluded is true only if the exclusion is true for certain, and has not expired at the event's time.
func (j *Judge) excluded(f *filter) bool {
	if f.expires != 0 {
		at := j.eventTime()
		if at.IsZero() || at.UnixNano() >= f.expires {
			return false
		}
	}
	return j.tree(&f.root) == no
}

func (j *Judge) eventTime() time.Time {
	for _, top := range [...]int{topStageTime, topReceived} {
		if t, ok := event.ParseTime(j.tops[top].text()); ok {
			return t
		}
	}
	return j.env.Time
}

// pendingMatch is a rule's match while the elements of the event are still being judged.
type pendingMatch struct {
	rule  int
	match Match
}

func (j *Judge) matchOf(i int, r *rule) *Match {
	for k := range j.pending {
		if j.pending[k].rule == i {
			return &j.pending[k].match
		}
	}
	j.pending = append(j.pending, pendingMatch{rule: i, match: Match{Rule: r.source}})
	return &j.pending[len(j.pending)-1].match
}

// forget drops the match of a rule that panicked: what it has of it may be half made.
func (j *Judge) forget(i int) {
	for k := range j.pending {
		if j.pending[k].rule == i {
			j.pending[k].match.Count = 0
		}
	}
}

func (m *Match) suppress(title string) {
	if slices.Contains(m.Suppressed, title) {
		return
	}
	m.Suppressed = append(m.Suppressed, title)
}

// finish hands over the matches that still have an element.
func (j *Judge) finish() {
	for k := range j.pending {
		if m := &j.pending[k].match; m.Count > 0 {
			j.verdict.Matches = append(j.verdict.Matches, *m)
		}
		j.pending[k] = pendingMatch{}
	}
	j.pending = j.pending[:0]
}
