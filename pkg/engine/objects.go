package engine

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/foretop/foretop/pkg/event"
)

// object is the body that the derived records of an event are made of.
type object struct {
	body   span
	top    int    // topRequest or topResponse
	source string // "requestObject" or "responseObject"
	// partial is true where the body holds only what a patch changes, or is cut: what is absent is unknown.
	partial bool
	onlyCut bool // it is partial because it is cut: what lies before the cut is whole
	// patch is the request body of a patch whose result is in body; it says what was touched.
	patch span
	// request is the request body beside a response body: what is not in it, admission put in.
	request span

	resource       []byte
	workload       *workloadKind // of the resource, nil if it is none of the built-in ones
	kind           []byte
	metadata, spec span // of body
}

// memberKeys are the members that a body and a pod template are read for.
var memberKeys = []string{"kind", "metadata", "spec"}

// element is one derived record.
type element struct {
	category event.Category
	list     int // the number in recordLists of the list that it is an element of, noList for the pod itself
	number   int
	value    span
}

// recordLists are the lists whose elements have records of their own; the first four are lists of a pod spec.
var recordLists = [...]string{"containers", "initContainers", "ephemeralContainers", "volumes", "subjects", "rules"}

const (
	noList = iota - 1
	containersList
	initContainersList
	ephemeralContainersList
	volumesList
	subjectsList
	rulesList
	podLists = subjectsList // how many
)

// workloadKind is a built-in workload resource.
type workloadKind struct {
	resource string
	kind     []byte
	spec     [][]byte // where it keeps its pod spec
}

var workloadKinds = []workloadKind{
	newWorkloadKind("pods", "Pod", "spec"),
	newWorkloadKind("deployments", "Deployment", "spec.template.spec"),
	newWorkloadKind("daemonsets", "DaemonSet", "spec.template.spec"),
	newWorkloadKind("statefulsets", "StatefulSet", "spec.template.spec"),
	newWorkloadKind("replicasets", "ReplicaSet", "spec.template.spec"),
	newWorkloadKind("replicationcontrollers", "ReplicationController", "spec.template.spec"),
	newWorkloadKind("jobs", "Job", "spec.template.spec"),
	newWorkloadKind("cronjobs", "CronJob", "spec.jobTemplate.spec.template.spec"),
	newWorkloadKind("podtemplates", "PodTemplate", "template.spec"),
}

func newWorkloadKind(resource, kind, spec string) workloadKind {
	return workloadKind{resource, []byte(kind), bytes.Split([]byte(spec), []byte{'.'})}
}

// judgeElements makes the derived records of the event, if rules want any, and evaluates those rules.
func (j *Judge) judgeElements() {
	if !j.wantElements() {
		return
	}
	j.judgeRecords()
	if j.isCut(topObjectRef) {
		j.noReference()
	}
}

func (j *Judge) judgeRecords() {
	resource := j.textOf(j.members[refResource])
	holder := holds(resource, j.textOf(j.members[refGroup]))
	if holder == holdsNothing {
		return
	}
	j.object = object{resource: resource}
	if holder == holdsPodSpec {
		j.object.workload = &workloadKinds[workloadNames.find(resource)]
	}
	if !j.anyLive() {
		return
	}
	if !j.chooseBody() {
		j.noBody(holder)
		return
	}
	switch holder {
	case holdsSubjects:
		j.judgeList(event.Subject, subjectsList)
	case holdsPolicy:
		j.judgeList(event.PolicyRule, rulesList)
	case holdsPodSpec:
		j.judgeWorkload()
	default:
		j.searchPodSpecs()
	}
}

// wantElements is true for create, update and patch of the object itself, where a rule on derived records is
// a candidate.
func (j *Judge) wantElements() bool {
	some := false
	for w, word := range j.set.index.element {
		some = some || word&j.words[w] != 0
	}
	if !some {
		return false
	}
	switch string(j.tops[topVerb].text()) {
	case "create", "update", "patch":
	default:
		return false
	}
	switch string(j.subresource()) {
	case "":
		return true
	case "ephemeralcontainers":
		return string(j.textOf(j.members[refResource])) == "pods"
	}
	return false
}

// holding is what kind of elements a resource has.
type holding int

const (
	holdsNothing holding = iota
	holdsPodSpec
	holdsSubjects
	holdsPolicy
	holdsAnything // a custom kind: a pod spec is searched in it
)

// groupKind sorts the API groups by what their resources can hold.
type groupKind uint8

const (
	customGroup   groupKind = iota // pod specs are searched for
	builtinGroup                   // nothing
	workloadGroup                  // the names of workloadKinds mean the built-in kinds, the others hold nothing
	rbacGroup                      // roles and bindings are RBAC's
	rbacOpenShift                  // the same, and the others are custom kinds
)

var (
	groupNames    literals
	groupKinds    []groupKind // by the number in groupNames
	workloadNames literals    // with the numbers of workloadKinds
)

func init() {
	for kind, groups := range map[groupKind][]string{
		workloadGroup: {"", "apps", "batch", "extensions"},
		rbacGroup:     {rbacName},
		rbacOpenShift: {"authorization.openshift.io"},
		builtinGroup: {
			"autoscaling", "policy", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io",
			"authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
			"events.k8s.io", "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "scheduling.k8s.io",
			"storage.k8s.io", "resource.k8s.io", "metrics.k8s.io", "snapshot.storage.k8s.io",
		},
	} {
		for _, group := range groups {
			groupNames.add(group)
			groupKinds = append(groupKinds, kind)
		}
	}
	for i := range workloadKinds {
		workloadNames.add(workloadKinds[i].resource)
	}
	groupNames.freeze()
	workloadNames.freeze()
}

