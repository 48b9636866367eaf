package engine_test

import (
	"encoding/json"
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// This file: the records of a pod spec.

// podRecords makes the records of one pod spec, which stands in the body under keys; steps are the same with the
// numbers of lists, and nil for the built-in kinds.
func (w *written) podRecords(meta, spec any, keys []string, steps []any) []*record {
	pod, ok := spec.(map[string]any)
	if !ok {
		return nil
	}
	s := &podSpec{written: w, spec: pod, meta: meta, keys: keys, steps: steps}
	s.asked, _ = along(w.asked, keys).(map[string]any)
	r := s.record(event.Pod, "", 0)
	r.computed["record.touched"] = s.podTouched(r)
	r.computed["element.injected"] = []any{s.hostFlagsInjected()}
	all := []*record{r}
	for _, list := range containerLists {
		for i, c := range listAt(spec, list.key) {
			if object, ok := c.(map[string]any); ok {
				all = append(all, s.container(object, list.key, list.kind, i))
			}
		}
	}
	for i, v := range listAt(spec, "volumes") {
		if object, ok := v.(map[string]any); ok {
			all = append(all, s.volume(object, i))
		}
	}
	return all
}

// along follows keys of objects and numbers of lists.
func along(v any, keys []string) any {
	for _, key := range keys {
		if list, ok := v.([]any); ok {
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(list) {
				return nil
			}
			v = list[i]
			continue
		}
		v = member(v, key)
	}
	return v
}

// humanPath writes a place as people do.
func (s *podSpec) humanPath() string {
	if s.steps == nil {
		return strings.Join(s.keys, ".")
	}
	text := ""
	for n, step := range s.steps {
		if i, ok := step.(int); ok {
			text += "[" + strconv.Itoa(i) + "]"
			continue
		}
		if n > 0 {
			text += "."
		}
		text += step.(string)
	}
	return text
}

var containerLists = []struct{ key, kind string }{{"containers", "container"}, {"initContainers", "initContainer"}, {"ephemeralContainers", "ephemeralContainer"}}

// podSpec is a pod spec among the records of one event.
type podSpec struct {
	*written
	spec  map[string]any
	meta  any
	keys  []string
	steps []any
	asked map[string]any // the same place of the request, if admission can have added to it
}

func (s *podSpec) record(c event.Category, list string, number int) *record {
	r := &record{written: s.written, category: c, path: s.source + "." + s.humanPath(), computed: make(map[string][]any), left: make(map[string]bool), roots: map[string][]any{"pod": {s.spec}}}
	if list != "" {
		r.path += "." + list + "[" + strconv.Itoa(number) + "]"
	}
	r.rootIf("metadata", s.body["metadata"])
	r.rootIf("pod.metadata", s.meta)
	maps.Copy(r.computed, s.own)
	n := 0
	for _, list := range containerLists {
		n += len(listAt(s.spec, list.key))
	}
	r.computed["workload.containers"] = []any{json.Number(strconv.Itoa(n))}
	return r
}

func (s *podSpec) hostFlagsInjected() bool {
	for _, flag := range []string{"hostPID", "hostIPC", "hostNetwork"} {
		if s.asked != nil && s.spec[flag] == true && s.asked[flag] != true {
			return true
		}
	}
	return false
}

// namedIn finds the element of a list by its name; elements without one are all called the same.
func namedIn(list []any, name string) any {
	for _, e := range list {
		if textAt(e, "name") == name {
			if e == nil {
				return struct{}{}
			}
			return e
		}
	}
	return nil
}

// inherited is what a container's security context takes from the pod's where it does not say itself.
var inherited = []string{"runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions", "seccompProfile", "windowsOptions", "appArmorProfile"}

func (s *podSpec) container(v map[string]any, list, kind string, number int) *record {
	r := s.record(event.Container, list, number)
	r.roots["container"] = []any{v}
	r.computed["record.touched"] = s.elementTouched(r, list, textAt(v, "name"), number)
	r.computed["element.injected"] = []any{s.asked != nil && namedIn(listAt(s.asked, list), textAt(v, "name")) == nil}
	r.computed["container.type"] = []any{kind}
	own, _ := v["securityContext"].(map[string]any)
	for _, key := range inherited {
		_, has := own[key]
		if of, ok := member(s.spec, "securityContext").(map[string]any); ok && !has {
			if value, given := of[key]; given {
				// A key of its own for each, so that the context itself is absent where the container has none.
				r.roots["container"] = append(r.roots["container"], map[string]any{"securityContext." + key: value})
			}
		}
	}
	if ref := textAt(v, "image"); ref != "" {
		for part, text := range imageParts(ref) {
			if text != "" {
				r.computed["image."+part] = []any{text}
			}
		}
	}
	return r
}

// imageParts takes an image reference apart: [registry/]repository[:tag][@digest].
func imageParts(ref string) map[string]string {
	rest, digest, _ := strings.Cut(ref, "@")
	parts := strings.Split(rest, "/")
	last, tag, _ := cutLast(parts[len(parts)-1], ":")
	parts[len(parts)-1] = last
	registry := "docker.io"
	if len(parts) > 1 && (strings.ContainsAny(parts[0], ".:") || parts[0] == "localhost") {
		registry, parts = strings.ToLower(parts[0]), parts[1:]
	}
	if registry == "index.docker.io" {
		registry = "docker.io"
	}
	if registry == "docker.io" && len(parts) == 1 {
		parts = []string{"library", parts[0]}
	}
	return map[string]string{"registry": registry, "repository": strings.Join(parts, "/"), "tag": tag, "digest": digest}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (s *podSpec) volume(v map[string]any, number int) *record {
	r := s.record(event.Volume, "volumes", number)
	r.roots["volume"] = []any{v}
	name := textAt(v, "name")
	r.computed["record.touched"] = s.volumeTouched(r, name, number)
	r.computed["element.injected"] = []any{s.asked != nil && namedIn(listAt(s.asked, "volumes"), name) == nil}
	if host := textAt(v, "hostPath", "path"); host != "" {
		r.computed["volume.hostPath.cleaned"] = []any{path.Clean("/" + host)}
	}
	writable := false
	for _, m := range mountsOf(s.spec, name) {
		if container := textAt(m.container, "name"); container != "" {
			r.computed["mount.containers"] = append(r.computed["mount.containers"], container)
		}
		writable = writable || member(m.mount, "readOnly") != true
	}
	r.computed["mount.writable"] = []any{writable}
	return r
}

type mount struct{ container, mount any }

// mountsOf are the mounts of a volume in all containers of a spec.
func mountsOf(spec any, volume string) []mount {
	var all []mount
	for _, list := range containerLists {
		for _, container := range listAt(spec, list.key) {
			for _, m := range listAt(container, "volumeMounts") {
				if textAt(m, "name") == volume {
					all = append(all, mount{container, m})
				}
			}
		}
	}
	return all
}
