package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/foretop/foretop/pkg/finding"
)

//go:embed report.css
var pageStyle string

//go:embed report.html
var pageText string

// page is the report's template. The page loads nothing and runs nothing: its policy allows the one style
// sheet that stands in it, by its hash.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"safe":      finding.Visible,
	"second":    func(t time.Time) string { return t.UTC().Format(secondFormat) },
	"thousands": thousands,
	"severity":  finding.SeverityName,
}).Parse(pageText))

const htmlStories = 25

type pageData struct {
	Title, Policy string
	Style         template.CSS
	Created       time.Time
	Facts         []fact
	Quality       []fact
	Rows          []pageRow
	LeftOut       int64
	Stories       []pageStory
	MoreStories   int
}

type pageRow struct {
	Severity, Title, Actors, Clusters, Respond string
	Hits                                       int64
	First, Last                                time.Time
	Samples                                    []sample
}

type pageStory struct {
	Severity, Headline string
	Steps              []pageStep
	LeftOut            int64
}

type pageStep struct {
	Time time.Time
	Text string
}

// HTML writes the summary as one self-contained page: no script, nothing from elsewhere. created is the
// time that the page shows as its own.
func (s *Summary) HTML(w io.Writer, q *Quality, created time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := sha256.Sum256([]byte(pageStyle))
	d := pageData{
		Title:   "Foretop: Kubernetes audit findings",
		Policy:  "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
		Style:   template.CSS(pageStyle), //nolint:gosec // our own file
		Created: created, Quality: q.facts(), LeftOut: s.leftOut,
	}
	if s.findings > 0 {
		d.Facts = s.facts()
	}
	for _, r := range s.sorted() {
		d.Rows = append(d.Rows, pageRow{
			Severity: finding.SeverityName(r.key.level), Title: r.title, Actors: r.actors.String(), Clusters: r.clusterList(),
			Respond: r.respond, Hits: r.hits, First: r.first, Last: r.last, Samples: r.samples,
		})
	}
	for _, st := range s.stories.sorted(htmlStories) {
		ps := pageStory{Severity: finding.SeverityName(st.worst), Headline: st.headline()}
		var moments []moment
		moments, ps.LeftOut = st.timeline(maxSteps)
		for _, m := range moments {
			ps.Steps = append(ps.Steps, pageStep{Time: m.first, Text: m.text()})
		}
		d.Stories = append(d.Stories, ps)
	}
	d.MoreStories = len(s.stories.byActor) - len(d.Stories)
	if err := page.Execute(w, d); err != nil {
		return fmt.Errorf("writing the HTML report: %w", err)
	}
	return nil
}
