package decode

import "bytes"

// otlp decodes the JSON form of OpenTelemetry logs: resourceLogs[].scopeLogs[].logRecords[], whose body is
// the line as text, or the event as a list of key-values where the collector has parsed it:
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
func (d *Decoder) otlp(o *object, sc *scope) (outcome, bool) {
	resources := o.raw(keyResourceLogs)
	if len(resources) == 0 || resources[0] != '[' {
		return outcome{}, false
	}
	if sc.wraps >= maxWraps || d.level >= maxNest {
		return nestedTooDeep(o.b), true
	}
	inner := sc.wrapped(FormatOTLP, o.b)
	o.enter(resources)
	total, records := outcome{}, 0
	for w := d.walk(resources); !d.full(); {
		resource, ok := w.element()
		if !ok {
			break
		}
		n, events := d.otlpResource(resource, &inner)
		records, total.events = records+n, total.events+events
	}
	if records == 0 {
		return skipped(ClassEmpty), true
	}
	return total, true
}

// otlpResource decodes the records of one resource. Its attributes, as one object, stand around them.
func (d *Decoder) otlpResource(resource []byte, sc *scope) (records, events int) {
	members, built := len(d.members), len(d.built)
	d.built = d.appendKeyValues(d.built, d.find(d.find(resource, "resource"), "attributes"), 0)
	d.scanObject(d.built[built:], 0, &d.objects[d.level])
	d.level++
	defer func() {
		d.level--
		d.members, d.built = d.members[:members], d.built[:built]
	}()
	scopes := d.find(resource, "scopeLogs")
	if len(scopes) == 0 || scopes[0] != '[' {
		return 0, 0
	}
	for w := d.walk(scopes); ; {
		group, ok := w.element()
		if !ok {
			return records, events
		}
		list := d.find(group, "logRecords")
		if len(list) == 0 || list[0] != '[' {
			continue
		}
		for r := d.walk(list); !d.full(); records++ {
			record, ok := r.element()
			if !ok {
				break
			}
			out := d.otlpRecord(record, *sc)
			d.settle(out, sc.unit)
			events += out.events
		}
	}
}

// otlpRecord decodes one log record.
func (d *Decoder) otlpRecord(record []byte, sc scope) outcome {
	for _, name := range [...]string{"timeUnixNano", "observedTimeUnixNano"} {
		if t, ok := d.timeValue(d.find(record, name)); ok {
			sc.env.Time = t
			break
		}
	}
	body := d.find(record, "body")
	if line := d.find(body, "stringValue"); len(line) > 0 && line[0] == '"' {
		return d.wrappedValue(line, false, &sc)
	}
	if d.find(body, "kvlistValue") == nil {
		return skipped(ClassOtherJSON)
	}
	built := len(d.built)
	d.built = d.appendAnyValue(d.built, body, 0)
	_, out := d.value(d.built[built:], 0, &sc)
	out.remark.raw = record
	d.built = d.built[:built]
	return out
}

// maxAnyDepth bounds the nesting of key-value lists: each level is read once for every level above it.
const maxAnyDepth = 64

// appendAnyValue appends OTLP's AnyValue as plain JSON.
func (d *Decoder) appendAnyValue(dst, value []byte, depth int) []byte {
	if len(value) == 0 || value[0] != '{' || depth > maxAnyDepth {
		return append(dst, "null"...)
	}
	w := d.walk(value)
	name, v, ok := w.next()
	if !ok {
		return append(dst, "null"...)
	}
	switch string(name) {
	case "intValue": // 64-bit integers are text in protobuf's JSON
		v = bytes.Trim(v, `"`)
		if end, verdict := d.scan.value(v, 0); verdict != valueDone || end != len(v) {
			return append(dst, "null"...)
		}
		return append(dst, v...)
	case "kvlistValue":
		return d.appendKeyValues(dst, d.find(v, "values"), depth+1)
	case "arrayValue":
		return d.appendAnyValues(dst, d.find(v, "values"), depth+1)
	}
	return append(dst, v...) // stringValue, boolValue, doubleValue, bytesValue
}

func (d *Decoder) appendAnyValues(dst, list []byte, depth int) []byte {
	dst = append(dst, '[')
	if len(list) > 0 && list[0] == '[' {
		first := true
		for w := d.walk(list); ; first = false {
			value, ok := w.element()
			if !ok {
				break
			}
			if !first {
				dst = append(dst, ',')
			}
			dst = d.appendAnyValue(dst, value, depth)
		}
	}
	return append(dst, ']')
}

// appendKeyValues appends a list of {key, value} as an object.
func (d *Decoder) appendKeyValues(dst, list []byte, depth int) []byte {
	dst = append(dst, '{')
	if len(list) > 0 && list[0] == '[' {
		first := true
		for w := d.walk(list); ; {
			pair, ok := w.element()
			if !ok {
				break
			}
			name := d.find(pair, "key")
			if len(name) == 0 || name[0] != '"' {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(dst, name...), ':')
			dst = d.appendAnyValue(dst, d.find(pair, "value"), depth)
		}
	}
	return append(dst, '}')
}
