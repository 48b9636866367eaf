package engine

import (
	"math/bits"

	"github.com/foretop/foretop/pkg/event"
)

// object is the body that the derived records of an event are made of.
type object struct {
	body   span
	top    int    // topRequest or topResponse
	source string // "requestObject" or "responseObject"
	// partial is true where the body holds only what a patch changes, or is cut: what is absent is unknown.
	partial bool
	// patch is the request body of a patch whose result is in body; it says what was touched.
	patch span
	// request is the request body beside a response body: what is not in it, admission put in.
	request span

	kind           string
	metadata, spec span // of body
	owner          span // the controlling ownerReference
	controlled     bool
}

// memberKeys are the members of a body that every derived record needs.
var memberKeys = []string{"kind", "metadata", "spec"}

// element is one derived record.
type element struct {
	category event.Category
	base     string // path of the object that holds it, below the body: "spec.template.spec"
	list     string // the list that it is an element of, "" for the pod itself
	number   int
	value    span
	name     []byte
	injected bool
}

// places are where the built-in workload resources keep their pod template; the path of the pod spec is that
// of the template and "spec".
var places = map[string]struct {
	kind     string
	template []string
}{
	"pods":                   {"Pod", nil},
	"deployments":            {"Deployment", []string{"spec", "template"}},
	"daemonsets":             {"DaemonSet", []string{"spec", "template"}},
	"statefulsets":           {"StatefulSet", []string{"spec", "template"}},
	"replicasets":            {"ReplicaSet", []string{"spec", "template"}},
	"replicationcontrollers": {"ReplicationController", []string{"spec", "template"}},
	"jobs":                   {"Job", []string{"spec", "template"}},
	"cronjobs":               {"CronJob", []string{"spec", "jobTemplate", "spec", "template"}},
	"podtemplates":           {"PodTemplate", []string{"template"}},
}

// controllers are the built-in controllers by the kind whose objects they own, with the API groups of that
// kind. Source: kubernetes/kubernetes cmd/kube-controller-manager, names of the service accounts.
var controllers = map[string]struct {
	account string
	group   string
}{
	"ReplicaSet":            {"replicaset-controller", "apps"},
	"Deployment":            {"deployment-controller", "apps"},
	"DaemonSet":             {"daemon-set-controller", "apps"},
	"StatefulSet":           {"statefulset-controller", "apps"},
	"Job":                   {"job-controller", "batch"},
	"CronJob":               {"cronjob-controller", "batch"},
	"ReplicationController": {"replication-controller", ""},
}

const (
	controllerPrefix  = "system:serviceaccount:kube-system:"
	controllerManager = "system:kube-controller-manager" // without --use-service-account-credentials
)

