package decode

// loki decodes a push request of Promtail and its kin: streams[].values[][1] is the line, [0] its time in
// nanoseconds as text: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
func (d *Decoder) loki(o *object, sc *scope) (outcome, bool) {
	streams := o.raw(keyStreams)
	if len(streams) == 0 || streams[0] != '[' {
		return outcome{}, false
	}
	if sc.wraps >= maxWraps || d.level >= maxNest {
		return nestedTooDeep(o.b), true
	}
	inner := sc.wrapped(FormatLoki, o.b)
	total, lines := outcome{}, 0
	for w := d.walk(streams); !d.full(); {
		stream, ok := w.element()
		if !ok {
			break
		}
		if stream[0] == '{' {
			o.enter(stream)
			n, events := d.lokiStream(stream, &inner)
			lines, total.events = lines+n, total.events+events
		}
	}
	if lines == 0 {
		return skipped(ClassEmpty), true
	}
	return total, true
}

// lokiStream decodes the lines of one stream. The stream's object stands around them: its labels may name
// the cluster.
func (d *Decoder) lokiStream(stream []byte, sc *scope) (lines, events int) {
	members, scratch := len(d.members), len(d.scratch)
	o := &d.objects[d.level]
	d.scanObject(stream, 0, o)
	d.level++
	values := d.find(stream, "values")
	if len(values) > 0 && values[0] == '[' {
		o.enter(values)
		for w := d.walk(values); !d.full(); lines++ {
			entry, ok := w.element()
			if !ok {
				break
			}
			out := d.lokiEntry(entry, *sc)
			d.settle(out, sc.unit)
			events += out.events
		}
	}
	d.level--
	d.members, d.scratch = d.members[:members], d.scratch[:scratch]
	return lines, events
}

// lokiEntry decodes one [time, line] pair.
func (d *Decoder) lokiEntry(entry []byte, sc scope) outcome {
	if entry[0] != '[' {
		return skipped(ClassOtherJSON)
	}
	w := d.walk(entry)
	stamp, _ := w.element()
	line, ok := w.element()
	if !ok || line[0] != '"' {
		return skipped(ClassOtherJSON)
	}
	if t, ok := d.timeValue(stamp); ok {
		sc.env.Time = t
	}
	return d.wrappedValue(line, false, &sc)
}
