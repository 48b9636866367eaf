package engine_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// This file: what a patch touched, and the object that a JSON Patch describes.

// step is one operation of a JSON Patch.
type step struct {
	op    string
	path  []string
	value any
	given bool
}

// stepsOf reads a JSON Patch as the API server does. A move removes and adds; what a copy adds is not known.
func stepsOf(patch []any) []step {
	var all []step
	add := func(op string, pointer any, value any, given bool) {
		text, ok := pointer.(string)
		before, after, deeper := strings.Cut(text, "/")
		if !ok || !deeper && before != "" {
			return
		}
		var parts []string
		if deeper {
			parts = strings.Split(after, "/")
		}
		for i, p := range parts {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
		}
		all = append(all, step{op, parts, value, given})
	}
	for _, s := range patch {
		value, given := member(s, "value"), false
		if object, ok := s.(map[string]any); ok {
			_, given = object["value"]
		}
		switch op := textAt(s, "op"); op {
		case "", "test":
		case "move":
			add("remove", member(s, "from"), nil, false)
			add("add", member(s, "path"), nil, false)
		case "copy":
			add("add", member(s, "path"), nil, false)
		case "remove":
			add("remove", member(s, "path"), nil, false)
		default:
			add(op, member(s, "path"), value, given)
		}
	}
	return all
}

