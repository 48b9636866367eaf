package engine_test

import (
	"slices"
	"strconv"
	"strings"
)

// This file: what a patch touched, for the plain cases, and the object that a JSON Patch describes.

// step is one operation of a JSON Patch.
type step struct {
	op    string
	path  []string
	value any
	given bool
}

func stepsOf(patch []any) []step {
	var all []step
	for _, s := range patch {
		op, pointer := textAt(s, "op"), textAt(s, "path")
		if op == "" || op == "test" || !strings.HasPrefix(pointer, "/") {
			continue
		}
		parts := strings.Split(pointer[1:], "/")
		for i, p := range parts {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
		}
		value, given := s.(map[string]any)["value"]
		all = append(all, step{op, parts, value, given})
	}
	return all
}

// objectOfSteps puts what a JSON Patch adds and replaces at its place in an object that has nothing else.
func objectOfSteps(patch []any) any {
	var root any
	for _, s := range stepsOf(patch) {
		if oneOf(s.op, "add", "replace") && s.given && len(s.path) <= 64 {
			root = placed(root, s.path, copyOf(s.value))
		}
	}
	return root
}

// copyOf copies a value, so that what is placed in it does not change the event.
func copyOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, child := range v {
			object[key] = copyOf(child)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, child := range v {
			list[i] = copyOf(child)
		}
		return list
	}
	return v
}

// placed gives at with value put at the path below it. A place that holds something else already stays as it is.
func placed(at any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	number, err := strconv.Atoi(path[0])
	isNumber := err == nil && number >= 0 || path[0] == "-"
	switch at := at.(type) {
	case nil:
		if isNumber {
			return placed([]any{}, path, value)
		}
		return placed(map[string]any{}, path, value)
	case []any:
		if !isNumber {
			return at
		}
		if path[0] == "-" || number > 1000 {
			number = len(at)
		}
		for len(at) <= number {
			at = append(at, map[string]any{})
		}
		at[number] = placed(at[number], path[1:], value)
		return at
	case map[string]any:
		if isNumber {
			return at
		}
		at[path[0]] = placed(at[path[0]], path[1:], value)
		return at
	}
	return at
}

// ephemeral is true for the subresource that writes ephemeral containers alone.
func (w *written) ephemeral() bool {
	return textAt(w.doc, "objectRef", "subresource") == "ephemeralcontainers"
}

// listTouched is true unless a patch leaves all of the keys alone.
func (w *written) listTouched(keys ...string) bool {
	if !w.patched {
		return true
	}
	if steps, ok := w.patch.([]any); ok {
		return slices.ContainsFunc(stepsOf(steps), func(s step) bool { return slices.Contains(keys, s.path[0]) })
	}
	object, ok := w.patch.(map[string]any)
	return !ok || slices.ContainsFunc(keys, func(key string) bool { _, has := object[key]; return has })
}

var elementLists = []string{"containers", "initContainers", "ephemeralContainers", "volumes"}

// steps gives the operations of a JSON Patch on the pod spec, with the paths below it; whole is true if one of them
// writes the spec or what holds it. ok is false where this reference leaves open what they touch: where they move
// elements of lists, or name them in another way than by their final number.
func (s *podSpec) patchSteps(steps []any) (below []step, whole, ok bool) {
	if s.steps != nil {
		return nil, false, false
	}
	for _, p := range stepsOf(steps) {
		n := min(len(p.path), len(s.keys))
		if !slices.Equal(p.path[:n], s.keys[:n]) {
			continue
		}
		if len(p.path) <= len(s.keys) {
			whole = true
			continue
		}
		p.path = p.path[len(s.keys):]
		if slices.Contains(elementLists, p.path[0]) && len(p.path) > 1 {
			number, err := strconv.Atoi(p.path[1])
			plain := err == nil && number >= 0 && strconv.Itoa(number) == p.path[1]
			if !(plain && (len(p.path) > 2 || p.op == "replace")) && !(p.path[1] == "-" && len(p.path) == 2 && p.op == "add") {
				return nil, false, false
			}
		}
		below = append(below, p)
	}
	return below, whole, true
}

// leaveOpen says that this reference does not know.
func (r *record) leaveOpen(field string) []any {
	r.left[field] = true
	return nil
}

// podTouched: by a patch of anything in the spec but the lists whose elements have records of their own.
func (s *podSpec) podTouched(r *record) []any {
	if s.ephemeral() {
		return []any{false}
	}
	if !s.patched {
		return []any{true}
	}
	if patch, ok := s.patch.([]any); ok {
		steps, whole, ok := s.patchSteps(patch)
		if !ok {
			return r.leaveOpen("record.touched")
		}
		return []any{whole || slices.ContainsFunc(steps, func(p step) bool { return !slices.Contains(elementLists, p.path[0]) })}
	}
	if s.inList() {
		return r.leaveOpen("record.touched")
	}
	patch, _ := along(s.patch, s.keys).(map[string]any)
	for key := range patch {
		if !slices.Contains(elementLists, key) && !strings.HasPrefix(key, "$") {
			return []any{true}
		}
	}
	return []any{false}
}

func (s *podSpec) inList() bool {
	return slices.ContainsFunc(s.steps, func(step any) bool { _, ok := step.(int); return ok })
}

// elementTouched: a container or volume that a patch names, beyond its name, or whose inherited context it changes.
func (s *podSpec) elementTouched(r *record, list, name string, number int) []any {
	if s.ephemeral() && list != "ephemeralContainers" {
		return []any{false}
	}
	if !s.patched {
		return []any{true}
	}
	if patch, ok := s.patch.([]any); ok {
		steps, whole, ok := s.patchSteps(patch)
		if !ok {
			return r.leaveOpen("record.touched")
		}
		return []any{whole || slices.ContainsFunc(steps, func(p step) bool {
			return p.path[0] == "securityContext" && list != "volumes" ||
				p.path[0] == list && (len(p.path) == 1 || p.path[1] == "-" || p.path[1] == strconv.Itoa(number))
		})}
	}
	if s.inList() {
		return r.leaveOpen("record.touched")
	}
	patch, _ := along(s.patch, s.keys).(map[string]any)
	if _, has := patch["securityContext"]; has && list != "volumes" {
		return []any{true}
	}
	element, _ := namedIn(listAt(patch, list), name).(map[string]any)
	for key := range element {
		if key != "name" {
			return []any{true}
		}
	}
	return []any{false}
}

// volumeTouched: also by a patch of its mounts.
func (s *podSpec) volumeTouched(r *record, name string, number int) []any {
	touched := s.elementTouched(r, "volumes", name, number)
	if len(touched) == 0 || touched[0] == true {
		return touched
	}
	switch patch := s.patch.(type) {
	case []any:
		steps, _, ok := s.patchSteps(patch)
		if !ok || slices.ContainsFunc(steps, func(p step) bool { return p.path[0] != "volumes" && slices.Contains(elementLists, p.path[0]) }) {
			return r.leaveOpen("record.touched") // mounts may be in it
		}
	case map[string]any:
		if len(mountsOf(along(patch, s.keys), name)) > 0 {
			return []any{true}
		}
	}
	if s.ephemeral() && !s.patched {
		for _, m := range mountsOf(s.spec, name) {
			if namedIn(listAt(s.spec, "ephemeralContainers"), textAt(m.container, "name")) != nil {
				return []any{true}
			}
		}
	}
	return []any{false}
}
