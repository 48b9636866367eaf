package decode

import (
	"bytes"
	"slices"
	"strconv"
)

// google decodes Cloud Logging entries, and the Pub/Sub messages around them (push requests and pull
// answers). Sources:
// https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
// https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging
// https://cloud.google.com/pubsub/docs/push#receive_push
func (d *Decoder) google(o *object, sc *scope) (outcome, bool) {
	switch {
	case o.has(keyLogName) && o.has(keyProtoPayload):
		return d.logEntry(o, sc), true
	case o.has(keyLogName) && (o.has(keyJSONPayload) || o.has(keyTextPayload)):
		return skipped(ClassOtherCategory), true
	case o.has(keySubscription) && o.has(keyMessage):
		if data := d.find(o.raw(keyMessage), "data"); data != nil {
			return d.pubSubData(data, o, sc), true
		}
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

// pubSubMessage decodes one message of a pull answer.
func (d *Decoder) pubSubMessage(o *object, sc *scope) outcome {
	data := d.find(o.raw(keyMessage), "data")
	if data == nil {
		return skipped(ClassOtherJSON)
	}
	return d.pubSubData(data, o, sc)
}

func (d *Decoder) pubSubData(data []byte, o *object, sc *scope) outcome {
	o.enter(data)
	if t, ok := d.timeValue(d.find(o.raw(keyMessage), "publishTime")); ok {
		sc.env.Time = t
	}
	return d.base64Value(data, o.b, sc)
}

// What GKE's entries never carry, and what is derived from other fields.
var (
	gkeMissing = []string{
		"level", "user.groups", "user.uid", "user.extra", "impersonatedUser", "authenticationMetadata",
		"objectRef.uid", "objectRef.resourceVersion", "requestReceivedTimestamp",
	}
	// A part of a split entry has a share of the bodies only.
	gkeSplitMissing  = append(slices.Clip(gkeMissing), "requestObject", "responseObject")
	gkeInferred      = []string{"stage", "verb", "requestURI", "objectRef"}
	gkeInferredCode  = append(slices.Clip(gkeInferred), "responseStatus.code")
	gkeServiceName   = "k8s.io"
	gkeDryRun        = "command.gke.io/dryRun"
	gkeStatusPayload = "core.k8s.io/v1.Status"
)

// logEntry rebuilds the audit event that a Cloud Audit entry was made from, as far as it says.
func (d *Decoder) logEntry(o *object, sc *scope) outcome {
	if d.level >= maxNest {
		return nestedTooDeep(o.b)
	}
	members, scratch, built := len(d.members), len(d.scratch), len(d.built)
	payload := &d.objects[d.level]
	d.scanObject(o.raw(keyProtoPayload), 0, payload)
	d.level++
	defer func() {
		d.level--
		d.members, d.scratch, d.built = d.members[:members], d.scratch[:scratch], d.built[:built]
	}()
	if !d.is(payload, keyServiceName, gkeServiceName) {
		return skipped(ClassOtherCategory)
	}
	inner := sc.wrapped(FormatGKE, o.b)
	inner.composed = true
	d.gkePlace(o, &inner)
	event, ok := d.composeGKE(o, payload, &inner)
	if !ok {
		return broken(ClassMissingFields, "a Kubernetes audit entry without methodName or insertId", o.b)
	}
	if d.level >= maxNest {
		return nestedTooDeep(o.b)
	}
	composed := &d.objects[d.level]
	if _, v := d.scanObject(event, 0, composed); v != valueDone {
		return broken(ClassTooDeep, "a Kubernetes audit entry is nested deeper than the limit", o.b)
	}
	d.level++
	out := d.event(composed, &inner, o.cut)
	d.level--
	out.remark.raw = o.b
	return out
}

// gkePlace reads which cluster the entry is about, and when Cloud Logging got it.
func (d *Decoder) gkePlace(o *object, sc *scope) {
	env := &sc.env
	env.Provider, env.Cloud.Provider = "gke", "gcp"
	labels := d.find(o.raw(keyResource), "labels")
	project, location := d.name(d.find(labels, "project_id")), d.name(d.find(labels, "location"))
	name := d.name(d.find(labels, "cluster_name"))
	env.Cloud.ProjectID, env.Cloud.Region = project, location
	if n := len(location); n > 2 && location[n-2] == '-' { // europe-west1-b is a zone of europe-west1
		env.Cloud.Zone, env.Cloud.Region = location, location[:n-2]
	}
	env.Cluster.Name = name
	if project != "" && location != "" && name != "" {
		from := len(d.scratch)
		for _, part := range [...]string{"projects/", project, "/locations/", location, "/clusters/", name} {
			d.scratch = append(d.scratch, part...)
		}
		env.Cluster.ID = d.cluster.intern(d.scratch[from:])
		d.scratch = d.scratch[:from]
	}
	if t, ok := d.timeValue(o.raw(keyReceiveTimestamp)); ok {
		env.Time = t
	}
}

// composeGKE writes the event on top of d.built. ok is false if the entry does not say what was done.
func (d *Decoder) composeGKE(o, p *object, sc *scope) (event []byte, ok bool) {
	method, hasMethod := d.text(p, keyMethodName)
	resource, _ := d.text(p, keyResourceName)
	id := d.gkeAuditID(o)
	if !hasMethod || len(method) == 0 || len(id) == 0 {
		return nil, false
	}
	ref := parseResourceName(string(resource), string(method))
	labels, response := o.raw(keyLabels), p.raw(keyResponse)
	sc.env.Missing, sc.env.Inferred = gkeMissing, gkeInferred
	if o.has(keySplit) {
		sc.env.Missing = gkeSplitMissing
	}
	uri := ref.uri
	if dryRun := d.find(labels, gkeDryRun); len(dryRun) > 2 {
		uri += "?dryRun=All"
	}
	from := len(d.built)
	b := d.built
	b = append(b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":`...)
	b = appendQuoted(b, id)
	b = append(appendQuoted(append(b, `,"stage":`...), []byte(d.gkeStage(o))), `,"requestURI":`...)
	b = append(appendQuoted(b, []byte(uri)), `,"verb":`...)
	b = appendQuoted(b, []byte(ref.verb))
	b = d.appendCaller(b, p)
	b = ref.append(b, d.gkeObjectName(&ref, response))
	b, exact := d.appendStatus(b, p, &ref)
	if !exact {
		sc.env.Inferred = gkeInferredCode
	}
	b = d.appendBody(append(b, `,"requestObject":`...), p.raw(keyRequest))
	b = d.appendBody(append(b, `,"responseObject":`...), response)
	if stamp := o.raw(keyTimestamp); stamp != nil {
		b = append(append(b, `,"stageTimestamp":`...), stamp...)
	}
	if len(labels) > 0 && labels[0] == '{' {
		b = append(append(b, `,"annotations":`...), labels...)
	}
	b = append(b, '}')
	d.built = b
	return d.built[from:], true
}

// gkeAuditID is the audit id: the operation's, else insertId, which for a part of a split entry ends in the
// part's number.
func (d *Decoder) gkeAuditID(o *object) []byte {
	if id, ok := unquote(d.find(o.raw(keyOperation), "id"), &d.scratch); ok && len(id) > 0 {
		return id
	}
	id, _ := d.text(o, keyInsertID)
	if o.has(keySplit) {
		if dash := bytes.LastIndexByte(id, '-'); dash > 0 {
			id = id[:dash]
		}
	}
	return id
}

// gkeStage derives the stage: a long-running request has an entry at its start and one at its end.
func (d *Decoder) gkeStage(o *object) string {
	operation := o.raw(keyOperation)
	if string(d.find(operation, "first")) == "true" && string(d.find(operation, "last")) != "true" {
		return "ResponseStarted"
	}
	return "ResponseComplete"
}

// appendCaller writes user, sourceIPs and userAgent. The principal may be missing on unauthenticated calls.
func (d *Decoder) appendCaller(b []byte, p *object) []byte {
	info := p.raw(keyAuthenticationInfo)
	b = append(b, `,"user":{`...)
	for _, name := range [...]string{"principalEmail", "principalSubject", "authoritySelector"} {
		if raw := d.find(info, name); len(raw) > 2 && raw[0] == '"' {
			b = append(append(b, `"username":`...), raw...)
			break
		}
	}
	b = append(b, '}')
	meta := p.raw(keyRequestMetadata)
	for _, name := range [...]string{"callerIp", "callerIP"} {
		if raw := d.find(meta, name); len(raw) > 2 && raw[0] == '"' {
			b = append(append(append(b, `,"sourceIPs":[`...), raw...), ']')
			break
		}
	}
	if raw := d.find(meta, "callerSuppliedUserAgent"); len(raw) > 2 && raw[0] == '"' {
		b = append(append(b, `,"userAgent":`...), raw...)
	}
	return b
}

// gkeObjectName is the name in the path, else the one that the server generated.
func (d *Decoder) gkeObjectName(ref *resourceRef, response []byte) []byte {
	if ref.name != "" || ref.verb != "create" || ref.resource == "" {
		return []byte(ref.name)
	}
	name, _ := unquote(d.find(d.find(response, "metadata"), "name"), &d.scratch)
	return name
}

// appendStatus writes responseStatus. exact is true if the entry holds the HTTP status itself.
func (d *Decoder) appendStatus(b []byte, p *object, ref *resourceRef) (_ []byte, exact bool) {
	response, status := p.raw(keyResponse), p.raw(keyStatus)
	b = append(b, `,"responseStatus":{"metadata":{}`...)
	code, message := 0, d.find(status, "message")
	if kind, _ := unquote(d.find(response, "@type"), &d.scratch); string(kind) == gkeStatusPayload {
		code, _ = strconv.Atoi(string(d.find(response, "code")))
		for _, name := range [...]string{"status", "reason"} {
			if raw := d.find(response, name); len(raw) > 0 && raw[0] == '"' {
				b = append(append(append(append(b, `,"`...), name...), `":`...), raw...)
			}
		}
		if raw := d.find(response, "message"); raw != nil {
			message = raw
		}
	}
	if exact = code >= 100 && code < 600; !exact {
		grpc, _ := strconv.ParseFloat(string(d.find(status, "code")), 64)
		code = httpStatus(int(grpc), ref)
	}
	if len(message) > 2 && message[0] == '"' && code >= 400 {
		b = append(append(b, `,"message":`...), message...)
	}
	b = strconv.AppendInt(append(b, `,"code":`...), int64(code), 10)
	return append(b, '}'), exact
}

// appendBody writes a body without the type mark that the entry adds to it.
func (d *Decoder) appendBody(b, raw []byte) []byte {
	if len(raw) == 0 || raw[0] != '{' {
		return append(b, "null"...)
	}
	b = append(b, '{')
	first := len(b)
	for w := d.walk(raw); ; {
		name, value, ok := w.next()
		if !ok {
			return append(b, '}')
		}
		if d.nameIs(name, "@type") {
			continue
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = append(append(append(append(b, '"'), name...), `":`...), value...)
	}
}
