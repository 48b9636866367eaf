package engine

import (
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// aliases are names that rules of the field use for audit fields. A name for something inside a pod spec stands
// for it wherever a body holds one.
var aliases = map[string][]string{
	"apiGroup":     {"objectRef.apiGroup"},
	"resource":     {"objectRef.resource"},
	"subresource":  {"objectRef.subresource"},
	"namespace":    {"objectRef.namespace"},
	"name":         {"objectRef.name"},
	"username":     {"user.username"},
	"groups":       {"user.groups"},
	"hostPath":     inPodSpecs("volumes.hostPath.path"),
	"capabilities": inContainers("securityContext.capabilities.add"),
	"privileged":   inContainers("securityContext.privileged"),
	"image":        inContainers("image"),
}

// podSpecPaths are where the built-in kinds keep a pod spec.
var podSpecPaths = []string{"spec", "spec.template.spec", "spec.jobTemplate.spec.template.spec", "template.spec"}

// containerLists are the lists of a pod spec that hold containers, with the value of container.type.
var containerLists = [...]struct{ key, kind string }{
	{"containers", "container"},
	{"initContainers", "initContainer"},
	{"ephemeralContainers", "ephemeralContainer"},
}

func inPodSpecs(path string) []string {
	var all []string
	for _, body := range []string{"requestObject.", "responseObject."} {
		for _, spec := range podSpecPaths {
			all = append(all, body+spec+"."+path)
		}
	}
	return all
}

func inContainers(path string) []string {
	var all []string
	for _, list := range containerLists {
		all = append(all, inPodSpecs(list.key+"."+path)...)
	}
	return all
}

// resolver hands out slots for field paths while a set is compiled.
type resolver struct {
	set    *Set
	byPath map[string]int32
}

// fields gives the slots that a name in a rule of category c stands for.
func (r *resolver) fields(c event.Category, name string) []int32 {
	if paths, ok := aliases[name]; ok {
		ids := make([]int32, len(paths))
		for i, p := range paths {
			ids[i] = r.slot(c, p)
		}
		return ids
	}
	return []int32{r.slot(c, name)}
}

// slot finds or makes the slot of one path.
func (r *resolver) slot(c event.Category, path string) int32 {
	path = canonicalPath(path)
	if id, ok := r.set.computed[path]; ok && applies(c, path) {
		return id
	}
	where := r.place(c, path)
	key := where.space + "\x00" + path
	if id, ok := r.byPath[key]; ok {
		return id
	}
	id := int32(len(r.set.slots))
	r.byPath[key] = id
	info := slotInfo{path: path, scope: where.scope, body: where.body, needs: []string{path}}
	if !where.body {
		top, _, _ := strings.Cut(path, ".")
		info.tops = 1 << topIndex(top)
	}
	if query, ok := strings.CutPrefix(path, "request.query."); ok && where.space == "header" {
		info.tops, info.needs = 1<<topRequestURI, []string{"requestURI", "request.query"}
		info.derive = func(j *Judge, id int32) { j.deriveQuery(id, query) }
	} else {
		where.trie.add(where.below, id)
		info.derive = where.capture
	}
	r.set.slots = append(r.set.slots, info)
	return id
}

// canonicalPath undoes the dedotting of well-known annotation keys, so that a rule written for such a log
// reads every log.
func canonicalPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "annotations."); ok {
		if strings.Contains(rest, "_k8s_io/") || strings.Contains(rest, "_k8s_io_") {
			rest = strings.Replace(strings.Replace(rest, "_k8s_io/", ".k8s.io/", 1), "_k8s_io_", ".k8s.io/", 1)
			return "annotations." + rest
		}
	}
	return path
}

func applies(c event.Category, path string) bool {
	_, ok := event.Lookup(c, path)
	return ok
}

// place says which trie a path belongs to, and how long its content holds.
type place struct {
	space string
	trie  *trie
	below string
	scope scope
	body  bool
	// capture fills the slots of the trie on first use; nil where they are filled without being asked for.
	capture func(*Judge, int32)
}

func (r *resolver) place(c event.Category, path string) place {
	if c != event.Request {
		if p, ok := r.elementPlace(c, path); ok {
			return p
		}
	}
	if below, ok := strings.CutPrefix(path, "requestObject."); ok {
		return place{space: "request", trie: r.set.requestBody, below: below}
	}
	if below, ok := strings.CutPrefix(path, "responseObject."); ok {
		return place{space: "response", trie: r.set.responseBody, below: below}
	}
	return place{space: "header", trie: r.set.header, below: path}
}

func (r *resolver) elementPlace(c event.Category, path string) (place, bool) {
	s := r.set
	for _, p := range []struct {
		prefix  string
		trie    *trie
		scope   scope
		capture func(*Judge, int32)
	}{
		{"metadata", s.metadata, objectScope, (*Judge).captureMetadata},
		{"pod.metadata", s.podMetadata, objectScope, (*Judge).capturePodMetadata},
		{"pod", s.pod, objectScope, (*Judge).capturePod},
		{"container", s.container, elementScope, (*Judge).captureContainer},
		{"volume", s.volume, elementScope, (*Judge).captureVolume},
		{"subject", s.subject, elementScope, (*Judge).captureSubject},
		{"roleRef", s.roleRef, objectScope, (*Judge).captureRoleRef},
		{"rule", s.policyRule, elementScope, (*Judge).capturePolicyRule},
	} {
		below, ok := strings.CutPrefix(path, p.prefix+".")
		if ok && applies(c, path) {
			if first, _, _ := strings.Cut(below, "."); p.trie == s.pod && podList([]byte(first)) != noList {
				p.prefix, p.trie, p.capture = "pod lists", s.podLists, (*Judge).capturePodLists
			}
			return place{space: p.prefix, trie: p.trie, below: below, scope: p.scope, body: true, capture: p.capture}, true
		}
	}
	return place{}, false
}
