package engine_test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// This file: generated events. The vocabulary is small, so that rules and events meet.

// oneIn is true once in n times, and false in the simplest case.
func oneIn(t *rapid.T, n int) bool { return rapid.IntRange(0, n-1).Draw(t, "oneIn") == n-1 }

func pick[T any](t *rapid.T, from ...T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, "pick")]
}

// spoiled gives v, or now and then something of another type.
func spoiled(t *rapid.T, v any) any {
	if !oneIn(t, 28) {
		return v
	}
	switch rapid.IntRange(0, 11).Draw(t, "spoil") {
	case 0:
		return nil
	case 1:
		return []any{}
	case 2:
		return members{}
	case 3:
		return []any{v}
	case 4:
		return []any{[]any{v, "x"}, nil, v}
	case 5:
		return members{{"name", v}, {"", v}}
	case 6:
		return verbatim(pick(t, "0", "-0", "1E400", "403", "403.0", "4.03e2", "-1.5E+3", "1e-400", "00000"[:1], strings.Repeat("9", 65), "0.1000000000000000055511151231257827"))
	case 7:
		return pick(t, "", "a", "403", "1e2", "true", "null")
	case 8:
		return rapid.Bool().Draw(t, "bool")
	case 9:
		return verbatim(pick(t, `"\ud83d"`, `"a\udc00"`, "\"\xff\"", `"\ud83d\ude00"`, `"\u0000"`, `"\u0061"`))
	case 10:
		return strings.Repeat("a", pick(t, lengths...))
	}
	return deep(v, pick(t, 2, 60, 200))
}

// deep wraps v in lists and objects.
func deep(v any, levels int) any {
	for i := range levels {
		if i%3 == 0 {
			v = members{{"k", v}}
			continue
		}
		v = []any{v}
	}
	return v
}

// some keeps each member with the given odds of 16, and spoils a few values.
func some(t *rapid.T, odds int, o members) members {
	var kept members
	for _, m := range o {
		if rapid.IntRange(0, 15).Draw(t, m.key) < odds {
			kept = append(kept, namedValue{m.key, spoiled(t, m.value)})
		}
	}
	return kept
}

func listOf(t *rapid.T, most int, one func() any) []any {
	list := []any{}
	for range rapid.IntRange(0, most).Draw(t, "elements") {
		list = append(list, one())
	}
	return list
}

var (
	userNames   = []string{"alice", "Bob", "system:kube-controller-manager", "system:serviceaccount:kube-system:replicaset-controller", "system:serviceaccount:kube-system:deployment-controller", "system:serviceaccount:kube-system:job-controller", "system:serviceaccount:dev:replicaset-controller", "ÄRGER", ""}
	groupNames  = []string{"system:masters", "system:authenticated", "dev", ""}
	shortNames  = []string{"a", "b", "web", "A", "", "x\"y", "\\", "ü"}
	images      = []string{"nginx", "nginx:1.25", "docker.io/nginx", "index.docker.io/acme/x@sha256:ab", "registry.example:5000/a/b:1@sha256:cd", "localhost/x:2", "LOCALHOST:1/x", "a/b/c", "evil.example/x:", "@", "a:b:c", ""}
	hostPaths   = []string{"/", "/etc/../var//run/", "var/run/docker.sock", "/var/run/docker.sock", "/../..", ".", ""}
	addresses   = []string{"203.0.113.9", "127.0.0.1", "::1", "172.31.0.5", "::ffff:127.0.0.1", "::ffff:203.0.113.9", "[2001:db8::1]", "fe80::1%eth0", "not an address", ""}
	requestURIs = []string{"/api/v1/namespaces/dev/pods", "/api/v1/namespaces/dev/pods?dryRun=All", "/api/v1/x?dry%52un=%41ll&dryRun=", "/api/../healthz/.", "//api//v1/", "/a%2e%2e/b%zz?command=%zz",
		"/api/v1/pods/x/exec?command=sh&command=-c&container=a&c%6Fmmand=id+%2B1", "/x?container=b&container=A&&=&command", "/", "/%2e%2e/?x=a%20b&x=%C3%A4"}
	codes = []any{200, 201, 403, 404, 500, 0, -1, "403", verbatim("4.03e2"), verbatim("403.0"), verbatim("1E400"), verbatim("-0"), verbatim(strings.Repeat("4", 66)), verbatim("200.00000000000000000000000000000000000000000000000000000000000000"), true}
)

