package finding

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
)

// facts is what is worked out once about an event before its document is put together.
type facts struct {
	ev       *event.Event
	env      *event.Envelope // a copy that owns its strings
	match    *engine.Match
	resource string // objectRef.resource, lower case
	// object is the object that a write request wrote, nil for everything else.
	object     map[string]any
	root       string // where object stood: requestObject or responseObject
	name, uid  string
	owner      Owner
	roleRef    Owner
	targets    UserTarget
	identity   Identity
	uri        string // redacted
	query      url.Values
	client     Address
	forwarded  bool
	dryRun     bool
	redactions int
}

func (b *Builder) collect(ev *event.Event, env *event.Envelope, m *engine.Match) *facts {
	c := &facts{ev: ev, env: ownEnvelope(env), match: m}
	if ev.ObjectRef != nil {
		c.resource = strings.ToLower(ev.ObjectRef.Resource)
	}
	var n int
	c.uri, n = redactURI(ev.RequestURI)
	c.redactions += n
	if _, raw, ok := strings.Cut(ev.RequestURI, "?"); ok {
		c.query, _ = url.ParseQuery(raw) // what could be read is kept; the rest has no meaning for us
	}
	c.dryRun = ev.DryRun()
	c.client, c.forwarded = clientOf(ev, env.Provider, b.o.TrustedProxies)
	c.identity = identityOf(ev, env.Provider, env.Truncated)
	c.readObject()
	c.targets = c.targetsOf()
	return c
}

// ownEnvelope copies env with its strings, which may alias a decoder's buffers.
func ownEnvelope(env *event.Envelope) *event.Envelope {
	own := *env
	for _, s := range []*string{
		&own.Format, &own.Provider, &own.Cluster.ID, &own.Cluster.Name, &own.Cloud.Provider,
		&own.Cloud.AccountID, &own.Cloud.ProjectID, &own.Cloud.Region, &own.Cloud.Zone,
	} {
		*s = strings.Clone(*s)
	}
	own.Inferred, own.Missing = ownStrings(env.Inferred), ownStrings(env.Missing)
	if own.Cluster.Name == "" {
		own.Cluster.Name = event.UnknownCluster
	}
	if own.Cluster.ID == "" {
		own.Cluster.ID = own.Cluster.Name
	}
	return &own
}

func ownStrings(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.Clone(s)
	}
	return out
}

func clientOf(ev *event.Event, provider string, trusted []netip.Prefix) (Address, bool) {
	if trusted == nil {
		trusted = event.TrustedProxies(provider)
	}
	text, forwarded := event.ClientAddress(ev.SourceIPs, trusted)
	a := Address{Address: text}
	if addr, ok := event.ParseAddr(text); ok {
		a.IP = addr.String()
	}
	return a, forwarded
}

// timestamp is when it happened: the stage's time, else the request's, else the shipper's. A record
// without any time gets the time of the finding, since a data stream takes no document without one.
func (c *facts) timestamp(now func() time.Time) time.Time {
	for _, t := range []time.Time{c.ev.StageTimestamp, c.ev.RequestReceivedTimestamp, c.env.Time} {
		if !t.IsZero() {
			return micro(t)
		}
	}
	c.env.Missing = append(c.env.Missing, "stageTimestamp", "requestReceivedTimestamp")
	return micro(now())
}

// micro is t as the API server writes it: UTC, microseconds.
func micro(t time.Time) time.Time {
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 { // outside of that, encoding/json refuses it
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func (c *facts) tags() []string {
	tags := slices.Clone(c.match.Rule.Tags)
	if c.env.Provider != "" {
		tags = append(tags, c.env.Provider)
	}
	if c.env.Truncated {
		tags = append(tags, "truncated")
	}
	if slices.Contains(c.env.Inferred, "responseStatus.code") {
		tags = append(tags, "inferred-status")
	}
	return tags
}

// related collects every name, address and host of the finding.
func (c *facts) related(f *Finding) Related {
	var users, hosts, ips []string
	users = append(users, f.User.Name, f.User.ID, f.User.Effective.Name, f.User.Effective.ID, c.identity.ARN,
		c.identity.CanonicalARN, c.identity.SessionName, c.identity.PrincipalID, c.identity.Subject, c.identity.OID)
	users = append(users, f.User.Target.Name...)
	hosts = append(hosts, c.identity.TokenNode, c.identity.Effective.TokenNode, c.identity.InstanceID, text(c.object, "spec", "nodeName"))
	for _, name := range []string{f.User.Name, f.User.Effective.Name} {
		if node, ok := strings.CutPrefix(name, nodePrefix); ok {
			hosts = append(hosts, node)
		}
	}
	if c.resource == "nodes" {
		hosts = append(hosts, c.name)
	}
	for _, s := range head(c.ev.SourceIPs, maxSourceIPs) {
		if addr, ok := event.ParseAddr(s); ok {
			ips = append(ips, addr.String())
		}
	}
	return Related{User: distinct(users), IP: distinct(ips), Hosts: distinct(hosts)}
}

// distinct drops empty and repeated strings and keeps the order.
func distinct(in []string) []string {
	var out []string
	for _, s := range in {
		if s != "" && !slices.Contains(out, s) && len(out) < maxGroups {
			out = append(out, s)
		}
	}
	return out
}

// head copies the first n elements: a finding never shares a list with its event.
func head[T any](list []T, n int) []T {
	return slices.Clone(list[:min(len(list), n)])
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// cloudServices are cloud.service.name and cloud.provider by event provider.
var cloudServices = map[string]string{"eks": "aws", "gke": "gcp", "aks": "azure"}

func cloudOf(env *event.Envelope) Cloud {
	c := Cloud{
		Provider: env.Cloud.Provider, Account: ID{env.Cloud.AccountID}, Project: ID{env.Cloud.ProjectID},
		Region: env.Cloud.Region, AvailabilityZone: env.Cloud.Zone,
	}
	if provider, ok := cloudServices[env.Provider]; ok {
		c.Service.Name = env.Provider
		if c.Provider == "" {
			c.Provider = provider
		}
	}
	return c
}

func agentOf(agent string) UserAgent {
	ua := UserAgent{Original: agent}
	product, _, _ := strings.Cut(agent, " ")
	if name, version, ok := strings.Cut(product, "/"); ok && isToken(name) && isToken(version) {
		ua.Name, ua.Version = name, version
	}
	return ua
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isIdent(s[i]) && s[i] != '.' && s[i] != '+' {
			return false
		}
	}
	return s != ""
}

func urlOf(uri string) URL {
	u := URL{Original: uri}
	u.Path, u.Query, _ = strings.Cut(uri, "?")
	return u
}

func httpOf(ev *event.Event) HTTP {
	var h HTTP
	if ev.ResponseStatus != nil {
		h.Response.StatusCode = ev.ResponseStatus.Code
	}
	if ev.ObjectRef == nil && ev.Verb != "" {
		h.Request.Method = strings.ToUpper(ev.Verb)
	}
	return h
}
