package decode

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

type shape uint8

const (
	shapeOther      shape = iota
	shapeEvent            // an audit event
	shapeOtherEvent       // kind Event or EventList of another API group
	shapeList             // an audit EventList
)

const (
	auditGroup = "audit.k8s.io/"
	auditV1    = "audit.k8s.io/v1"
)

// shapeOf tells an audit event by its kind and API version, or by the members that only it has: items of
// an EventList carry no kind.
func (d *Decoder) shapeOf(o *object) shape {
	kind, hasKind := d.text(o, keyKind)
	version, hasVersion := d.text(o, keyAPIVersion)
	audit := bytes.HasPrefix(version, []byte(auditGroup))
	unmistakable := o.has(keyAuditID) && o.has(keyRequestURI) && (o.has(keyVerb) || o.has(keyStage))
	switch {
	case unmistakable:
		return shapeEvent
	case hasKind && string(kind) == "Event" && audit:
		return shapeEvent
	case hasKind && string(kind) == "EventList" && (audit || !hasVersion):
		return shapeList
	case hasKind && string(kind) == "Event" && o.has(keyVerb) && o.tellsWhat():
		return shapeEvent // an archive that kept no version; events of other API groups have no verb
	case hasKind && (string(kind) == "Event" || string(kind) == "EventList"):
		return shapeOtherEvent
	}
	return shapeOther
}

// tellsWhat reports whether the event names what the request was for.
func (o *object) tellsWhat() bool { return o.has(keyRequestURI) || o.has(keyObjectRef) }

// derivedID stands for the audit id where an archive has dropped it: the same bytes have the same id, so that a
// finding is stored once all the same.
func (d *Decoder) derivedID(b []byte) []byte {
	sum := sha256.Sum256(b)
	from := len(d.scratch)
	d.scratch = hex.AppendEncode(append(d.scratch, "sha256-"...), sum[:16])
	return d.scratch[from:]
}

// eventList decodes an audit EventList, as the webhook posts it.
func (d *Decoder) eventList(o *object, sc *scope) (outcome, bool) {
	items := o.rawOrPartial(keyItems)
	if d.shapeOf(o) != shapeList {
		return outcome{}, false
	}
	if len(items) == 0 || items[0] != '[' {
		if o.cut {
			return broken(ClassTruncated, "an event list is cut before its items", o.b), true
		}
		return skipped(ClassEmpty), true
	}
	inner := *sc
	version, _ := d.text(o, keyAPIVersion)
	inner.old = len(version) > 0 && string(version) != auditV1
	if inner.env.Format == "" {
		inner.env.Format = FormatEventList
	}
	o.enter(items)
	_, out := d.arrayAt(items, 0, &inner)
	return out, true
}

// event emits the audit event o. cut is true for the closed prefix of a cut event.
func (d *Decoder) event(o *object, sc *scope, cut bool) outcome {
	if len(o.b) > d.opts.MaxItemBytes {
		return broken(ClassTooLarge, "an event is larger than the item limit", o.b)
	}
	verb, _ := d.text(o, keyVerb)
	id, _ := d.text(o, keyAuditID)
	derived := len(id) == 0 && !cut
	if len(verb) == 0 || derived && !o.tellsWhat() {
		return broken(ClassMissingFields, "an audit event without verb, or without anything that it was done to", o.b)
	}
	if derived {
		id = d.derivedID(o.b)
	}
	if d.full() {
		return outcome{}
	}
	switch d.repeated(o, sc, id, verb) {
	case repeatTwin:
		return outcome{events: 1}
	case repeatDuplicate:
		return skipped(ClassDuplicate)
	}
	it := &d.item
	*it = Item{Kind: Event, Envelope: sc.env}
	d.place(it, sc.unit)
	env := &it.Envelope
	env.Truncated = cut
	d.edits.reset()
	if derived {
		env.Inferred = append(slices.Clip(env.Inferred), "auditID")
		from := len(d.scratch)
		d.scratch = appendQuoted(d.scratch, id)
		d.edits.set(keyAuditID, d.scratch[from:])
	}
	if !o.has(keyUser) && !cut && !sc.composed && string(d.find(o.raw(keyResponseStatus), "code")) != "401" {
		// API servers write an empty user where nobody was authenticated, so somebody on the way has dropped it.
		env.Missing = append(slices.Clip(env.Missing), "user")
	}
	old := d.isOld(o, sc)
	if o.foreign > 0 && !old && !sc.composed {
		d.shipped(o, env)
	}
	d.normalise(o, sc, env, old)
	if env.Format == "" {
		if env.Format = FormatNative; o.foreign > 0 && !old && !sc.composed {
			env.Format = FormatMerged
		}
	}
	if env.Provider == "" {
		env.Provider = d.opts.Provider
	}
	env.Cluster = d.clusterOf(env, o)
	env.Cloud = d.cloudOf(env.Cloud)
	if it.Canonical = o.b; d.edits.n > 0 {
		d.canon = d.rebuild(d.canon[:0], o)
		it.Canonical = d.canon
	}
	it.Index, it.Root = d.indexed(o, it.Canonical)
	d.send(it)
	return outcome{events: 1}
}

