package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/report"
)

// Groups of resources that audit policies treat apart, and rules look into.
const (
	groupWorkloads = "workloads"
	groupRBAC      = "RBAC"
	groupSecrets   = "secrets"
	groupOther     = "other"
)

var groupOf = map[string]string{
	"pods": groupWorkloads, "deployments": groupWorkloads, "daemonsets": groupWorkloads, "statefulsets": groupWorkloads,
	"replicasets": groupWorkloads, "jobs": groupWorkloads, "cronjobs": groupWorkloads, "replicationcontrollers": groupWorkloads,
	"roles": groupRBAC, "clusterroles": groupRBAC, "rolebindings": groupRBAC, "clusterrolebindings": groupRBAC,
	"secrets": groupSecrets,
}

// sampler looks at the events of a sample.
type sampler struct {
	report.RecordSample
	watched  observer
	newest   time.Time
	detailed int
}

const (
	// maxDetailed bounds the events of a sample that are read in full: one record can hold very many.
	maxDetailed = 20_000
	// maxClusters bounds the names that are kept.
	maxClusters = 100
	// fewEvents are too few to conclude from what they lack.
	fewEvents = 50
	// oldEvents is the age from which on the newest event makes one wonder.
	oldEvents = 24 * time.Hour
)

// sample judges the records of a source as the service would, and says what was seen in them.
func (d *doctor) sample(s *SourceConfig, records []pipeline.Record, c *checks) {
	const name = "sample"
	if len(records) == 0 {
		if s.Type == webhookSource.kind {
			return // it has none before API servers post
		}
		if !slices.ContainsFunc(c.part.Checks, func(check pipeline.Check) bool { return check.State == pipeline.CheckFailed }) {
			c.warn(name, "see that the cluster writes audit logs, and that they are sent here; a quiet topic or a pipe may be all right", "no records to look at")
		}
		return
	}
	options, err := d.cfg.decodeOptions(s)
	if err != nil {
		c.fail(name, "", "%s", err)
		return
	}
	seen := &sampler{RecordSample: report.RecordSample{Records: len(records)}}
	seen.judge(d, s, options, records)
	c.part.Sample = &seen.RecordSample
	if seen.Events == 0 {
		c.fail(name, "see that this is where audit logs arrive, and that they are turned on", "no audit event in %s (%s)", recordsOf(len(records)), seen.others())
		return
	}
	seen.tell(d, s, c)
}

func recordsOf(n int) string {
	if n == 1 {
		return "1 record"
	}
	return number(int64(n)) + " records"
}

// judge sends the records through the same decoder and rules as the service does, one by one, so that memory
// holds the effects of one only.
func (m *sampler) judge(d *doctor, s *SourceConfig, options decode.Options, records []pipeline.Record) {
	p := NewProcessor(JudgeOptions{
		Rules: func() *Rules { return d.rules }, Decode: func(string) decode.Options { return options },
		Finding: d.cfg.findingOptions(), Observe: m.see,
	})
	var fx pipeline.Effects
	for i := range records {
		p.Process(context.Background(), s.Name, pipeline.NewBatch(context.Background(), s.Name, records[i:i+1:i+1], func(error) {}), &fx)
		for class, n := range fx.Counts.Skipped {
			bump(&m.Skipped, class, int64(n))
		}
		for j := range fx.DeadLetters {
			bump(&m.Broken, fx.DeadLetters[j].Class, 1)
		}
		fx.Reset()
	}
	t := &m.watched.traffic
	m.Events, m.Truncated, m.Formats, m.Providers = t.Events, t.Truncated, t.Formats.Map(), t.Providers.Map()
	conclusive := *t
	if m.Changes == 0 {
		conclusive.Levels = report.Kinds{} // nobody asks for the objects of reads: their level says nothing
	}
	m.CannotFire = cannotFire(d.rules, &conclusive)
	titles := make(map[string]string)
	for _, r := range d.rules.Set.Rules() {
		titles[r.Key()] = r.Title
	}
	for b, n := range m.watched.blind {
		bump(&m.Blind, titles[b.Rule], n)
	}
}

// see counts one event.
func (m *sampler) see(j *Judged) {
	m.watched.see(j)
	if cluster := j.Item.Envelope.Cluster.Name; m.Clusters[cluster] > 0 || len(m.Clusters) < maxClusters {
		bump(&m.Clusters, strings.Clone(cluster), 1)
	}
	if m.detailed == maxDetailed {
		return
	}
	m.detailed++
	ev, err := event.Parse(j.Item.Canonical)
	if err != nil {
		return
	}
	if ev.StageTimestamp.After(m.newest) {
		m.newest = ev.StageTimestamp
	}
	group := groupOther
	if ev.ObjectRef != nil && ev.ObjectRef.Subresource == "" && groupOf[ev.ObjectRef.Resource] != "" {
		group = groupOf[ev.ObjectRef.Resource]
	}
	level := levelOf([]byte(ev.Level))
	if level == "" {
		level = "not reported"
	}
	if m.Levels == nil {
		m.Levels = make(map[string]map[string]int64)
	}
	levels := m.Levels[group]
	bump(&levels, level, 1)
	m.Levels[group] = levels
	switch ev.Verb {
	case "get", "list", "watch":
		m.Reads++
	case "create", "update", "patch":
		if group == groupWorkloads || group == groupRBAC {
			m.Changes++
			if len(ev.RequestObject) > 0 || len(ev.ResponseObject) > 0 {
				m.WithBody++
			}
		}
	}
}