// objectOfSteps puts what a JSON Patch adds and replaces at its place in an object that has nothing else.
func objectOfSteps(patch []any) any {
	var root any
	for _, s := range stepsOf(patch) {
		if oneOf(s.op, "add", "replace") && s.given && len(s.path) <= 64 {
			root = placed(root, s.path, copyOf(s.value), s.op == "add")
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

// placed gives at with value put at the path below it; what is added to a list is put between its elements. A place that
// holds something else already stays as it is.
func placed(at any, path []string, value any, add bool) any {
	if len(path) == 0 {
		return value
	}
	number, err := strconv.Atoi(path[0])
	isNumber := err == nil || path[0] == "-"
	switch at := at.(type) {
	case nil:
		if isNumber {
			return placed([]any{}, path, value, add)
		}
		return placed(map[string]any{}, path, value, add)
	case []any:
		if !isNumber {
			return at
		}
		if path[0] == "-" || number < 0 || number > 1000 {
			number = len(at)
		}
		if add && len(path) == 1 && number < len(at) {
			return append(at[:number:number], append([]any{value}, at[number:]...)...)
		}
		for len(at) <= number {
			at = append(at, map[string]any{})
		}
		at[number] = placed(at[number], path[1:], value, add)
		return at
	case map[string]any:
		if isNumber {
			return at
		}
		at[path[0]] = placed(at[path[0]], path[1:], value, add)
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
		return slices.ContainsFunc(stepsOf(steps), func(s step) bool { return len(s.path) == 0 || slices.Contains(keys, s.path[0]) })
	}
	object, ok := w.patch.(map[string]any)
	return !ok || slices.ContainsFunc(keys, func(key string) bool { _, has := object[key]; return has })
}

var elementLists = []string{"containers", "initContainers", "ephemeralContainers", "volumes"}

// patchSteps gives the operations of a JSON Patch on the pod spec, with the paths below it; whole is true if one of them
// writes the spec or what holds it. ok is false for a spec in a list, which this reference leaves open.
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
		below = append(below, p)
	}
	return below, whole, true
}

// applied tells which elements of a list are written by operations on it, by number in the list that they leave, which
// has length elements. sure is false where another answer is possible: the list cannot have been that long, the
// operations cannot be applied to it, or they count from its end.
func applied(steps []step, list string, length int) (touched []bool, sure bool) {
	before := length
	for _, p := range steps {
		if p.path[0] != list || len(p.path) != 2 {
			continue
		}
		switch p.op {
		case "add":
			before--
		case "remove":
			before++
		}
	}
	if before < 0 {
		return nil, false
	}
	elements, sure := make([]bool, before), true
	for _, p := range steps {
		if p.path[0] != list {
			continue
		}
		if len(p.path) == 1 {
			return slices.Repeat([]bool{true}, length), true
		}
		at, err := strconv.Atoi(p.path[1])
		ends := len(elements)
		adds := p.op == "add" && len(p.path) == 2
		if adds {
			ends++
		}
		switch {
		case p.path[1] == "-" && adds:
			at, sure = len(elements), false
		case err != nil:
			return nil, false
		case at < 0:
			at, sure = at+ends, false
		}
		switch {
		case at < 0 || at >= ends:
			return nil, false
		case adds:
			elements = slices.Insert(elements, at, true)
		case p.op == "remove" && len(p.path) == 2:
			elements = slices.Delete(elements, at, at+1)
		default:
			elements[at] = true
		}
	}
	return elements, sure
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
	if s.rewritten() {
		return []any{true}
	}
	patch, _ := along(s.patch, s.keys).(map[string]any)
	for key := range patch {
		if !slices.Contains(elementLists, key) && !strings.HasPrefix(key, "$setElementOrder/") {
			return []any{true}
		}
	}
	return []any{false}
}

// rewritten: a strategic merge patch that keeps only what it has itself, of the spec or of what holds it.
func (s *podSpec) rewritten() bool {
	for n := range len(s.keys) + 1 {
		object, _ := along(s.patch, s.keys[:n]).(map[string]any)
		for _, key := range []string{"$patch", "$retainKeys"} {
			if _, has := object[key]; has {
				return true
			}
		}
	}
	return false
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
		if whole || slices.ContainsFunc(steps, func(p step) bool { return p.path[0] == "securityContext" && list != "volumes" }) {
			return []any{true}
		}
		written, sure := applied(steps, list, len(listAt(s.spec, list)))
		if number < len(written) && written[number] {
			return []any{true}
		}
		if !sure {
			return r.leaveOpen("record.touched")
		}
		return []any{false}
	}
	if s.inList() {
		return r.leaveOpen("record.touched")
	}
	patch, _ := along(s.patch, s.keys).(map[string]any)
	if s.rewritten() {
		return []any{true}
	}
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

// touchedRules are true of the containers that a patch touched, and of those that it left alone.
var touchedRules = func() []*sigma.Rule {
	var files []sigma.File
	for i, touched := range []string{"true", "false"} {
		files = append(files, sigma.File{Name: touched, Data: []byte("title: T" + touched + "\nid: 11111111-2222-4333-8444-55555555555" + strconv.Itoa(i) +
			"\nlogsource: {product: kubernetes, service: audit, category: container}\nlevel: medium\ndetection:\n  s: {record.touched: " + touched + "}\n  condition: s\n")})
	}
	return sigma.Load(files, sigma.Options{}).Rules
}()

// checkTouched draws JSON Patches with several steps on one list, each in what the steps before it left.
func checkTouched(t *rapid.T) {
	set := compiled(t, touchedRules)
	place := func() string {
		return "/spec/containers/" + pick(t, "0", "1", "2", "3", "01", "-1", "-") + pick(t, "", "", "/image")
	}
	var containers, steps []any
	for i := range rapid.IntRange(1, 4).Draw(t, "containers") {
		containers = append(containers, members{{"name", "c" + strconv.Itoa(i)}})
	}
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		steps = append(steps, members{{"op", pick(t, "add", "remove", "replace", "move", "copy")}, {"path", place()}, {"from", place()}, {"value", "x"}})
	}
	s := newSpelling(0, false)
	s.value(members{{"verb", "patch"}, {"objectRef", members{{"resource", "pods"}}}, {"responseStatus", members{{"code", 200}}}, {"requestObject", steps},
		{"responseObject", members{{"kind", "Pod"}, {"spec", members{{"containers", containers}}}}}})
	checkVerdict(t, touchedRules, set.NewJudge(), new(engine.Verdict), s.out, &envelopes[0])
}

func TestStepsOfAJSONPatchCountInWhatTheStepsBeforeThemLeft(t *testing.T) {
	rapid.Check(t, checkTouched)
}
