package engine

import (
	"bytes"
	"strconv"
	"strings"
)

const (
	maxSearchDepth = 16 // below which a custom kind is not searched for a pod spec
	maxPodSpecs    = 64 // found in one object
)

// podSpec is a pod spec with its counterparts in the patch and in the request.
type podSpec struct {
	spec, meta span
	lists      [podLists]span
	// at is where the spec stands, below the body: keys, and decimal indexes of lists.
	at [][]byte
	// list is how much of at leads to the first list, -1 if none does. What stands in a list has another
	// number, or none, in a patch: there its counterpart is not known.
	list int

	located        bool // patch and request are known
	patch, request span
}

// counterparts is the current pod spec, with its patch and its request.
func (j *Judge) counterparts() *podSpec {
	p := &j.pod
	if !p.located {
		p.located, p.patch, p.request = true, j.object.patch.follow(p.at), j.object.request.follow(p.at)
	}
	return p
}

// place writes the path of the spec as people do: spec.groups[0].template.spec.
func (p *podSpec) place() string {
	var b strings.Builder
	for i, step := range p.at {
		switch {
		case p.list >= 0 && i >= p.list && isNumber(step):
			b.WriteString("[" + string(step) + "]")
		case i > 0:
			b.WriteString("." + string(step))
		default:
			b.Write(step)
		}
	}
	return b.String()
}

// numberOf reads a step that is a number, as strconv.Atoi does, but makes no error of one that is none.
func numberOf(step []byte) (number int, ok bool) {
	for _, c := range step {
		if c-'0' > 9 && c != '-' && c != '+' {
			return 0, false
		}
	}
	if len(step) == 0 {
		return 0, false
	}
	number, err := strconv.Atoi(string(step))
	return number, err == nil
}

func isNumber(step []byte) bool {
	_, ok := numberOf(step)
	return ok
}

// follow goes along keys of objects and numbers of lists.
func (s span) follow(steps [][]byte) span {
	for _, step := range steps {
		if !s.isArray() {
			s = s.get(string(step))
			continue
		}
		number, ok := numberOf(step)
		if !ok {
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
	if p.list < 0 {
		return false
	}
	for _, key := range p.at[:p.list] {
		patch = patch.get(string(key))
	}
	return !patch.none()
}

// search is a walk through a custom kind for pod specs: objects with a list of containers.
type search struct {
	at    [][]byte // keys, and decimal indexes of lists
	found int
}

var containersKey = []byte(`"containers"`)

// searchPodSpecs judges the pod specs in a custom kind.
func (j *Judge) searchPodSpecs() {
	body := j.object.body
	// Most custom kinds hold none, and most bodies are written without escapes.
	if !body.x.Escaped(body.from, body.to) && !bytes.Contains(body.bytes(), containersKey) {
		return
	}
	s := search{at: j.derived.steps[:0]}
	j.searchObject(&s, body, -1)
	j.derived.steps = s.at[:0]
}

// searchObject judges the pod specs below v, which is none itself; list is that of podSpec.
func (j *Judge) searchObject(s *search, v span, list int) {
	depth := len(s.at)
	if hasDuplicates(v) {
		j.duplicate = true
		return
	}
	for c := open(v); ; {
		key, ok := c.key()
		if !ok {
			return
		}
		child := c.value()
		if string(key) == "status" || string(key) == "metadata" {
			continue
		}
		s.at = append(s.at, key)
		switch {
		case child.isObject():
			j.searchChild(s, child, v, list)
		case child.isArray():
			number := 0
			for e := open(child); e.element(); number++ {
				if at := e.value(); at.isObject() {
					s.at = append(s.at, j.decimal(number))
					j.searchChild(s, at, v, firstList(list, depth+1))
					s.at = s.at[:depth+1]
				}
			}
		}
		s.at = s.at[:depth]
	}
}

// firstList is list, or depth if list says that there was none before.
func firstList(list, depth int) int {
	if list < 0 {
		return depth
	}
	return list
}

// searchChild judges v, if it is a pod spec, or what lies below; its metadata are those of holder.
func (j *Judge) searchChild(s *search, v, holder span, list int) {
	switch {
	case len(s.at) > maxSearchDepth || s.found >= maxPodSpecs:
	case isPodSpec(v):
		s.found++
		j.judgePodSpec(v, holder.get("metadata"), s.at, list)
	default:
		j.searchObject(s, v, list)
	}
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