// others names what is in the sample beside events.
func (m *sampler) others() string {
	all := maps.Clone(m.Skipped)
	for class, n := range m.Broken {
		bump(&all, class, n)
	}
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%s %d", class, all[class]))
	}
	return strings.Join(parts, ", ")
}

// tell turns what was seen into checks.
func (m *sampler) tell(d *doctor, s *SourceConfig, c *checks) {
	text := fmt.Sprintf("%s events in %s; form: %s", number(m.Events), recordsOf(m.Records), most(m.Formats))
	if n := m.Providers; len(n) > 0 && n["not reported"] < m.Events {
		text += "; provider: " + most(n)
	}
	if len(m.Skipped) > 0 {
		text += "; beside them " + m.others()
	}
	c.ok("sample", "%s", text)
	m.tellAge(d.now, s, c)
	if len(m.Broken) > 0 {
		var n int64
		for _, k := range m.Broken {
			n += k
		}
		c.warn("sample", "see what writes them; they go to the dead letters, and foretop decode says what is wrong with each", "%d items cannot be decoded: %s", n, most(m.Broken))
	}
	if m.Truncated > 0 {
		c.warn("sample", "raise the limit of the shipper or service that cuts them", "%d events are cut; rules see only what stands before the cut", m.Truncated)
	}
	m.tellCluster(s, c)
	m.tellLevels(c)
	m.tellReads(c)
	m.tellRules(d, c)
}

func (m *sampler) tellAge(now time.Time, s *SourceConfig, c *checks) {
	if m.newest.IsZero() {
		return
	}
	age := now.Sub(m.newest)
	switch {
	case age < -maxEventSkew:
		c.warn("newest event", "let the cluster and this machine follow a time server (NTP)", "is %s ahead of the clock here", age.Abs().Round(time.Second))
	case age > oldEvents && s.Type != fileSource.kind:
		c.warn("newest event", "see that the cluster still sends its audit log here", "of the sample is from %s UTC", m.newest.UTC().Format(time.DateTime))
	default:
		c.ok("newest event", "of the sample is from %s UTC", m.newest.UTC().Format(time.DateTime))
	}
}

// maxEventSkew is how far an event may lie in the future.
const maxEventSkew = 30 * time.Second

func (m *sampler) tellCluster(s *SourceConfig, c *checks) {
	if n := m.Clusters[event.UnknownCluster]; n > 0 {
		c.warn("cluster", fmt.Sprintf("set %s_CLUSTER_NAME, or %s_CLUSTER_FROM where one source tells of several clusters", s.Prefix, s.Prefix),
			"%d of %d events do not say which cluster they are from", n, m.Events)
		return
	}
	c.ok("cluster", "%s", most(m.Clusters))
}

// tellLevels compares what was logged with what rules need to see.
func (m *sampler) tellLevels(c *checks) {
	var parts []string
	for _, group := range []string{groupWorkloads, groupRBAC, groupSecrets, groupOther} {
		if levels := m.Levels[group]; levels != nil {
			parts = append(parts, group+" "+most(levels))
		}
	}
	text := strings.Join(parts, "; ")
	if m.Changes == 0 {
		c.ok("audit level", "%s; no change of workloads or RBAC is in the sample to show whether it carries the object: a larger --sample may have one", text)
		return
	}
	text += fmt.Sprintf("; %d of %d changes of workloads and RBAC carry the object", m.WithBody, m.Changes)
	if m.WithBody == 0 {
		c.warn("audit level", "log create, update and patch of workloads and RBAC at level Request or RequestResponse, where you have the audit policy in your hands", "%s", text)
		return
	}
	c.ok("audit level", "%s", text)
}

// noReads says, by provider, why reads are missing, and what turns them on.
var noReads = map[string]string{
	"gke": "turn on Data Access audit logs (DATA_READ and ADMIN_READ) of the Kubernetes Engine API, and let the log sink's filter pass them",
	"aks": "send the category kube-audit beside kube-audit-admin, which leaves out get and list",
}

// tellReads notices a log without reads: rules on reading secrets would be blind.
func (m *sampler) tellReads(c *checks) {
	for provider, fix := range noReads {
		if m.Providers[provider] > 0 && m.Reads == 0 && m.Events >= fewEvents {
			c.warn("reads", fix, "none of the %s events of %s is a get, list or watch: rules on reading see nothing", number(m.Providers[provider]), provider)
		}
	}
}

func (m *sampler) tellRules(d *doctor, c *checks) {
	total := len(d.rules.Set.Rules())
	why := make(map[string][]string)
	for _, r := range m.CannotFire {
		why[r.Why] = append(why[r.Why], r.Rule)
	}
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		c.warn("rules", "change what the cluster logs, or take it that they are blind here", "%d of %d can never fire here, by this sample: %s: %s", len(why[reason]), total, reason, listed(why[reason]))
	}
	if len(m.CannotFire) == 0 {
		c.ok("rules", "nothing in the sample keeps any of the %d from firing", total)
	}
	if len(m.Blind) > 0 {
		fields := make(map[string]bool)
		for b := range m.watched.blind {
			fields[b.Field] = true
		}
		c.warn("rules", "foretop explain --rule shows what a rule looked for", "%d could not be decided on events of the sample, since the form lacks %s: %s",
			len(m.Blind), listed(slices.Sorted(maps.Keys(fields))), listed(slices.Sorted(maps.Keys(m.Blind))))
	}
}

// most names the most frequent first, with their counts.
func most(counts map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return int(counts[b] - counts[a])
		}
		return strings.Compare(a, b)
	})
	if len(names) == 1 {
		return names[0]
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	if more := len(names) - maxListed; more > 0 {
		names = append(names[:maxListed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
