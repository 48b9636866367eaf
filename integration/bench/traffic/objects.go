package traffic

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

var (
	apps       = []string{"orders", "catalog", "cart", "frontend", "gateway", "ledger", "blog"}
	namespaces = []string{"shop", "payments", "www"}
)

// A pod is what the generated objects are made of: a pod itself, or the template of a deployment.
type pod struct {
	app, owner, name, namespace, uid, ownerUID, node string
	hash                                             string
	containers, volumes                              list
}

// newPod makes a pod of that many containers with that many variables each.
func (g *generator) newPod(containers, variables int) *pod {
	p := &pod{app: g.pick(apps...), namespace: g.pick(namespaces...), uid: g.uuid(), ownerUID: g.uuid(), hash: g.from(randomAlphabet, 9)}
	p.owner = p.app + "-" + p.hash
	p.name = p.owner + "-" + g.from(randomAlphabet, 5)
	p.volumes = list{
		object{"name", "config", "configMap", object{"name", p.app + "-settings", "defaultMode", 420}},
		object{"name", "tls", "secret", object{"secretName", p.app + "-tls", "defaultMode", 420}},
		object{"name", "tmp", "emptyDir", object{"sizeLimit", "256Mi"}},
	}
	if g.IntN(50) == 0 {
		p.volumes = append(p.volumes, object{"name", "logs", "hostPath", object{"path", "/var/log/pods", "type", ""}})
	}
	for i := range containers {
		p.containers = append(p.containers, g.container(p, []string{"app", "envoy", "log-shipper", "metrics", "cache", "migrate"}[i], variables))
	}
	return p
}

func (g *generator) container(p *pod, name string, variables int) object {
	privileged := g.IntN(60) == 0 // a few, so that the rules have something to find
	port := 8000 + g.IntN(1000)
	env := list{object{"name", "POD_NAME", "valueFrom", object{"fieldRef", object{"apiVersion", "v1", "fieldPath", "metadata.name"}}}}
	for i := range variables {
		env = append(env, object{"name", fmt.Sprintf("%s_%s_%d", g.pick("DATABASE", "QUEUE", "CACHE", "HTTP"), g.pick("URL", "TIMEOUT", "OPTIONS"), i),
			"value", g.pick("http://"+p.app+"."+p.namespace+".svc:"+strconv.Itoa(port)+"/?a=1&b=<2>", "30s", "größe=ü;名前=値", `{"retries":3,"log":"C:\\temp"}`, g.from(hexAlphabet, 12))})
	}
	probe := object{"httpGet", object{"path", "/healthz", "port", port, "scheme", "HTTP"}, "initialDelaySeconds", 5, "periodSeconds", 10}
	return object{
		"name", name, "image", fmt.Sprintf("registry.example.com/%s/%s-%s:1.%d.%d", p.namespace, p.app, name, g.IntN(40), g.IntN(10)),
		"args", list{"--listen=:" + strconv.Itoa(port), "--config=/etc/app/application.yaml", "--log-format=json"},
		"ports", list{object{"name", "http", "containerPort", port, "protocol", "TCP"}}, "env", env,
		"resources", object{"limits", object{"memory", "512Mi"}, "requests", object{"cpu", "250m", "memory", "256Mi"}},
		"volumeMounts", list{object{"name", "config", "readOnly", true, "mountPath", "/etc/app"},
			object{"name", "tmp", "mountPath", "/tmp"}},
		"livenessProbe", probe,
		"terminationMessagePath", "/dev/termination-log", "terminationMessagePolicy", "File", "imagePullPolicy", "IfNotPresent",
		"securityContext", object{"capabilities", object{"drop", list{"ALL"}}, "privileged", privileged, "runAsNonRoot", !privileged,
			"readOnlyRootFilesystem", true, "allowPrivilegeEscalation", privileged, "seccompProfile", object{"type", "RuntimeDefault"}},
	}
}

func (p *pod) labels() object {
	return object{"app.kubernetes.io/name", p.app, "app.kubernetes.io/part-of", "storefront", "pod-template-hash", p.hash}
}

func (p *pod) owners() list {
	return list{object{"apiVersion", "apps/v1", "kind", "ReplicaSet", "name", p.owner, "uid", p.ownerUID, "controller", true, "blockOwnerDeletion", true}}
}

