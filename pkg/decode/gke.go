package decode

import (
	"bytes"
	"strings"
)

// google decodes Cloud Logging entries, and the Pub/Sub messages around them (push requests and pull
// answers). Sources:
// https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
// https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging
// https://cloud.google.com/pubsub/docs/push#receive_push
func (d *Decoder) google(o *object, sc *scope) (outcome, bool) {
	switch {
	case o.slot[keyProtoPayload] != 0 && (o.has(keyLogName) || o.has(keyInsertID) || o.has(keyResource)):
		return d.logEntry(o, sc), true
	case o.has(keyLogName) && (o.has(keyJSONPayload) || o.has(keyTextPayload)):
		return skipped(ClassOtherCategory), true
	case o.has(keyMessage) && (o.has(keySubscription) || d.isPubSub(o.raw(keyMessage))):
		if data := d.find(o.raw(keyMessage), "data"); data != nil {
			return d.pubSubData(data, o.raw(keyMessage), o, sc), true
		}
	case o.has(keyData) && o.has(keyMessageID) && d.isPubSub(o.b):
		return d.pubSubData(o.raw(keyData), o.b, o, sc), true
	case o.slot[keyReceivedMessages] != 0:
		list := o.rawOrPartial(keyReceivedMessages)
		if len(list) == 0 || list[0] != '[' {
			return outcome{}, false
		}
		inner := *sc
		inner.element = elementPubSub
		o.enter(list)
		_, out := d.arrayAt(list, 0, &inner)
		return out, true
	}
	return outcome{}, false
}

// isPubSub recognises a PubsubMessage: base64 data beside what Pub/Sub gives every message.
func (d *Decoder) isPubSub(message []byte) bool {
	data := d.find(message, "data")
	return len(data) > 0 && data[0] == '"' && bytes.IndexByte(data, '{') < 0 &&
		d.findAny(message, "messageId", "message_id", "publishTime", "publish_time") != nil
}

// pubSubMessage decodes one message of a pull answer.
func (d *Decoder) pubSubMessage(o *object, sc *scope) outcome {
	message := o.raw(keyMessage)
	data := d.find(message, "data")
	if data == nil {
		return skipped(ClassOtherJSON)
	}
	return d.pubSubData(data, message, o, sc)
}

func (d *Decoder) pubSubData(data, message []byte, o *object, sc *scope) outcome {
	o.enter(data)
	if t, ok := d.timeValue(d.findAny(message, "publishTime", "publish_time")); ok {
		sc.env.Time = t
	}
	return d.base64Value(data, o.b, sc)
}

// logEntry rebuilds the audit event that a Cloud Audit entry was made from, as far as it says.
func (d *Decoder) logEntry(o *object, sc *scope) outcome {
	raw := o.rawOrPartial(keyProtoPayload)
	if len(raw) == 0 || raw[0] != '{' || d.level+1 >= maxNest {
		return nestedTooDeep(o.b)
	}
	members, scratch, built := len(d.members), len(d.scratch), len(d.built)
	payload := &d.objects[d.level]
	d.scanObject(raw, 0, payload)
	d.level++
	defer func() {
		d.level--
		d.members, d.scratch, d.built = d.members[:members], d.scratch[:scratch], d.built[:built]
	}()
	if !d.isKubernetes(o, payload) {
		return skipped(ClassOtherCategory)
	}
	inner := sc.wrapped(FormatGKE, o.b)
	inner.composed = true
	d.gkePlace(o, &inner)
	inner.place(sc)
	c := gkeEntry{Decoder: d, entry: o, payload: payload}
	composedText, ok := c.compose()
	if !ok {
		if o.cut {
			return broken(ClassTruncated, "a Kubernetes audit entry is cut before it says who did what", o.b)
		}
		return broken(ClassMissingFields, "a Kubernetes audit entry without methodName", o.b)
	}
	inner.env.Missing, inner.env.Inferred = d.missing, d.inferred
	d.enter(composedText)
	defer d.leave()
	composed := &d.objects[d.level]
	if _, v := d.scanObject(composedText, 0, composed); v != valueDone {
		return broken(ClassTooDeep, "a Kubernetes audit entry is nested deeper than the limit", o.b)
	}
	d.level++
	out := d.event(composed, &inner, o.cut)
	d.level--
	out.remark.raw = o.b
	return out
}

