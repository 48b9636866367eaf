package engine

import (
	"bytes"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// derived are the computed fields of every record, with how they are worked out. Each runs at most once an
// event, when a rule first asks.
var derived = []struct {
	path   string
	tops   []int
	derive func(j *Judge, id int32)
}{
	{"outcome", nil, (*Judge).deriveOutcome},
	{"authorization.decision", []int{topAnnotations}, annotation(labelDecision)},
	{"authorization.reason", []int{topAnnotations}, annotation(labelReason)},
	{"dryRun", []int{topRequestURI}, (*Judge).deriveDryRun},
	{"client.address", []int{topSourceIPs}, (*Judge).deriveClientAddress},
	{"client.ip", []int{topSourceIPs}, (*Judge).deriveClientIP},
	{"client.forwarded", []int{topSourceIPs}, (*Judge).deriveForwarded},
	{"user.effective.username", []int{topUser, topImpersonated}, effective(userName, impersonatedName)},
	{"user.effective.groups", []int{topUser, topImpersonated}, effective(userGroups, impersonatedGroups)},
	{"exec.command", []int{topRequestURI, topObjectRef}, (*Judge).deriveCommand},
	{"exec.container", []int{topRequestURI, topObjectRef}, (*Judge).deriveContainer},
	{"request.path", []int{topRequestURI}, (*Judge).derivePath},
	{"object.name", nil, (*Judge).deriveName},
	{"cluster.name", nil, func(j *Judge, id int32) { j.put(id, []byte(j.env.Cluster.Name), textValue) }},
	{"cluster.id", nil, func(j *Judge, id int32) { j.put(id, []byte(j.env.Cluster.ID), textValue) }},
	{"provider", nil, func(j *Judge, id int32) { j.put(id, []byte(j.env.Provider), textValue) }},
}

// registerComputed gives every computed field its slot.
func (s *Set) registerComputed() {
	s.computed = make(map[string]int32)
	for _, d := range derived {
		info := slotInfo{path: d.path, derive: d.derive}
		for _, top := range d.tops {
			info.tops |= 1 << top
		}
		if f, ok := event.Lookup(event.Request, d.path); ok {
			info.needs = f.Needs
		}
		s.computed[d.path] = int32(len(s.slots))
		s.slots = append(s.slots, info)
	}
	for _, f := range recordFields {
		s.computed[f.path] = int32(len(s.slots))
		s.slots = append(s.slots, slotInfo{path: f.path, scope: f.scope, body: true, derive: f.derive})
	}
}

var (
	textSuccess = []byte("success")
	textFailure = []byte("failure")
	textUnknown = []byte("unknown")
	textTrue    = []byte("true")
	textFalse   = []byte("false")
)

func boolText(b bool) []byte {
	if b {
		return textTrue
	}
	return textFalse
}

// deriveOutcome reads the HTTP code, never the authorization decision: a request that authorization allowed
// can still be refused by admission or quota.
func (j *Judge) deriveOutcome(id int32) {
	text := textUnknown
	if code, ok := parseNumber(j.members[statusCode].text()); ok && code > 0 {
		text = textSuccess
		if code >= 400 {
			text = textFailure
		}
	} else if j.isLost(topStatus) {
		j.lose(id) // it is neither success nor failure for certain
	}
	j.put(id, text, textValue)
}

// lose marks a computed field as unknown: other values than those it has, if any, are not ruled out.
func (j *Judge) lose(id int32) { j.at(id).flags |= lost }

// annotation gives the first spelling of an annotation that the event has.
func annotation(first int) func(*Judge, int32) {
	return func(j *Judge, id int32) {
		for _, v := range j.members[first : first+3] {
			if text := j.textOf(v); text != nil {
				j.put(id, text, textValue)
				return
			}
		}
	}
}

// textOf is v.text, but what is unescaped goes into the arena.
func (j *Judge) textOf(v span) []byte {
	if v.isString() {
		return j.decode(v)
	}
	return v.text()
}

// query gives the raw query of the requestURI.
func (j *Judge) query() []byte {
	uri := j.uri()
	if _, after, ok := bytes.Cut(uri, []byte{'?'}); ok {
		return after
	}
	return nil
}

func (j *Judge) uri() []byte {
	if v := j.tops[topRequestURI]; v.isString() {
		return j.decode(v)
	}
	return nil
}

// eachParam calls f with the decoded values of a query parameter, in order.
func eachParam(query []byte, name string, f func(value string)) {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		key, value, _ := bytes.Cut(pair, []byte{'='})
		if string(key) != name {
			if bytes.IndexByte(key, '%') < 0 {
				continue
			}
			if k, err := url.QueryUnescape(string(key)); err != nil || k != name {
				continue
			}
		}
		text, err := url.QueryUnescape(string(value))
		if err != nil {
			text = string(value)
		}
		f(text)
	}
}

func (j *Judge) deriveQuery(id int32, name string) {
	eachParam(j.query(), name, func(v string) { j.put(id, []byte(v), textValue) })
}

// deriveDryRun reads what event.Event.DryRun does, from the bytes.
func (j *Judge) deriveDryRun(id int32) {
	dry := false
	if q := j.query(); bytes.Contains(q, []byte("dry")) || bytes.IndexByte(q, '%') >= 0 {
		eachParam(q, "dryRun", func(v string) { dry = dry || v == "All" })
	}
	dry = dry || j.dryRunOption() || j.dryRunLabel()
	if !dry && j.incomplete && j.dryRunMayBeLost() {
		j.lose(id)
		return
	}
	j.put(id, boolText(dry), boolValue)
}

