package decode

import "bytes"

// key names the object members that decoding looks at.
type key uint8

// Members of an audit event come first, in the order in which kube-apiserver writes them; then those of
// lists, shippers, and services.
const (
	keyOther key = iota
	keyKind
	keyAPIVersion
	keyLevel
	keyAuditID
	keyStage
	keyRequestURI
	keyVerb
	keyUser
	keyImpersonatedUser
	keyAuthenticationMetadata
	keySourceIPs
	keyUserAgent
	keyObjectRef
	keyResponseStatus
	keyRequestObject
	keyResponseObject
	keyRequestReceived
	keyStageTimestamp
	keyAnnotations
	lastEventKey = keyAnnotations
)

const (
	keyMetadata key = lastEventKey + 1 + iota
	keyItems

	keyLog
	keyMessage
	keyEventOriginal
	keyMsg
	keyUpperMessage
	keyLine
	keyPayload
	keyData
	keyJSON
	keyLogProcessed
	keyStructured
	keyKubernetesAudit
	keyKubernetesAuditFlat
	keyPropertiesLog
	keyBody
	keyContent
	keyRaw
	keyShortMessage
	keyFullMessage
	keyStringValue
	keyEvent
	keyKubernetes
	keyProperties

	keyAtTimestamp
	keyTimestamp
	keyTime
	keyDate

	keyLogSource
	keyLogType
	keyK8sAuditLevel
	keyOpenShiftAuditLevel
	keyOpenShift

	keyResourceLogs
	keyStreams
	keyOrchestrator

	keyRecords
	keyCategory
	keyResourceID
	keyMessageType
	keyLogEvents
	keyLogGroup
	keyLogStream
	keyLogStreamName
	keyOwner
	keyAwslogs
	keyEvents
	keyRequestID
	keyProtoPayload
	keyLogName
	keyInsertID
	keyReceivedMessages
	keySubscription
	keySplit
	keyMetricName
	keyOperationName
	keyLocation
	keyLogS
	keyJSONPayload
	keyTextPayload
	keyReceiveTimestamp
	keyResource
	keyLabels
	keyOperation
	keyServiceName
	keyMethodName
	keyResourceName
	keyStatus
	keyAuthenticationInfo
	keyAuthorizationInfo
	keyRequestMetadata
	keyRequest
	keyResponse
	keyCount
)

// keyOf looks a member name up. The switch on a converted slice does not allocate.
func keyOf(name []byte) key {
	switch string(name) {
	case "kind":
		return keyKind
	case "apiVersion":
		return keyAPIVersion
	case "level":
		return keyLevel
	case "auditID":
		return keyAuditID
	case "stage":
		return keyStage
	case "requestURI":
		return keyRequestURI
	case "verb":
		return keyVerb
	case "user":
		return keyUser
	case "impersonatedUser":
		return keyImpersonatedUser
	case "authenticationMetadata":
		return keyAuthenticationMetadata
	case "sourceIPs":
		return keySourceIPs
	case "userAgent":
		return keyUserAgent
	case "objectRef":
		return keyObjectRef
	case "responseStatus":
		return keyResponseStatus
	case "requestObject":
		return keyRequestObject
	case "responseObject":
		return keyResponseObject
	case "requestReceivedTimestamp":
		return keyRequestReceived
	case "stageTimestamp":
		return keyStageTimestamp
	case "annotations":
		return keyAnnotations
	case "metadata":
		return keyMetadata
	case "items":
		return keyItems
	}
	return wrapperKeyOf(name)
}

func wrapperKeyOf(name []byte) key {
	switch string(name) {
	case "log":
		return keyLog
	case "message":
		return keyMessage
	case "event.original":
		return keyEventOriginal
	case "msg":
		return keyMsg
	case "MESSAGE":
		return keyUpperMessage
	case "line":
		return keyLine
	case "payload":
		return keyPayload
	case "data":
		return keyData
	case "json":
		return keyJSON
	case "log_processed":
		return keyLogProcessed
	case "structured":
		return keyStructured
	case "kubernetes.audit":
		return keyKubernetesAudit
	case "kubernetes_audit":
		return keyKubernetesAuditFlat
	case "properties.log":
		return keyPropertiesLog
	case "body":
		return keyBody
	case "content":
		return keyContent
	case "_raw":
		return keyRaw
	case "short_message":
		return keyShortMessage
	case "full_message":
		return keyFullMessage
	case "stringValue":
		return keyStringValue
	case "event":
		return keyEvent
	case "kubernetes":
		return keyKubernetes
	case "properties":
		return keyProperties
	case "@timestamp":
		return keyAtTimestamp
	case "timestamp":
		return keyTimestamp
	case "time":
		return keyTime
	case "date":
		return keyDate
	case "log_source":
		return keyLogSource
	case "log_type":
		return keyLogType
	case "k8s_audit_level":
		return keyK8sAuditLevel
	case "openshift_audit_level":
		return keyOpenShiftAuditLevel
	case "openshift":
		return keyOpenShift
	case "resourceLogs":
		return keyResourceLogs
	case "streams":
		return keyStreams
	case "orchestrator":
		return keyOrchestrator
	}
	return cloudKeyOf(name)
}

