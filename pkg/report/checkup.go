package report

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Part is what a checkup found about one part of the installation.
type Part struct {
	// Kind is configuration, rules, source, sink, dead letters or state. Name and Type are those of the
	// configuration, empty where there is only one of the kind.
	Kind   string           `json:"kind"`
	Name   string           `json:"name,omitempty"`
	Type   string           `json:"type,omitempty"`
	Checks []pipeline.Check `json:"checks"`
	// Sample is what was seen in the records of a source, nil if there were none.
	Sample *RecordSample `json:"sample,omitempty"`
}

// RecordSample counts what a few records of a source held, by the names in the maps.
type RecordSample struct {
	Records   int              `json:"records"`
	Events    int64            `json:"events"`
	Truncated int64            `json:"truncated,omitempty"`
	Formats   map[string]int64 `json:"formats,omitempty"`
	Providers map[string]int64 `json:"providers,omitempty"`
	Clusters  map[string]int64 `json:"clusters,omitempty"`
	Skipped   map[string]int64 `json:"skipped,omitempty"`
	Broken    map[string]int64 `json:"broken,omitempty"`
	// Levels are the audit levels by group of resources.
	Levels map[string]map[string]int64 `json:"levels,omitempty"`
	// Reads are get, list and watch; Changes are create, update and patch of what rules look into, and
	// WithBody those of them that carry the object.
	Reads    int64 `json:"reads"`
	Changes  int64 `json:"changes"`
	WithBody int64 `json:"with_body"`
	// CannotFire are the rules that these events can never make true.
	CannotFire []CannotFire `json:"cannot_fire,omitempty"`
	// Blind counts, by rule, events on which it could not be decided.
	Blind map[string]int64 `json:"blind,omitempty"`
}

// Count counts the checks of a state.
func Count(parts []*Part, state pipeline.CheckState) int {
	n := 0
	for _, p := range parts {
		for _, c := range p.Checks {
			if c.State == state {
				n++
			}
		}
	}
	return n
}

// WriteCheckup writes parts as one JSON object. ok says whether all is well enough.
func WriteCheckup(w io.Writer, parts []*Part, version string, ok bool) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		OK       bool    `json:"ok"`
		Failed   int     `json:"failed"`
		Warnings int     `json:"warnings"`
		Version  string  `json:"version"`
		Parts    []*Part `json:"parts"`
	}{ok, Count(parts, pipeline.CheckFailed), Count(parts, pipeline.CheckWarning), version, parts})
}

// Title names a part for people.
func (p *Part) Title() string {
	title := strings.ToUpper(p.Kind[:1]) + p.Kind[1:]
	if p.Name != "" {
		title += " " + p.Name
	}
	if p.Type != "" && p.Type != p.Name {
		title += " (" + p.Type + ")"
	}
	return title
}

// Part writes the checks of one part: a mark, what was checked, what was found, and under it what to do.
func (p *Printer) Part(part *Part) {
	p.write(p.paint(Bold, finding.Visible(part.Title())))
	for _, c := range part.Checks {
		mark, style := marks(c.State), markStyles[c.State]
		text := finding.Visible(c.Name)
		if c.Detail != "" {
			text += ": " + finding.Visible(c.Detail)
		}
		p.hanging("  ", p.paint(style, mark), len([]rune(mark)), text)
		if c.Fix != "" {
			p.hanging("    ", arrow(), len([]rune(arrow())), finding.Visible(c.Fix))
		}
	}
}

var markStyles = map[pipeline.CheckState]Style{pipeline.CheckOK: Plain, pipeline.CheckWarning: Yellow, pipeline.CheckFailed: Red}

func marks(s pipeline.CheckState) string {
	switch {
	case s == pipeline.CheckWarning:
		return "!"
	case s == pipeline.CheckFailed && plainText():
		return "x"
	case s == pipeline.CheckFailed:
		return "✗"
	case plainText():
		return "-"
	}
	return "✓"
}

func arrow() string {
	if plainText() {
		return "->"
	}
	return "→"
}

// plainText is true where the locale says that characters beyond ASCII cannot be shown. Without a locale, as in
// a container, they can.
func plainText() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToUpper(os.Getenv(name)); locale != "" {
			return !strings.Contains(locale, "UTF-8") && !strings.Contains(locale, "UTF8")
		}
	}
	return false
}

// hanging writes text behind a mark, its further lines under its first. The text is escaped already.
func (p *Printer) hanging(indent, mark string, markWidth int, text string) {
	left := len(indent) + markWidth + 1
	head := indent + mark + " "
	for _, line := range wrap(text, max(p.width-left, minWidth/2)) {
		p.write(strings.TrimRight(head+line, " "))
		head = strings.Repeat(" ", left)
	}
}
