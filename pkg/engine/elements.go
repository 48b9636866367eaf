package engine

import "github.com/foretop/foretop/pkg/event"

// demander is an item and the rules on derived records that demand it.
type demander struct {
	pred  int32
	rules bitSet
}

// demandersOf lists the items that hold for longer than one record, by how long.
func (s *Set) demandersOf() (all [elementScope][]demander) {
	known := make(map[int32]bitSet)
	for i := range s.rules {
		r := &s.rules[i]
		for _, p := range r.demands {
			of := s.preds[p].scope
			if r.category == event.Request || of == elementScope {
				continue
			}
			if known[p] == nil {
				known[p] = make(bitSet, len(s.index.element))
				all[of] = append(all[of], demander{p, known[p]})
			}
			known[p].set(i)
		}
	}
	return all
}

// refuse takes the rules out of live of which an item is false that holds as long as the scope, and reports whether some
// are left.
func (j *Judge) refuse(live bitSet, s scope) bool {
	if j.explaining != nil {
		return true
	}
	for i := range j.set.demanders[s] {
		d := &j.set.demanders[s][i]
		if live.meets(d.rules) && j.test(d.pred) == no {
			for w, rules := range d.rules {
				live[w] &^= rules
			}
		}
	}
	return !live.empty()
}

func (b bitSet) meets(other bitSet) bool {
	for w := range b {
		if b[w]&other[w] != 0 {
			return true
		}
	}
	return false
}

// anyLive drops the candidates on derived records that the request itself refuses, and reports whether some are left:
// without one, no body is read.
func (j *Judge) anyLive() bool {
	for w, word := range j.set.index.element {
		j.words[w] &= word
	}
	return j.refuse(j.words, eventScope)
}

// beginObject begins what the records of one object, or of one pod spec in it, share, and reports whether a candidate
// is left for them.
func (j *Judge) beginObject() bool {
	j.advance(objectScope)
	copy(j.derived.live, j.words)
	return j.refuse(j.derived.live, objectScope)
}

// liveRules are the candidates of a category that are left for the current object; nil is none.
func (j *Judge) liveRules(c event.Category) bitSet {
	some := false
	for w, word := range j.set.index.category[c] {
		word &= j.derived.live[w]
		j.derived.rules[w] = word
		some = some || word != 0
	}
	if !some {
		return nil
	}
	return j.derived.rules
}

// judgeList makes one record for each subject of a binding, or for each rule of a role.
func (j *Judge) judgeList(c event.Category, list int) {
	if j.beginObject() {
		values := j.object.body.get(recordLists[list])
		j.judgeElementsOf(c, list, values)
		if j.mayHaveMore(j.object.body, values) {
			j.blindOn(c, j.derived.live, j.object.source)
		}
	}
}

// judgeElementsOf makes one record for each object in a list.
func (j *Judge) judgeElementsOf(c event.Category, list int, values span) {
	if !values.isArray() {
		return
	}
	rules := j.liveRules(c)
	if rules == nil {
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

// mayHaveMore is true for a list whose end, or all of it, may lie behind the cut of the body.
func (j *Judge) mayHaveMore(holder, values span) bool {
	if !j.isCut(j.object.top) {
		return false
	}
	if values.none() {
		return j.mayGoOn(holder)
	}
	return j.mayGoOn(values)
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
	} else if spec.none() && j.mayHaveMore(o.body, span{}) {
		j.noBody(holdsPodSpec)
	}
}

// judgePodSpec makes the pod's record and those of its containers and volumes. meta is the metadata of what holds the
// spec; at and list are those of podSpec.
func (j *Judge) judgePodSpec(spec, meta span, at [][]byte, list int) {
	p := &j.pod
	*p = podSpec{spec: spec, meta: meta, at: at, list: list}
	spec.pick(recordLists[:podLists], p.lists[:])
	if !j.beginObject() {
		return
	}
	if rules := j.liveRules(event.Pod); rules != nil {
		j.advance(elementScope)
		j.element = element{category: event.Pod, list: noList, value: spec}
		j.evaluateRules(rules)
	}
	more := false
	for list := range containerLists {
		j.judgeElementsOf(event.Container, list, p.lists[list])
		more = more || j.mayHaveMore(spec, p.lists[list])
	}
	if more {
		j.blindOn(event.Container, j.derived.live, j.object.source)
	}
	j.judgeElementsOf(event.Volume, volumesList, p.lists[volumesList])
	if j.mayHaveMore(spec, p.lists[volumesList]) {
		j.blindOn(event.Volume, j.derived.live, j.object.source)
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
