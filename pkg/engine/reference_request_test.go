package engine_test

import (
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// This file: the request itself, with the fields of docs/reference/fields.md that are worked out for every record.

// request is an event as a record of its own.
type request struct {
	doc      map[string]any
	env      *event.Envelope
	computed map[string][]any
}

func newRequest(doc map[string]any, env *event.Envelope) *request {
	r := &request{doc: doc, env: env, computed: make(map[string][]any)}
	r.compute()
	return r
}

// requestFields are the computed fields of every record. request.query.* is one more, with any name.
var requestFields = []string{"outcome", "authorization.decision", "authorization.reason", "dryRun", "client.address", "client.ip", "client.forwarded",
	"user.effective.username", "user.effective.groups", "exec.command", "exec.container", "request.path", "object.name", "cluster.name", "cluster.id", "provider"}

func (r *request) whole() any { return r.doc }

func (r *request) at(field string) (l leaves, open bool) {
	if slices.Contains(requestFields, field) {
		return scalarsOf(r.computed[field]), false
	}
	if name, ok := strings.CutPrefix(field, "request.query."); ok {
		var values []any
		for _, v := range r.query(name) {
			values = append(values, v)
		}
		return scalarsOf(values), false
	}
	// The bodies have their own names: they are found under exactly these keys.
	for _, body := range []string{"requestObject", "responseObject"} {
		if below, ok := strings.CutPrefix(field, body+"."); ok {
			if v, has := r.doc[body]; has {
				l.lead(v, below)
			}
			return l, false
		}
	}
	l.lead(r.doc, field)
	return l, false
}

func scalarsOf(values []any) leaves { return leaves{present: len(values) > 0, scalars: values} }

// member gives what stands under the keys, and nil if there is nothing.
func member(v any, keys ...string) any {
	for _, key := range keys {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	return v
}

func textAt(v any, keys ...string) string { return scalarText(member(v, keys...)) }

func listAt(v any, keys ...string) []any {
	list, _ := member(v, keys...).([]any)
	return list
}

func isScalar(v any) bool {
	switch v.(type) {
	case nil, map[string]any, []any:
		return false
	}
	return true
}

func (r *request) set(field string, values ...any) { r.computed[field] = values }

func (r *request) compute() {
	r.set("outcome", "unknown")
	if code, ok := numberOf(textAt(r.doc, "responseStatus", "code")); ok && code > 0 {
		if r.set("outcome", "success"); code >= 400 {
			r.set("outcome", "failure")
		}
	}
	for _, what := range []string{"decision", "reason"} {
		for _, key := range []string{"authorization_k8s_io_" + what, "authorization_k8s_io/" + what, "authorization.k8s.io/" + what} {
			if v := member(r.doc, "annotations", key); isScalar(v) {
				r.set("authorization."+what, v)
			}
		}
	}
	r.set("dryRun", r.isDryRun())
	r.computeClient()
	who := member(r.doc, "user")
	if impersonated, ok := member(r.doc, "impersonatedUser").(map[string]any); ok {
		if _, named := impersonated["username"]; named {
			who = impersonated
		}
	}
	for _, what := range []string{"username", "groups"} {
		var values []any
		if list, ok := member(who, what).([]any); ok {
			for _, v := range list {
				if isScalar(v) {
					values = append(values, v)
				}
			}
		} else if v := member(who, what); isScalar(v) {
			values = append(values, v)
		}
		r.set("user.effective."+what, values...)
	}
	subresource := textAt(r.doc, "objectRef", "subresource")
	if words := r.query("command"); subresource == "exec" && len(words) > 0 {
		r.set("exec.command", strings.Join(words, " "))
	}
	if subresource == "exec" || subresource == "attach" {
		for _, c := range r.query("container") {
			r.computed["exec.container"] = append(r.computed["exec.container"], c)
		}
	}
	if uri, ok := r.doc["requestURI"].(string); ok {
		before, _, _ := strings.Cut(uri, "?")
		if decoded, err := url.PathUnescape(before); err == nil {
			before = decoded
		}
		r.set("request.path", path.Clean("/"+before))
	}
	for _, place := range [][]string{{"objectRef", "name"}, {"responseObject", "metadata", "name"}, {"requestObject", "metadata", "name"}} {
		if name := textAt(r.doc, place...); name != "" {
			r.set("object.name", name)
			break
		}
	}
	r.set("cluster.name", r.env.Cluster.Name)
	r.set("cluster.id", r.env.Cluster.ID)
	r.set("provider", r.env.Provider)
}

// query gives the decoded values of a query parameter.
func (r *request) query(name string) []string {
	uri, _ := r.doc["requestURI"].(string)
	_, query, _ := strings.Cut(uri, "?")
	var values []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(key); err == nil {
			key = decoded
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		if key == name && pair != "" {
			values = append(values, value)
		}
	}
	return values
}

// isDryRun: in the query, in the options that a delete has as its body, or by GKE's label.
func (r *request) isDryRun() bool {
	if slices.Contains(r.query("dryRun"), "All") {
		return true
	}
	if verb := textAt(r.doc, "verb"); verb == "delete" || verb == "deletecollection" {
		for _, v := range append(listAt(r.doc, "requestObject", "dryRun"), member(r.doc, "requestObject", "dryRun")) {
			if scalarText(v) == "All" {
				return true
			}
		}
	}
	return labelledDryRun(r.doc)
}

func labelledDryRun(doc map[string]any) bool {
	for _, label := range spellings("command.gke.io/dryRun", true) {
		if v := textAt(doc, "annotations", label); v != "" && !strings.EqualFold(v, "false") {
			return true
		}
	}
	return false
}

// computeClient walks the addresses from the right, over trusted proxies.
func (r *request) computeClient() {
	var addresses []string
	if list, ok := member(r.doc, "sourceIPs").([]any); ok {
		for _, v := range list {
			addresses = append(addresses, scalarText(v))
		}
	} else if text := textAt(r.doc, "sourceIPs"); text != "" {
		addresses = append(addresses, text)
	}
	proxies := []string{"127.0.0.0/8", "::1/128"}
	if r.env.Provider == "aks" {
		proxies = append(proxies, "172.31.0.0/16")
	}
	at := len(addresses) - 1
	for at > 0 && isAmong(addresses[at], proxies) {
		at--
	}
	r.set("client.forwarded", at >= 0 && at != len(addresses)-1)
	if at < 0 || addresses[at] == "" {
		return
	}
	r.set("client.address", addresses[at])
	if ip, ok := addressOf(addresses[at]); ok {
		r.set("client.ip", ip.String())
	}
}

func isAmong(text string, prefixes []string) bool {
	address, ok := addressOf(text)
	for _, p := range prefixes {
		if ok && netip.MustParsePrefix(p).Contains(address) {
			return true
		}
	}
	return false
}
