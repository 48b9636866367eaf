package report

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/engine"
)

// Quality is what is known about the run beside its findings: how much was read, what could not be, and
// what the rules could not see. Maps count by the names in them.
type Quality struct {
	Rules       int   // rules that judged
	Items       int64 // items read
	Bytes       int64 // read, after decompression
	Dropped     int64 // by rules of the user's
	Malformed   map[string]int64
	Skipped     map[string]int64
	DeadLetters string // where malformed items are kept, if they are
	Unreadable  []string
	Traffic     *Traffic
	// CannotFire are rules that this data cannot make true; Waiting those left out for want of a site list.
	CannotFire []CannotFire
	Waiting    map[string]string
	// Blind counts, by rule and field, events on which a rule could not be decided.
	Blind map[engine.Blind]int64
	// Suppressed counts what exceptions removed, by title; Controlled the matches left out because a
	// built-in controller wrote the object, by rule; Panics failures of rules.
	Suppressed map[string]int64
	Controlled map[string]int64
	Panics     map[string]int64
	Elapsed    time.Duration
	PeakRSS    int64 // bytes, 0 if unknown
}

// CannotFire is a rule that this data cannot make true, and why.
type CannotFire struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// fact is one line of the section on data quality.
type fact struct {
	Label, Text string
	Bad         bool // something that weakens the result
}

const maxNamed = 6

// facts puts the quality into sentences: one list for the terminal and for HTML.
func (q *Quality) facts() []fact {
	t := q.Traffic
	if t == nil {
		t = &Traffic{}
	}
	var out []fact
	add := func(bad bool, label, format string, args ...any) {
		out = append(out, fact{Label: label, Text: fmt.Sprintf(format, args...), Bad: bad})
	}
	add(false, "Events", "%s judged by %s", thousands(t.Events), plural(int64(q.Rules), "rule"))
	if formats := t.Formats.Map(); len(formats) > 0 {
		add(false, "Formats", "%s", shares(formats))
	}
	if providers := t.Providers.Map(); sum(providers) > providers[notReported] {
		add(false, "Providers", "%s", shares(providers))
	}
	if levels := t.Levels.Map(); len(levels) > 0 {
		add(false, "Levels", "%s", shares(levels))
	}
	q.readingFacts(t, add)
	q.ruleFacts(add)
	if text := q.speed(t.Events); text != "" {
		add(false, "Run", "%s", text)
	}
	return out
}

func (q *Quality) readingFacts(t *Traffic, add func(bool, string, string, ...any)) {
	if n := sum(q.Malformed); n > 0 {
		kept := ""
		if q.DeadLetters != "" {
			kept = ", kept in " + q.DeadLetters
		}
		add(true, "Malformed", "%s (%s)%s", plural(n, "item"), listed(q.Malformed), kept)
	}
	if t.Truncated > 0 {
		add(true, "Cut", "%s cut on the way, judged on what was left", plural(t.Truncated, "event"))
	}
	if n := sum(q.Skipped); n > 0 {
		add(false, "Skipped", "%s without an audit event to judge (%s)", plural(n, "item"), listed(q.Skipped))
	}
	if q.Dropped > 0 {
		add(false, "Dropped", "%s by rules of yours", plural(q.Dropped, "item"))
	}
	for _, u := range q.Unreadable {
		add(true, "Unreadable", "%s", u)
	}
	for _, g := range t.Gaps() {
		add(true, "Gap", "no events of %s from %s to %s UTC (%s, exact to %s), much longer than usual there",
			g.Cluster, g.From.Format(minuteFormat), g.To.Format(minuteFormat), round(g.To.Sub(g.From)), round(g.Precision))
	}
}