// dryRunMayBeLost is true where a part of the event is lost that could have asked for a dry run. A query that the form
// does not carry is none: the label is there instead, and only GKE's events have it.
func (j *Judge) dryRunMayBeLost() bool {
	return j.isLost(topRequestURI) || j.isDelete() && j.isLost(topRequest) || j.env.Provider == "gke" && j.isLost(topAnnotations)
}

func (j *Judge) isDelete() bool {
	switch string(j.tops[topVerb].text()) {
	case "delete", "deletecollection":
		return true
	}
	return false
}

// dryRunOption reads the options that a delete has as its body.
func (j *Judge) dryRunOption() bool {
	if !j.isDelete() {
		return false
	}
	option := j.tops[topRequest].get("dryRun")
	if !option.isArray() {
		return string(option.text()) == "All"
	}
	for c := open(option); c.element(); {
		if string(c.value().text()) == "All" {
			return true
		}
	}
	return false
}

func (j *Judge) dryRunLabel() bool {
	for _, v := range j.members[labelDryRun : labelDryRun+3] {
		if event.IsDryRunLabel(string(j.textOf(v))) {
			return true
		}
	}
	return false
}

func (j *Judge) deriveCommand(id int32) {
	if string(j.subresource()) != "exec" {
		return
	}
	var words []string
	eachParam(j.query(), "command", func(v string) { words = append(words, v) })
	if len(words) > 0 {
		j.put(id, []byte(strings.Join(words, " ")), textValue)
	}
}

func (j *Judge) deriveContainer(id int32) {
	switch string(j.subresource()) {
	case "exec", "attach":
		j.deriveQuery(id, "container")
	}
}

func (j *Judge) subresource() []byte { return j.textOf(j.members[refSubresource]) }

// derivePath decodes and cleans the path, so that /healthz/../api is what it is.
func (j *Judge) derivePath(id int32) {
	uri := j.uri()
	if uri == nil {
		return
	}
	raw, _, _ := bytes.Cut(uri, []byte{'?'})
	if len(raw) > 0 && raw[0] == '/' && bytes.IndexByte(raw, '%') < 0 && !bytes.Contains(raw, []byte("/.")) && !bytes.Contains(raw, []byte("//")) && (len(raw) == 1 || !bytes.HasSuffix(raw, []byte("/"))) {
		j.put(id, raw, textValue)
		return
	}
	text, err := url.PathUnescape(string(raw))
	if err != nil {
		text = string(raw)
	}
	j.put(id, []byte(path.Clean("/"+text)), textValue)
}

// client finds the client's address among sourceIPs.
func (j *Judge) client() (string, bool) {
	var ips []string
	if v := j.tops[topSourceIPs]; v.isArray() {
		for c := open(v); c.element(); {
			ips = append(ips, string(c.value().text()))
		}
	} else if t := v.text(); len(t) > 0 {
		ips = append(ips, string(t))
	}
	trusted := event.TrustedProxies
	if j.set.options.TrustedProxies != nil {
		trusted = j.set.options.TrustedProxies
	}
	return event.ClientAddress(ips, trusted(j.env.Provider))
}

func (j *Judge) deriveClientAddress(id int32) {
	if j.isCut(topSourceIPs) {
		return // the walk begins at the last one
	}
	if address, _ := j.client(); address != "" {
		j.put(id, []byte(address), textValue)
	}
}

func (j *Judge) deriveClientIP(id int32) {
	if j.isCut(topSourceIPs) {
		return
	}
	address, _ := j.client()
	if ip, ok := event.ParseAddr(address); ok && ip != (netip.Addr{}) {
		j.put(id, []byte(ip.String()), textValue)
	}
}

func (j *Judge) deriveForwarded(id int32) {
	if j.incomplete && j.isUnknown(id) {
		return
	}
	_, forwarded := j.client()
	j.put(id, boolText(forwarded), boolValue)
}

// effective gives a field of the impersonated identity if there is one, else of the caller.
func effective(own, impersonated int) func(*Judge, int32) {
	return func(j *Judge, id int32) {
		v := j.members[own]
		if !j.members[impersonatedName].none() {
			v = j.members[impersonated]
		} else if j.isCut(topImpersonated) {
			return
		}
		if !v.isArray() {
			if t := j.textOf(v); t != nil {
				j.put(id, t, textValue)
			}
			return
		}
		for c := open(v); c.element(); {
			if t := j.textOf(c.value()); t != nil {
				j.put(id, t, textValue)
			}
		}
	}
}

// deriveName takes the name from the bodies where the reference has none, as for objects that the server names. A name
// in the request is that of the object, also where the response is lost.
func (j *Judge) deriveName(id int32) {
	name := j.textOf(j.members[refName])
	if len(name) == 0 && j.isCut(topObjectRef) {
		j.lose(id)
		return
	}
	for _, top := range [...]int{topResponse, topRequest} {
		if len(name) == 0 {
			name = j.tops[top].at("metadata", "name").text()
		}
	}
	if len(name) > 0 {
		j.put(id, name, textValue)
	} else if j.isLost(topResponse) || j.isLost(topRequest) {
		j.lose(id)
	}
}
