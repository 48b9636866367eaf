package engine

import (
	"bytes"
	"slices"

	"github.com/foretop/foretop/pkg/event"
)

// touched is true unless a patch left the current record alone.
func (j *Judge) touched() bool {
	switch j.element.category {
	case event.Pod:
		return j.podTouched()
	case event.Container:
		return j.listTouched()
	case event.Volume:
		return j.listTouched() || j.mountTouched()
	case event.Subject:
		return j.patches("subjects", "roleRef")
	}
	return j.patches("rules", "aggregationRule")
}

// patches is true unless there is a patch of the current object that names none of its keys.
func (j *Judge) patches(keys ...string) bool {
	patch := j.object.patch
	if patch.none() {
		return true
	}
	if patch.isArray() {
		for _, o := range j.operations(patch) {
			if len(o.path) == 0 || slices.Contains(keys, string(o.path[0])) {
				return true
			}
		}
		return false
	}
	for _, k := range keys {
		if !patch.get(k).none() {
			return true
		}
	}
	return !patch.isObject()
}

// overlaps is true if an operation's path leads to the spec, or begins like its path. In a list that holds the
// spec any element is taken for its own: operations before this one may have moved it.
func (p *podSpec) overlaps(path [][]byte) bool {
	for i := range min(len(path), len(p.at)) {
		if !bytes.Equal(path[i], p.at[i]) && (p.list < 0 || i < p.list || !isIndex(path[i]) || !isIndex(p.at[i])) {
			return false
		}
	}
	return true
}

func isIndex(token []byte) bool {
	_, ok := listPlace(token)
	return ok
}

// podList gives the number of a list of a pod spec whose elements have records of their own, or noList.
func podList(key []byte) int {
	for i, list := range recordLists[:podLists] {
		if string(key) == list {
			return i
		}
	}
	return noList
}

// podTouched is true unless a patch left the pod's own fields alone.
func (j *Judge) podTouched() bool {
	if j.ephemeral() {
		return false
	}
	patch := j.object.patch
	if patch.none() {
		return true
	}
	p := j.counterparts()
	if patch.isArray() {
		for _, o := range j.operations(patch) {
			if p.overlaps(o.path) && (len(o.path) <= len(p.at) || podList(o.path[len(p.at)]) == noList) {
				return true
			}
		}
		return false
	}
	if p.list >= 0 {
		return p.unlocated(patch)
	}
	if p.rewritten(patch) {
		return true
	}
	if !p.patch.isObject() {
		return false
	}
	for c := open(p.patch); ; {
		key, ok := c.key()
		if !ok {
			return false
		}
		c.value()
		if podList(key) == noList && !bytes.HasPrefix(key, elementOrder) {
			return true
		}
	}
}

// elementOrder begins the keys by which a strategic merge patch changes the order of a list and nothing else.
var elementOrder = []byte("$setElementOrder/")

// rewritten is true if a strategic merge patch says of the spec, or of what holds it, that nothing stays but what the
// patch has.
func (p *podSpec) rewritten(patch span) bool {
	for i := 0; patch.isObject(); i++ {
		if !patch.get("$patch").none() || !patch.get("$retainKeys").none() {
			return true
		}
		if i == len(p.at) {
			break
		}
		patch = patch.get(string(p.at[i]))
	}
	return false
}

// ephemeral is true for the subresource that changes nothing but the ephemeral containers.
func (j *Judge) ephemeral() bool {
	return string(j.subresource()) == "ephemeralcontainers"
}

