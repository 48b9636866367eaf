package traffic

import "fmt"

// The kinds of generated events: who asks for what, and what the API server answers.

const (
	managerAgent = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/8a4f0d3/system:serviceaccount:kube-system:"
	kubectlAgent = "kubectl/v1.36.3 (linux/amd64) kubernetes/8a4f0d3"
	kubeletAgent = "kubelet/v1.36.3 (linux/amd64) kubernetes/8a4f0d3"
)

func bound(binding, role, subject string) string {
	return fmt.Sprintf("RBAC: allowed by ClusterRoleBinding %q of ClusterRole %q to %s", binding, role, subject)
}

func podCreated(g *generator) request {
	p := g.newPod(1+g.IntN(4), 1+g.IntN(12))
	sent := p.object(object{"generateName", p.owner + "-", "namespace", p.namespace,
		"labels", p.labels(), "ownerReferences", p.owners()}, object{"phase", "Pending", "qosClass", "Burstable"})
	const who = "replicaset-controller"
	return request{
		verb: "create", uri: "/api/v1/namespaces/" + p.namespace + "/pods", agent: managerAgent + who, user: g.controller(who),
		reason: bound("system:controller:"+who, "system:controller:"+who, `ServiceAccount "`+who+`/kube-system"`), code: 201,
		ref:  object{"resource", "pods", "namespace", p.namespace, "apiVersion", "v1"},
		sent: sent, answer: p.object(p.metadata(g), object{"phase", "Pending", "qosClass", "Burstable"}),
	}
}

func podStatus(g *generator) request {
	p := g.newPod(1+g.IntN(4), 1+g.IntN(16))
	node := g.node()
	p.node = node
	status := p.status(g)
	return request{
		verb: "patch", uri: "/api/v1/namespaces/" + p.namespace + "/pods/" + p.name + "/status", agent: kubeletAgent,
		user: g.user("system:node:"+node, "system:nodes"), code: 200,
		ref:  object{"resource", "pods", "namespace", p.namespace, "name", p.name, "apiVersion", "v1", "subresource", "status"},
		sent: object{"metadata", object{"uid", p.uid}, "status", status}, answer: p.object(p.metadata(g), status),
	}
}

func deploymentApplied(g *generator) request {
	d := g.newPod(1+g.IntN(2), 1+g.IntN(8))
	person := g.pick("alice", "bob", "carol", "erin")
	applied := d.applied()
	sent := object{"metadata", object{"annotations", object{lastApplied, applied}},
		"spec", object{"template", object{"spec", object{"$setElementOrder/containers", d.containerNames(), "containers", d.containers}}}}
	return request{
		verb: "patch", uri: "/apis/apps/v1/namespaces/" + d.namespace + "/deployments/" + d.app +
			"?fieldManager=kubectl-client-side-apply&fieldValidation=Strict",
		agent: kubectlAgent, user: g.user(person, "developers"), code: 200,
		reason: bound("developers", "edit", `Group "developers"`),
		ref:    object{"resource", "deployments", "namespace", d.namespace, "name", d.app, "apiGroup", "apps", "apiVersion", "v1"},
		sent:   sent, answer: d.deployment(g, applied),
	}
}

func deploymentUpdated(g *generator) request {
	d := g.newPod(1, 1+g.IntN(8))
	const who = "deployment-controller"
	applied := d.applied()
	return request{
		verb: "update", uri: "/apis/apps/v1/namespaces/" + d.namespace + "/deployments/" + d.app + "/status",
		agent: managerAgent + who, user: g.controller(who), code: 200,
		reason: bound("system:controller:"+who, "system:controller:"+who, `ServiceAccount "`+who+`/kube-system"`),
		ref: object{"resource", "deployments", "namespace", d.namespace, "name", d.app, "uid", d.uid, "apiGroup", "apps",
			"apiVersion", "v1", "resourceVersion", g.resourceVersion(), "subresource", "status"},
		sent: d.deployment(g, applied), answer: d.deployment(g, applied),
	}
}

func configUpdated(g *generator) request {
	namespace, name := g.pick(namespaces...), g.pick(apps...)+"-settings"
	text := map[string]string{"application.yaml": g.text(60 + g.IntN(100)), "messages.properties": g.text(5 + g.IntN(20))}
	config := func() object {
		return object{"kind", "ConfigMap", "apiVersion", "v1", "metadata", object{"name", name, "namespace", namespace, "uid", g.uuid(),
			"resourceVersion", g.resourceVersion(), "creationTimestamp", g.time(),
			"managedFields", list{g.managed("argocd-controller", "v1", object{"data", object{"application.yaml", "", "messages.properties", ""}})}},
			"data", text}
	}
	return request{
		verb: "update", uri: "/api/v1/namespaces/" + namespace + "/configmaps/" + name + "?fieldManager=argocd-controller",
		agent: "argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format", code: 200,
		user:   g.user("system:serviceaccount:argocd:argocd-application-controller", "system:serviceaccounts", "system:serviceaccounts:argocd"),
		reason: bound("argocd-application-controller", "argocd-application-controller", `ServiceAccount "argocd-application-controller/argocd"`),
		ref:    object{"resource", "configmaps", "namespace", namespace, "name", name, "uid", g.uuid(), "apiVersion", "v1"},
		sent:   config(), answer: config(),
	}
}

func definitionUpdated(g *generator) request {
	plural := g.pick("databaseclusters", "messagequeues", "certificaterequests", "trafficpolicies") + g.from(randomAlphabet, 3)
	group := g.pick("data.example.com", "mesh.example.org", "platform.example.net")
	schema := g.schema(2, 5+g.IntN(4))
	d := func() object { return g.definition(plural, group, schema) }
	name := plural + "." + group
	return request{
		verb: "update", uri: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + name, agent: "Helm/3.18.4", code: 200,
		user: g.user("ci-deployer", "ci"), reason: bound("deployer", "deployer", `Group "ci"`),
		ref: object{"resource", "customresourcedefinitions", "name", name, "uid", g.uuid(), "apiGroup", "apiextensions.k8s.io",
			"apiVersion", "v1", "resourceVersion", g.resourceVersion()},
		sent: d(), answer: d(),
	}
}

func podsListed(g *generator) request {
	namespace := g.pick(namespaces...)
	var items list
	for range 1 + g.IntN(3) {
		p := g.newPod(1, 1+g.IntN(8))
		p.namespace, p.node = namespace, g.node()
		items = append(items, object{"metadata", p.metadata(g), "spec", p.spec(), "status", p.status(g)})
	}
	return request{
		verb: "list", uri: "/api/v1/namespaces/" + namespace + "/pods?labelSelector=app.kubernetes.io%2Fpart-of%3Dstorefront&limit=500",
		agent: "Prometheus/3.5.0", code: 200,
		user:   g.user("system:serviceaccount:monitoring:prometheus", "system:serviceaccounts", "system:serviceaccounts:monitoring"),
		reason: bound("prometheus", "prometheus", `ServiceAccount "prometheus/monitoring"`),
		ref:    object{"resource", "pods", "namespace", namespace, "apiVersion", "v1"},
		answer: object{"kind", "PodList", "apiVersion", "v1", "metadata", object{"resourceVersion", g.resourceVersion()}, "items", items},
	}
}