// isKubernetes tells the entries of the Kubernetes API from those of other services, the GKE control API
// (gke_cluster) among them. Clusters outside of Google Cloud have other service names, but the same methods.
func (d *Decoder) isKubernetes(o, payload *object) bool {
	service, ok := d.text(payload, keyServiceName)
	if ok && string(service) == "k8s.io" {
		return true
	}
	kind, _ := unquote(d.find(o.raw(keyResource), "type"), &d.scratch)
	if string(kind) != "k8s_cluster" && !o.cut || ok && bytes.HasPrefix(service, []byte("container.")) {
		return false
	}
	method, _ := d.text(payload, keyMethodName)
	if bytes.HasPrefix(method, []byte("io.k8s.")) {
		return true
	}
	if o.cut { // the rest that tells it is behind the cut
		return false
	}
	path, _ := d.text(payload, keyResourceName)
	ref := parseResourceName(path, method)
	_, ok = methodSubresource(method, ref.resource)
	return ok
}

// gkePlace reads which cluster the entry is about, and when Cloud Logging got it.
func (d *Decoder) gkePlace(o *object, sc *scope) {
	env := &sc.env
	env.Provider, env.Cloud.Provider = "gke", "gcp"
	raw, p := o.raw(keyResource), &d.gkePlaced
	if !p.is(raw, d.meta[MetaProject]) {
		p.said = d.gkeResource(raw)
		p.keep(raw, d.meta[MetaProject])
	}
	env.Cluster.Name, env.Cloud.ProjectID, env.Cloud.Region = p.said.name, p.said.account, p.said.region
	if p.said.zone != "" {
		env.Cloud.Zone = p.said.zone
	}
	if p.said.identified {
		env.Cluster.ID = p.said.id
	}
	if t, ok := d.timeValue(o.raw(keyReceiveTimestamp)); ok {
		env.Time = t
	}
}

// placeMemo keeps what the last bytes that named a resource said: records of one cluster all have the same ones.
type placeMemo struct {
	raw     []byte
	project string // of the subscription
	known   bool
	said    resourcePlace
}

// resourcePlace is what the name of a cloud's resource says.
type resourcePlace struct {
	id, name              string // of the cluster
	account, region, zone string // account: or project
	identified            bool   // there is an id, though it may be none that is taken for one
	owned                 bool   // there is an account
}

const maxPlace = 4 << 10

func (p *placeMemo) is(raw []byte, project string) bool {
	return p.known && project == p.project && bytes.Equal(raw, p.raw)
}

func (p *placeMemo) keep(raw []byte, project string) {
	if p.known = len(raw) <= maxPlace; p.known {
		p.raw, p.project = append(p.raw[:0], raw...), strings.Clone(project)
	}
}

// gkeResource reads the monitored resource.
func (d *Decoder) gkeResource(raw []byte) (said resourcePlace) {
	labels := d.find(raw, "labels")
	project, location := d.name(d.find(labels, "project_id")), d.name(d.find(labels, "location"))
	name := d.name(d.find(labels, "cluster_name"))
	said.name, said.account, said.region = name, project, location
	if n := len(location); n > 2 && location[n-2] == '-' { // europe-west1-b is a zone of europe-west1
		said.zone, said.region = location, location[:n-2]
	}
	if project == "" {
		project = d.meta[MetaProject]
	}
	if project != "" && location != "" && name != "" {
		from := len(d.scratch)
		for _, part := range [...]string{"projects/", project, "/locations/", location, "/clusters/", name} {
			d.scratch = append(d.scratch, part...)
		}
		said.id, said.identified = d.cluster.intern(d.scratch[from:]), true
		d.scratch = d.scratch[:from]
	}
	return said
}
