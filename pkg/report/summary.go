package report

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/sigma"
)

// Bounds of what a Summary remembers, so that its memory does not grow with the number of findings.
const (
	maxRows        = 2000 // rules times levels
	maxClusters    = 20   // per row
	maxActors      = 4096 // counted apart, per row
	maxSamples     = 10   // findings shown per row in the HTML report
	maxTally       = 4096 // names counted apart, per tally
	maxDays        = 4000
	dedupeHalf     = 1 << 19
	maxStories     = 1000
	maxSteps       = 40 // per story
	maxAddresses   = 5  // per story
	maxTextOfAStep = 400
)

// Summary gathers what a scan prints. Add is safe for concurrent use; memory is bounded, and what the
// bounds leave out is counted and shown.
type Summary struct {
	mu       sync.Mutex
	seen     recent
	findings int64
	repeated int64
	levels   [sigma.Critical + 1]int64
	rows     map[rowKey]*row
	leftOut  int64 // findings of rules beyond maxRows
	stories  stories
	days     map[string]int64
	actors   tally
	spaces   tally
}

type rowKey struct {
	rule  string
	level sigma.Level
}

// row is one rule at one level.
type row struct {
	key         rowKey
	title       string
	hits        int64
	actors      distinct
	first, last time.Time
	clusters    []string
	more        int // clusters beyond maxClusters
	respond     string
	samples     []sample
}

// NewSummary makes an empty Summary.
func NewSummary() *Summary {
	return &Summary{seen: recent{half: dedupeHalf}, rows: map[rowKey]*row{}, stories: stories{byActor: map[string]*story{}}, days: map[string]int64{}}
}

// Add counts a finding. A finding that was added before (the same id, within the last half million) is
// not counted twice.
func (s *Summary) Add(f *finding.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seen.add(f.Event.ID) {
		s.repeated++
		return
	}
	s.findings++
	s.levels[clamp(f.Level())]++
	s.addRow(f)
	s.stories.add(f)
	if day := f.Timestamp.UTC().Format(time.DateOnly); s.days[day] > 0 || len(s.days) < maxDays {
		s.days[day]++
	}
	s.actors.add(f.Actor())
	s.spaces.add(f.Orchestrator.Namespace)
}

// Worst is the highest level among the findings; ok is false if there are none.
func (s *Summary) Worst() (level sigma.Level, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := sigma.Critical; l >= sigma.Informational; l-- {
		if s.levels[l] > 0 {
			return l, true
		}
	}
	return 0, false
}

// AtOrAbove is the number of findings of at least a level.
func (s *Summary) AtOrAbove(level sigma.Level) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for l := clamp(level); l <= sigma.Critical; l++ {
		n += s.levels[l]
	}
	return n
}

func clamp(l sigma.Level) sigma.Level { return min(max(l, sigma.Informational), sigma.Critical) }

func (s *Summary) addRow(f *finding.Finding) {
	key := rowKey{rule: f.Rule.UUID + f.Rule.ID, level: clamp(f.Level())}
	r := s.rows[key]
	if r == nil {
		if len(s.rows) == maxRows {
			s.leftOut++
			return
		}
		r = &row{key: key, title: f.Message, respond: f.Foretop.Respond}
		s.rows[key] = r
	}
	r.hits++
	r.actors.add(f.Actor())
	if r.first.IsZero() || f.Timestamp.Before(r.first) {
		r.first = f.Timestamp
	}
	if f.Timestamp.After(r.last) {
		r.last = f.Timestamp
	}
	if name := f.Orchestrator.Cluster.Name; !slices.Contains(r.clusters, name) {
		if len(r.clusters) < maxClusters {
			r.clusters = append(r.clusters, strings.Clone(name))
		} else {
			r.more++
		}
	}
	r.addSample(f)
}

// sorted are the rows, most severe first, then most hits.
func (s *Summary) sorted() []*row {
	rows := make([]*row, 0, len(s.rows))
	for _, r := range s.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(b.key.level, a.key.level), cmp.Compare(b.hits, a.hits), strings.Compare(a.title, b.title), strings.Compare(a.key.rule, b.key.rule))
	})
	return rows
}

func (s *Summary) busiestDay() (day string, n int64) {
	for d, k := range s.days {
		if k > n || k == n && d < day {
			day, n = d, k
		}
	}
	return day, n
}

// recent remembers ids in two generations of at most half ids each.
type recent struct {
	half        int
	now, before map[uint64]struct{}
}

// add is false if id was there already.
func (r *recent) add(id string) bool {
	key, err := strconv.ParseUint(id[:min(16, len(id))], 16, 64)
	if err != nil {
		return true // no id of ours: never taken for a repetition
	}
	if _, ok := r.now[key]; ok {
		return false
	}
	if _, ok := r.before[key]; ok {
		return false
	}
	if r.now == nil || len(r.now) == r.half {
		r.before, r.now = r.now, make(map[uint64]struct{})
	}
	r.now[key] = struct{}{}
	return true
}

// distinct counts different strings, exactly up to maxActors.
type distinct struct {
	seen map[uint64]struct{}
	full bool
}

var hashSeed = maphash.MakeSeed()

func (d *distinct) add(text string) {
	s := maphash.String(hashSeed, text)
	if _, ok := d.seen[s]; ok {
		return
	}
	if len(d.seen) == maxActors {
		d.full = true
		return
	}
	if d.seen == nil {
		d.seen = map[uint64]struct{}{}
	}
	d.seen[s] = struct{}{}
}

func (d *distinct) String() string {
	if d.full {
		return strconv.Itoa(len(d.seen)) + "+"
	}
	return strconv.Itoa(len(d.seen))
}

// tally counts names, the first maxTally of them.
type tally struct{ counts map[string]int64 }

func (t *tally) add(name string) {
	if name == "" || t.counts[name] == 0 && len(t.counts) == maxTally {
		return
	}
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	if t.counts[name] == 0 {
		name = strings.Clone(name)
	}
	t.counts[name]++
}

type counted struct {
	Name string
	N    int64
}

// top are the n most frequent names.
func (t *tally) top(n int) []counted { return topOf(t.counts, n) }

func topOf(counts map[string]int64, n int) []counted {
	list := make([]counted, 0, len(counts))
	for name, k := range counts {
		list = append(list, counted{name, k})
	}
	slices.SortFunc(list, func(a, b counted) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name)) })
	return list[:min(n, len(list))]
}