// judgeElements makes the derived records of the event, if rules want any, and evaluates those rules.
func (j *Judge) judgeElements() {
	if !j.wantElements() {
		return
	}
	name := j.textOf(j.members[refResource])
	holder := holds(name, j.textOf(j.members[refGroup]))
	if holder == holdsNothing {
		return
	}
	resource := string(name)
	if !j.chooseBody(resource, holder) {
		j.noBody(holder)
		return
	}
	switch holder {
	case holdsSubjects:
		j.judgeSubjects()
	case holdsPolicy:
		j.judgePolicyRules()
	case holdsPodSpec:
		j.judgeWorkload(resource)
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
	workloadGroup                  // the names of places mean the built-in kinds, the others hold nothing
	rbacGroup                      // roles and bindings are RBAC's
	rbacOpenShift                  // the same, and the others are custom kinds
)

var (
	groupNames literals
	groupKinds []groupKind // by the number in groupNames
	placeNames literals    // the keys of places
)

func init() {
	for kind, groups := range map[groupKind][]string{
		workloadGroup: {"", "apps", "batch", "extensions"},
		rbacGroup:     {"rbac.authorization.k8s.io"},
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
	for resource := range places {
		placeNames.add(resource)
	}
	groupNames.freeze()
	placeNames.freeze()
}

func holds(resource, group []byte) holding {
	kind := customGroup
	if i := groupNames.find(group); i >= 0 {
		kind = groupKinds[i]
	}
	switch {
	case len(resource) == 0:
		return holdsNothing
	case kind == workloadGroup && placeNames.find(resource) >= 0:
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
// provider left the body out. Custom kinds are not counted, since few hold a pod spec.
func (j *Judge) noBody(h holding) {
	if h == holdsAnything || string(j.load(j.set.computed["outcome"]).vals[0].text) == "failure" {
		return
	}
	for _, c := range categoriesOf[h] {
		for w, of := range j.set.index.category[c] {
			for rest := of & j.words[w]; rest != 0; rest &= rest - 1 {
				if r := &j.set.rules[w*64+bits.TrailingZeros64(rest)]; !j.refusedByEvent(r) {
					j.verdict.addBlind(r.source.Key(), "requestObject")
				}
			}
		}
	}
}

// chooseBody picks the body that the derived records are read from: the response object if it is an object of
// the requested kind, else the request object.
func (j *Judge) chooseBody(resource string, h holding) bool {
	request, response := j.tops[topRequest], j.tops[topResponse]
	patching := string(j.tops[topVerb].text()) == "patch"
	o := &j.object
	*o = object{}
	cut := j.env.Truncated && j.complete&(1<<topResponse) == 0
	if isKind(response, resource, h) && !(cut && isKind(request, resource, h) && !patching) {
		*o = object{body: response, top: topResponse, source: "responseObject", partial: cut || j.isMissing("responseObject"), request: request}
		if patching {
			o.patch, o.request = request, span{}
		}
		if j.isMissing("requestObject") {
			o.patch, o.request = span{}, span{} // there is a part of it at most
		}
	} else {
		if patching && request.isArray() {
			request = j.fromJSONPatch(request)
		}
		if !request.isObject() || !patching && !isKind(request, resource, h) {
			return false
		}
		*o = object{body: request, top: topRequest, source: "requestObject",
			partial: patching || j.env.Truncated && j.complete&(1<<topRequest) == 0 || j.isMissing("requestObject")}
	}
	var members [3]span
	o.body.pick(memberKeys, members[:])
	o.kind, o.metadata, o.spec = string(members[0].text()), members[1], members[2]
	o.owner = controllingOwner(o.metadata)
	if o.kind == "" {
		o.kind = places[resource].kind
	}
	if o.kind == "" {
		o.kind = resource
	}
	o.controlled = j.isControlled(o)
	return true
}

// isKind is true for an object that can be of the requested resource: no Status, Table, list or options.
func isKind(body span, resource string, h holding) bool {
	if !body.isObject() {
		return false
	}
	kind := string(body.get("kind").text())
	switch kind {
	case "":
		return true
	case "Status", "Table", "DeleteOptions", "PartialObjectMetadata":
		return false
	}
	if h == holdsPodSpec {
		return kind == places[resource].kind
	}
	return true
}

// isControlled is true for an object that the built-in controller of its owner's kind wrote, and for that
// controller's writes to its own kind. It rests on the authenticated identity, never on the user agent.
func (j *Judge) isControlled(o *object) bool {
	if !j.members[impersonatedName].none() {
		return false
	}
	user := string(j.textOf(j.members[userName]))
	if c, ok := controllers[o.kind]; ok && isController(user, c.account) && string(j.tops[topVerb].text()) != "create" {
		return true
	}
	c, ok := controllers[string(o.owner.get("kind").text())]
	return ok && isController(user, c.account) && groupOf(string(o.owner.get("apiVersion").text())) == c.group
}

func isController(user, account string) bool {
	return user == controllerPrefix+account || user == controllerManager
}

func groupOf(apiVersion string) string {
	for i := range len(apiVersion) {
		if apiVersion[i] == '/' {
			return apiVersion[:i]
		}
	}
	return ""
}

// controllingOwner gives the ownerReference with controller: true.
func controllingOwner(metadata span) span {
	refs := metadata.get("ownerReferences")
	if !refs.isArray() {
		return span{}
	}
	for c := open(refs); c.element(); {
		if ref := c.value(); ref.get("controller").isTrue() {
			return ref
		}
	}
	return span{}
}
