package engine_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// This file: the derived records of an event.

// written is the object that a request writes, as the records know it.
type written struct {
	*request
	resource string
	body     map[string]any
	source   string // requestObject or responseObject
	asked    any    // the request body beside a response body; nil where it says nothing of what admission added
	patch    any    // the request body of a patch with its result in body
	patched  bool   // there is such a patch
	alone    bool   // the body is a patch itself: what it does not hold is perhaps in the object
	own      map[string][]any
}

// record is one derived record: the request's fields and more.
type record struct {
	*written
	category event.Category
	path     string
	roots    map[string][]any // by the first part of a field's name
	computed map[string][]any
	left     map[string]bool // computed fields that this reference leaves open
}

// fieldsOf are the computed fields of a record kind beside those of every record.
var fieldsOf = map[event.Category][]string{
	event.Pod:        {"record.touched", "element.injected", "workload.kind", "workload.name", "workload.controlled", "workload.owner.kind", "workload.owner.name", "workload.containers"},
	event.Container:  {"container.type", "image.registry", "image.repository", "image.tag", "image.digest"},
	event.Volume:     {"volume.hostPath.cleaned", "mount.containers", "mount.writable"},
	event.Subject:    {"record.touched", "element.injected", "subject.identity"},
	event.PolicyRule: {"record.touched", "element.injected"},
}

// rootsOf are the names of what lies open in a record kind, longest first.
var rootsOf = map[event.Category][]string{
	event.Pod:        {"pod.metadata", "pod", "metadata"},
	event.Container:  {"pod.metadata", "pod", "metadata", "container"},
	event.Volume:     {"pod.metadata", "pod", "metadata", "volume"},
	event.Subject:    {"subject", "roleRef", "metadata"},
	event.PolicyRule: {"rule", "metadata"},
}

func init() {
	for _, c := range []event.Category{event.Container, event.Volume} {
		fieldsOf[c] = append(fieldsOf[c], fieldsOf[event.Pod]...)
	}
}

func (r *record) at(field string) (l leaves, open bool) {
	if r.alone && oneOf(field, "workload.kind", "workload.name", "workload.controlled", "workload.containers", "mount.writable", "subject.identity") {
		return leaves{}, true // the patch is not all that they are made of
	}
	if slices.Contains(fieldsOf[r.category], field) {
		return scalarsOf(r.computed[field]), r.alone || r.left[field]
	}
	for _, root := range rootsOf[r.category] {
		below, ok := strings.CutPrefix(field, root+".")
		if !ok {
			continue
		}
		for _, v := range r.roots[root] {
			l.lead(v, below)
		}
		return l, r.alone
	}
	return r.request.at(field)
}

// places are where the built-in kinds keep their pod.
var places = map[string]struct {
	kind string
	pod  []string // the holder of the pod's metadata and spec
}{
	"pods": {"Pod", nil}, "podtemplates": {"PodTemplate", []string{"template"}},
	"deployments": {"Deployment", []string{"spec", "template"}}, "daemonsets": {"DaemonSet", []string{"spec", "template"}},
	"statefulsets": {"StatefulSet", []string{"spec", "template"}}, "replicasets": {"ReplicaSet", []string{"spec", "template"}},
	"replicationcontrollers": {"ReplicationController", []string{"spec", "template"}}, "jobs": {"Job", []string{"spec", "template"}},
	"cronjobs": {"CronJob", []string{"spec", "jobTemplate", "spec", "template"}},
}

func oneOf(text string, of ...string) bool {
	return slices.Contains(of, text)
}