func cloudKeyOf(name []byte) key {
	switch string(name) {
	case "records":
		return keyRecords
	case "category", "Category":
		return keyCategory
	case "resourceId", "ResourceId", "_ResourceId":
		return keyResourceID
	case "messageType":
		return keyMessageType
	case "logEvents":
		return keyLogEvents
	case "logGroup":
		return keyLogGroup
	case "logStream":
		return keyLogStream
	case "logStreamName":
		return keyLogStreamName
	case "owner":
		return keyOwner
	case "awslogs":
		return keyAwslogs
	case "events":
		return keyEvents
	case "requestId":
		return keyRequestID
	case "protoPayload":
		return keyProtoPayload
	case "logName":
		return keyLogName
	case "insertId":
		return keyInsertID
	case "receivedMessages":
		return keyReceivedMessages
	case "subscription":
		return keySubscription
	case "metricName":
		return keyMetricName
	case "operationName", "OperationName":
		return keyOperationName
	case "location":
		return keyLocation
	case "log_s":
		return keyLogS
	}
	return googleKeyOf(name)
}

func googleKeyOf(name []byte) key {
	switch string(name) {
	case "split":
		return keySplit
	case "jsonPayload":
		return keyJSONPayload
	case "textPayload":
		return keyTextPayload
	case "receiveTimestamp":
		return keyReceiveTimestamp
	case "resource":
		return keyResource
	case "labels":
		return keyLabels
	case "operation":
		return keyOperation
	case "serviceName":
		return keyServiceName
	case "methodName":
		return keyMethodName
	case "resourceName":
		return keyResourceName
	case "status":
		return keyStatus
	case "authenticationInfo":
		return keyAuthenticationInfo
	case "authorizationInfo":
		return keyAuthorizationInfo
	case "requestMetadata":
		return keyRequestMetadata
	case "request":
		return keyRequest
	case "response":
		return keyResponse
	}
	return keyOther
}

// span is a stretch of an object's bytes.
type span struct{ from, to int }

// member is one member of an object. name excludes the quotes, value is the whole value.
type member struct {
	name, value span
	id          key
	escaped     bool // the name is written with escapes
}

// object is one scanned JSON object. Its members lie in Decoder.members while the object is in use.
type object struct {
	b       []byte // from the brace to behind the closing one, or to the cut
	members []member
	slot    [keyCount]int32 // 1 + index of the last member with this key; 0 for none
	// cut is true where the bytes end inside the object. Then the last member's value may reach to the
	// end of b without being complete: see partial.
	cut     bool
	partial bool
	// foreign counts the members that are no audit event's own.
	foreign int
	// entered is the value that is being decoded now: it is not "around" the event.
	entered span
}

// maxMembers bounds the members of one object, since each costs memory beside its bytes.
const maxMembers = 1 << 16

// has reports whether the object has a complete value for k.
func (o *object) has(k key) bool { return o.slot[k] != 0 && !o.isPartial(k) }

func (o *object) isPartial(k key) bool {
	return o.partial && int(o.slot[k]) == len(o.members)
}

// raw gives the value of k as it stands, nil if there is none or its end is missing.
func (o *object) raw(k key) []byte {
	if !o.has(k) {
		return nil
	}
	return o.at(o.members[o.slot[k]-1].value)
}

// rawOrPartial is raw, but gives a value without its end too.
func (o *object) rawOrPartial(k key) []byte {
	if o.slot[k] == 0 {
		return nil
	}
	return o.at(o.members[o.slot[k]-1].value)
}

func (o *object) at(s span) []byte { return o.b[s.from:s.to] }

// scanObject reads the object whose brace is b[i] into o, validating all of it. It returns the position
// behind it, or that of the fault. After a fault o holds what came before it.
func (d *Decoder) scanObject(b []byte, i int, o *object) (int, verdict) {
	first := len(d.members)
	*o = object{}
	end, v := d.scanMembers(b, i, o)
	stop := end
	if v != valueDone {
		stop = min(end, len(b))
	}
	o.b, o.members, o.cut = b[i:stop], d.members[first:], v != valueDone
	return end, v
}