func (q *Quality) ruleFacts(add func(bool, string, string, ...any)) {
	for i, c := range q.CannotFire {
		if i == maxNamed {
			add(true, "", "and %d more rules that cannot fire", len(q.CannotFire)-maxNamed)
			break
		}
		add(true, "Cannot fire", "%s: %s", c.Rule, c.Why)
	}
	for i, rule := range slices.Sorted(maps.Keys(q.Waiting)) {
		if i == maxNamed {
			add(true, "", "and %d more rules that wait for a list", len(q.Waiting)-maxNamed)
			break
		}
		add(true, "Left out", "%s: %s", rule, q.Waiting[rule])
	}
	for _, b := range q.blind() {
		add(true, "Blind", "%s", b)
	}
	for _, c := range topOf(q.Panics, maxNamed) {
		add(true, "Rule failed", "%s, on %s", c.Name, plural(c.N, "event"))
	}
	if n := sum(q.Suppressed); n > 0 {
		add(false, "Exceptions", "matches suppressed: %s (%s)", thousands(n), listed(q.Suppressed))
	}
	if n := sum(q.Controlled); n > 0 {
		add(false, "Controlled", "left out on objects that built-in controllers wrote, whose templates were judged: %s (%s)", thousands(n), listed(q.Controlled))
	}
}

// blind says by rule which fields it could not see, most events first.
func (q *Quality) blind() []string {
	type entry struct {
		rule   string
		events int64 // on its worst field
		fields []string
	}
	byRule := map[string]*entry{}
	for b, n := range q.Blind {
		e := byRule[b.Rule]
		if e == nil {
			e = &entry{rule: b.Rule}
			byRule[b.Rule] = e
		}
		e.events = max(e.events, n)
		e.fields = append(e.fields, b.Field)
	}
	list := slices.SortedFunc(maps.Values(byRule), func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.events, a.events), strings.Compare(a.rule, b.rule))
	})
	var out []string
	for i, e := range list {
		if i == maxNamed {
			out = append(out, fmt.Sprintf("and %d more rules", len(list)-maxNamed))
			break
		}
		slices.Sort(e.fields)
		more := ""
		if n := len(e.fields) - maxNamed; n > 0 {
			e.fields, more = e.fields[:maxNamed], fmt.Sprintf(" and %d more", n)
		}
		out = append(out, fmt.Sprintf("%s could not be decided on %s: %s%s unknown", e.rule, plural(e.events, "event"), strings.Join(e.fields, ", "), more))
	}
	return out
}

func (q *Quality) speed(events int64) string {
	var parts []string
	if q.Elapsed > 0 {
		parts = append(parts, "elapsed "+round(q.Elapsed).String(), thousands(int64(float64(events)/q.Elapsed.Seconds()))+" events/s")
		if q.Bytes > 0 {
			parts = append(parts, fmt.Sprintf("%.0f MB/s", float64(q.Bytes)/1e6/q.Elapsed.Seconds()))
		}
	}
	if q.PeakRSS > 0 {
		parts = append(parts, fmt.Sprintf("peak memory %d MiB", q.PeakRSS>>20))
	}
	return strings.Join(parts, ", ")
}

// PeakRSS is the most memory that this process ever held, in bytes; 0 where the system does not say.
func PeakRSS() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

func sum(m map[string]int64) int64 {
	var n int64
	for _, k := range m {
		n += k
	}
	return n
}

// listed names the most frequent, with counts.
func listed(m map[string]int64) string {
	var parts []string
	for _, c := range topOf(m, maxNamed) {
		parts = append(parts, c.Name+" "+thousands(c.N))
	}
	if more := len(m) - maxNamed; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// shares names the most frequent, with their share.
func shares(m map[string]int64) string {
	total := sum(m)
	var parts []string
	for _, c := range topOf(m, maxNamed) {
		parts = append(parts, c.Name+" "+percent(c.N, total))
	}
	if more := len(m) - maxNamed; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

func percent(n, total int64) string {
	if total == 0 {
		return "0 %"
	}
	share := 100 * float64(n) / float64(total)
	switch {
	case n == total:
		return "100 %"
	case share >= 99.95:
		return "99.9 %" // not all
	case share >= 1:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", share), ".0") + " %"
	}
	return fmt.Sprintf("%.2g %%", share)
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// round is d with the digits that matter.
func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
