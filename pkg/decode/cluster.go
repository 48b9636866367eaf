package decode

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/event"
)

// Mapping takes a cluster's name from the transport, or from keys that a shipper put around the event. The
// zero Mapping takes none.
type Mapping struct{ steps []mappingStep }

type mappingStep struct {
	from   string // topic, header, key, envelope
	name   string // the Meta key, or the envelope path
	regexp *regexp.Regexp
}

// ParseMapping reads mappings, of which the first that gives a name wins:
//
//	topic:<regexp>    the first capture group of what matches in the topic (the whole match without one)
//	header:<name>     a header of the record
//	key               the key of the record
//	envelope:<path>   a key that the shipper put around the event, dotted, never one inside it
func ParseMapping(specs ...string) (Mapping, error) {
	var m Mapping
	for _, spec := range specs {
		kind, arg, _ := strings.Cut(strings.TrimSpace(spec), ":")
		step := mappingStep{from: kind}
		switch {
		case kind == "key" && arg == "":
			step.name = "key"
		case kind == "topic" && arg != "":
			re, err := regexp.Compile(arg)
			if err != nil {
				return Mapping{}, fmt.Errorf("cluster mapping %q: the pattern is not valid: %w", spec, err)
			}
			step.name, step.regexp = "topic", re
		case kind == "header" && arg != "":
			step.name = "header." + arg
		case kind == "envelope" && arg != "":
			if first, _, _ := strings.Cut(arg, "."); isEventKey(first) {
				return Mapping{}, fmt.Errorf("cluster mapping %q: %s is a part of the audit event, which its author may have written; name a key that the shipper adds", spec, first)
			}
			step.name = arg
		default:
			return Mapping{}, fmt.Errorf("cluster mapping %q: want topic:<regexp>, header:<name>, key or envelope:<path>", spec)
		}
		m.steps = append(m.steps, step)
	}
	return m, nil
}

func isEventKey(name string) bool {
	k := keyOf([]byte(name))
	return k != keyOther && k <= lastEventKey
}

// clusterCache keeps names as strings, so that a record costs no allocation for them.
type clusterCache struct {
	names  map[string]string // by their bytes
	topics map[string]string // what the topic pattern makes of a topic
}

// maxNames bounds clusterCache: names come from outside.
const maxNames = 4096

func (c *clusterCache) reset() {
	if len(c.names) > maxNames {
		clear(c.names)
	}
	if len(c.topics) > maxNames {
		clear(c.topics)
	}
}

// intern returns b as a string, empty if it cannot be a name.
func (c *clusterCache) intern(b []byte) string {
	if s, ok := c.names[string(b)]; ok {
		return s
	}
	s := strings.TrimSpace(string(b))
	if !isName(s) {
		s = ""
	}
	if c.names == nil {
		c.names = make(map[string]string)
	}
	c.names[string(b)] = s
	return s
}

// isName bounds what is taken for a cluster's name or id: it becomes part of finding ids and of dashboards.
func isName(s string) bool {
	if s == "" || len(s) > 512 || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// clusterOf names the cluster: the one that the sender proved to be, the fixed setting, the mapping, what the
// form itself says, or unknown. Nothing of the event's own is trusted.
func (d *Decoder) clusterOf(env *event.Envelope, o *object) event.Cluster {
	fixed := event.Cluster{ID: d.meta[MetaClusterID], Name: d.meta[MetaClusterName]}
	if fixed.Name == "" && fixed.ID == "" {
		fixed = d.opts.Cluster
	}
	if fixed.Name == "" && fixed.ID == "" {
		for i := range d.opts.ClusterFrom.steps {
			if name := d.mapped(&d.opts.ClusterFrom.steps[i], o); name != "" {
				return event.Cluster{ID: name, Name: name}
			}
		}
		fixed = env.Cluster
	}
	if fixed.Name == "" && fixed.ID == "" {
		fixed = d.ownCluster(o)
	}
	switch {
	case fixed.Name == "" && fixed.ID == "":
		return event.Cluster{ID: event.UnknownCluster, Name: event.UnknownCluster}
	case fixed.Name == "":
		fixed.Name = fixed.ID
	case fixed.ID == "":
		fixed.ID = fixed.Name
	}
	return fixed
}

func (d *Decoder) mapped(step *mappingStep, o *object) string {
	if step.from == "envelope" {
		return d.name(d.around(o, step.name))
	}
	value, ok := d.meta[step.name]
	if !ok || step.regexp == nil {
		if isName(value) {
			return value
		}
		return ""
	}
	if name, ok := d.cluster.topics[value]; ok {
		return name
	}
	name := ""
	if m := step.regexp.FindStringSubmatch(value); len(m) > 1 {
		name = m[1]
	} else if len(m) == 1 {
		name = m[0]
	}
	if d.cluster.topics == nil {
		d.cluster.topics = make(map[string]string)
	}
	d.cluster.topics[value] = name
	return name
}

// ownCluster is the cluster that standard keys of a shipper name: those of OpenShift's log forwarding, of
// ECS and of OpenTelemetry's resource attributes.
func (d *Decoder) ownCluster(o *object) event.Cluster {
	if !d.mayNameCluster(o) {
		return event.Cluster{}
	}
	for _, keys := range [...]struct{ id, name string }{
		{"openshift.cluster_id", ""},
		{"orchestrator.cluster.id", "orchestrator.cluster.name"},
		{"k8s.cluster.uid", "k8s.cluster.name"},
	} {
		c := event.Cluster{ID: d.name(d.around(o, keys.id)), Name: d.name(d.around(o, keys.name))}
		if c != (event.Cluster{}) {
			return c
		}
	}
	return event.Cluster{}
}

// mayNameCluster reports whether a member around the event o begins as one of ownCluster's keys does.
func (d *Decoder) mayNameCluster(o *object) bool {
	for i := range d.objects[:d.level] {
		outer := &d.objects[i]
		if outer == o && o.foreign == 0 {
			continue
		}
		for _, m := range outer.members {
			if m.id > keyOther && m.id <= lastEventKey {
				continue
			}
			if name := outer.at(m.name); len(name) >= 3 && (string(name[:3]) == "k8s" || string(name[:3]) == "ope" || string(name[:3]) == "orc") {
				return true
			}
		}
	}
	return false
}

// name reads a text or number as a name.
func (d *Decoder) name(raw []byte) string {
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return ""
	}
	if text, ok := unquote(raw, &d.scratch); ok {
		raw = text
	}
	return d.cluster.intern(raw)
}

