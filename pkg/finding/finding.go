// Package finding turns a match into the document that is stored: an ECS alert with a deterministic id,
// who did what, from where, why it matched and what could not be known. Secrets are removed here, before
// anything is written, logged or dead-lettered.
package finding

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

// Dataset is event.dataset and data_stream.dataset of every finding.
const Dataset = "foretop.findings"

// Finding is one rule that was true for one request. It owns its bytes: nothing in it aliases the event,
// the envelope or the decoder's buffers. It is not to be changed after Build.
type Finding struct {
	Timestamp    time.Time         `json:"@timestamp"`
	Event        Event             `json:"event"`
	Message      string            `json:"message" redact:"-" es:"match_only_text"`
	Tags         []string          `json:"tags,omitempty" redact:"-"`
	Labels       map[string]string `json:"labels,omitempty" es:"keyword" redact:"-"`
	ECS          ECS               `json:"ecs"`
	DataStream   DataStream        `json:"data_stream"`
	Rule         Rule              `json:"rule" redact:"-"`
	Threat       Threat            `json:"threat,omitzero" redact:"-"`
	User         User              `json:"user,omitzero"`
	UserAgent    UserAgent         `json:"user_agent,omitzero"`
	Source       Source            `json:"source,omitzero"`
	Client       Address           `json:"client,omitzero"`
	Related      Related           `json:"related,omitzero"`
	Orchestrator Orchestrator      `json:"orchestrator"`
	Kubernetes   Kubernetes        `json:"kubernetes"`
	Container    Container         `json:"container,omitzero"`
	Process      Process           `json:"process,omitzero"`
	URL          URL               `json:"url,omitzero"`
	HTTP         HTTP              `json:"http,omitzero"`
	Cloud        Cloud             `json:"cloud,omitzero"`
	Observer     Observer          `json:"observer"`
	Foretop      Foretop           `json:"foretop"`

	level  sigma.Level
	origin pipeline.Origin
	body   []byte
}

// Options configure a Builder. The zero value is usable.
type Options struct {
	// Namespace is data_stream.namespace; default "default".
	Namespace string
	// Version is Foretop's own, for observer.version.
	Version string
	// Labels are put on every finding; dots in their keys become underscores.
	Labels map[string]string
	// SetHash identifies the rule set that judges (engine.Set.Hash).
	SetHash string
	// SourceTypes gives, by the configured name of a source, its type for event.provider: kafka,
	// cloudwatch, pubsub, eventhubs, webhook, file.
	SourceTypes map[string]string
	// TrustedProxies are skipped when the client is looked for in sourceIPs; nil means the defaults of
	// the event's provider (event.TrustedProxies).
	TrustedProxies []netip.Prefix
	// Locator tells where public addresses are; nil means that findings do not say it.
	Locator Locator
	// IncludeBodies adds the request and the response body, redacted.
	IncludeBodies bool
	// Now is the clock for event.created; default time.Now.
	Now func() time.Time
}

// Locator tells where a public address is, as far as it knows. It is safe for concurrent use.
type Locator interface {
	Locate(addr netip.Addr) Place
}

// Builder makes findings. It is immutable and safe for concurrent use.
type Builder struct {
	o      Options
	labels map[string]string
}

// NewBuilder makes a Builder.
func NewBuilder(o Options) *Builder {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Builder{o: o}
	if len(o.Labels) > 0 {
		b.labels = make(map[string]string, len(o.Labels))
		for k, v := range o.Labels {
			b.labels[safeKey(k)] = v
		}
	}
	return b
}

// Level is the finding's severity.
func (f *Finding) Level() sigma.Level { return f.level }

// Actor is the identity that made the request, for people: its name, with the person behind it where many
// have the same name, or who it was as far as it is known.
func (f *Finding) Actor() string {
	if f.User.Name != "" {
		return inParentheses(f.User.Name, f.Foretop.Identity.person(f.User.Name))
	}
	who := "unauthenticated"
	if slices.Contains(f.Foretop.Provenance.Missing, "user.username") {
		who = "unknown user"
	}
	if f.Source.Address != "" {
		who += " from " + f.Source.Address
	}
	return who
}

// Document is the finding as a sink stores it, encoded once.
func (f *Finding) Document() pipeline.Document {
	return pipeline.Document{ID: f.Event.ID, Body: f.body, Origin: f.origin}
}

