package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/sigma"
)

const (
	minuteFormat = "2006-01-02 15:04"
	secondFormat = "2006-01-02 15:04:05"
	shortFormat  = "01-02 15:04" // in tables narrower than wideTable
	wideTable    = 110
	textStories  = 5
	textSteps    = 10
	topNames     = 3
)

// Text prints the summary: findings by severity and rule, what the most severe identities did, and how
// good the data was.
func (s *Summary) Text(p *Printer, q *Quality) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.findings == 0 {
		p.Line("No findings.")
	} else {
		s.table(p)
		s.storyText(p)
		s.factsText(p)
	}
	p.Line("")
	for _, f := range q.facts() {
		p.Labelled(f.Label, "%s", f.Text)
	}
}

func (s *Summary) table(p *Printer) {
	columns := []Column{
		{Title: "SEVERITY", Style: severityStyle},
		{Title: "RULE", Min: 12},
		{Title: "HITS", Right: true},
		{Title: "ACTORS", Right: true},
		{Title: "FIRST (UTC)"},
		{Title: "LAST (UTC)"},
		{Title: "CLUSTER", Min: 8},
	}
	timeFormat := secondFormat
	if p.width < wideTable {
		timeFormat = shortFormat
	}
	var rows [][]string
	for _, r := range s.sorted() {
		rows = append(rows, []string{
			finding.SeverityName(r.key.level), r.title, thousands(r.hits), r.actors.String(),
			r.first.Format(timeFormat), r.last.Format(timeFormat), r.clusterList(),
		})
	}
	p.Table(columns, rows)
	if s.leftOut > 0 {
		p.Line("%s of further rules not listed.", plural(s.leftOut, "finding"))
	}
}

func (r *row) clusterList() string {
	list := strings.Join(slices.Sorted(slices.Values(r.clusters)), ", ")
	if r.more > 0 {
		list += ", more"
	}
	return list
}

func severityStyle(text string) Style {
	switch text {
	case "critical", "high":
		return Red
	case "medium":
		return Yellow
	case "low":
		return Cyan
	}
	return Plain
}

func (s *Summary) storyText(p *Printer) {
	for _, st := range s.stories.sorted(textStories) {
		p.Line("")
		p.Labelled("Story", "%s", st.headline())
		moments, leftOut := st.timeline(textSteps)
		day := ""
		for _, m := range moments {
			if d := m.first.Format(time.DateOnly); d != day {
				p.Labelled("", "%s", d)
				day = d
			}
			p.Labelled("  "+m.first.Format(time.TimeOnly), "%s", m.text())
		}
		if leftOut > 0 {
			p.Labelled("", "and %s on this identity", plural(leftOut, "more finding"))
		}
	}
	if more := len(s.stories.byActor) - textStories; more > 0 {
		p.Line("")
		p.Line("Identities with findings beside these: %d", more)
	}
	if s.stories.leftOut > 0 {
		p.Line("%s of identities beyond the %d that stories are kept for.", plural(s.stories.leftOut, "finding"), maxStories)
	}
}

func (st *story) headline() string {
	from, n := "", len(st.addresses)
	switch {
	case n == 0:
	case strings.HasSuffix(st.actor, " from "+st.addresses[0].address):
		from = strings.TrimPrefix(st.addresses[0].String(), st.addresses[0].address)
	default:
		var list []string
		for _, a := range st.addresses[:min(n, maxAddresses)] {
			list = append(list, a.String())
		}
		slices.Sort(list)
		from = " from " + strings.Join(list, ", ")
		if n > maxAddresses {
			from += " and others"
		}
	}
	return fmt.Sprintf("%s%s on %s: %s, worst %s", st.actor, from, st.cluster, plural(st.hits, "finding"), finding.SeverityName(st.worst))
}

func (m *moment) text() string {
	text := finding.SeverityName(m.level) + "  " + m.rule + ": " + m.reason
	if m.count > 1 {
		text += fmt.Sprintf(" (%s times until %s)", thousands(m.count), m.last.Format(secondFormat))
	}
	if len(m.also) == 0 {
		return text
	}
	also := make([]string, len(m.also))
	for i, s := range m.also {
		also[i] = finding.SeverityName(s.level) + " " + s.rule
	}
	return text + "; also " + strings.Join(also, ", ")
}

func (s *Summary) factsText(p *Printer) {
	p.Line("")
	for _, f := range s.facts() {
		p.Labelled(f.Label, "%s", f.Text)
	}
}

// facts are the lines about all findings together.
func (s *Summary) facts() []fact {
	var levels []string
	for l := sigma.Critical; l >= sigma.Informational; l-- {
		if n := s.levels[l]; n > 0 {
			levels = append(levels, thousands(n)+" "+finding.SeverityName(l))
		}
	}
	day, n := s.busiestDay()
	out := []fact{
		{Label: "Findings", Text: thousands(s.findings) + " (" + strings.Join(levels, ", ") + ")"},
		{Label: "Busiest day", Text: day + " (" + thousands(n) + ")"},
		{Label: "Actors", Text: names(s.actors.top(topNames))},
	}
	if top := s.spaces.top(topNames); len(top) > 0 {
		out = append(out, fact{Label: "Namespaces", Text: names(top)})
	}
	if s.repeated > 0 {
		out = append(out, fact{Label: "Repeated", Text: plural(s.repeated, "repetition") + " of a finding (stages of one request, copies of one record), not counted"})
	}
	return out
}

func names(list []counted) string {
	parts := make([]string, 0, len(list))
	for _, c := range list {
		parts = append(parts, c.Name+" ("+thousands(c.N)+")")
	}
	return strings.Join(parts, ", ")
}
