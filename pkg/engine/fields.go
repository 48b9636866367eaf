package engine

import (
	"bytes"
	"strconv"

	"github.com/foretop/foretop/pkg/event"
)

// recordFields are the computed fields of derived records, with how they are worked out: at most once while their
// scope lasts, when a rule first asks.
var recordFields = []struct {
	path   string
	scope  scope
	derive func(j *Judge, id int32)
}{
	{"record.touched", elementScope, func(j *Judge, id int32) { j.settleBool(id, j.touched()) }},
	{"element.injected", elementScope, (*Judge).deriveInjected},
	{"workload.kind", objectScope, (*Judge).deriveWorkloadKind},
	{"workload.name", objectScope, (*Judge).deriveWorkloadName},
	{"workload.controlled", objectScope, (*Judge).deriveControlled},
	{"workload.owner.kind", objectScope, func(j *Judge, id int32) { j.settleText(id, j.textOf(j.owner().get("kind"))) }},
	{"workload.owner.name", objectScope, func(j *Judge, id int32) { j.settleText(id, j.textOf(j.owner().get("name"))) }},
	{"workload.containers", objectScope, (*Judge).deriveContainers},
	{"container.type", elementScope, (*Judge).deriveContainerType},
	{"image.registry", elementScope, func(j *Judge, id int32) { j.deriveImage(id, j.image().registry) }},
	{"image.repository", elementScope, func(j *Judge, id int32) { j.deriveImage(id, j.image().repository) }},
	{"image.tag", elementScope, func(j *Judge, id int32) { j.deriveImage(id, j.image().tag) }},
	{"image.digest", elementScope, func(j *Judge, id int32) { j.deriveImage(id, j.image().digest) }},
	{"volume.hostPath.cleaned", elementScope, (*Judge).deriveCleaned},
	{"mount.containers", elementScope, (*Judge).deriveMountContainers},
	{"mount.writable", elementScope, (*Judge).deriveMountWritable},
	{"subject.identity", elementScope, (*Judge).deriveIdentity},
}

// putText is put for a text that is absent where it is empty.
func (j *Judge) putText(id int32, text []byte) {
	if len(text) > 0 {
		j.put(id, text, textValue)
	}
}

// settle marks a computed field as certain, whatever the body lacks.
func (j *Judge) settle(id int32) { j.at(id).flags |= settled }

// settleText is putText for what the rest of the body cannot change.
func (j *Judge) settleText(id int32, text []byte) {
	if len(text) > 0 {
		j.put(id, text, textValue)
		j.settle(id)
	}
}

func (j *Judge) settleBool(id int32, b bool) {
	j.put(id, boolText(b), boolValue)
	j.settle(id)
}

// isWhole is true for a part of the body that lacks nothing of what the object has there.
func (j *Judge) isWhole(v span) bool {
	return !j.object.partial || j.object.onlyCut && !j.mayGoOn(v)
}

func (j *Judge) deriveInjected(id int32) {
	injected := j.injected()
	if !injected && j.element.category == event.Pod && j.counterparts().request.isObject() && !j.isWhole(j.pod.spec) {
		return // the flags may lie behind the cut
	}
	j.settleBool(id, injected)
}

func (j *Judge) deriveWorkloadKind(id int32) {
	o := &j.object
	if o.partial && o.workload == nil && o.body.get("kind").none() {
		return // it is not the resource's name for certain
	}
	j.settleText(id, o.kind)
}

func (j *Judge) deriveWorkloadName(id int32) {
	meta := j.object.metadata
	name := j.textOf(meta.get("name"))
	if len(name) == 0 {
		name = j.textOf(j.members[refName])
	}
	if len(name) == 0 && j.isWhole(meta) {
		name = bytes.TrimSuffix(j.textOf(meta.get("generateName")), []byte{'-'})
	}
	j.settleText(id, name)
}

func (j *Judge) deriveControlled(id int32) {
	controlled := j.isControlled()
	if !controlled && j.controlledMayBeLost() {
		j.lose(id)
		return
	}
	j.settleBool(id, controlled)
}