// shipped reads what a shipper has put beside the event's own members.
func (d *Decoder) shipped(o *object, env *event.Envelope) {
	if d.viaq(o) {
		env.Provider = "openshift"
		if env.Format == "" {
			env.Format = FormatViaQ
		}
	}
	if t, ok := d.shipperTime(o); ok {
		env.Time = t
	}
}

// isOld reports whether the event is of an API version before v1.
func (d *Decoder) isOld(o *object, sc *scope) bool {
	version, ok := d.text(o, keyAPIVersion)
	return sc.old && !ok || bytes.HasPrefix(version, []byte(auditV1)) && len(version) > len(auditV1)
}

// normalise notes what has to change so that the event is a complete audit.k8s.io/v1 one.
func (d *Decoder) normalise(o *object, sc *scope, env *event.Envelope, old bool) {
	if !d.is(o, keyAPIVersion, auditV1) {
		d.edits.set(keyAPIVersion, quotedV1)
	}
	if !o.has(keyKind) { // items of an EventList have neither
		d.edits.set(keyKind, quotedEvent)
	}
	received := env.Time
	if old {
		d.edits.drop(keyMetadata)
		d.edits.drop(keyTimestamp)
		d.splitAPIVersion(o)
		if text, ok := d.text(o, keyTimestamp); ok {
			if t, ok := event.ParseTime(text); ok {
				received = t
			}
		}
	}
	if !sc.composed {
		d.inferTimes(o, env, received)
	}
	d.annotations(o, env)
	if isBodyMarker(o.raw(keyRequestObject)) || isBodyMarker(o.raw(keyResponseObject)) {
		env.BodiesRemoved = true
	}
}

var (
	quotedEvent = []byte(`"Event"`)
	quotedV1    = []byte(`"` + auditV1 + `"`)
)

// isBodyMarker recognises what Azure's tables put in place of a body that is too large for a column.
func isBodyMarker(raw []byte) bool { return string(raw) == `"skipped-too-big-size-object"` }

// splitAPIVersion moves the group out of objectRef.apiVersion, where audit.k8s.io/v1alpha1 had it.
func (d *Decoder) splitAPIVersion(o *object) {
	ref := o.raw(keyObjectRef)
	version := d.find(ref, "apiVersion")
	slash := bytes.IndexByte(version, '/')
	if slash < 0 || d.find(ref, "apiGroup") != nil || bytes.IndexByte(version, '\\') >= 0 || version[0] != '"' {
		return
	}
	from := len(d.scratch)
	at := cap(ref) - cap(version)
	d.scratch = append(d.scratch, ref[:at]...)
	d.scratch = append(append(d.scratch, '"'), version[slash+1:]...)
	d.scratch = append(append(append(d.scratch, `,"apiGroup":`...), version[:slash]...), '"')
	d.scratch = append(d.scratch, ref[at+len(version):]...)
	d.edits.set(keyObjectRef, d.scratch[from:])
}

// inferTimes fills timestamps that a shipper took out of the event (Fluent Bit's Time_Keep Off) from the
// shipper's own.
func (d *Decoder) inferTimes(o *object, env *event.Envelope, t time.Time) {
	noStage, noReceived := isAbsent(o.raw(keyStageTimestamp)), isAbsent(o.raw(keyRequestReceived))
	if !noStage && !noReceived || t.IsZero() || env.Truncated {
		return
	}
	from := len(d.scratch)
	d.scratch = t.UTC().AppendFormat(d.scratch, `"2006-01-02T15:04:05.000000Z"`)
	stamp := d.scratch[from:]
	if noStage {
		d.edits.set(keyStageTimestamp, stamp)
		env.Inferred = inferredStage
	}
	if noReceived {
		d.edits.set(keyRequestReceived, stamp)
		if env.Inferred = inferredReceived; noStage {
			env.Inferred = inferredBoth
		}
	}
}

var (
	inferredStage    = []string{"stageTimestamp"}
	inferredReceived = []string{"requestReceivedTimestamp"}
	inferredBoth     = []string{"requestReceivedTimestamp", "stageTimestamp"}
)

func isAbsent(raw []byte) bool { return raw == nil || string(raw) == "null" || string(raw) == `""` }

