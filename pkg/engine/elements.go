package engine

import (
	"math/bits"

	"github.com/foretop/foretop/pkg/event"
)

// anyLive drops the candidates on derived records that the request itself refuses, and reports whether some are left:
// without one, no body is read.
func (j *Judge) anyLive() bool {
	if j.explaining != nil {
		return true
	}
	some := false
	for w, word := range j.set.index.element {
		rest := j.surviving(word&j.words[w], w, eventScope)
		j.words[w] = j.words[w]&^word | rest
		some = some || rest != 0
	}
	return some
}

// survivors are the candidates of a category that nothing refuses which the records of the current object share. They
// lie in j.derived.live[to]; nil is none.
func (j *Judge) survivors(c event.Category, to int) ruleSet {
	live, some := j.derived.live[to], false
	for w, word := range j.set.index.category[c] {
		live[w] = j.surviving(word&j.words[w], w, objectScope)
		some = some || live[w] != 0
	}
	if !some {
		return nil
	}
	return live
}

// surviving gives those of 64 rules that have no false demand among those which hold for the scope or longer.
func (j *Judge) surviving(word uint64, at int, within scope) uint64 {
	if j.explaining != nil {
		return word
	}
	for rest := word; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		for _, p := range j.set.rules[at*64+i].demands {
			if j.set.preds[p].scope > within {
				break
			}
			if j.test(p) == no {
				word &^= 1 << i
				break
			}
		}
	}
	return word
}

// judgeList makes one record for each subject of a binding, or for each rule of a role.
func (j *Judge) judgeList(c event.Category, list int) {
	j.advance(objectScope)
	if rules := j.survivors(c, 0); rules != nil {
		j.judgeElementsOf(c, list, j.object.body.get(recordLists[list]), rules)
	}
}

// judgeElementsOf makes one record for each object in a list.
func (j *Judge) judgeElementsOf(c event.Category, list int, values span, rules ruleSet) {
	if !values.isArray() {
		return
	}
	number := 0
	for e := open(values); e.element(); number++ {
		if v := e.value(); v.isObject() {
			j.advance(elementScope)
			j.element = element{category: c, list: list, number: number, value: v}
			j.evaluateRules(rules)
		}
	}
}

// judgeWorkload makes the records of a built-in workload kind.
func (j *Judge) judgeWorkload() {
	o := &j.object
	at := o.workload.spec
	spec, meta := o.spec, o.metadata
	if template := at[:len(at)-1]; len(template) > 0 {
		var members [3]span
		o.body.follow(template).pick(memberKeys, members[:])
		meta, spec = members[1], members[2]
	}
	if spec.isObject() {
		j.judgePodSpec(spec, meta, at, -1)
	}
}

// judgePodSpec makes the pod's record and those of its containers and volumes. meta is the metadata of what holds the
// spec; at and list are those of podSpec.
func (j *Judge) judgePodSpec(spec, meta span, at [][]byte, list int) {
	j.advance(objectScope)
	p := &j.pod
	*p = podSpec{spec: spec, meta: meta, at: at, list: list}
	spec.pick(recordLists[:podLists], p.lists[:])
	if rules := j.survivors(event.Pod, 0); rules != nil {
		j.advance(elementScope)
		j.element = element{category: event.Pod, list: noList, value: spec}
		j.evaluateRules(rules)
	}
	if rules := j.survivors(event.Container, 1); rules != nil {
		for list := range containerLists {
			j.judgeElementsOf(event.Container, list, p.lists[list], rules)
		}
	}
	if rules := j.survivors(event.Volume, 2); rules != nil {
		j.judgeElementsOf(event.Volume, volumesList, p.lists[volumesList], rules)
	}
}

// injected is true for what admission added to the current record beyond the request.
func (j *Judge) injected() bool {
	switch j.element.category {
	case event.Pod:
		return j.hostFlagsInjected()
	case event.Container, event.Volume:
		asked := j.counterparts().request
		return asked.isObject() && !hasNamed(asked.get(recordLists[j.element.list]), j.elementName())
	}
	return false
}

// hostFlagsInjected is true if admission gave the pod a namespace of the host that the request did not ask for.
func (j *Judge) hostFlagsInjected() bool {
	p := j.counterparts()
	if !p.request.isObject() {
		return false
	}
	for _, flag := range [...]string{"hostPID", "hostIPC", "hostNetwork"} {
		if p.spec.get(flag).isTrue() && !p.request.get(flag).isTrue() {
			return true
		}
	}
	return false
}

// mount is one mount of a volume in a container.
type mount struct {
	volume    []byte
	container span
	writable  bool
}

// mounts are all mounts in the current pod spec.
func (j *Judge) mounts() []mount {
	if j.take(mountsPart, objectScope) {
		j.derived.mounts = j.appendMounts(j.derived.mounts[:0], &j.pod.lists)
	}
	return j.derived.mounts
}

// appendMounts adds the mounts in the containers of a pod spec that has these lists.
func (j *Judge) appendMounts(all []mount, lists *[podLists]span) []mount {
	for _, containers := range lists[:len(containerLists)] {
		if !containers.isArray() {
			continue
		}
		for c := open(containers); c.element(); {
			container := c.value()
			mounts := container.get("volumeMounts")
			if !mounts.isArray() {
				continue
			}
			for m := open(mounts); m.element(); {
				var members [2]span
				m.value().pick(mountKeys, members[:])
				all = append(all, mount{j.textOf(members[0]), container, !members[1].isTrue()})
			}
		}
	}
	return all
}

var mountKeys = []string{"name", "readOnly"}

// hasNamed is true if a list has an element of that name.
func hasNamed(list span, name []byte) bool { return !named(list, name).none() }

func named(list span, name []byte) span {
	if !list.isArray() {
		return span{}
	}
	for c := open(list); c.element(); {
		if v := c.value(); string(v.get("name").text()) == string(name) {
			return v
		}
	}
	return span{}
}