func drawContext(t *rapid.T, pod bool) any {
	context := some(t, 5, members{
		{"runAsUser", pick[any](t, 0, 1000, "0", nil)}, {"runAsNonRoot", rapid.Bool().Draw(t, "bool")}, {"runAsGroup", 0},
		{"seLinuxOptions", members{{"type", pick(t, "spc_t", "a")}}}, {"seccompProfile", members{{"type", pick(t, "Unconfined", "RuntimeDefault")}}},
		{"appArmorProfile", members{{"type", "Unconfined"}}}, {"windowsOptions", members{{"hostProcess", true}}},
		{"privileged", rapid.Bool().Draw(t, "privileged")}, {"fsGroup", 1},
	})
	if !pod {
		context = append(context, some(t, 5, members{{"capabilities", members{{"add", listOf(t, 3, func() any { return spoiled(t, pick(t, "SYS_ADMIN", "NET_RAW", "ALL")) })}}}})...)
	}
	return spoiled(t, context)
}

func drawContainer(t *rapid.T) any {
	c := some(t, 14, members{{"name", pick(t, shortNames...)}, {"image", pick(t, images...)}})
	if rapid.Bool().Draw(t, "more") {
		c = append(c, some(t, 10, members{
			{"securityContext", drawContext(t, false)},
			{"volumeMounts", listOf(t, 3, func() any {
				return spoiled(t, some(t, 13, members{{"name", pick(t, "a", "a", "b", "web", "")}, {"readOnly", rapid.Bool().Draw(t, "readOnly")}}))
			})},
			{"command", listOf(t, 2, func() any { return pick(t, "sh", "-c", "sleep") })},
		})...)
	}
	return spoiled(t, c)
}

func drawVolume(t *rapid.T) any {
	v := some(t, 14, members{{"name", pick(t, "a", "a", "b", "web", "")}})
	if rapid.Bool().Draw(t, "host") {
		v = append(v, some(t, 14, members{{"hostPath", spoiled(t, some(t, 14, members{{"path", pick(t, hostPaths...)}, {"type", ""}}))}})...)
	}
	return spoiled(t, v)
}

func drawPodSpec(t *rapid.T) any {
	spec := some(t, 14, members{{"containers", listOf(t, 3, func() any { return drawContainer(t) })}})
	if rapid.IntRange(0, 2).Draw(t, "full") > 0 {
		spec = append(spec, some(t, 10, members{
			{"initContainers", listOf(t, 2, func() any { return drawContainer(t) })},
			{"ephemeralContainers", listOf(t, 2, func() any { return drawContainer(t) })},
			{"volumes", listOf(t, 3, func() any { return drawVolume(t) })},
			{"securityContext", drawContext(t, true)},
			{"hostPID", rapid.Bool().Draw(t, "hostPID")}, {"hostNetwork", rapid.Bool().Draw(t, "hostNetwork")},
			{"serviceAccountName", pick(t, shortNames...)}, {"nodeName", nil},
		})...)
	}
	if oneIn(t, 10) {
		// What strategic merge patches say beside the fields.
		spec = append(spec, some(t, 8, members{
			{"$setElementOrder/containers", []any{members{{"name", "a"}}}}, {"$patch", "replace"}, {"$retainKeys", []any{"containers"}},
		})...)
	}
	return spoiled(t, spec)
}

func drawMetadata(t *rapid.T) any {
	return spoiled(t, some(t, 7, members{
		{"name", pick(t, shortNames...)}, {"generateName", pick(t, "web-", "a--", "-")}, {"namespace", "dev"},
		{"labels", members{{"app", pick(t, shortNames...)}, {"app.kubernetes.io/name", "web"}}},
		{"ownerReferences", listOf(t, 2, func() any {
			return spoiled(t, some(t, 14, members{{"apiVersion", pick(t, "apps/v1", "batch/v1", "v1", "evil.example/v1")}, {"kind", pick(t, "ReplicaSet", "Deployment", "Job", "ReplicationController")},
				{"name", pick(t, shortNames...)}, {"controller", pick[any](t, true, true, false, "true")}}))
		})},
	}))
}

