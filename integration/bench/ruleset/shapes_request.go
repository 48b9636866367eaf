package ruleset

import "strconv"

// request is about a verb on a resource, narrowed down by namespace, name, user or client.
func (w *writer) request() *draft {
	d := &draft{own: w.chance(50), condition: "selection"}
	items := []string{item("verb", w.one2(verbSets)...)}
	items = append(items, w.resources()...)
	if d.own {
		items = append(items, item("outcome", "success", "unknown"))
	}
	items = append(items, w.place()...)
	d.add("selection", items...)
	switch w.random.IntN(8) {
	case 0:
		d.add("client", item("userAgent|contains", w.some(append(tools, scanners...), 2, 8)...))
		d.condition = "selection and client"
	case 1:
		d.add("refused", plain("responseStatus.code", w.one([]string{"403", "[401, 403]", "[403, 404]", "409", "422"})))
		d.condition = "selection and refused"
	case 2:
		d.add("selection_user", item("user.username|startswith", w.some(userPrefixes, 1, 4)...))
		d.add("selection_group", item("user.groups", w.some(groups, 1, 4)...))
		d.condition = "selection and 1 of selection_*"
	case 3:
		d.add("bound", item("annotations.authorization.k8s.io/reason|contains", w.some(reasons, 1, 3)...))
		d.condition = "selection and bound"
	}
	w.exclude(d)
	return d
}

// one2 picks a list.
func (w *writer) one2(lists [][]string) []string { return lists[w.random.IntN(len(lists))] }

// resources are items that name resources, one in three with their API group.
func (w *writer) resources() []string {
	if w.chance(45) {
		return append([]string{item("objectRef.resource", w.some(coreResources, 1, 3)...)}, w.subresourceItem()...)
	}
	g := groupedResources[w.random.IntN(len(groupedResources))]
	items := []string{item("objectRef.resource", w.some(g.resources, 1, 3)...)}
	if w.chance(60) {
		items = append(items, item("objectRef.apiGroup", g.group))
	}
	return append(items, w.subresourceItem()...)
}

func (w *writer) subresourceItem() []string {
	switch w.random.IntN(10) {
	case 0, 1, 2:
		return []string{plain("objectRef.subresource", "null")}
	case 3:
		return []string{item("objectRef.subresource", w.one([]string{"token", "approval", "status", "scale", "proxy", "finalize", "binding", "eviction"}))}
	}
	return nil
}

// place narrows a rule down to where, which object, or whom.
func (w *writer) place() []string {
	var items []string
	if w.chance(55) {
		items = append(items, w.namespaceItem())
	}
	switch n := w.random.IntN(6); {
	case n == 0:
		items = append(items, item("objectRef.name", w.some(objectNames, 1, 6)...))
	case n == 1:
		items = append(items, item("objectRef.name|startswith", w.some(objectNames, 1, 4)...))
	case n == 2:
		items = append(items, item("objectRef.name|re", "^"+w.one(accounts)+"-[a-z0-9]{5,10}$"))
	case n == 3 || len(items) == 0:
		items = append(items, w.userItem())
	}
	return items
}

func (w *writer) namespaceItem() string {
	if w.chance(30) {
		return item("objectRef.namespace", w.some(systemNamespaces[2:], 1, 4)...)
	}
	if w.chance(15) {
		return item("objectRef.namespace|startswith", w.some([]string{"openshift-", "kube-prod", "tenant-", "team-", "amazon-", "gke-"}, 1, 3)...)
	}
	return item("objectRef.namespace", w.some(namespaces, 1, 5)...)
}

// userItem names users: exactly, by their beginning or their end.
func (w *writer) userItem() string {
	switch w.random.IntN(5) {
	case 0:
		return item("user.username|startswith", w.some(userPrefixes[2:], 1, 3)...)
	case 1:
		return item("user.username|endswith", ":"+w.one(accounts), "@"+w.one([]string{"example.com", "example.org", "corp.example.net"}))
	case 2:
		return item("user.username", w.serviceAccounts(1, 5)...)
	}
	return item("user.username", w.some(people, 1, 6)...)
}

