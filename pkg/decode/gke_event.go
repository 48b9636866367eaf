package decode

import (
	"bytes"
	"slices"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// gkeMissing are the fields that GKE's entries never carry. The query of a request is lost with all that is
// read from it; that a request was a dry run is told by a label.
var gkeMissing = []string{
	"level", "user.groups", "user.uid", "user.extra", "impersonatedUser", "authenticationMetadata",
	"objectRef.uid", "objectRef.resourceVersion", "requestReceivedTimestamp", "request.query", "client.forwarded",
}

// gkeInferred is what the entries say in another way.
var gkeInferred = []string{"stage", "verb", "requestURI", "objectRef"}

// gkeEntry puts one event together.
type gkeEntry struct {
	*Decoder
	entry, payload *object
	ref            resourceRef
	status         gkeStatus
}

// miss notes that the entry does not tell path.
func (c *gkeEntry) miss(path string) {
	if !slices.Contains(c.missing, path) {
		c.missing = append(c.missing, path)
	}
}

// text gives a text of the audit payload, also where it is the last before a cut and whole.
func (c *gkeEntry) text(k key) []byte {
	text, _ := c.Decoder.text(c.payload, k)
	return text
}

// compose writes the event on top of d.built. ok is false if the entry does not say what was done.
func (c *gkeEntry) compose() (event []byte, ok bool) {
	c.missing, c.inferred = append(c.missing[:0], gkeMissing...), append(c.inferred[:0], gkeInferred...)
	method, path := c.text(keyMethodName), c.text(keyResourceName)
	if c.entry.cut && !c.payload.has(keyResourceName) { // it comes behind the bodies, and stands here too
		path = c.authorizedResource(&method)
		if len(path) == 0 {
			return nil, false
		}
	}
	id := c.auditID()
	if len(method) == 0 || len(id) == 0 || c.payload.isPartial(keyAuthenticationInfo) {
		return nil, false
	}
	c.ref = parseResourceName(path, method)
	c.status = c.readStatus()
	labels := c.labels()
	from := len(c.built)
	b := c.built
	b = append(b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":`...)
	b = appendQuoted(b, id)
	b = append(append(append(b, `,"stage":"`...), c.stage()...), '"')
	b = c.ref.appendURI(append(b, `,"requestURI":`...), c.query(labels))
	b = appendQuoted(append(b, `,"verb":`...), c.ref.verb)
	b = c.appendCaller(b)
	b = c.ref.append(b, c.objectName())
	b = c.appendStatus(b)
	b = c.appendBody(append(b, `,"requestObject":`...), keyRequest, "requestObject")
	b = c.appendBody(append(b, `,"responseObject":`...), keyResponse, "responseObject")
	b = c.appendTime(b)
	b = c.appendAnnotations(b, labels)
	b = append(b, '}')
	c.built = b
	return c.built[from:], true
}

// authorizedResource gives what authorizationInfo says was asked for, and the method if that is cut too.
func (c *gkeEntry) authorizedResource(method *[]byte) []byte {
	infos := c.payload.raw(keyAuthorizationInfo)
	if len(infos) == 0 || infos[0] != '[' {
		return nil
	}
	w := c.walk(infos)
	first, _ := w.element()
	if permission, ok := unquote(c.find(first, "permission"), &c.scratch); ok && len(*method) == 0 {
		*method = permission
	}
	resource, _ := unquote(c.find(first, "resource"), &c.scratch)
	return resource
}

// labels are the annotations of the audit event, nil if the entry has none.
func (c *gkeEntry) labels() []byte {
	labels := c.entry.raw(keyLabels)
	if len(labels) < 2 || labels[0] != '{' {
		return nil
	}
	return labels
}

// query is what is known of the request's: a label tells that it was a dry run; without the label it was none.
func (c *gkeEntry) query(labels []byte) string {
	if c.entry.cut && labels == nil {
		c.miss("requestURI")
	}
	value, ok := unquote(c.find(labels, event.AnnotationDryRun), &c.scratch)
	if ok && event.IsDryRunLabel(string(value)) {
		return "?dryRun=All"
	}
	return ""
}

// auditID is the audit id: the operation's, else insertId, which for a part of a split entry ends in the
// part's number. An archive may have dropped both.
func (c *gkeEntry) auditID() []byte {
	if id, ok := unquote(c.find(c.entry.raw(keyOperation), "id"), &c.scratch); ok && len(id) > 0 {
		return id
	}
	id, _ := c.Decoder.text(c.entry, keyInsertID)
	if len(id) == 0 && !c.entry.cut {
		c.inferred = append(c.inferred, "auditID")
		return c.derivedID(c.entry.b)
	}
	if !c.entry.has(keySplit) {
		return id
	}
	index := bytes.Trim(c.find(c.entry.raw(keySplit), "index"), `"`)
	if len(index) == 0 {
		index = []byte("0") // some encoders leave zeros out
	}
	whole, _ := bytes.CutSuffix(id, index)
	return bytes.TrimSuffix(whole, []byte("-"))
}

// stage derives the stage: a long-running request has an entry at its start and one at its end.
func (c *gkeEntry) stage() string {
	operation := c.entry.raw(keyOperation)
	if isTrue(c.find(operation, "first")) && !isTrue(c.find(operation, "last")) {
		return "ResponseStarted"
	}
	return "ResponseComplete"
}

// isTrue reads a boolean that an encoder may have written as text.
func isTrue(raw []byte) bool { return string(raw) == "true" || string(raw) == `"true"` }

// frontEnd is what Google's front end appends to the user agents of clients that read gzip.
var frontEnd = []byte(",gzip(gfe)")

// appendCaller writes user, sourceIPs and userAgent.
func (c *gkeEntry) appendCaller(b []byte) []byte {
	b = append(b, `,"user":{`...)
	if name := c.principal(); len(name) > 0 {
		b = appendQuoted(append(b, `"username":`...), name)
	} else if c.status.code != 401 {
		c.miss("user.username") // left out for privacy: only a call that failed to authenticate has no user
	}
	b = append(b, '}')
	meta := c.payload.raw(keyRequestMetadata)
	if c.payload.cut && meta == nil {
		c.miss("sourceIPs")
		c.miss("userAgent")
	}
	if address, ok := unquote(c.findAny(meta, "callerIp", "callerIP", "caller_ip"), &c.scratch); ok && len(address) > 0 {
		b = append(appendQuoted(append(b, `,"sourceIPs":[`...), address), ']')
		if _, ok := event.ParseAddrBytes(address); !ok {
			c.miss("sourceIPs") // a word: private, gce-internal-ip
		}
	}
	if agent, ok := unquote(c.findAny(meta, "callerSuppliedUserAgent", "caller_supplied_user_agent"), &c.scratch); ok {
		if agent = bytes.TrimSuffix(agent, frontEnd); len(agent) > 0 {
			b = appendQuoted(append(b, `,"userAgent":`...), agent)
		}
	}
	return b
}

// principal is the user's name. Members of workforce and workload pools have no address but a subject.
func (c *gkeEntry) principal() []byte {
	info := c.payload.raw(keyAuthenticationInfo)
	for _, names := range [...][2]string{
		{"principalEmail", "principal_email"}, {"principalSubject", "principal_subject"}, {"authoritySelector", "authority_selector"},
	} {
		name, _ := unquote(c.findAny(info, names[0], names[1]), &c.scratch)
		if names[0] == "principalSubject" {
			name = bytes.TrimPrefix(bytes.TrimPrefix(name, []byte("user:")), []byte("serviceAccount:"))
		}
		if len(name) > 0 {
			return name
		}
	}
	return nil
}

// objectName is the name in the path, else the one that the server generated.
func (c *gkeEntry) objectName() []byte {
	if len(c.ref.name) > 0 || !c.ref.creates() || len(c.ref.resource) == 0 {
		return c.ref.name
	}
	name, _ := unquote(c.find(c.find(c.payload.raw(keyResponse), "metadata"), "name"), &c.scratch)
	if len(name) == 0 && len(c.ref.subresource) == 0 {
		c.miss("objectRef.name")
	}
	return name
}

// appendTime writes when it happened.
func (c *gkeEntry) appendTime(b []byte) []byte {
	stamp := c.entry.raw(keyTimestamp)
	if len(stamp) > 2 && stamp[0] == '"' {
		return append(append(b, `,"stageTimestamp":`...), stamp...)
	}
	return b
}

// appendAnnotations writes the labels. Where there are none, a grant tells that the request was allowed, and so does
// success; that a grant is missing tells nothing, since it follows how the request ended.
func (c *gkeEntry) appendAnnotations(b, labels []byte) []byte {
	if labels != nil {
		return append(append(b, `,"annotations":`...), labels...)
	}
	granted, _ := c.grants()
	switch {
	case c.entry.cut:
		c.miss("annotations")
	case granted || c.succeeded():
		c.inferred = append(c.inferred, "annotations")
		return append(b, `,"annotations":{"`+event.AnnotationDecision+`":"allow"}`...)
	case c.status.code != 401:
		c.miss("annotations")
	}
	return b
}

// grants reads authorizationInfo: all is true if it names rights and says of each that it was granted, refused if
// it says of one that it was not. Real entries leave a refusal out.
func (c *gkeEntry) grants() (all, refused bool) {
	infos := c.payload.raw(keyAuthorizationInfo)
	if len(infos) == 0 || infos[0] != '[' {
		return false, false
	}
	w := c.walk(infos)
	for n := 0; ; n++ {
		info, ok := w.element()
		if !ok {
			return all && n > 0, refused
		}
		granted := c.find(info, "granted")
		all = isTrue(granted) && (all || n == 0)
		refused = refused || string(granted) == "false" || string(granted) == `"false"`
	}
}

// succeeded reports whether the entry says how the request ended, and that it ended well.
func (c *gkeEntry) succeeded() bool {
	told := c.payload.has(keyStatus) || c.payload.has(keyAuthorizationInfo) || c.status.exact
	return told && c.status.code > 0 && c.status.code < 400
}

// appendBody writes a body without the type mark that the entry adds to it. A body that is not there may have
// been left out by the audit policy, which is not ours to see: it is unknown. That a request had none is
// certain only for those that never have one.
func (c *gkeEntry) appendBody(b []byte, k key, path string) []byte {
	raw := c.payload.rawOrPartial(k)
	partial := c.payload.isPartial(k)
	if len(raw) == 0 || raw[0] != '{' {
		if partial || k == keyResponse && !c.ref.upgrades() || k == keyRequest && c.ref.sendsBody() {
			c.miss(path)
		}
		return append(b, "null"...)
	}
	if partial || c.entry.has(keySplit) { // a part of a split entry has a share of the bodies
		c.miss(path)
	}
	if partial {
		from := len(c.scratch)
		c.scratch = appendClosed(c.scratch, raw)
		raw = c.scratch[from:]
	}
	if list := c.jsonPatch(raw); list != nil {
		return append(b, list...)
	}
	start := len(b)
	b = append(b, '{')
	for w := c.walk(raw); ; {
		name, value, ok := w.next()
		if !ok {
			break
		}
		if c.nameIs(name, "@type") {
			continue
		}
		if len(b) > start+1 {
			b = append(b, ',')
		}
		b = append(append(append(append(b, '"'), name...), `":`...), value...)
	}
	if len(b) == start+1 && c.ref.patches() && k == keyRequest { // a JSON Patch is no object
		c.miss(path)
		return append(b[:start], "null"...)
	}
	return append(b, '}')
}

// jsonPatch gives the operations of a JSON Patch, which protobuf's JSON writes as a value beside the type mark.
func (c *gkeEntry) jsonPatch(raw []byte) []byte {
	if !c.ref.patches() {
		return nil
	}
	list := c.find(raw, "value")
	if len(list) == 0 || list[0] != '[' {
		return nil
	}
	w := c.walk(list)
	if first, ok := w.element(); !ok || c.find(first, "op") == nil || c.find(first, "path") == nil {
		return nil
	}
	return list
}

// createdLongBefore reports whether the response's object existed before the request.
func (c *gkeEntry) createdLongBefore() bool {
	created, ok := c.timeValue(c.find(c.find(c.payload.raw(keyResponse), "metadata"), "creationTimestamp"))
	if !ok {
		return false
	}
	at, ok := c.timeValue(c.entry.raw(keyTimestamp))
	return ok && at.Sub(created) > 2*time.Second
}
