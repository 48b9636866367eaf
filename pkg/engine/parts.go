package engine

// part is a piece of a derived record that is taken as a whole when a rule first asks for something in it.
type part uint8

const (
	metadataPart part = iota
	podMetadataPart
	podPart
	podListsPart
	containerPart
	volumePart
	subjectPart
	roleRefPart
	policyRulePart
	imagePart
	contextPart // what containers inherit
	mountsPart
	patchedMountsPart
	ownerPart
	controlledPart
	operationsPart
	parts
)

// derivedScratch is what is worked out once for an object or an element.
type derivedScratch struct {
	live       bitSet // see beginObject
	rules      bitSet // see liveRules
	image      image
	mounts     []mount
	patched    []mount // mounts in a patch
	context    [len(inheritedKeys)]span
	owner      span
	controlled bool
	operations []operation
	tokens     [][]byte // of the operations' paths
	steps      [][]byte // where the search for pod specs is
}

func newDerivedScratch(words int) (d derivedScratch) {
	d.live, d.rules = make(bitSet, words), make(bitSet, words)
	return d
}

// take is true once for each content of a scope: the part is to be taken now.
func (j *Judge) take(p part, s scope) bool {
	if j.taken[p] == j.gens[s] {
		return false
	}
	j.taken[p] = j.gens[s]
	return true
}

// capturePart captures v once while s lasts.
func (j *Judge) capturePart(p part, s scope, v span, t *trie) {
	if j.take(p, s) && !v.none() {
		j.capture(v, t.root)
	}
}

func (j *Judge) captureMetadata(int32) {
	j.capturePart(metadataPart, objectScope, j.object.metadata, j.set.metadata)
}

func (j *Judge) capturePodMetadata(int32) {
	j.capturePart(podMetadataPart, objectScope, j.pod.meta, j.set.podMetadata)
}

func (j *Judge) capturePod(int32) {
	j.capturePart(podPart, objectScope, j.pod.spec, j.set.pod)
}

func (j *Judge) capturePodLists(int32) {
	j.capturePart(podListsPart, objectScope, j.pod.spec, j.set.podLists)
}

func (j *Judge) captureVolume(int32) {
	j.capturePart(volumePart, elementScope, j.element.value, j.set.volume)
}

func (j *Judge) captureSubject(int32) {
	j.capturePart(subjectPart, elementScope, j.element.value, j.set.subject)
}

func (j *Judge) captureRoleRef(int32) {
	j.capturePart(roleRefPart, objectScope, j.object.body.get("roleRef"), j.set.roleRef)
}

func (j *Judge) capturePolicyRule(int32) {
	j.capturePart(policyRulePart, elementScope, j.element.value, j.set.policyRule)
}

// addContainerMembers gives the container's trie an edge for each of its members that the engine reads itself.
func (t *trie) addContainerMembers() {
	for member, key := range map[uint8]string{containerName: "name", containerImage: "image", containerContext: "securityContext"} {
		t.root.connect(key, t.at(key)).member = member
	}
}

func (j *Judge) captureContainer(int32) {
	if !j.take(containerPart, elementScope) {
		return
	}
	clear(j.members[containerName : containerContext+1])
	j.capture(j.element.value, j.set.container.root)
	j.inherit()
}

// containerMember is a member of the current container.
func (j *Judge) containerMember(member int) span {
	j.captureContainer(0)
	return j.members[member]
}

// inheritedKeys are the fields of a container's securityContext that it takes from the pod's if it has none of
// its own. Source: Kubernetes API, SecurityContext and PodSecurityContext.
var inheritedKeys = [...]string{"runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions", "seccompProfile", "windowsOptions", "appArmorProfile"}

// inheritance is one of inheritedKeys that rules read, and the positions in the container's trie that it leads to.
type inheritance struct {
	key int
	to  []*node
}

func (s *Set) inheritances() (all []inheritance) {
	context := s.container.byPath["securityContext"]
	if context == nil {
		return nil
	}
	for i, key := range inheritedKeys {
		if e := context.find([]byte(key)); e >= 0 {
			all = append(all, inheritance{i, context.edges[e].to})
		}
	}
	return all
}

// inherit captures what the current container takes from the pod's securityContext.
func (j *Judge) inherit() {
	if len(j.set.inherited) == 0 {
		return
	}
	given := &j.derived.context
	if j.take(contextPart, objectScope) {
		j.pod.spec.get("securityContext").pick(inheritedKeys[:], given[:])
	}
	if j.mayGoOn(j.element.value) {
		return // its own may lie behind the cut
	}
	own := j.containerMember(containerContext)
	for _, in := range j.set.inherited {
		v := given[in.key]
		if v.none() {
			continue
		}
		if own.get(inheritedKeys[in.key]).none() {
			for _, to := range in.to {
				j.capture(v, to)
			}
		}
	}
}