// recordsOf makes the derived records of an event. bodyless is true where there should be some and no body is there.
func recordsOf(r *request) (all []*record, bodyless bool) {
	verb, subresource := textAt(r.doc, "verb"), textAt(r.doc, "objectRef", "subresource")
	resource, group := textAt(r.doc, "objectRef", "resource"), textAt(r.doc, "objectRef", "apiGroup")
	if !oneOf(verb, "create", "update", "patch") || subresource != "" && !(subresource == "ephemeralcontainers" && resource == "pods") {
		return nil, false
	}
	_, known := places[resource]
	workload := known && oneOf(group, "", "apps", "batch", "extensions")
	rbac := oneOf(group, "rbac.authorization.k8s.io", "authorization.openshift.io")
	subjects := rbac && oneOf(resource, "rolebindings", "clusterrolebindings")
	policy := rbac && oneOf(resource, "roles", "clusterroles")
	// The groups of Kubernetes itself: no other kind in them holds a pod.
	builtin := oneOf(group, "", "apps", "batch", "extensions", "autoscaling", "policy", "metrics.k8s.io", "snapshot.storage.k8s.io") ||
		oneOf(strings.TrimSuffix(group, ".k8s.io"), "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization", "certificates",
			"coordination", "discovery", "events", "flowcontrol.apiserver", "networking", "node", "rbac.authorization", "scheduling", "storage", "resource") && strings.HasSuffix(group, ".k8s.io")
	if !workload && !subjects && !policy && (builtin || resource == "") {
		return nil, false
	}
	w := &written{request: r, resource: resource}
	if !w.choose(verb == "patch", workload) {
		custom := !workload && !subjects && !policy
		return nil, !custom && scalarText(r.computed["outcome"][0]) != "failure"
	}
	w.describe()
	switch {
	case subjects:
		return w.list(event.Subject, "subjects", "subject", w.listTouched("subjects", "roleRef")), false
	case policy:
		return w.list(event.PolicyRule, "rules", "rule", w.listTouched("rules", "aggregationRule")), false
	case workload:
		holder := any(w.body)
		if pod := places[resource].pod; pod != nil {
			holder = member(holder, pod...)
		}
		return w.podRecords(member(holder, "metadata"), member(holder, "spec"), append(append([]string(nil), places[resource].pod...), "spec"), nil), false
	}
	w.search(w.body, nil, nil, 0, func(meta any, spec map[string]any, keys []string, steps []any) {
		if len(steps) > 0 {
			all = append(all, w.podRecords(meta, spec, keys, steps)...)
		}
	})
	return all, false
}

// choose picks the response if it is an object of the requested kind, else the request.
func (w *written) choose(patch, workload bool) bool {
	fits := func(v any) bool {
		_, isObject := v.(map[string]any)
		kind := textAt(v, "kind")
		if !isObject || oneOf(kind, "Status", "Table", "DeleteOptions", "PartialObjectMetadata") {
			return false
		}
		return kind == "" || !workload || kind == places[w.resource].kind
	}
	asked, has := w.doc["requestObject"]
	if response := w.doc["responseObject"]; fits(response) {
		w.body, w.source = response.(map[string]any), "responseObject"
		if patch {
			w.patch, w.patched = asked, has
		} else {
			w.asked = asked
		}
		return true
	}
	if steps, isSteps := asked.([]any); patch && isSteps {
		asked = objectOfSteps(steps)
	}
	body, ok := asked.(map[string]any)
	if !ok || !patch && !fits(asked) {
		return false
	}
	w.body, w.source, w.alone = body, "requestObject", patch
	return true
}

// describe works out what all pod records of the object share.
func (w *written) describe() {
	w.own = make(map[string][]any)
	put := func(field, text string) {
		if text != "" {
			w.own[field] = []any{text}
		}
	}
	kind := textAt(w.body, "kind")
	if kind == "" {
		kind = places[w.resource].kind
	}
	if kind == "" {
		kind = w.resource
	}
	var owner any
	for _, ref := range listAt(w.body, "metadata", "ownerReferences") {
		if member(ref, "controller") == true {
			owner = ref
			break
		}
	}
	name := textAt(w.body, "metadata", "name")
	if name == "" {
		name = textAt(w.doc, "objectRef", "name")
	}
	if name == "" {
		name = strings.TrimSuffix(textAt(w.body, "metadata", "generateName"), "-")
	}
	put("workload.kind", kind)
	put("workload.name", name)
	put("workload.owner.kind", textAt(owner, "kind"))
	put("workload.owner.name", textAt(owner, "name"))
	w.own["workload.controlled"] = []any{w.controlled(kind, owner)}
}