// Build makes the finding of m about ev. env and origin say where ev came from; none of the three is
// kept. Everything that the request's author could choose is redacted and bounded.
func (b *Builder) Build(ev *event.Event, env *event.Envelope, m *engine.Match, origin pipeline.Origin) *Finding {
	c := b.collect(ev, env, m)
	f := &Finding{
		Timestamp:  c.timestamp(b.o.Now),
		Event:      b.eventOf(c, origin),
		Message:    m.Rule.Title,
		Tags:       c.tags(),
		Labels:     b.labels,
		ECS:        ECS{Version: ECSVersion},
		DataStream: DataStream{Type: "logs", Dataset: Dataset, Namespace: b.o.Namespace},
		Rule:       ruleOf(m.Rule),
		Threat:     threatOf(m.Rule.Tags),
		User:       c.user(),
		UserAgent:  agentOf(ev.UserAgent),
		Source:     Source{IP: c.client.IP, Address: c.client.Address, Place: b.place(c.client)},
		Client:     c.client,
		Kubernetes: Kubernetes{Audit: auditOf(ev, c.uri)},
		Container:  c.containers(),
		Process:    c.process(),
		URL:        urlOf(c.uri),
		HTTP:       httpOf(ev),
		Cloud:      cloudOf(c.env),
		Observer:   Observer{Vendor: "Foretop", Product: "foretop", Version: b.o.Version, Type: "audit-log-detector"},
		level:      m.Level,
		origin:     origin,
	}
	f.Orchestrator = c.orchestrator()
	f.Kubernetes.byKind(ev.ObjectRef, c.name, c.uid)
	f.Kubernetes.workload(c.owner.Kind, c.owner.Name)
	f.Foretop = b.foretopOf(c, origin)
	f.Related = c.related(f)
	f.Foretop.Related = pivotsOf(f)
	f.Foretop.Redactions = c.redactions + scrub(f)
	f.body = encode(f)
	return f
}

// place is where the client is, if its address is one of the internet's.
func (b *Builder) place(client Address) Place {
	addr, err := netip.ParseAddr(client.IP)
	if b.o.Locator == nil || err != nil || !isPublic(addr) {
		return Place{}
	}
	return b.o.Locator.Locate(addr)
}

// carrierNAT is the address space between a provider and its customers (RFC 6598).
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

func isPublic(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !carrierNAT.Contains(addr)
}

func (b *Builder) eventOf(c *facts, origin pipeline.Origin) Event {
	level := severities[clampLevel(c.match.Level)]
	category, kind := classify(c.ev, c.targets)
	e := Event{
		Kind: "alert", Category: category, Type: kind,
		Outcome: c.ev.Outcome(), Action: c.ev.Verb,
		ID:      IDOf(c.ev, c.env, c.match.Rule),
		Dataset: Dataset, Module: "foretop",
		Provider: b.providerOf(origin),
		Severity: level.severity, Risk: level.risk,
		Reason:  c.reason(),
		Created: micro(b.o.Now()),
		Start:   micro(c.ev.RequestReceivedTimestamp), End: micro(c.ev.StageTimestamp),
	}
	if !e.Start.IsZero() && e.End.After(e.Start) {
		e.Duration = e.End.Sub(e.Start).Nanoseconds()
	}
	return e
}

// providerOf is the type of the source: configured, or the head of a stream's name ("kafka/audit/3").
func (b *Builder) providerOf(origin pipeline.Origin) string {
	if t := b.o.SourceTypes[origin.Source]; t != "" {
		return t
	}
	head, _, _ := strings.Cut(origin.Stream, "/")
	if slices.Contains([]string{"kafka", "cloudwatch", "pubsub", "eventhubs", "webhook", "file"}, head) {
		return head
	}
	return ""
}

func (b *Builder) foretopOf(c *facts, origin pipeline.Origin) Foretop {
	m, env := c.match, c.env
	out := Foretop{
		SeverityName: severities[clampLevel(m.Level)].name,
		Provider:     env.Provider,
		Decision:     c.ev.Decision(), DryRun: c.dryRun,
		AddressForwarded: c.forwarded,
		Rule:             RuleExtra{SetHash: b.o.SetHash, Status: m.Rule.Status, Because: m.Because, Suppressed: head(m.Suppressed, maxSuppressed)},
		Identity:         c.identity,
		Owner:            c.owner, RoleRef: c.roleRef,
		ElementsCount:  max(m.Count, len(m.Elements)),
		FalsePositives: m.Rule.FalsePositives,
		Provenance: Provenance{
			Format: env.Format, Inferred: env.Inferred, Missing: env.Missing, Truncated: env.Truncated,
			BodySource: c.bodySource(), BodiesRemoved: env.BodiesRemoved,
		},
		Source: SourceField{Name: origin.Source, Stream: origin.Stream, Position: origin.Pos, Offset: origin.Offset, Length: origin.Length},
	}
	if m.Rule.Foretop != nil {
		out.Respond = m.Rule.Foretop.Respond
	}
	out.Elements = c.elements()
	if b.o.IncludeBodies {
		out.RequestObject = c.bodyField(c.ev.RequestObject, "requestObject")
		out.ResponseObject = c.bodyField(c.ev.ResponseObject, "responseObject")
	}
	return out
}

const maxSuppressed = 20
