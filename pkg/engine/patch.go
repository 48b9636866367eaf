package engine

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/jsonindex"
)

// operation is one step of a JSON Patch (RFC 6902).
type operation struct {
	op    string
	path  []string // unescaped reference tokens
	value span
}

// operations reads a JSON Patch; steps that are none are left out. A test changes nothing and is left out too.
func operations(patch span) []operation {
	var all []operation
	if !patch.isArray() {
		return nil
	}
	for c := open(patch); c.element(); {
		step := c.value()
		pointer := string(step.get("path").text())
		op := string(step.get("op").text())
		if !strings.HasPrefix(pointer, "/") || op == "" || op == "test" {
			continue
		}
		tokens := strings.Split(pointer[1:], "/")
		for i, t := range tokens {
			tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
		}
		all = append(all, operation{op, tokens, step.get("value")})
	}
	return all
}

const (
	maxPatchIndex = 1000 // list indexes beyond it are appended
	maxPatchDepth = 64
)

// fromJSONPatch builds the object that a JSON Patch describes as far as it says: what it adds and replaces, at
// its place. The list of an element that is named by number is filled up with empty objects.
func (j *Judge) fromJSONPatch(patch span) span {
	var root any
	for _, o := range operations(patch) {
		if (o.op != "add" && o.op != "replace") || o.value.none() || len(o.path) > maxPatchDepth {
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
func placeAt(at any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	token := path[0]
	if number, err := strconv.Atoi(token); token == "-" || err == nil && number >= 0 {
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

// patches is true if the patch of the current object names one of the keys below the path at.
func (j *Judge) patches(at []string, keys ...string) bool {
	patch := j.object.patch
	if patch.isArray() {
		for _, o := range operations(patch) {
			if overlaps(o.path, at) && (len(o.path) <= len(at) || slices.Contains(keys, o.path[len(at)])) {
				return true
			}
		}
		return false
	}
	holder := patch.at(at...)
	for _, k := range keys {
		if !holder.get(k).none() {
			return true
		}
	}
	return !patch.isObject()
}

// overlaps is true if an operation's path leads to the spec, or begins like its path. In a list that holds the
// spec any element is taken for its own: operations before this one may have moved it.
func (p *podSpec) overlaps(path []string) bool {
	for i := range min(len(path), len(p.at)) {
		if path[i] != p.at[i] && (p.list < 0 || i < p.list || !isIndex(path[i]) || !isIndex(p.at[i])) {
			return false
		}
	}
	return true
}

func isIndex(token string) bool {
	_, err := strconv.Atoi(token)
	return err == nil || token == "-"
}

// overlaps is true if one path is the start of the other.
func overlaps(a, b []string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// lists of a pod spec whose elements have records of their own.
var elementLists = []string{"containers", "initContainers", "ephemeralContainers", "volumes"}

// podTouched is true unless a patch left the pod's own fields alone.
func (j *Judge) podTouched(p *podSpec) bool {
	if j.ephemeral() {
		return false
	}
	patch := j.object.patch
	if patch.none() {
		return true
	}
	if patch.isArray() {
		for _, o := range operations(patch) {
			if p.overlaps(o.path) && (len(o.path) <= len(p.at) || !slices.Contains(elementLists, o.path[len(p.at)])) {
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
		if !slices.Contains(elementLists, string(key)) && !strings.HasPrefix(string(key), "$") {
			return true
		}
	}
}

// ephemeral is true for the subresource that changes nothing but the ephemeral containers.
func (j *Judge) ephemeral() bool {
	return string(j.subresource()) == "ephemeralcontainers"
}

// listTouched is true unless a patch left the named element of a list alone.
func (j *Judge) listTouched(p *podSpec, list string, name []byte, number int) bool {
	if j.ephemeral() && list != "ephemeralContainers" {
		return false
	}
	patch := j.object.patch
	if patch.none() {
		return true
	}
	if patch.isArray() {
		return p.touchedByOperation(patch, list, number)
	}
	if p.list >= 0 {
		return p.unlocated(patch)
	}
	if list != "volumes" && !p.patch.get("securityContext").none() {
		return true // containers inherit it
	}
	v := named(p.patch.get(list), name)
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

// touchedByOperation is true if a JSON Patch changes an element of a list of the spec, or the security context
// that containers inherit.
func (p *podSpec) touchedByOperation(patch span, list string, number int) bool {
	for _, o := range operations(patch) {
		if !p.overlaps(o.path) {
			continue
		}
		below := o.path[min(len(p.at), len(o.path)):]
		switch {
		case len(below) == 0 || below[0] == "securityContext" && list != "volumes":
			return true
		case below[0] != list:
		case len(below) == 1 || below[1] == "-" || below[1] == strconv.Itoa(number):
			return true
		}
	}
	return false
}

// mountsByOperation is true if a JSON Patch changes the mounts of a volume, or may.
func (p *podSpec) mountsByOperation(patch span, volume []byte) bool {
	for _, o := range operations(patch) {
		below := o.path[min(len(p.at), len(o.path)):]
		if !p.overlaps(o.path) || len(below) == 0 || below[0] == "volumes" || !slices.Contains(elementLists, below[0]) {
			continue
		}
		switch {
		case len(below) == 1 || len(below) == 2: // containers, or one of them
			if mounts(o.value, volume) {
				return true
			}
		case below[2] != "volumeMounts":
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

// mountTouched is true if a patch changes the mounts of a volume.
func (j *Judge) mountTouched(p *podSpec, volume []byte) bool {
	touched := j.object.patch.isArray() && p.mountsByOperation(j.object.patch, volume)
	if p.patch.isObject() {
		eachMount(p.patch, volume, func(_, _ span) { touched = true })
	}
	if j.ephemeral() && j.object.patch.none() {
		// The whole pod is written, and only ephemeral containers can be new in it.
		eachMount(p.spec, volume, func(container, _ span) {
			touched = touched || hasNamed(p.spec.get("ephemeralContainers"), container.get("name").text())
		})
	}
	return touched
}
