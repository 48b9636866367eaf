package decode

import (
	"bytes"
	"slices"
)

// wrapperKey is a key under which shippers put an event: as an object, as JSON text, or as JSON text
// encoded twice. sub is a second key below it.
type wrapperKey struct {
	id   key
	sub  string
	name string
}

// wrapperKeys are looked at in this order. Sources: the documentation of Fluent Bit, Fluentd, Filebeat,
// Elastic Agent, Vector, Logstash, rsyslog, syslog-ng, Kafka Connect, the OpenTelemetry collector,
// Promtail, Graylog (GELF), Splunk (_raw) and Alibaba's log service (content).
var wrapperKeys = []wrapperKey{
	{id: keyLog, name: "log"},
	{id: keyMessage, name: "message"},
	{id: keyEventOriginal, name: "event.original"},
	{id: keyEvent, sub: "original", name: "event.original"},
	{id: keyMsg, name: "msg"},
	{id: keyUpperMessage, name: "MESSAGE"},
	{id: keyLine, name: "line"},
	{id: keyPayload, name: "payload"},
	{id: keyData, name: "data"},
	{id: keyJSON, name: "json"},
	{id: keyLogProcessed, name: "log_processed"},
	{id: keyStructured, name: "structured"},
	{id: keyKubernetesAudit, name: "kubernetes.audit"},
	{id: keyKubernetes, sub: "audit", name: "kubernetes.audit"},
	{id: keyKubernetesAuditFlat, name: "kubernetes_audit"},
	{id: keyPropertiesLog, name: "properties.log"},
	{id: keyProperties, sub: "log", name: "properties.log"},
	{id: keyBody, name: "body"},
	{id: keyStringValue, name: "stringValue"},
	{id: keyContent, name: "content"},
	{id: keyRaw, name: "_raw"},
	{id: keyShortMessage, name: "short_message"},
	{id: keyFullMessage, name: "full_message"},
	{id: keyEvent, name: "event"},
}

// Formats of wrapper keys, made once so that the hot path builds no strings.
var wrapperFormats = func() []string {
	formats := make([]string, len(wrapperKeys))
	for i, k := range wrapperKeys {
		formats[i] = FormatKey + k.name
	}
	return formats
}()

// Formats are all values of Envelope.Format.
func Formats() []string {
	all := []string{FormatNative, FormatEventList, FormatMerged, FormatViaQ, FormatText, FormatQuoted, FormatOTLP, FormatLoki,
		FormatEKS, FormatAKS, FormatGKE}
	for _, f := range wrapperFormats {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// wrapper decodes a shipper's object around an event. The same event may stand in it twice; it is emitted
// once. Objects are read before texts: they need no unescaping, and they are never cut in themselves.
func (d *Decoder) wrapper(o *object, sc *scope) outcome {
	if d.isOtherSource(o) {
		return skipped(ClassOtherCategory)
	}
	if sc.wraps >= maxWraps || sc.wrappers >= len(d.ranges) {
		return nestedTooDeep(o.b)
	}
	var total outcome
	d.ranges[sc.wrappers].from = len(d.twins)
	for _, texts := range [...]bool{false, true} {
		for i := range wrapperKeys {
			if o.slot[wrapperKeys[i].id] == 0 {
				continue
			}
			raw := d.candidate(o, &wrapperKeys[i])
			if len(raw) > 0 && (raw[0] == '"') == texts {
				d.ranges[sc.wrappers].to = len(d.twins)
				total.merge(d.wrapped(o, i, raw, sc))
			}
		}
	}
	if total.events > 0 {
		return outcome{events: total.events}
	}
	if !total.held {
		return skipped(ClassOtherJSON)
	}
	total.remark.raw = o.b
	return total
}

// wrapped decodes raw, the value of the i-th wrapper key in o.
func (d *Decoder) wrapped(o *object, i int, raw []byte, sc *scope) outcome {
	inner := sc.wrapped(wrapperFormats[i], o.b)
	inner.wrappers++
	if t, ok := d.shipperTime(o); ok {
		inner.env.Time = t
	}
	o.enter(raw)
	return d.wrappedValue(raw, o.isPartial(wrapperKeys[i].id), &inner)
}

// candidate gives the object, array or text under k. A partial value is one that a cut has ended.
func (d *Decoder) candidate(o *object, k *wrapperKey) []byte {
	raw := o.rawOrPartial(k.id)
	if k.sub != "" {
		if raw == nil || raw[0] != '{' {
			return nil
		}
		raw = d.find(raw, k.sub)
	}
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' && raw[0] != '"' {
		return nil
	}
	return raw
}

// wrappedValue decodes the value raw of a wrapper's key. A partial one has no closing quote.
func (d *Decoder) wrappedValue(raw []byte, partial bool, sc *scope) outcome {
	if raw[0] != '"' {
		_, out := d.value(raw, 0, sc)
		return out
	}
	content := raw[1:]
	if !partial {
		content = raw[1 : len(raw)-1]
	}
	if bytes.IndexByte(content, '{') < 0 {
		return skipped(ClassText)
	}
	return d.embedded(content, raw, sc)
}