// annotations looks for the mark of an event whose bodies the API server removed, and gives names that a
// shipper has freed of dots their real spelling.
func (d *Decoder) annotations(o *object, env *event.Envelope) {
	raw := o.raw(keyAnnotations)
	if len(raw) < 3 || raw[0] != '{' || o.plainAnnotations() {
		return
	}
	dedotted := false
	for w := d.walk(raw); ; {
		name, value, ok := w.next()
		if !ok {
			break
		}
		real, changed := event.AnnotationName(name)
		dedotted = dedotted || changed
		if (real == event.AnnotationTruncated || d.nameIs(name, event.AnnotationTruncated)) && strings.EqualFold(string(bytes.Trim(value, `"`)), "true") {
			env.BodiesRemoved = true
		}
	}
	if dedotted {
		d.edits.set(keyAnnotations, d.redotted(raw))
		d.redotExtra(o)
	}
}

// plainAnnotations is true where the index shows at once that no annotation needs a closer look.
func (o *object) plainAnnotations() bool {
	kids, text, ok := o.kids(keyAnnotations)
	for i := range kids {
		name := text[kids[i].Name:kids[i].NameEnd]
		if bytes.IndexByte(name, '_') >= 0 || bytes.IndexByte(name, '\\') >= 0 || string(name) == event.AnnotationTruncated {
			return false
		}
	}
	return ok
}

// redotted rewrites the names of an object's members to their real spelling.
func (d *Decoder) redotted(raw []byte) []byte {
	from := len(d.scratch)
	d.scratch = append(d.scratch, '{')
	for w := d.walk(raw); ; {
		name, value, ok := w.next()
		if !ok {
			break
		}
		if len(d.scratch)-from > 1 {
			d.scratch = append(d.scratch, ',')
		}
		d.scratch = append(d.scratch, '"')
		if real, changed := event.AnnotationName(name); changed {
			d.scratch = append(d.scratch, real...)
		} else {
			d.scratch = append(d.scratch, name...)
		}
		d.scratch = append(append(d.scratch, `":`...), value...)
	}
	d.scratch = append(d.scratch, '}')
	return d.scratch[from:]
}

// redotExtra does for user.extra what redotted does for annotations: who dedots one dedots the other.
func (d *Decoder) redotExtra(o *object) {
	user := o.raw(keyUser)
	extra := d.find(user, "extra")
	if len(extra) < 3 || extra[0] != '{' {
		return
	}
	real := d.redotted(extra)
	at := cap(user) - cap(extra)
	from := len(d.scratch)
	d.scratch = append(d.scratch, user[:at]...)
	d.scratch = append(d.scratch, real...)
	d.scratch = append(d.scratch, user[at+len(extra):]...)
	d.edits.set(keyUser, d.scratch[from:])
}

type repeat uint8

const (
	repeatNone      repeat = iota
	repeatTwin             // the same event under another key of the same shipper's object
	repeatDuplicate        // the same event once more in the record
)

// twinRange bounds the events that other keys of one shipper's object gave, in Decoder.twins.
type twinRange struct{ from, to int }

// repeated tells whether the record has given this event already. A client chooses the audit id, so that
// alone never makes two events one.
func (d *Decoder) repeated(o *object, sc *scope, id, verb []byte) repeat {
	if d.sole {
		return repeatNone
	}
	stage, _ := d.text(o, keyStage)
	uri, _ := d.text(o, keyRequestURI)
	twin := maphash.Bytes(d.seed, id)
	for _, part := range [...][]byte{stage, verb, uri} {
		twin = twin*31 + maphash.Bytes(d.seed, part)
	}
	for _, r := range d.ranges[:sc.wrappers] {
		if slices.Contains(d.twins[r.from:r.to], twin) {
			return repeatTwin
		}
	}
	d.twins = append(d.twins, twin)
	if !d.seen.add(maphash.Bytes(d.seed, o.b)) {
		return repeatDuplicate
	}
	return repeatNone
}

// hashSet holds the hashes of one record's events: a list while they are few, then a map.
type hashSet struct {
	few  []uint64
	many map[uint64]struct{}
}

const maxFew = 32

func (s *hashSet) reset() {
	s.few = s.few[:0]
	if len(s.many) > 0 {
		clear(s.many)
	}
}

// add reports whether h is new.
func (s *hashSet) add(h uint64) bool {
	if slices.Contains(s.few, h) {
		return false
	}
	if len(s.few) < maxFew {
		s.few = append(s.few, h)
		return true
	}
	if _, ok := s.many[h]; ok {
		return false
	}
	if s.many == nil {
		s.many = make(map[uint64]struct{})
	}
	s.many[h] = struct{}{}
	return true
}
