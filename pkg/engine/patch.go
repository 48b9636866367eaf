package engine

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/jsonindex"
)

// operation is one step of a JSON Patch (RFC 6902).
type operation struct {
	op    []byte
	path  [][]byte // unescaped reference tokens
	value span
}

// places is true for a step that puts a value somewhere.
func (o *operation) places() bool {
	return (string(o.op) == "add" || string(o.op) == "replace") && !o.value.none() && len(o.path) <= maxPatchDepth
}

// operations reads the JSON Patch of the current event, once; steps that are none are left out. A test changes nothing
// and is left out too.
func (j *Judge) operations(patch span) []operation {
	d := &j.derived
	if !j.take(operationsPart, eventScope) {
		return d.operations
	}
	d.operations, d.tokens = d.operations[:0], d.tokens[:0]
	if !patch.isArray() {
		return nil
	}
	for c := open(patch); c.element(); {
		var members [3]span
		c.value().pick(operationKeys, members[:])
		op, pointer := j.textOf(members[0]), j.textOf(members[1])
		if len(pointer) == 0 || pointer[0] != '/' || len(op) == 0 || string(op) == "test" {
			continue
		}
		first := len(d.tokens)
		for rest, more := pointer[1:], true; more; {
			var token []byte
			token, rest, more = bytes.Cut(rest, []byte{'/'})
			d.tokens = append(d.tokens, j.unescapeToken(token))
		}
		d.operations = append(d.operations, operation{op, d.tokens[first:len(d.tokens):len(d.tokens)], members[2]})
	}
	return d.operations
}

var operationKeys = []string{"op", "path", "value"}

// unescapeToken undoes the escapes of a reference token: ~1 for a slash, ~0 for a tilde.
func (j *Judge) unescapeToken(token []byte) []byte {
	if bytes.IndexByte(token, '~') < 0 {
		return token
	}
	start := len(j.arena)
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '~' && i+1 < len(token) && token[i+1]-'0' <= 1 {
			i++
			c = "~/"[token[i]-'0']
		}
		j.arena = append(j.arena, c)
	}
	return j.arena[start:len(j.arena):len(j.arena)]
}

const (
	maxPatchIndex = 1000 // list indexes beyond it are appended
	maxPatchDepth = 64
)

// isPlaceInList is true for a token that placeAt makes a list of.
func isPlaceInList(token []byte) bool {
	number, ok := numberOf(token)
	return string(token) == "-" || ok && number >= 0
}

// fromJSONPatch builds the object that a JSON Patch describes as far as it says: what it adds and replaces, at
// its place. The list of an element that is named by number is filled up with empty objects.
func (j *Judge) fromJSONPatch(patch span) span {
	var root any
	for _, o := range j.operations(patch) {
		if !o.places() {
			continue
		}
		var value any
		d := json.NewDecoder(bytes.NewReader(o.value.bytes()))
		d.UseNumber()
		if d.Decode(&value) == nil {
			root = placeAt(root, o.path, value)
		}
	}
	if root == nil {
		return span{}
	}
	text, err := json.Marshal(root)
	if err != nil {
		return span{}
	}
	return parsed(new(jsonindex.Index), text)
}

// placeAt puts value at the path below at and returns the new at.
func placeAt(at any, path [][]byte, value any) any {
	if len(path) == 0 {
		return value
	}
	token := string(path[0])
	if isPlaceInList(path[0]) {
		number, _ := numberOf(path[0])
		list, ok := at.([]any)
		if !ok && at != nil {
			return at
		}
		if token == "-" || number > maxPatchIndex {
			number = len(list)
		}
		for len(list) <= number {
			list = append(list, map[string]any{})
		}
		list[number] = placeAt(list[number], path[1:], value)
		return list
	}
	object, ok := at.(map[string]any)
	if !ok {
		if at != nil {
			return at
		}
		object = make(map[string]any)
	}
	var inner any
	if len(path) > 1 {
		inner = object[token]
	}
	object[token] = placeAt(inner, path[1:], value)
	return object
}

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
			if slices.Contains(keys, string(o.path[0])) {
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

func isIndex(token []byte) bool { return isNumber(token) || string(token) == "-" }

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
	if !p.patch.isObject() {
		return false
	}
	for c := open(p.patch); ; {
		key, ok := c.key()
		if !ok {
			return false
		}
		c.value()
		if podList(key) == noList && (len(key) == 0 || key[0] != '$') {
			return true
		}
	}
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
	if list != volumesList && !p.patch.get("securityContext").none() {
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
// that containers inherit.
func (j *Judge) touchedByOperation(patch span) bool {
	p, list := &j.pod, j.element.list
	for _, o := range j.operations(patch) {
		if !p.overlaps(o.path) {
			continue
		}
		below := o.path[min(len(p.at), len(o.path)):]
		switch {
		case len(below) == 0 || string(below[0]) == "securityContext" && list != volumesList:
			return true
		case podList(below[0]) != list:
		case len(below) == 1 || string(below[1]) == "-" || bytes.Equal(below[1], j.decimal(j.element.number)):
			return true
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
		case len(below) == 1 || len(below) == 2: // containers, or one of them
			if mounts(o.value, volume) {
				return true
			}
		case string(below[2]) != "volumeMounts":
		case len(below) != 4: // all mounts, or a part of one
			return true
		case string(o.value.get("name").text()) == string(volume):
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