// controlled: by the identity of the built-in controller of the owner's kind, or of its own kind when that changes.
func (w *written) controlled(kind string, owner any) bool {
	accounts := map[string][2]string{
		"ReplicaSet": {"replicaset-controller", "apps"}, "Deployment": {"deployment-controller", "apps"}, "DaemonSet": {"daemon-set-controller", "apps"},
		"StatefulSet": {"statefulset-controller", "apps"}, "Job": {"job-controller", "batch"}, "CronJob": {"cronjob-controller", "batch"},
		"ReplicationController": {"replication-controller", ""},
	}
	if impersonated, ok := w.doc["impersonatedUser"].(map[string]any); ok {
		if _, named := impersonated["username"]; named {
			return false
		}
	}
	writes := func(kind string) bool {
		c, ok := accounts[kind]
		return ok && oneOf(textAt(w.doc, "user", "username"), "system:serviceaccount:kube-system:"+c[0], "system:kube-controller-manager")
	}
	group, _, ok := strings.Cut(textAt(owner, "apiVersion"), "/")
	if !ok {
		group = ""
	}
	ownerKind := textAt(owner, "kind")
	return writes(kind) && textAt(w.doc, "verb") != "create" || writes(ownerKind) && group == accounts[ownerKind][1]
}

// list makes the records of subjects and of policy rules.
func (w *written) list(c event.Category, key, root string, touched bool) []*record {
	var all []*record
	for i, v := range listAt(w.body, key) {
		object, ok := v.(map[string]any)
		if !ok {
			continue
		}
		r := &record{written: w, category: c, path: w.source + "." + key + "[" + strconv.Itoa(i) + "]", computed: make(map[string][]any), roots: map[string][]any{root: {object}}}
		r.rootIf("metadata", w.body["metadata"])
		r.computed["record.touched"], r.computed["element.injected"] = []any{touched}, []any{false}
		if c == event.Subject {
			r.rootIf("roleRef", w.body["roleRef"])
			identity := textAt(v, "name")
			if textAt(v, "kind") == "ServiceAccount" {
				identity = "system:serviceaccount:" + textAt(v, "namespace") + ":" + identity
			}
			if identity != "" {
				r.computed["subject.identity"] = []any{identity}
			}
		}
		all = append(all, r)
	}
	return all
}

func (r *record) rootIf(name string, v any) {
	if v != nil {
		r.roots[name] = append(r.roots[name], v)
	}
}

// search looks for pod specs in a custom kind: objects whose containers have names or images. steps are the keys
// and the numbers that lead to v.
func (w *written) search(v map[string]any, keys []string, steps []any, depth int, found func(meta any, spec map[string]any, keys []string, steps []any)) {
	for key, child := range v {
		if key == "status" || key == "metadata" {
			continue
		}
		list, isList := child.([]any)
		if !isList {
			list = []any{child}
		}
		for i, e := range list {
			object, ok := e.(map[string]any)
			at := append(append([]any(nil), steps...), key)
			to := append(append([]string(nil), keys...), key)
			if isList {
				at, to = append(at, i), append(to, strconv.Itoa(i))
			}
			switch {
			case !ok || len(at) > 16:
			case isPod(object):
				found(v["metadata"], object, to, at)
			default:
				w.search(object, to, at, depth+1, found)
			}
		}
	}
}

func isPod(v map[string]any) bool {
	list := listAt(v, "containers")
	for _, c := range list {
		_, name := member(c, "name").(string)
		_, image := member(c, "image").(string)
		if !name && !image {
			return false
		}
	}
	return len(list) > 0
}