func (p *pod) spec() object {
	spec := object{"volumes", p.volumes, "containers", p.containers, "restartPolicy", "Always", "terminationGracePeriodSeconds", 30,
		"dnsPolicy", "ClusterFirst", "serviceAccountName", p.app, "serviceAccount", p.app}
	if p.node != "" {
		spec = append(spec, "nodeName", p.node)
	}
	toleration := func(key string) object {
		return object{"key", "node.kubernetes.io/" + key, "operator", "Exists", "effect", "NoExecute", "tolerationSeconds", 300}
	}
	return append(spec, "securityContext", object{"fsGroup", 2000}, "schedulerName", "default-scheduler",
		"tolerations", list{toleration("not-ready"), toleration("unreachable")}, "priority", 0, "enableServiceLinks", true,
		"preemptionPolicy", "PreemptLowerPriority")
}

// metadata is what a stored pod has.
func (p *pod) metadata(g *generator) object {
	return object{"name", p.name, "generateName", p.owner + "-", "namespace", p.namespace, "uid", p.uid, "resourceVersion", g.resourceVersion(),
		"generation", 1, "creationTimestamp", g.time(), "labels", p.labels(), "ownerReferences", p.owners(),
		"managedFields", list{g.managed("kube-controller-manager", "v1", object{"metadata", object{"labels", p.labels()}, "spec", p.spec()})}}
}

func (p *pod) object(metadata, status object) object {
	return object{"kind", "Pod", "apiVersion", "v1", "metadata", metadata, "spec", p.spec(), "status", status}
}

func (p *pod) status(g *generator) object {
	var conditions, containers list
	for _, c := range []string{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		conditions = append(conditions, object{"type", c, "observedGeneration", 1, "status", "True", "lastProbeTime", nil, "lastTransitionTime", g.time()})
	}
	for _, c := range p.containers {
		name, image := c.(object)[1], c.(object)[3]
		containers = append(containers, object{"name", name, "state", object{"running", object{"startedAt", g.time()}}, "lastState", object{},
			"ready", true, "restartCount", g.IntN(3), "image", image, "imageID", fmt.Sprint(image, "@sha256:", g.from(hexAlphabet, 64)),
			"containerID", "containerd://" + g.from(hexAlphabet, 64), "started", true})
	}
	ip := fmt.Sprintf("10.244.%d.%d", g.IntN(256), g.IntN(256))
	return object{"observedGeneration", 1, "phase", "Running", "conditions", conditions, "hostIP", "10.0.1.17", "podIP", ip,
		"podIPs", list{object{"ip", ip}}, "startTime", g.time(), "containerStatuses", containers, "qosClass", "Burstable"}
}

func (p *pod) containerNames() list {
	var names list
	for _, c := range p.containers {
		names = append(names, object{"name", c.(object)[1]})
	}
	return names
}

func (p *pod) template() object {
	return object{"replicas", 3, "selector", object{"matchLabels", object{"app.kubernetes.io/name", p.app}},
		"template", object{"metadata", object{"labels", object{"app.kubernetes.io/name", p.app, "app.kubernetes.io/part-of", "storefront"}}, "spec", p.spec()},
		"strategy", object{"type", "RollingUpdate", "rollingUpdate", object{"maxUnavailable", "25%", "maxSurge", "25%"}},
		"revisionHistoryLimit", 10, "progressDeadlineSeconds", 600}
}

// applied is the annotation that kubectl apply leaves: the whole file as JSON text, keys sorted, a newline behind it.
func (p *pod) applied() string {
	text := appendJSON(nil, object{"apiVersion", "apps/v1", "kind", "Deployment", "metadata", object{"annotations", object{}, "name", p.app, "namespace", p.namespace},
		"spec", p.template()})
	var sorted map[string]any
	if err := json.Unmarshal(text, &sorted); err != nil {
		panic(err) // a mistake in this package
	}
	return string(appendJSON(nil, sorted)) + "\n"
}