// exclude adds what a rule leaves out: components, controllers, known programs. Two rules in three do.
func (w *writer) exclude(d *draft) {
	switch w.random.IntN(6) {
	case 0:
		d.add("filter", item("user.username", w.some(components, 2, 8)...))
	case 1:
		d.add("filter", item("user.username|startswith", w.some(userPrefixes, 1, 4)...))
	case 2:
		names := w.some(controllers, 2, 6)
		for i, name := range names {
			names[i] = "system:serviceaccount:kube-system:" + name
		}
		d.add("filter", item("user.username", names...))
	case 3:
		d.add("filter_user", item("user.username", w.serviceAccounts(1, 4)...))
		d.add("filter_client", item("userAgent|startswith", w.some(tools, 1, 3)...), item("objectRef.namespace", w.one(namespaces)))
		d.condition += " and not 1 of filter_*"
		return
	default:
		return
	}
	d.condition += " and not filter"
}

// caller is about who asks, with what or from where, whatever they ask for.
func (w *writer) caller() *draft {
	d := &draft{own: w.chance(40), condition: "selection"}
	switch w.random.IntN(8) {
	case 0:
		d.add("selection", item("userAgent|contains", w.some(scanners, 2, 10)...))
	case 1:
		d.add("selection", item("userAgent|startswith", w.some(tools, 1, 6)...), item("user.username|startswith", w.some(userPrefixes, 1, 3)...))
	case 2:
		d.add("selection", item("sourceIPs|cidr", w.some(networks, 2, 8)...))
	case 3:
		d.add("selection", item("user.username", "system:anonymous"), plain("responseStatus.code|lt", "400"), item("requestURI|startswith", w.some(uriPrefixes, 1, 5)...))
	case 4:
		d.add("selection", plain("responseStatus.code", "[401, 403]"), item("user.username|endswith", ":"+w.one(accounts)))
	case 5:
		d.add("selection", item("impersonatedUser.username", w.some(append(people, components...), 2, 8)...), item("annotations.authorization.k8s.io/decision", "allow"))
	case 6:
		d.add("selection_name", item("user.username", w.some(people, 1, 5)...))
		d.add("selection_group", item("user.groups", w.some(groups[1:], 1, 4)...))
		d.condition = "1 of selection_*"
	case 7:
		d.add("selection", item("requestURI|contains", w.some(uriParts, 1, 4)...))
	}
	w.exclude(d)
	return d
}

// subresource is about what is done inside pods and nodes: exec with its command, attach, proxy.
func (w *writer) subresource() *draft {
	d := &draft{own: w.chance(60), condition: "selection"}
	sub := w.one(podSubresources)
	resource, verbs := "pods", []string{"create", "get"}
	switch sub {
	case "ephemeralcontainers":
		verbs = []string{"update", "patch"}
	case "proxy":
		resource, verbs = "nodes", []string{"get", "create", "update", "patch", "delete"}
	}
	items := []string{item("verb", verbs...), item("objectRef.resource", resource), item("objectRef.subresource", sub)}
	if sub != "exec" {
		d.add("selection", append(items, w.place()...)...)
		w.exclude(d)
		return d
	}
	d.add("selection", items...)
	switch {
	case d.own && w.chance(60):
		d.add("command", item("exec.command|re", w.some(commandPatterns, 1, 3)...))
	case d.own:
		d.add("command", item("exec.command|contains", w.some(secretsFiles, 1, 6)...))
	default:
		d.add("command", item("requestURI|contains", w.some(append(shells, secretsFiles...), 2, 8)...))
	}
	d.condition = "selection and command"
	if w.chance(30) {
		d.add("place", w.namespaceItem())
		d.condition += " and place"
	}
	w.exclude(d)
	return d
}

// numbers are ports and limits, as text.
func (w *writer) number(low, high int) string { return strconv.Itoa(low + w.random.IntN(high-low)) }
