package ruleset

// written is the selection that most rules about one element begin with.
func (w *writer) written(d *draft) {
	verbs := []string{"create", "update", "patch"}
	if w.chance(25) {
		verbs = []string{"create"}
	}
	d.add("write", item("verb", verbs...), item("outcome", "success", "unknown"), plain("dryRun", "false"), plain("record.touched", "true"))
}

// podSpec is about one pod, one container or one volume, whichever kind of workload holds it.
func (w *writer) podSpec() *draft {
	d := &draft{own: true}
	w.written(d)
	switch w.random.IntN(9) {
	case 0, 1:
		d.category = "pod"
		d.add("found", plain("pod."+w.one([]string{"hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace"}), "true"), w.namespaceItem())
	case 2:
		d.category = "pod"
		d.add("found", item("pod.serviceAccountName", w.some(append(controllers, accounts...), 2, 10)...), item("objectRef.namespace", w.some(systemNamespaces[1:], 1, 4)...))
	case 3:
		d.category = "container"
		d.add("found", item("container.securityContext.capabilities.add", w.some(capabilities, 2, 10)...), w.namespaceItem())
	case 4:
		d.category = "container"
		d.add("found", plain("container.securityContext."+w.one([]string{"privileged", "allowPrivilegeEscalation"}), "true"), w.namespaceItem())
	case 5:
		d.category = "container"
		d.add("found", item("image.registry", w.some(registries, 1, 6)...), item("image.repository|contains", w.some(miners, 2, 8)...))
	case 6:
		d.category = "container"
		d.add("found_image", item("image.repository|endswith", w.some(images, 1, 6)...))
		d.add("found_command", item("container.command|contains", w.some(miners, 2, 6)...))
		d.add("found_args", item("container.args|re", w.some(commandPatterns, 1, 2)...))
		d.condition = "write and 1 of found_*"
	case 7:
		d.category = "volume"
		d.add("found", item("volume.hostPath.cleaned", w.some(hostPaths, 2, 10)...), plain("mount.writable", "true"), w.namespaceItem())
	case 8:
		d.category = "volume"
		d.add("found", item("volume.hostPath.cleaned|re", "^("+w.one(hostPaths)+"|"+w.one(hostPaths)+")/[a-z]+$"))
	}
	if d.condition == "" {
		d.condition = "write and found"
	}
	w.exceptWorkload(d)
	return d
}

// exceptWorkload leaves out node agents and the like, bound to name and image, in half of the rules.
func (w *writer) exceptWorkload(d *draft) {
	if w.chance(50) {
		return
	}
	items := []string{item("workload.kind", w.one([]string{"DaemonSet", "Deployment", "StatefulSet"})), item("workload.name", w.some(accounts, 1, 4)...)}
	if d.category == "container" {
		items = append(items, item("image.registry", w.some(registries, 1, 2)...))
	} else {
		items = append(items, item("pod.containers.image|startswith", w.one(registries)+"/", w.one(registries)+"/"))
	}
	d.add("known", items...)
	d.condition = "(" + d.condition + ") and not known"
}

// rbac is about one subject of a binding or one rule of a role.
func (w *writer) rbac() *draft {
	d := &draft{own: true, condition: "write and found"}
	w.written(d)
	switch w.random.IntN(6) {
	case 0:
		d.category = "subject"
		d.add("found", item("roleRef.name", w.some(roles, 1, 4)...), item("subject.kind", "User", "Group"))
	case 1:
		d.category = "subject"
		d.add("found", item("subject.identity|endswith", ":"+w.one(accounts)), item("roleRef.name", w.some(roles, 1, 5)...))
	case 2:
		d.category = "subject"
		d.add("found", item("subject.identity", w.some(append([]string{"system:anonymous", "system:unauthenticated", "system:authenticated"}, groups...), 1, 4)...))
	case 3:
		d.category = "policy_rule"
		d.add("found", item("rule.verbs", w.some(roleVerbs, 1, 4)...))
	case 4:
		d.category = "policy_rule"
		d.add("found", item("rule.resources", w.some(roleResources, 1, 5)...), item("rule.verbs", w.some([]string{"*", "create", "patch", "impersonate", "escalate"}, 1, 3)...), w.namespaceItem())
	case 5:
		d.category = "policy_rule"
		d.add("found", item("rule.nonResourceURLs", w.one([]string{"*", "/metrics", "/logs/*", "/debug/*"})), item("rule.verbs", w.some(append([]string{"*"}, roleVerbs...), 1, 3)...))
	}
	if w.chance(50) {
		d.add("known", item("user.username", w.some(components, 1, 5)...))
		d.condition += " and not known"
	}
	return d
}

// body looks into the bodies by path, as rules do that know no derived records.
func (w *writer) body() *draft {
	d := &draft{condition: "selection"}
	switch w.random.IntN(10) {
	case 0:
		w.onBody(d, []string{"services"}, item("requestObject.spec.type", w.some(serviceTypes, 1, 2)...), plain("requestObject.spec.ports.port", "["+w.number(1024, 9000)+", "+w.number(9000, 32000)+"]"))
	case 1:
		w.onBody(d, []string{"services"}, item("responseObject.spec.type", "LoadBalancer"), item("objectRef.name|contains", w.some(objectNames, 1, 4)...))
	case 2:
		w.onBody(d, []string{"certificatesigningrequests"}, item("requestObject.spec.signerName", w.some(signers, 1, 2)...), item("requestObject.spec.usages", "client auth"))
	case 3:
		w.onBody(d, []string{"configmaps"}, item("requestObject.data.config|contains", w.some(configWords, 1, 6)...))
	case 4:
		w.onBody(d, []string{"pods"}, item("requestObject.spec.containers.image|contains", w.some(append(miners, images...), 2, 8)...))
	case 5:
		w.onBody(d, []string{"pods", "deployments"}, item("requestObject.spec.template.spec.containers.securityContext.capabilities.add", w.some(capabilities, 1, 6)...))
	case 6:
		d.add("selection", item("verb", "create"), item("objectRef.resource", "pods"), item("capabilities", w.some(capabilities, 1, 5)...))
		d.add("place", w.namespaceItem())
		d.condition = "selection and place"
	case 7:
		d.add("selection", item("verb", "create"), item("objectRef.resource", "pods"), item("hostPath", w.some(hostPaths, 1, 6)...))
		d.add("place", w.namespaceItem())
		d.condition = "selection and place"
	case 8:
		w.onBody(d, []string{"pods"}, item("responseObject.metadata.annotations."+w.one(annotationKeys), "true", "enabled"))
	case 9:
		w.onBody(d, w.some(groupedResources[3].resources, 1, 2), plain("requestObject.webhooks.rules.resources|contains", `["*/", "pods/`+w.one([]string{"exec", "status", "binding"})+`"]`))
	}
	w.exclude(d)
	return d
}

// onBody is a selection of a write to resources, with what is asked of the body.
func (w *writer) onBody(d *draft, resources []string, items ...string) {
	verbs := w.one2([][]string{{"create"}, {"create", "update", "patch"}, {"patch", "update"}})
	d.add("selection", append([]string{item("verb", verbs...), item("objectRef.resource", resources...)}, items...)...)
}