// scanMembers is the loop of scanObject. Spans are relative to the brace.
func (d *Decoder) scanMembers(b []byte, start int, o *object) (int, verdict) {
	s := &d.scan
	i := skipSpace(b, start+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, valueDone
	}
	first := len(d.members)
	for {
		if i >= len(b) {
			return i, valueCut
		}
		if b[i] != '"' {
			return i, valueBad
		}
		end, v := skipString(b, i+1)
		if v != valueDone {
			return end, v
		}
		m := member{name: span{i + 1 - start, end - 1 - start}}
		m.id = d.memberKey(b[i+1:end-1], &m.escaped)
		if end >= len(b) || b[end] != ':' {
			if end = skipSpace(b, end); end >= len(b) {
				return end, valueCut
			}
			if b[end] != ':' {
				return end, valueBad
			}
		}
		from := skipSpace(b, end+1)
		end, v = s.value(b, from)
		if v == valueDone && end >= len(b) && b[end-1] != '"' && b[end-1] != '}' && b[end-1] != ']' && !isLiteral(b[from:end]) {
			v = valueCut // a number may go on behind the cut
		}
		m.value = span{from - start, min(end, len(b)) - start}
		if v == valueDone || v == valueCut && end > from {
			if len(d.members)-first >= maxMembers {
				return from, valueDeep
			}
			d.members = append(d.members, m)
			o.slot[m.id] = int32(len(d.members) - first)
			if m.id == keyOther || m.id > lastEventKey {
				o.foreign++
			}
		}
		if v != valueDone {
			o.partial = v == valueCut && end > from
			if o.partial {
				d.members[len(d.members)-1].value.to = len(b) - start
				return len(b), v
			}
			return end, v
		}
		if end >= len(b) || b[end] <= ' ' {
			if end = skipSpace(b, end); end >= len(b) {
				return end, valueCut
			}
		}
		if b[end] == '}' {
			return end + 1, valueDone
		}
		if b[end] != ',' {
			return end, valueBad
		}
		i = skipSpace(b, end+1)
	}
}

func isLiteral(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == 't' || raw[0] == 'f' || raw[0] == 'n')
}

// memberKey looks up a member name as it stands in the bytes, escapes resolved.
func (d *Decoder) memberKey(name []byte, escaped *bool) key {
	k := keyOf(name)
	if k == keyOther && bytes.IndexByte(name, '\\') >= 0 {
		*escaped = true
		base := len(d.scratch)
		d.scratch = appendUnescaped(d.scratch, name)
		k = keyOf(d.scratch[base:])
		d.scratch = d.scratch[:base]
	}
	return k
}

// text gives the string value of k, unescaped; ok is false if k is missing or no string.
func (d *Decoder) text(o *object, k key) ([]byte, bool) {
	raw := o.raw(k)
	if raw == nil {
		return nil, false
	}
	return unquote(raw, &d.scratch)
}

// is reports whether k is the string want.
func (d *Decoder) is(o *object, k key, want string) bool {
	text, ok := d.text(o, k)
	return ok && string(text) == want
}

// walker steps over the members of a valid object, or the elements of a valid array.
type walker struct {
	b []byte
	i int
	s *scanner
}

// walk begins at the container raw, which has been validated before.
func (d *Decoder) walk(raw []byte) walker { return walker{b: raw, i: 1, s: &d.scan} }

// next gives the next member's name (without quotes, as written) and value.
func (w *walker) next() (name, value []byte, ok bool) {
	i := skipSpace(w.b, w.i)
	if i < len(w.b) && w.b[i] == ',' {
		i = skipSpace(w.b, i+1)
	}
	if i >= len(w.b) || w.b[i] != '"' {
		return nil, nil, false
	}
	end, v := skipString(w.b, i+1)
	if v != valueDone {
		return nil, nil, false
	}
	name = w.b[i+1 : end-1]
	if i = skipSpace(w.b, end); i >= len(w.b) || w.b[i] != ':' {
		return nil, nil, false
	}
	value, ok = w.value(skipSpace(w.b, i+1))
	return name, value, ok
}

// element gives the next element of an array.
func (w *walker) element() (value []byte, ok bool) {
	i := skipSpace(w.b, w.i)
	if i < len(w.b) && w.b[i] == ',' {
		i = skipSpace(w.b, i+1)
	}
	if i >= len(w.b) || w.b[i] == ']' {
		return nil, false
	}
	return w.value(i)
}

func (w *walker) value(i int) ([]byte, bool) {
	end, v := w.s.value(w.b, i)
	if v != valueDone {
		return nil, false
	}
	w.i = end
	return w.b[i:end], true
}

// find gives the value of the last member of the object raw that is called name, nil if there is none or
// raw is no object.
func (d *Decoder) find(raw []byte, name string) []byte {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var found []byte
	w := d.walk(raw)
	for {
		n, value, ok := w.next()
		if !ok {
			return found
		}
		if d.nameIs(n, name) {
			found = value
		}
	}
}

// nameIs compares a member name as written with a plain one.
func (d *Decoder) nameIs(written []byte, name string) bool {
	if string(written) == name {
		return true
	}
	if bytes.IndexByte(written, '\\') < 0 {
		return false
	}
	base := len(d.scratch)
	d.scratch = appendUnescaped(d.scratch, written)
	same := string(d.scratch[base:]) == name
	d.scratch = d.scratch[:base]
	return same
}