// resources with their groups; the kind of the last ones is searched for pod specs.
var resources = []struct{ name, group, kind string }{
	{"pods", "", "Pod"}, {"deployments", "apps", "Deployment"}, {"cronjobs", "batch", "CronJob"}, {"podtemplates", "", "PodTemplate"}, {"replicasets", "extensions", "ReplicaSet"},
	{"jobs", "batch", "Job"}, {"rolebindings", "rbac.authorization.k8s.io", "RoleBinding"}, {"clusterrolebindings", "authorization.openshift.io", "ClusterRoleBinding"},
	{"clusterroles", "rbac.authorization.k8s.io", "ClusterRole"}, {"secrets", "", "Secret"}, {"roles", "apps", "Role"}, {"leases", "coordination.k8s.io", "Lease"},
	{"rollouts", "argoproj.io", "Rollout"}, {"deployments", "evil.example", "Deployment"}, {"pods", "k8s.io", "Pod"},
}

func drawBody(t *rapid.T, resource, kind string) any {
	if oneIn(t, 10) {
		kind = pick(t, "Status", "Table", "DeleteOptions", "PartialObjectMetadata", "Pod", "Deployment", "", "Role")
	}
	body := some(t, 13, members{{"kind", kind}, {"apiVersion", "v1"}, {"metadata", drawMetadata(t)}})
	nested := func(v any, keys ...string) {
		for _, key := range slices.Backward(keys[1:]) {
			v = members{{key, v}}
		}
		body = append(body, namedValue{keys[0], v})
	}
	template := func() any { return spoiled(t, members{{"metadata", drawMetadata(t)}, {"spec", drawPodSpec(t)}}) }
	switch {
	case strings.Contains(resource, "binding"):
		body = append(body, some(t, 14, members{{"roleRef", members{{"kind", pick(t, "ClusterRole", "Role")}, {"name", pick(t, "cluster-admin", "view")}}}, {"subjects", listOf(t, 3, func() any {
			return spoiled(t, some(t, 13, members{{"kind", pick(t, "User", "Group", "ServiceAccount")}, {"name", pick(t, shortNames...)}, {"namespace", pick(t, "dev", "kube-system")}}))
		})}})...)
	case strings.Contains(resource, "roles"):
		body = append(body, some(t, 14, members{{"rules", listOf(t, 3, func() any {
			return spoiled(t, some(t, 13, members{{"verbs", listOf(t, 2, func() any { return pick(t, "*", "get", "create") })}, {"resources", []any{pick(t, "pods", "*", "secrets")}}, {"apiGroups", []any{""}}}))
		})}})...)
	case resource == "pods":
		nested(drawPodSpec(t), "spec")
	case resource == "cronjobs":
		nested(template(), "spec", "jobTemplate", "spec", "template")
	case resource == "podtemplates":
		nested(template(), "template")
	case resource == "rollouts":
		drawCustom(t, nested, template)
	default:
		nested(template(), "spec", "template")
	}
	return spoiled(t, body)
}

// drawCustom puts pod specs at places that only a search finds.
func drawCustom(t *rapid.T, nested func(v any, keys ...string), template func() any) {
	switch rapid.IntRange(0, 4).Draw(t, "custom") {
	case 0:
		nested(template(), "spec", "template")
	case 1:
		nested([]any{members{{"name", "a"}, {"template", template()}}, "x", []any{template()}, members{{"template", template()}}}, "spec", "groups")
	case 2:
		nested(members{{"template", template()}, {"metadata", template()}, {"status", template()}, {"head", members{{"spec", drawPodSpec(t)}}}}, "spec")
	case 3:
		nested(deep(drawPodSpec(t), rapid.IntRange(1, 14).Draw(t, "levels")), "spec")
	case 4:
		nested(template(), "spec", "a.b", "c[0]")
	}
}

