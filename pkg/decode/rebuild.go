package decode

import "bytes"

// edits are the members of an event that its canonical bytes have differently from the record.
type edits struct {
	n    int
	list [12]edit // as many as there are members that anything edits
}

type edit struct {
	id    key
	value []byte // nil drops the member
}

func (e *edits) reset() { e.n = 0 }

func (e *edits) set(id key, value []byte) {
	if i := e.index(id); i >= 0 {
		e.list[i].value = value
		return
	}
	e.list[e.n] = edit{id, value}
	e.n++
}

func (e *edits) drop(id key) { e.set(id, nil) }

func (e *edits) index(id key) int {
	for i := range e.list[:e.n] {
		if e.list[i].id == id {
			return i
		}
	}
	return -1
}

// editedNames are the names of the members that edits can add.
var editedNames = map[key]string{
	keyAuditID: "auditID", keyKind: "kind", keyAPIVersion: "apiVersion", keyLevel: "level", keyUser: "user", keyObjectRef: "objectRef",
	keyRequestReceived: "requestReceivedTimestamp", keyStageTimestamp: "stageTimestamp", keyAnnotations: "annotations",
}

// rebuild appends o with the edits applied. Of several members of one name, an edit replaces the last and
// drops the others.
func (d *Decoder) rebuild(dst []byte, o *object) []byte {
	dst = append(dst, '{')
	first := len(dst)
	var used [len(edits{}.list)]bool
	for i, m := range o.members {
		value := o.at(m.value)
		if at := d.edits.index(m.id); at >= 0 && m.id != keyOther {
			value = d.edits.list[at].value
			if value == nil || o.slot[m.id] != int32(i+1) {
				continue
			}
			used[at] = true
		}
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), o.at(m.name)...), '"', ':')
		dst = append(dst, value...)
	}
	for i, e := range d.edits.list[:d.edits.n] {
		if used[i] || e.value == nil {
			continue
		}
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), editedNames[e.id]...), '"', ':')
		dst = append(dst, e.value...)
	}
	return append(dst, '}')
}

// viaq restores what OpenShift's log forwarding changes: it overwrites level, and keeps the audit level
// under a name of its own.
func (d *Decoder) viaq(o *object) bool {
	level := o.raw(keyK8sAuditLevel)
	if level == nil {
		level = o.raw(keyOpenShiftAuditLevel)
	}
	if level == nil && !(o.has(keyLogSource) && o.has(keyOpenShift)) {
		return false
	}
	if level != nil && (!o.has(keyLevel) || d.is(o, keyLevel, "default")) {
		d.edits.set(keyLevel, level)
	}
	return true
}

// isOtherSource recognises the records that OpenShift's log forwarding sends beside those of the API
// servers: auditd, OVN, and what has no audit event in it.
func (d *Decoder) isOtherSource(o *object) bool {
	source, ok := d.text(o, keyLogSource)
	return ok && o.has(keyLogType) && !bytes.HasSuffix(source, []byte("API"))
}
