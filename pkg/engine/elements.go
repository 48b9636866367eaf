package engine

import (
	"path"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// beginObject fills what all derived records of the body share.
func (j *Judge) beginObject() {
	j.advance(objectScope)
	if !j.object.metadata.none() && !j.set.metadata.root.leaf() {
		j.captureClean(j.object.metadata, j.set.metadata)
	}
}

// judgeSubjects makes one record for each subject of a binding.
func (j *Judge) judgeSubjects() {
	j.beginObject()
	if ref := j.object.body.get("roleRef"); !ref.none() {
		j.captureClean(ref, j.set.roleRef)
	}
	touched := j.object.patch.none() || j.patches(nil, "subjects", "roleRef")
	j.eachElement(j.object.body, "", "subjects", func(v span) {
		j.beginElement(event.Subject, v, v.get("name").text(), touched)
		j.captureClean(v, j.set.subject)
		identity := v.get("name").text()
		if string(v.get("kind").text()) == "ServiceAccount" {
			identity = []byte("system:serviceaccount:" + string(v.get("namespace").text()) + ":" + string(identity))
		}
		j.fill("subject.identity", identity)
		j.evaluateCategory(event.Subject)
	})
}

// judgePolicyRules makes one record for each rule of a role.
func (j *Judge) judgePolicyRules() {
	j.beginObject()
	touched := j.object.patch.none() || j.patches(nil, "rules", "aggregationRule")
	j.eachElement(j.object.body, "", "rules", func(v span) {
		j.beginElement(event.PolicyRule, v, nil, touched)
		j.captureClean(v, j.set.policyRule)
		j.evaluateCategory(event.PolicyRule)
	})
}

// eachElement calls f with each object of a list, with j.element placed on it.
func (j *Judge) eachElement(parent span, base, list string, f func(v span)) {
	values := parent.get(list)
	if !values.isArray() {
		return
	}
	number := 0
	for c := open(values); c.element(); number++ {
		if v := c.value(); v.isObject() {
			j.element = element{base: base, list: list, number: number}
			f(v)
		}
	}
}

// beginElement empties the element's slots and fills what every derived record has.
func (j *Judge) beginElement(c event.Category, v span, name []byte, touched bool) {
	j.advance(elementScope)
	j.element.category, j.element.value, j.element.name = c, v, name
	j.fillBool("record.touched", touched)
	j.fillBool("element.injected", j.element.injected)
}

// fill puts a computed field; text must outlive the event. Absent is no text.
func (j *Judge) fill(field string, text []byte) {
	if len(text) > 0 {
		j.put(j.set.computed[field], text, textValue)
	}
}

func (j *Judge) fillBool(field string, b bool) {
	j.put(j.set.computed[field], boolText(b), boolValue)
}

// judgeWorkload makes the records of a built-in workload kind.
func (j *Judge) judgeWorkload(resource string) {
	j.beginObject()
	j.fillWorkload()
	spec, meta := j.object.spec, j.object.metadata
	if template := places[resource].template; len(template) > 0 {
		var members [3]span
		j.object.at(template).pick(memberKeys, members[:])
		meta, spec = members[1], members[2]
	}
	j.judgePodSpec(spec, meta, specPaths[resource])
}

// at follows keys from the body; the first step is known already where it is spec.
func (o *object) at(keys []string) span {
	if keys[0] == "spec" {
		return o.spec.at(keys[1:]...)
	}
	return o.body.at(keys...)
}

func (j *Judge) fillWorkload() {
	meta := j.object.metadata
	name := meta.get("name").text()
	if len(name) == 0 {
		name = j.textOf(j.members[refName])
	}
	if len(name) == 0 {
		name = []byte(strings.TrimSuffix(string(meta.get("generateName").text()), "-"))
	}
	j.fill("workload.kind", []byte(j.object.kind))
	j.fill("workload.name", name)
	j.fillBool("workload.controlled", j.object.controlled)
	j.fill("workload.owner.kind", j.object.owner.get("kind").text())
	j.fill("workload.owner.name", j.object.owner.get("name").text())
}

func countContainers(spec span) int {
	n := 0
	for _, list := range containerLists {
		values := spec.get(list.key)
		if !values.isArray() {
			continue
		}
		for c := open(values); c.element(); n++ {
			c.value()
		}
	}
	return n
}

func (j *Judge) judgePod(p *podSpec) {
	name := j.object.metadata.get("name").text()
	j.element = element{base: p.base, injected: j.hostFlagsInjected(p)}
	j.beginElement(event.Pod, p.spec, name, j.podTouched(p))
	j.evaluateCategory(event.Pod)
}

// hostFlagsInjected is true if admission gave the pod a namespace of the host that the request did not ask for.
func (j *Judge) hostFlagsInjected(p *podSpec) bool {
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

// inherited are the fields of a container's securityContext that it takes from the pod's if it has none of
// its own. Source: Kubernetes API, SecurityContext and PodSecurityContext.
var inherited = []string{"runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions", "seccompProfile", "windowsOptions", "appArmorProfile"}

func (j *Judge) judgeContainer(p *podSpec, v span, list, kind string) {
	name := v.get("name").text()
	j.element.injected = p.request.isObject() && !hasNamed(p.request.get(list), name)
	j.beginElement(event.Container, v, name, j.listTouched(p, list, name, j.element.number))
	j.captureClean(v, j.set.container)
	j.inherit(p.spec.get("securityContext"), v.get("securityContext"))
	j.fill("container.type", []byte(kind))
	if ref := v.get("image").text(); len(ref) > 0 {
		image := parseImage(string(ref))
		j.fill("image.registry", []byte(image.registry))
		j.fill("image.repository", []byte(image.repository))
		j.fill("image.tag", []byte(image.tag))
		j.fill("image.digest", []byte(image.digest))
	}
	j.evaluateCategory(event.Container)
}

func (j *Judge) inherit(pod, own span) {
	if !pod.isObject() {
		return
	}
	context := j.set.container.byPath["securityContext"]
	if context == nil {
		return
	}
	for _, key := range inherited {
		v := pod.get(key)
		e := context.find([]byte(key))
		if v.none() || e < 0 || !own.get(key).none() {
			continue
		}
		for _, to := range context.edges[e].to {
			j.capture(v.x, v.from, to)
		}
	}
}

func (j *Judge) judgeVolume(p *podSpec, v span) {
	name := v.get("name").text()
	j.element.injected = p.request.isObject() && !hasNamed(p.request.get("volumes"), name)
	j.beginElement(event.Volume, v, name, j.listTouched(p, "volumes", name, j.element.number) || j.mountTouched(p, name))
	j.captureClean(v, j.set.volume)
	if host := v.at("hostPath", "path").text(); len(host) > 0 {
		j.fill("volume.hostPath.cleaned", []byte(path.Clean("/"+string(host))))
	}
	writable := false
	eachMount(p.spec, name, func(container, mount span) {
		j.fill("mount.containers", container.get("name").text())
		writable = writable || !mount.get("readOnly").isTrue()
	})
	j.fillBool("mount.writable", writable)
	j.evaluateCategory(event.Volume)
}

// eachMount calls f with each mount of a volume and the container that has it.
func eachMount(spec span, volume []byte, f func(container, mount span)) {
	for _, list := range containerLists {
		containers := spec.get(list.key)
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
				if mount := m.value(); string(mount.get("name").text()) == string(volume) {
					f(container, mount)
				}
			}
		}
	}
}

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