// drawPatch makes a merge patch or a JSON Patch for a resource.
func drawPatch(t *rapid.T, resource, kind string) any {
	if oneIn(t, 3) {
		holder := map[string]string{"deployments": "/spec/template", "jobs": "/spec/template", "replicasets": "/spec/template", "cronjobs": "/spec/jobTemplate/spec/template", "podtemplates": "/template", "rollouts": "/spec/template"}[resource]
		return listOf(t, 3, func() any {
			path := holder + pick(t, "/spec", "/spec/containers", "/spec/containers/0", "/spec/containers/1/image", "/spec/containers/-", "/spec/containers/0/securityContext/privileged", "/spec/volumes", "/spec/volumes/0",
				"/spec/volumes/-", "/spec/securityContext", "/spec/hostPID", "/metadata/labels/app.kubernetes.io~1name", "/kind", "/", "", "x")
			path = pick(t, path, path, path, drawPlace(t, holder), drawPlace(t, holder), "/subjects", "/subjects/0", "/rules/0/verbs", "/roleRef", "/metadata/labels", "/spec", "", "x/spec/containers/0")
			value := pick(t, func() any { return drawPodSpec(t) }, func() any { return []any{drawContainer(t)} }, func() any { return drawContainer(t) }, func() any { return drawVolume(t) }, func() any { return true }, func() any { return "nginx" })
			return spoiled(t, some(t, 15, members{{"op", pick(t, "add", "add", "replace", "replace", "remove", "test", "move", "copy")}, {"path", path}, {"from", drawPlace(t, holder)}, {"value", value()}}))
		})
	}
	return drawBody(t, resource, kind)
}

// drawPlace gives a pointer to an element of a list of a pod spec, or into one.
func drawPlace(t *rapid.T, holder string) string {
	return holder + pick(t, "/spec/containers/", "/spec/containers/", "/spec/initContainers/", "/spec/volumes/") + pick(t, "0", "1", "2", "-1", "01", "+1", "-") +
		pick(t, "", "", "/securityContext/privileged", "/name", "/volumeMounts/0", "/volumeMounts")
}

func drawTexts(t *rapid.T, from []string) []any {
	return listOf(t, 3, func() any { return spoiled(t, pick(t, from...)) })
}