const rbacName = "rbac.authorization.k8s.io"

func holds(resource, group []byte) holding {
	kind := customGroup
	if i := groupNames.find(group); i >= 0 {
		kind = groupKinds[i]
	}
	switch {
	case len(resource) == 0:
		return holdsNothing
	case kind == workloadGroup && workloadNames.find(resource) >= 0:
		return holdsPodSpec
	case kind == rbacGroup || kind == rbacOpenShift:
		switch string(resource) {
		case "rolebindings", "clusterrolebindings":
			return holdsSubjects
		case "roles", "clusterroles":
			return holdsPolicy
		}
	}
	if kind == customGroup || kind == rbacOpenShift {
		return holdsAnything
	}
	return holdsNothing
}

var categoriesOf = map[holding][]event.Category{
	holdsPodSpec:  {event.Pod, event.Container, event.Volume},
	holdsAnything: {event.Pod, event.Container, event.Volume},
	holdsSubjects: {event.Subject},
	holdsPolicy:   {event.PolicyRule},
}

// noBody tells the rules that would have judged this request that they were blind: the audit level or the
// provider left the body out, or it lies behind the cut. Custom kinds are not counted, since few hold a pod spec.
func (j *Judge) noBody(h holding) {
	refused := string(j.load(j.set.computed["outcome"]).vals[0].text) == "failure"
	if h == holdsAnything || refused && !j.isCut(topRequest) && !j.isCut(topResponse) {
		return
	}
	for _, c := range categoriesOf[h] {
		j.blindOn(c, j.words, "requestObject")
	}
}

// noReference tells the rules on derived records that they were blind which the resource could have concerned that
// stands behind the cut, or the group or subresource of the one that is known.
func (j *Judge) noReference() {
	if !j.anyLive() {
		return
	}
	resource := j.textOf(j.members[refResource])
	for _, h := range [...]holding{holdsPodSpec, holdsSubjects, holdsPolicy} {
		group := ""
		if h != holdsPodSpec {
			group = rbacName
		}
		if len(resource) > 0 && holds(resource, []byte(group)) != h {
			continue
		}
		for _, c := range categoriesOf[h] {
			j.blindOn(c, j.words, "objectRef.resource")
		}
	}
}

// blindOn tells the rules of a category among those that matched nothing that they were blind for want of field.
func (j *Judge) blindOn(c event.Category, rules bitSet, field string) {
	for w, of := range j.set.index.category[c] {
		for rest := of & rules[w]; rest != 0; rest &= rest - 1 {
			if i := w*64 + bits.TrailingZeros64(rest); !j.hasMatched(i) {
				j.verdict.addBlind(j.set.rules[i].source.Key(), field)
			}
		}
	}
}

func (j *Judge) hasMatched(rule int) bool {
	return slices.ContainsFunc(j.pending, func(p pendingMatch) bool { return p.rule == rule && p.match.Count > 0 })
}

// chooseBody picks the body that the derived records are read from: the response object if it is an object of
// the requested kind, else the request object.
func (j *Judge) chooseBody() bool {
	request, response := j.tops[topRequest], j.tops[topResponse]
	patching := string(j.tops[topVerb].text()) == "patch"
	o := &j.object
	cut := j.isCut(topResponse)
	if o.isKind(response) && !(cut && o.isKind(request) && !patching) {
		o.body, o.top, o.source, o.request = response, topResponse, "responseObject", request
		missing := j.isMissing("responseObject")
		o.partial, o.onlyCut = cut || missing, !missing
		if patching {
			o.patch, o.request = request, span{}
		}
		if j.isLost(topRequest) {
			o.patch, o.request = span{}, span{} // there is a part of it at most
		}
		j.openBody()
		return true
	}
	if patching && request.isArray() {
		request = j.fromJSONPatch(request)
	}
	if !request.isObject() || !patching && !o.isKind(request) {
		return false
	}
	o.body, o.top, o.source = request, topRequest, "requestObject"
	o.onlyCut = !patching && !j.isMissing("requestObject")
	o.partial = !o.onlyCut || j.isCut(topRequest)
	j.openBody()
	return true
}

// openBody finds what the derived records need of the chosen body.
func (j *Judge) openBody() {
	o := &j.object
	j.incomplete = j.incomplete || o.partial
	var members [3]span
	o.body.pick(memberKeys, members[:])
	o.metadata, o.spec = members[1], members[2]
	if o.kind = j.textOf(members[0]); len(o.kind) > 0 {
		return
	}
	if i := workloadNames.find(o.resource); i >= 0 {
		o.kind = workloadKinds[i].kind
	} else {
		o.kind = o.resource
	}
}

// isKind is true for an object that can be of the requested resource: no Status, Table, list or options.
func (o *object) isKind(body span) bool {
	if !body.isObject() {
		return false
	}
	kind := body.get("kind").text()
	switch string(kind) {
	case "":
		return true
	case "Status", "Table", "DeleteOptions", "PartialObjectMetadata":
		return false
	}
	return o.workload == nil || bytes.Equal(kind, o.workload.kind)
}
