package main

// severities are the levels with their colours, the worst at the bottom of a stack. Colours are fixed, so
// that red means critical whatever else there is.
var severities = []struct{ name, label, color string }{
	{"critical", "Critical", "#8b1a1a"},
	{"high", "High", "#e7664c"},
	{"medium", "Medium", "#d6bf57"},
	{"low", "Low", "#6092c0"},
	{"informational", "Informational", "#98a2b3"},
}

func overview() savedObject {
	findings := count(findingsKey, "Findings", "")
	rules := distinct("rules", "Rules", "rule.uuid")
	identities := distinct("identities", "Identities", "user.name")
	top := func(label, field string, size int) column { return terms("value", label, field, size) }
	d := dashboard{
		id: overviewID, title: "Foretop: overview",
		description: "What Foretop found in the Kubernetes audit logs: how bad, where, by whom and how.",
		controls: []control{
			{"orchestrator.cluster.name", "Cluster"}, {"foretop.provider", "Provider"}, {"foretop.severity_name", "Severity"},
			{"rule.name", "Rule"}, {"orchestrator.namespace", "Namespace"}, {"user.name", "Identity"},
		},
		panels: []panel{
			{x: 0, y: 0, w: 10, h: 6, title: "Findings", chart: tile(findings)},
			{x: 10, y: 0, w: 10, h: 6, title: "High and critical", chart: tile(count("high", "High and critical", "event.severity >= 73"))},
			{x: 20, y: 0, w: 9, h: 6, title: "Clusters", chart: tile(distinct("clusters", "Clusters", "orchestrator.cluster.name"))},
			{x: 29, y: 0, w: 9, h: 6, title: "Identities", chart: tile(identities)},
			{x: 38, y: 0, w: 10, h: 6, title: "Denied requests", chart: tile(count("denied", "Denied requests", `foretop.decision : "forbid" or http.response.status_code : 401`))},

			{x: 0, y: 6, w: 32, h: 14, title: "Findings over time by severity", chart: stacked(overTime("time"), bySeverity())},
			{x: 32, y: 6, w: 16, h: 14, title: "Findings by cluster and provider", chart: bars(
				terms("cluster", "Cluster", "orchestrator.cluster.name", 10),
				terms("provider", "Provider", "foretop.provider", 5).withOther(), findings)},

			{x: 0, y: 20, w: 24, h: 15, title: "Findings by rule", chart: table(
				top("Rule", "rule.name", 50), terms("severity", "Severity", "foretop.severity_name", 5), identities, findings)},
			{x: 24, y: 20, w: 24, h: 15, title: "Tactics and techniques", chart: heatmap(
				terms("technique", "Technique", "threat.technique.name", 20),
				terms("tactic", "Tactic", "threat.tactic.name", 14), findings)},

			{x: 0, y: 35, w: 24, h: 14, title: "Top identities", chart: table(
				top("Identity", "user.name", 50), terms("kind", "Kind", "foretop.identity.kind", 3), rules, findings)},
			{x: 24, y: 35, w: 12, h: 14, title: "Top source addresses", chart: table(top("Address", "source.ip", 50).ofType("ip"), identities, findings)},
			{x: 36, y: 35, w: 12, h: 14, title: "Top user agents", chart: table(top("User agent", "user_agent.original", 50), findings)},

			{x: 0, y: 49, w: 16, h: 14, title: "Top namespaces", chart: table(top("Namespace", "orchestrator.namespace", 50), rules, findings)},
			{x: 16, y: 49, w: 16, h: 14, title: "Top resources", chart: table(top("Resource", "orchestrator.resource.type", 50), rules, findings)},
			{x: 32, y: 49, w: 16, h: 14, title: "Outcome of the requests", chart: donut(top("Outcome", "event.outcome", 3), findings)},

			{x: 0, y: 63, w: 16, h: 14, title: "Sessions behind user names", chart: table(
				top("Identity", "user.name", 20), terms("session", "Session", "foretop.identity.session_name", 20), findings)},
			{x: 16, y: 63, w: 16, h: 14, title: "Shared identities", chart: table(
				top("Identity", "user.name", 20), terms("why", "Why", "foretop.identity.shared_reason", 5), findings)},
			{x: 32, y: 63, w: 8, h: 14, title: "Countries", chart: table(top("Country", "source.geo.country_name", 50), findings)},
			{x: 40, y: 63, w: 8, h: 14, title: "Networks", chart: table(top("Network", "source.as.organization.name", 50), findings)},

			{x: 0, y: 77, w: 48, h: 20, title: "Newest findings", search: newestID},
		},
	}
	return d.object()
}

func bySeverity() []shade {
	var out []shade
	for _, s := range severities {
		out = append(out, shade{count(s.name, s.label, `foretop.severity_name : "`+s.name+`"`), s.color})
	}
	return out
}