// drawEvent makes an audit event, in the order of kube-apiserver's members unless shuffled.
func drawEvent(t *rapid.T) members {
	of := pick(t, resources...)
	if rapid.Bool().Draw(t, "common") {
		of = resources[pick(t, 0, 0, 1, 2, 6, 8, 12)]
	}
	verb := pick(t, "create", "create", "update", "patch", "patch", "get", "delete", "deletecollection", "CREATE", "watch", "")
	subresource := pick(t, "", "", "", "", "ephemeralcontainers", "status", "exec", "attach")
	var ask, answer any = drawBody(t, of.name, of.kind), nil
	if verb == "patch" {
		ask = drawPatch(t, of.name, of.kind)
	}
	if strings.HasPrefix(verb, "delete") && oneIn(t, 2) {
		ask = members{{"kind", "DeleteOptions"}, {"dryRun", pick[any](t, []any{"All"}, "All", []any{}, []any{[]any{"All"}}, nil)}}
	}
	switch rapid.IntRange(0, 4).Draw(t, "answer") {
	case 0:
		answer = ask
	case 1:
		answer = drawBody(t, of.name, of.kind)
	case 2:
		answer = members{{"kind", "Status"}, {"code", 403}}
	}
	ref := some(t, 14, members{{"resource", of.name}, {"namespace", pick(t, "dev", "kube-system")}, {"name", pick(t, shortNames...)}, {"apiGroup", of.group}, {"apiVersion", "v1"}})
	if subresource != "" {
		ref = append(ref, namedValue{"subresource", spoiled(t, subresource)})
	}
	event := members{
		{"kind", "Event"}, {"apiVersion", "audit.k8s.io/v1"}, {"level", pick(t, "Metadata", "Request", "RequestResponse")}, {"auditID", "a-1"},
		{"stage", pick(t, "ResponseComplete", "ResponseComplete", "ResponseComplete", "ResponseStarted", "RequestReceived", "Panic")},
		{"requestURI", pick(t, requestURIs...)}, {"verb", verb}, {"user", drawUser(t)},
	}
	if oneIn(t, 6) {
		event = append(event, namedValue{"impersonatedUser", drawUser(t)})
	}
	event = append(event, members{{"sourceIPs", drawTexts(t, addresses)}, {"userAgent", pick(t, "kubectl/v1", "Helm/3", "")}, {"objectRef", ref}, {"responseStatus", members{{"code", pick(t, codes...)}}}}...)
	if ask != nil && !oneIn(t, 8) {
		event = append(event, namedValue{"requestObject", ask})
	}
	if answer != nil {
		event = append(event, namedValue{"responseObject", answer})
	}
	event = append(event, members{{"requestReceivedTimestamp", "2026-03-04T10:15:20.100000Z"}, {"stageTimestamp", "2026-03-04T10:15:20.151000Z"}}...)
	if oneIn(t, 2) {
		event = append(event, namedValue{"annotations", drawAnnotations(t)})
	}
	if oneIn(t, 8) {
		// Names of fields of ours, and of paths, which must not be taken for them.
		key := pick(t, "outcome", "container", "image.tag", "user.username", "workload", "request", "requestObject.spec.hostPID", "", "container.name", "dryRun")
		event = append(event, namedValue{key, pick[any](t, "success", true, members{{"name", "a"}, {"kind", "Pod"}, {"query", members{{"x", "a"}}}})})
	}
	event = some(t, 15, event)
	if oneIn(t, 6) {
		event = rapid.Permutation(event).Draw(t, "order")
	}
	return event
}

func drawUser(t *rapid.T) any {
	return some(t, 13, members{{"username", pick(t, userNames...)}, {"groups", drawTexts(t, groupNames)}, {"extra", members{{"a.b/c", []any{pick(t, shortNames...)}}, {"scopes", members{{"k", "a"}}}}}})
}

func drawAnnotations(t *rapid.T) any {
	var all members
	for _, key := range []string{"authorization.k8s.io/decision", "authorization_k8s_io/decision", "authorization_k8s_io_decision", "authorization.k8s.io/reason", "command.gke.io/dryRun", "k.v", "k"} {
		if oneIn(t, 3) {
			value := pick(t, "allow", "forbid", "", "False", "true")
			if key == "k" {
				all = append(all, namedValue{key, members{{"v", value}}})
				continue
			}
			all = append(all, namedValue{key, value})
		}
	}
	return all
}

// drawJunk makes an object of any shape with the keys of audit events, as a body or as an event.
func drawJunk(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	switch {
	case depth == 0 || kind < 4:
		return pick[any](t, "get", "GET", "pods", "secrets", "a", "A.b", "exec", "", "200", "2e2", "true", "ä", "Ä", "x\ny", "a*b", "\"q\"", "\\", nil, true, false, 200, verbatim("200.0"), verbatim("2e2"), verbatim("1e400"))
	case kind == 4:
		return listOf(t, 3, func() any { return drawJunk(t, depth-1) })
	}
	var object members
	for range rapid.IntRange(0, 6).Draw(t, "members") {
		key := pick(t, "verb", "objectRef", "resource", "subresource", "user", "username", "groups", "extra", "a.b/c", "a", "b", "spec", "spec.a", "x", "requestObject", "responseObject",
			"responseStatus", "code", "sourceIPs", "annotations", "k", "v", "k.v", "stage", "level", "user.username", "", "other")
		object = object.with(key, drawJunk(t, depth-1))
	}
	return object
}

// wide is an object with more keys than a machine word has bits.
func wide(t *rapid.T) any {
	var object members
	for i := range 90 {
		object = append(object, namedValue{fmt.Sprint("k", i), pick[any](t, "a", "b", i, members{{"x", "a"}})})
	}
	return rapid.Permutation(object).Draw(t, "wide")
}
