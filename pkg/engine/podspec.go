package engine

import (
	"slices"
	"strconv"
	"strings"
)

const (
	maxSearchDepth = 16 // below which a custom kind is not searched for a pod spec
	maxPodSpecs    = 64 // found in one object
)

// podSpec is a pod spec with its counterparts in the patch and in the request.
type podSpec struct {
	spec, meta     span
	patch, request span
	// at is where the spec stands, below the body: keys, and decimal indexes of lists.
	at []string
	// list is how much of at leads to the first list, -1 if none does. What stands in a list has another
	// number, or none, in a patch: there its counterpart is not known.
	list int
	base string // at, as people write it
}

// specPaths are the places of the built-in kinds' pod specs, made once.
var specPaths = func() map[string][]string {
	paths := make(map[string][]string)
	for resource, p := range places {
		paths[resource] = append(slices.Clone(p.template), "spec")
	}
	return paths
}()

// place writes the path of the spec as people do: spec.groups[0].template.spec.
func (p *podSpec) place() string {
	if p.list < 0 {
		return strings.Join(p.at, ".")
	}
	var b strings.Builder
	for i, step := range p.at {
		switch _, err := strconv.Atoi(step); {
		case err == nil && i >= p.list:
			b.WriteString("[" + step + "]")
		case i > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}

// follow goes along keys of objects and numbers of lists.
func (s span) follow(steps []string) span {
	for _, step := range steps {
		if !s.isArray() {
			s = s.get(step)
			continue
		}
		number, err := strconv.Atoi(step)
		if err != nil {
			return span{}
		}
		var found span
		for c := open(s); c.element(); number-- {
			if v := c.value(); number == 0 {
				found = v
				break
			}
		}
		s = found
	}
	return s
}

// unlocated reports whether a merge patch leaves open what it does to the spec: it writes the list that the spec
// stands in.
func (p *podSpec) unlocated(patch span) bool {
	return p.list >= 0 && !patch.at(p.at[:p.list]...).none()
}

// searchPodSpecs looks for pod specs in a custom kind: objects with a list of containers.
func (j *Judge) searchPodSpecs() {
	found := 0
	var walk func(v, meta span, at []string, list int)
	walk = func(v, meta span, at []string, list int) {
		if !v.isObject() || len(at) > maxSearchDepth || found >= maxPodSpecs {
			return
		}
		if len(at) > 0 && isPodSpec(v) {
			found++
			j.beginObject()
			j.fillWorkload()
			j.judgePodSpecIn(v, meta, at, list)
			return
		}
		inner := v.get("metadata")
		for c := open(v); ; {
			key, ok := c.key()
			if !ok {
				return
			}
			child := c.value()
			if string(key) == "status" || string(key) == "metadata" {
				continue
			}
			below := append(slices.Clip(at), string(key))
			if child.isObject() {
				walk(child, inner, below, list)
			}
			if !child.isArray() {
				continue
			}
			first := list
			if first < 0 {
				first = len(below)
			}
			number := 0
			for e := open(child); e.element(); number++ {
				walk(e.value(), inner, append(slices.Clip(below), strconv.Itoa(number)), first)
			}
		}
	}
	walk(j.object.body, span{}, nil, -1)
}

// isPodSpec is true for an object with a list of containers, each an object with an image or a name.
func isPodSpec(v span) bool {
	list := v.get("containers")
	if !list.isArray() {
		return false
	}
	n := 0
	for c := open(list); c.element(); n++ {
		e := c.value()
		if !e.get("image").isString() && !e.get("name").isString() {
			return false
		}
	}
	return n > 0
}

// judgePodSpec makes the records of a pod spec that no list leads to.
func (j *Judge) judgePodSpec(spec, meta span, at []string) {
	if spec.isObject() {
		j.judgePodSpecIn(spec, meta, at, -1)
	}
}

// judgePodSpecIn makes the pod's record and those of its containers and volumes. meta is the metadata of what
// holds the spec.
func (j *Judge) judgePodSpecIn(spec, meta span, at []string, list int) {
	if !meta.none() && !j.set.podMetadata.root.leaf() {
		j.captureClean(meta, j.set.podMetadata)
	}
	j.captureClean(spec, j.set.pod)
	j.put(j.set.computed["workload.containers"], strconv.AppendInt(nil, int64(countContainers(spec)), 10), numberValue)
	j.pod = podSpec{spec: spec, meta: meta, at: at, list: list}
	p := &j.pod
	p.patch, p.request, p.base = j.object.patch.follow(at), j.object.request.follow(at), p.place()
	j.judgePod(p)
	for _, list := range containerLists {
		j.eachElement(spec, p.base, list.key, func(v span) { j.judgeContainer(p, v, list.key, list.kind) })
	}
	j.eachElement(spec, p.base, "volumes", func(v span) { j.judgeVolume(p, v) })
}
