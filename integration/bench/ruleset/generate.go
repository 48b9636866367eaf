package ruleset

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// A shape is a kind of rule, with how many of a hundred rules have it.
//
// The proportions were counted over 139 rules: 123 distinct detections that eleven public rule sets for Kubernetes audit logs
// come to when they are merged, and SigmaHQ's 16. A rule counts for the first shape that fits:
//
//	verb and resource, with namespace, name, user and client      54
//	neither verb nor resource: user, client, address, status      22
//	one element of a pod spec: pod, container, volume             21
//	subresources of pods and nodes, and the commands run there    16
//	bodies by path, without derived records                       14
//	one subject of a binding, one rule of a role                  12
type shape struct {
	name    string
	percent int
	draft   func(*writer) *draft
}

// shapes are a function, since the drafts' methods refer to words and writers of this package.
func shapes() []shape {
	return []shape{
		{"request", 39, (*writer).request},
		{"caller", 16, (*writer).caller},
		{"podspec", 15, (*writer).podSpec},
		{"subresource", 11, (*writer).subresource},
		{"body", 10, (*writer).body},
		{"rbac", 9, (*writer).rbac},
	}
}

const seed = 1714

// Generated is a set of n rules shaped like those that the public rule sets hold, with filters for some of them. The same n
// gives the same rules, and the rules of a smaller n are among those of a larger one. It fails on any problem.
func Generated(n int) (*engine.Set, error) { return compile(Files(n)) }

// Files are n generated rules with their filters as Sigma documents, one file a rule.
func Files(n int) []sigma.File {
	files := make([]sigma.File, n)
	for i := range files {
		text := newWriter(i).draft().text(i)
		files[i] = sigma.File{Name: fmt.Sprintf("generated/%04d.yml", i), Data: []byte(text)}
	}
	return files
}

// writer writes one rule, from random numbers of its own.
type writer struct {
	index  int
	random *rand.Rand
}

func newWriter(index int) *writer {
	return &writer{index: index, random: rand.New(rand.NewPCG(seed, uint64(index)))} // #nosec G404 -- the same rules every time
}

// draft is the rule's shape, by its place in a hundred: steps of 37 spread each shape over them.
func (w *writer) draft() *draft {
	at := w.index * 37 % 100
	for _, s := range shapes() {
		if at < s.percent {
			d := s.draft(w)
			d.shape = s.name
			w.finish(d)
			return d
		}
		at -= s.percent
	}
	panic("the shapes' percentages do not come to a hundred")
}

// chance is true in percent of a hundred cases.
func (w *writer) chance(percent int) bool { return w.random.IntN(100) < percent }

// one picks a word.
func (w *writer) one(words []string) string { return words[w.random.IntN(len(words))] }

// some picks between low and high different words, in their order.
func (w *writer) some(words []string, low, high int) []string {
	n := min(low+w.random.IntN(high-low+1), len(words))
	chosen := make(map[int]bool, n)
	for _, at := range w.random.Perm(len(words))[:n] {
		chosen[at] = true
	}
	out := make([]string, 0, n)
	for i, word := range words {
		if chosen[i] {
			out = append(out, word)
		}
	}
	return out
}

// serviceAccounts picks user names of service accounts.
func (w *writer) serviceAccounts(low, high int) []string {
	names := w.some(accounts, low, high)
	for i, name := range names {
		names[i] = "system:serviceaccount:" + w.one(namespaces) + ":" + name
	}
	return names
}

// level of a rule, as often as the catalogue has them: a third each are low and medium.
func (w *writer) level() string {
	return w.one([]string{"informational", "low", "low", "low", "medium", "medium", "medium", "high", "high", "critical"})
}

// finish adds what rules of all shapes have: some have levels of their own, some a filter.
func (w *writer) finish(d *draft) {
	d.level = w.level()
	if d.own && w.chance(40) {
		d.add("severe", item("objectRef.namespace", w.some(systemNamespaces, 2, 5)...))
		d.levels = append(d.levels, "severe")
	}
	if w.chance(25) {
		d.exception = []string{
			item("objectRef.namespace", w.one(namespaces)),
			item("user.username", w.serviceAccounts(1, 3)...),
		}
		if w.chance(40) {
			d.exception = append(d.exception, item("userAgent|startswith", w.some(tools, 1, 2)...))
		}
	}
}

// draft is a rule before it is text.
type draft struct {
	shape, category string
	// own rules have an x-foretop extension; the others are as public rule sets write them.
	own        bool
	selections []string
	condition  string
	level      string
	levels     []string // selections that raise the level
	exception  []string // items of a filter
}

// add adds a selection of items.
func (d *draft) add(name string, items ...string) {
	d.selections = append(d.selections, "  "+name+":\n    "+strings.Join(items, "\n    "))
}

// item is one field with values that are strings.
func item(field string, values ...string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	if len(quoted) == 1 {
		return field + ": " + quoted[0]
	}
	return field + ": [" + strings.Join(quoted, ", ") + "]"
}

// plain is one field with a value that is written as it stands: a number, true, null.
func plain(field, value string) string { return field + ": " + value }

// text is the rule as a Sigma document, with its filter as a second one.
func (d *draft) text(index int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "title: Generated %s %d\nid: %s\nname: generated-%04d\nstatus: test\n", d.shape, index, identifier(1, index), index)
	b.WriteString("description: Shaped like the rules of public rule sets.\n")
	b.WriteString("logsource: {product: kubernetes, service: audit" + d.categoryKey() + "}\ndetection:\n")
	b.WriteString(strings.Join(d.selections, "\n"))
	fmt.Fprintf(&b, "\n  condition: %s\nfalsepositives: [Administrators]\nlevel: %s\ntags: [attack.execution, attack.t1610]\n", d.condition, d.level)
	if d.own {
		d.extension(&b)
	}
	if len(d.exception) > 0 {
		fmt.Fprintf(&b, "---\ntitle: Exception of generated %d\nid: %s\ndescription: What one program does.\n", index, identifier(2, index))
		fmt.Fprintf(&b, "logsource: {product: kubernetes, service: audit%s}\nfilter:\n  rules: [generated-%04d]\n  known:\n    %s\n  condition: not known\n",
			d.categoryKey(), index, strings.Join(d.exception, "\n    "))
	}
	return b.String()
}

func (d *draft) categoryKey() string {
	if d.category == "" {
		return ""
	}
	return ", category: " + d.category
}

func (d *draft) extension(b *strings.Builder) {
	b.WriteString("x-foretop:\n  version: \"1\"\n  needs: {level: Metadata, providers: {eks: \"yes\", gke: \"yes\", aks: \"yes\"}}\n")
	b.WriteString("  reason: \"{user.username} did {verb} on {objectRef.resource}\"\n  respond: Ask the owner.\n")
	if len(d.levels) == 0 {
		return
	}
	b.WriteString("  levels:\n")
	for _, name := range d.levels {
		fmt.Fprintf(b, "    - {when: %s, level: high, because: it is a namespace of the platform}\n", name)
	}
}

// identifier is a UUID of a series.
func identifier(series, index int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", series, index)
}