func (p *pod) deployment(g *generator, applied string) object {
	condition := func(kind, reason string) object {
		return object{"type", kind, "status", "True", "lastUpdateTime", g.time(), "lastTransitionTime", g.time(), "reason", reason,
			"message", fmt.Sprintf("ReplicaSet %q has successfully progressed.", p.owner)}
	}
	return object{"kind", "Deployment", "apiVersion", "apps/v1", "metadata", object{"name", p.app, "namespace", p.namespace, "uid", p.uid,
		"resourceVersion", g.resourceVersion(), "generation", 1 + g.IntN(90), "creationTimestamp", g.time(), "labels", p.labels(),
		"annotations", object{"deployment.kubernetes.io/revision", "7", lastApplied, applied},
		"managedFields", list{g.managed("kubectl-client-side-apply", "apps/v1", object{"spec", p.template()})}},
		"spec", p.template(), "status", object{"observedGeneration", 7, "replicas", 3, "updatedReplicas", 3, "readyReplicas", 3, "availableReplicas", 3,
			"conditions", list{condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")}}}
}

func (g *generator) node() string {
	return fmt.Sprintf("ip-10-0-1-%d.eu-west-1.compute.internal", 10+g.IntN(200))
}

// managed says in managedFields that the manager owns all of what is given.
func (g *generator) managed(manager, apiVersion string, of object) object {
	return object{"manager", manager, "operation", "Update", "apiVersion", apiVersion, "time", g.time(), "fieldsType", "FieldsV1", "fieldsV1", owned(of)}
}

// owned returns the names of an object's fields as managedFields spell them; encoding/json sorts them.
func owned(v any) map[string]any {
	fields := map[string]any{}
	switch v := v.(type) {
	case object:
		for i := 0; i < len(v); i += 2 {
			fields["f:"+v[i].(string)] = owned(v[i+1])
		}
	case list:
		for _, e := range v {
			if o, ok := e.(object); ok && o[0] == "name" {
				of := owned(o)
				of["."] = object{}
				fields[fmt.Sprintf(`k:{"name":%q}`, o[1])] = of
			}
		}
	}
	return fields
}

// text is a file in a configmap: lines with indentation, quotes, markup, tabs and words of several scripts.
func (g *generator) text(lines int) string {
	var b strings.Builder
	for i := range lines {
		b.WriteString(strings.Repeat("  ", g.IntN(4)))
		b.WriteString(g.pick("listen: \"0.0.0.0:8080\"", "pattern: '^/api/v[0-9]+\\\\.json$'", "template: <p class=\"x\">a &amp; b</p>",
			"greeting: Grüße aus Köln — ça va?", "title: 設定ファイル", "emoji: 🚀 ready", "path:\tC:\\Program Files\\app", "# timeouts & limits, see below",
			"upstream: http://orders.shop.svc.cluster.local/v2?x=1&y=2"))
		fmt.Fprintf(&b, " # %d\n", i)
	}
	return b.String()
}

// schema is an OpenAPI schema of that depth and that many properties at each level.
func (g *generator) schema(depth, width int) object {
	s := object{"description", g.pick(
		"Specifies the desired state; immutable once set. See https://example.com/docs?topic=spec&v=1 for <details>.",
		"Number of replicas. Defaults to 1.", "Reference to an object in the same namespace, by name. \"default\" is used when empty.")}
	if depth == 0 {
		return append(s, "type", g.pick("string", "integer", "boolean"))
	}
	properties := map[string]any{}
	for i := range width {
		properties[fmt.Sprintf("%s%d", g.pick("replicas", "selector", "endpoint", "policy", "template"), i)] = g.schema(depth-1, width)
	}
	return append(s, "type", "object", "required", list{"selector"}, "properties", properties)
}

func (g *generator) definition(plural, group string, schema object) object {
	kind := strings.ToUpper(plural[:1]) + plural[1:]
	return object{"kind", "CustomResourceDefinition", "apiVersion", "apiextensions.k8s.io/v1", "metadata", object{"name", plural + "." + group,
		"uid", g.uuid(), "resourceVersion", g.resourceVersion(), "generation", 2, "creationTimestamp", g.time(),
		"annotations", object{"controller-gen.kubebuilder.io/version", "v0.18.0"}},
		"spec", object{"group", group, "names", object{"plural", plural, "singular", strings.ToLower(kind), "kind", kind, "listKind", kind + "List"},
			"scope", "Namespaced", "versions", list{object{"name", "v1", "served", true, "storage", true, "schema", object{"openAPIV3Schema", schema},
				"subresources", object{"status", object{}}}}, "conversion", object{"strategy", "None"}},
		"status", object{"conditions", list{object{"type", "Established", "status", "True", "lastTransitionTime", g.time(), "reason", "InitialNamesAccepted",
			"message", "the initial names have been accepted"}}, "storedVersions", list{"v1"}}}
}
