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
	{"record.touched", elementScope, func(j *Judge, id int32) { j.put(id, boolText(j.touched()), boolValue) }},
	{"element.injected", elementScope, func(j *Judge, id int32) { j.put(id, boolText(j.injected()), boolValue) }},
	{"workload.kind", objectScope, func(j *Judge, id int32) { j.putText(id, j.object.kind) }},
	{"workload.name", objectScope, func(j *Judge, id int32) { j.putText(id, j.workloadName()) }},
	{"workload.controlled", objectScope, func(j *Judge, id int32) { j.put(id, boolText(j.isControlled()), boolValue) }},
	{"workload.owner.kind", objectScope, func(j *Judge, id int32) { j.putText(id, j.textOf(j.owner().get("kind"))) }},
	{"workload.owner.name", objectScope, func(j *Judge, id int32) { j.putText(id, j.textOf(j.owner().get("name"))) }},
	{"workload.containers", objectScope, (*Judge).deriveContainers},
	{"container.type", elementScope, (*Judge).deriveContainerType},
	{"image.registry", elementScope, func(j *Judge, id int32) { j.putText(id, j.image().registry) }},
	{"image.repository", elementScope, func(j *Judge, id int32) { j.putText(id, j.image().repository) }},
	{"image.tag", elementScope, func(j *Judge, id int32) { j.putText(id, j.image().tag) }},
	{"image.digest", elementScope, func(j *Judge, id int32) { j.putText(id, j.image().digest) }},
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

func (j *Judge) workloadName() []byte {
	name := j.textOf(j.object.metadata.get("name"))
	if len(name) == 0 {
		name = j.textOf(j.members[refName])
	}
	if len(name) == 0 {
		name = bytes.TrimSuffix(j.textOf(j.object.metadata.get("generateName")), []byte{'-'})
	}
	return name
}

func (j *Judge) deriveContainers(id int32) {
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

func (j *Judge) deriveContainerType(id int32) { j.put(id, containerTypes[j.element.list], textValue) }

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
		j.put(id, j.cleanPath(host), textValue)
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
	j.put(id, boolText(writable), boolValue)
}

var serviceAccountPrefix = []byte("system:serviceaccount:")

func (j *Judge) deriveIdentity(id int32) {
	identity := j.elementName()
	if string(j.textOf(j.element.value.get("kind"))) == "ServiceAccount" {
		identity = j.join(serviceAccountPrefix, j.textOf(j.element.value.get("namespace")), []byte{':'}, identity)
	}
	j.putText(id, identity)
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