// listTouched is true unless a patch left the current element of a list alone.
func (j *Judge) listTouched() bool {
	list := j.element.list
	if j.ephemeral() && list != ephemeralContainersList {
		return false
	}
	patch := j.object.patch
	if patch.none() {
		return true
	}
	p := j.counterparts()
	if patch.isArray() {
		return j.touchedByOperation(patch)
	}
	if p.list >= 0 {
		return p.unlocated(patch)
	}
	if p.rewritten(patch) || list != volumesList && !p.patch.get("securityContext").none() {
		return true // containers inherit it
	}
	v := named(p.patch.get(recordLists[list]), j.elementName())
	if v.none() {
		return false
	}
	// A strategic merge names an element by its merge key alone where only the order changed.
	for c := open(v); ; {
		key, ok := c.key()
		if !ok {
			return false
		}
		c.value()
		if string(key) != "name" {
			return true
		}
	}
}

// touchedByOperation is true if a JSON Patch changes the current element of a list of the spec, or the security context
// that containers inherit, or may. It follows the element's number back through the steps: what is added to the list
// or removed from it moves what stands behind.
func (j *Judge) touchedByOperation(patch span) bool {
	p, list, number := &j.pod, j.element.list, j.element.number
	for _, o := range slices.Backward(j.operations(patch)) {
		if !p.overlaps(o.path) {
			continue
		}
		below := o.path[min(len(p.at), len(o.path)):]
		switch {
		case len(below) == 0 || string(below[0]) == "securityContext" && list != volumesList:
			return true
		case podList(below[0]) != list:
			continue
		case len(below) == 1:
			return true
		}
		at, ok := listPlace(below[1])
		switch {
		case !ok || at < 0: // counted from the end, which is not known
			return true
		case o.kind == removeOperation && len(below) == 2:
			if at <= number {
				number++
			}
		case at == number:
			return true
		case o.kind == addOperation && len(below) == 2 && at < number:
			number--
		}
	}
	return false
}

// mountsByOperation is true if a JSON Patch changes the mounts of a volume, or may.
func (j *Judge) mountsByOperation(patch span, volume []byte) bool {
	p := &j.pod
	for _, o := range j.operations(patch) {
		below := o.path[min(len(p.at), len(o.path)):]
		if !p.overlaps(o.path) || len(below) == 0 {
			continue
		}
		if list := podList(below[0]); list == noList || list == volumesList {
			continue
		}
		switch {
		case o.kind == removeOperation && len(below) <= 2: // it mounts nothing
		case len(below) <= 2: // containers, or one of them
			if o.value.none() || mounts(o.value, volume) {
				return true
			}
		case string(below[2]) != "volumeMounts":
		case len(below) != 4: // all mounts, or a part of one
			return true
		case o.kind == removeOperation:
		case o.value.none() || string(o.value.get("name").text()) == string(volume):
			return true
		}
	}
	return false
}

// mounts is true if a container, or one of a list, mounts the volume.
func mounts(containers span, volume []byte) bool {
	if containers.isArray() {
		for c := open(containers); c.element(); {
			if mounts(c.value(), volume) {
				return true
			}
		}
	}
	return hasNamed(containers.get("volumeMounts"), volume)
}

// mountTouched is true if a patch changes the mounts of the current volume.
func (j *Judge) mountTouched() bool {
	p, volume := j.counterparts(), j.elementName()
	if patch := j.object.patch; patch.isArray() && j.mountsByOperation(patch, volume) {
		return true
	}
	for _, m := range j.patchedMounts() {
		if bytes.Equal(m.volume, volume) {
			return true
		}
	}
	if !j.ephemeral() || !j.object.patch.none() {
		return false
	}
	// The whole pod is written, and only ephemeral containers can be new in it.
	for _, m := range j.mounts() {
		if bytes.Equal(m.volume, volume) && hasNamed(p.lists[ephemeralContainersList], m.container.get("name").text()) {
			return true
		}
	}
	return false
}

// patchedMounts are the mounts that a merge patch writes into the current pod spec.
func (j *Judge) patchedMounts() []mount {
	if j.take(patchedMountsPart, objectScope) {
		var lists [podLists]span
		j.counterparts().patch.pick(recordLists[:podLists], lists[:])
		j.derived.patched = j.appendMounts(j.derived.patched[:0], &lists)
	}
	return j.derived.patched
}
