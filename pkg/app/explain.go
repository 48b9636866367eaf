package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/report"
)

// ExplainOptions are what `foretop explain` was asked for.
type ExplainOptions struct {
	ReadOptions
	Rules RuleFlags
	Rule  string // id, name or title
	// AuditID explains only events with this id, if it is not empty.
	AuditID string
	// Limit is the number of events to explain.
	Limit int
}

// errEnough ends the reading.
var errEnough = errors.New("enough events were explained")

// unjudged are events that hold nothing for the rule. They are shown only if there are no others.
type unjudged struct {
	count int
	show  []func()
}

// Explain prints for each event what was true and what was false of a rule.
func Explain(ctx context.Context, o ExplainOptions) (int, error) {
	rules, err := LoadRules(o.Rules.Options())
	if err != nil {
		return ExitError, err
	}
	p := report.ForFile(o.Stdout)
	explained := 0
	var aside unjudged
	unreadable, err := o.eachItem(ctx, func(where string, it *decode.Item) error {
		if it.Kind != decode.Event {
			return nil
		}
		ev, err := event.Parse(it.Canonical)
		if err != nil || o.AuditID != "" && ev.AuditID != o.AuditID {
			return err
		}
		if explained == o.Limit {
			return errEnough
		}
		x, err := rules.Set.Explain(it.Canonical, &it.Envelope, o.Rule)
		if err != nil {
			return err
		}
		if x.Note != "" {
			if aside.count++; len(aside.show) < o.Limit {
				aside.show = append(aside.show, func() { printExplanation(p, where, ev, &x) })
			}
			return nil
		}
		explained++
		printExplanation(p, where, ev, &x)
		return p.Err()
	})
	complaints := report.NewPrinter(o.Stderr, report.PrinterOptions{})
	for _, bad := range unreadable {
		complaints.Line("unreadable: %s", bad.Error())
	}
	if err != nil && !errors.Is(err, errEnough) {
		return ExitError, err
	}
	if explained == 0 {
		for _, show := range aside.show {
			show()
		}
		aside.count -= len(aside.show)
	}
	if aside.count > 0 {
		complaints.Line("not judged by this rule: %d further events", aside.count)
	}
	switch {
	case err != nil:
		complaints.Line("%d events explained; --limit or --audit-id choose others", explained)
	case len(unreadable) > 0:
		return ExitUnreadable, nil
	case explained == 0 && len(aside.show) == 0:
		return ExitError, errors.New("there is no event to explain")
	}
	return ExitOK, p.Err()
}

func printExplanation(p *report.Printer, where string, ev *event.Event, x *engine.Explanation) {
	p.Line("%s  audit id %s", where, ev.AuditID)
	p.Line("  %s %s by %s at %s: %s", ev.Verb, ev.RequestURI, nameOr(ev.User.Username, "nobody"), ev.Stage, x.Rule.Title)
	if x.Note != "" {
		p.Line("  not judged: %s", x.Note)
	}
	for i := range x.Records {
		r := &x.Records[i]
		p.Line("  %s %s: %s", categoryName(r.Category), strings.TrimSpace(r.Name+" "+r.Path), verdictOf(r))
		printSelections(p, "    ", r.Selections)
		for _, f := range r.Filters {
			state := "does not apply"
			if f.Excludes {
				state = "removes it"
			}
			p.Line("    exception %q %s", f.Title, state)
			printSelections(p, "      ", f.Selections)
		}
	}
	p.Line("")
}

func nameOr(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

// verdictOf says what became of a record.
func verdictOf(r *engine.ExplainedRecord) string {
	if r.Result != "true" {
		return r.Result
	}
	if r.Controlled {
		return "true, and left out: a built-in controller wrote the object from a template that was judged"
	}
	for _, f := range r.Filters {
		if f.Excludes {
			return "true, and removed by an exception"
		}
	}
	text := fmt.Sprintf("true, level %s", r.Level)
	if r.Because != "" {
		text += " because " + r.Because
	}
	return text
}

func printSelections(p *report.Printer, indent string, selections []engine.ExplainedSelection) {
	for _, s := range selections {
		p.Line("%s%s: %s", indent, s.Name, s.Result)
		for _, item := range s.Items {
			found := "absent"
			if len(item.Found) > 0 {
				found = strings.Join(item.Found, ", ")
			}
			p.Line("%s  %-8s %s: wants %s, has %s", indent, item.Result, nameOr(item.Field, "(any field)"), item.Wanted, found)
		}
	}
}