func (j *Judge) deriveContainers(id int32) {
	if !j.isWhole(j.pod.spec) {
		j.lose(id)
		return
	}
	n := 0
	for _, values := range j.pod.lists[:len(containerLists)] {
		if !values.isArray() {
			continue
		}
		for c := open(values); c.element(); n++ {
			c.value()
		}
	}
	j.put(id, j.decimal(n), numberValue)
	j.settle(id)
}

// decimal writes n into the arena.
func (j *Judge) decimal(n int) []byte {
	start := len(j.arena)
	j.arena = strconv.AppendInt(j.arena, int64(n), 10)
	return j.arena[start:len(j.arena):len(j.arena)]
}

var containerTypes = func() (all [len(containerLists)][]byte) {
	for i, list := range containerLists {
		all[i] = []byte(list.kind)
	}
	return all
}()

func (j *Judge) deriveContainerType(id int32) { j.settleText(id, containerTypes[j.element.list]) }

// deriveImage puts a part of the image; with the image itself, it is certain that another part is absent.
func (j *Judge) deriveImage(id int32, part []byte) {
	j.putText(id, part)
	if len(j.image().registry) > 0 {
		j.settle(id)
	}
}

// image is the container's image, taken apart.
func (j *Judge) image() *image {
	d := &j.derived
	if j.take(imagePart, elementScope) {
		d.image = image{}
		if ref := j.textOf(j.containerMember(containerImage)); len(ref) > 0 {
			d.image = j.parseImage(ref)
		}
	}
	return &d.image
}

func (j *Judge) deriveCleaned(id int32) {
	if host := j.textOf(j.element.value.at("hostPath", "path")); len(host) > 0 {
		j.settleText(id, j.cleanPath(host))
	}
}

// cleanPath is path.Clean of the path with a slash before it, in the arena.
func (j *Judge) cleanPath(p []byte) []byte {
	start := len(j.arena)
	for len(p) > 0 {
		var name []byte
		name, p, _ = bytes.Cut(p, []byte{'/'})
		switch string(name) {
		case "", ".":
		case "..":
			j.arena = j.arena[:start+max(0, bytes.LastIndexByte(j.arena[start:], '/'))]
		default:
			j.arena = append(append(j.arena, '/'), name...)
		}
	}
	if len(j.arena) == start {
		j.arena = append(j.arena, '/')
	}
	return j.arena[start:len(j.arena):len(j.arena)]
}

func (j *Judge) deriveMountContainers(id int32) {
	name := j.elementName()
	for _, m := range j.mounts() {
		if bytes.Equal(m.volume, name) {
			j.putText(id, j.textOf(m.container.get("name")))
		}
	}
}

func (j *Judge) deriveMountWritable(id int32) {
	name, writable := j.elementName(), false
	for _, m := range j.mounts() {
		writable = writable || m.writable && bytes.Equal(m.volume, name)
	}
	if writable || j.isWhole(j.pod.spec) {
		j.settleBool(id, writable)
	} // else another mount may be
}

var serviceAccountPrefix = []byte("system:serviceaccount:")

func (j *Judge) deriveIdentity(id int32) {
	subject, identity := j.element.value, j.elementName()
	kind, namespace := j.textOf(subject.get("kind")), j.textOf(subject.get("namespace"))
	isAccount := string(kind) == "ServiceAccount"
	if (len(identity) == 0 || len(kind) == 0 || isAccount && len(namespace) == 0) && !j.isWhole(subject) {
		return
	}
	if isAccount {
		identity = j.join(serviceAccountPrefix, namespace, []byte{':'}, identity)
	}
	j.settleText(id, identity)
}

// elementName is the current record's own name; a pod's is that of the object, and rules of roles have none.
func (j *Judge) elementName() []byte {
	switch j.element.category {
	case event.Pod:
		return j.textOf(j.object.metadata.get("name"))
	case event.Container:
		return j.textOf(j.containerMember(containerName))
	case event.Volume, event.Subject:
		return j.textOf(j.element.value.get("name"))
	}
	return nil
}