// around looks a dotted path up in the objects around the event, outermost first, then among the members
// that a shipper has put beside the event's own.
func (d *Decoder) around(o *object, path string) []byte {
	if path == "" || d.level <= 1 && o.foreign == 0 {
		return nil
	}
	for i := range d.objects[:d.level] {
		outer := &d.objects[i]
		if outer != o {
			if raw := d.lookup(outer, path); raw != nil {
				return raw
			}
		}
	}
	if o.foreign == 0 {
		return nil
	}
	return d.lookup(o, path)
}

// lookup resolves path in o. A key may hold dots itself and so stand for several parts of the path. What
// lies in the value that is being decoded is not around the event, nor is a member of the event's own.
func (d *Decoder) lookup(o *object, path string) []byte {
	for i := len(o.members) - 1; i >= 0; i-- {
		m := &o.members[i]
		if m.id != keyOther && (m.id <= lastEventKey || int(o.slot[m.id]) != i+1) || o.partial && i == len(o.members)-1 {
			continue
		}
		rest, ok := d.consume(o.at(m.name), path)
		if !ok {
			continue
		}
		raw := o.at(m.value)
		if rest != "" {
			raw = d.lookupIn(raw, rest)
		}
		if raw != nil && !o.isEntered(raw) {
			return raw
		}
	}
	return nil
}

func (d *Decoder) lookupIn(raw []byte, path string) []byte {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var found []byte
	for w := d.walk(raw); ; {
		name, value, ok := w.next()
		if !ok {
			return found
		}
		rest, ok := d.consume(name, path)
		switch {
		case !ok:
		case rest == "":
			found = value
		default:
			if below := d.lookupIn(value, rest); below != nil {
				found = below
			}
		}
	}
}

// consume takes name off the front of path.
func (d *Decoder) consume(name []byte, path string) (rest string, ok bool) {
	if len(name) <= len(path) && string(name) == path[:len(name)] {
		if rest = path[len(name):]; rest == "" {
			return "", true
		}
		if rest[0] == '.' {
			return rest[1:], true
		}
	}
	return "", false
}

// enter notes the value of o that is being decoded.
func (o *object) enter(raw []byte) {
	from := cap(o.b) - cap(raw)
	o.entered = span{int32(from), int32(from + len(raw))}
}

func (o *object) isEntered(raw []byte) bool {
	from := int32(cap(o.b) - cap(raw))
	return from >= o.entered.from && from < o.entered.to
}

// cloudOf fills what the record does not say from where the source read it, and from the source's setting. Of a sender
// who proved to be a cluster, the record does not say in whose account that is.
func (d *Decoder) cloudOf(c event.Cloud) event.Cloud {
	if d.meta[MetaClusterName] != "" || d.meta[MetaClusterID] != "" {
		c = event.Cloud{Provider: c.Provider}
	}
	if c.AccountID == "" && (c.Provider == "" || c.Provider == "aws") {
		c.AccountID = d.meta[MetaAccount]
	}
	if c.ProjectID == "" && (c.Provider == "" || c.Provider == "gcp") {
		c.ProjectID = d.meta[MetaProject]
	}
	if c.Region == "" && (c.Provider == "" || c.Provider == "aws") {
		c.Region = d.meta[MetaRegion]
	}
	def := &d.opts.Cloud
	for _, f := range [...]struct{ have, def *string }{
		{&c.Provider, &def.Provider}, {&c.AccountID, &def.AccountID}, {&c.ProjectID, &def.ProjectID},
		{&c.Region, &def.Region}, {&c.Zone, &def.Zone},
	} {
		if *f.have == "" {
			*f.have = *f.def
		}
	}
	return c
}
