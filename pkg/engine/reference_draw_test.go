package engine_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// This file: generated rules.

// asked are fields with values that events have.
type asked struct {
	field  string
	values []string
}

var booleans = []string{"true", "false"}

var requestAsked = []asked{
	{"verb", []string{"create", "update", "patch", "CREATE", "get", "delete"}}, {"objectRef.resource", []string{"pods", "deployments", "rolebindings", "rollouts"}},
	{"resource", []string{"pods", "jobs"}}, {"objectRef.subresource", []string{"", "exec", "ephemeralcontainers"}}, {"objectRef.apiGroup", []string{"", "apps"}}, {"namespace", []string{"dev"}},
	{"user.username", userNames}, {"username", userNames}, {"user.groups", groupNames}, {"user.extra.a.b/c", shortNames}, {"impersonatedUser.username", userNames},
	{"responseStatus.code", []string{"200", "403", "4.03e2", "0"}}, {"stage", []string{"ResponseComplete", "RequestReceived"}}, {"level", []string{"Request"}}, {"sourceIPs", addresses},
	{"userAgent", []string{"kubectl/v1", ""}}, {"requestURI", requestURIs}, {"annotations.authorization.k8s.io/decision", []string{"allow", "forbid"}}, {"annotations.k.v", []string{"allow"}},
	{"annotations.authorization_k8s_io/decision", []string{"allow"}}, {"annotations.authorization_k8s_io_decision", []string{"forbid"}},
	{"requestObject.spec.hostPID", booleans}, {"requestObject.spec.containers.image", images}, {"responseObject.spec.template.spec.containers.securityContext.privileged", booleans},
	{"requestObject.metadata.labels.app.kubernetes.io/name", []string{"web"}}, {"requestObject.kind", []string{"Pod", "Status"}}, {"requestObject.spec", []string{"x"}}, {"requestObject.spec.a.b", []string{"a", "200", "A.b"}},
	{"requestObject.x", []string{"get", "ä"}}, {"responseObject.spec.a", []string{"a"}}, {"requestObject.value.name", shortNames}, {"requestObject", []string{"a"}},
	{"requestObject.data.k3", []string{"a", "3"}}, {"image", images}, {"privileged", booleans}, {"hostPath", hostPaths}, {"capabilities", []string{"SYS_ADMIN", "ALL"}},
	{"outcome", []string{"success", "failure", "unknown"}}, {"authorization.decision", []string{"allow", "forbid", ""}}, {"authorization.reason", []string{"allow", ""}}, {"dryRun", booleans},
	{"client.address", addresses}, {"client.ip", []string{"203.0.113.9", "2001:db8::1", "fe80::1", "127.0.0.1", "172.31.0.5"}}, {"client.forwarded", booleans},
	{"user.effective.username", userNames}, {"user.effective.groups", groupNames}, {"exec.command", []string{"sh -c id 1", "sh -c id +1", "sh", ""}}, {"exec.container", shortNames},
	{"request.path", []string{"/api/v1/namespaces/dev/pods", "/", "/healthz", "/api/v1", "/b%zz", "/api/v1/pods/x/exec"}}, {"request.query.x", []string{"a b", "ä"}}, {"request.query.container", shortNames},
	{"request.query.command", []string{"sh", ""}}, {"request.query.dryRun", []string{"All", ""}}, {"object.name", shortNames}, {"cluster.name", []string{"c1"}}, {"cluster.id", []string{"arn:c1"}}, {"provider", []string{"aks", "gke", ""}},
	{"container.name", shortNames}, {"subject.identity", shortNames}, // of other records, and of no request
}

var podAsked = []asked{
	{"record.touched", booleans}, {"element.injected", booleans}, {"metadata.name", shortNames}, {"metadata.labels.app", shortNames}, {"metadata.labels.app.kubernetes.io/name", []string{"web"}},
	{"workload.kind", []string{"Pod", "Deployment", "Rollout", "rollouts", "Job"}}, {"workload.name", shortNames}, {"workload.controlled", booleans}, {"workload.owner.kind", []string{"ReplicaSet", "Job"}},
	{"workload.owner.name", shortNames}, {"workload.containers", []string{"1", "2", "0"}}, {"pod.metadata.labels.app", shortNames}, {"pod.hostPID", booleans}, {"pod.nodeName", []string{""}},
	{"pod.securityContext.runAsUser", []string{"0"}}, {"pod.containers.name", shortNames}, {"pod.volumes.hostPath.path", hostPaths}, {"pod.serviceAccountName", shortNames}, {"pod.volumes", []string{"x"}},
}

var ofCategory = map[event.Category][]asked{
	event.Pod: podAsked,
	event.Container: append(slices.Clone(podAsked), []asked{
		{"container.name", shortNames}, {"container.image", images}, {"container.type", []string{"container", "initContainer", "ephemeralContainer"}}, {"container.securityContext.privileged", booleans},
		{"container.securityContext.runAsUser", []string{"0", "1000"}}, {"container.securityContext.runAsNonRoot", booleans}, {"container.securityContext.seLinuxOptions.type", []string{"spc_t"}},
		{"container.securityContext.seccompProfile.type", []string{"Unconfined"}}, {"container.securityContext.capabilities.add", []string{"SYS_ADMIN", "ALL"}}, {"container.securityContext", []string{"x"}},
		{"container.securityContext.windowsOptions", []string{"x"}}, {"container.securityContext.fsGroup", []string{"1"}}, {"container.volumeMounts.name", shortNames},
		{"container.command", []string{"sh"}}, {"image.registry", []string{"docker.io", "registry.example:5000", "localhost", "evil.example"}}, {"image.repository", []string{"library/nginx", "nginx", "a/b", "x", "acme/x"}},
		{"image.tag", []string{"1.25", "latest", "1"}}, {"image.digest", []string{"sha256:ab"}},
	}...),
	event.Volume: append(slices.Clone(podAsked), []asked{
		{"volume.name", shortNames}, {"volume.hostPath.path", hostPaths}, {"volume.hostPath.cleaned", []string{"/", "/etc/run", "/var/run", "/var/run/docker.sock"}}, {"volume.hostPath", []string{"x"}},
		{"mount.containers", shortNames}, {"mount.writable", booleans},
	}...),
	event.Subject: {
		{"record.touched", booleans}, {"element.injected", booleans}, {"metadata.name", shortNames}, {"subject.kind", []string{"User", "ServiceAccount"}}, {"subject.name", shortNames}, {"subject.namespace", []string{"dev"}},
		{"subject.identity", []string{"a", "system:serviceaccount:dev:a", "system:serviceaccount::"}}, {"roleRef.name", []string{"cluster-admin"}}, {"roleRef.kind", []string{"Role"}},
	},
	event.PolicyRule: {
		{"record.touched", booleans}, {"metadata.name", shortNames}, {"rule.verbs", []string{"*", "get"}}, {"rule.resources", []string{"pods", "*"}}, {"rule.apiGroups", []string{""}}, {"rule.nonResourceURLs", []string{"*"}},
	},
}

// drawAsked draws a field that a rule of the category can name.
func drawAsked(t *rapid.T, c event.Category) asked {
	if of := ofCategory[c]; of != nil && rapid.IntRange(0, 3).Draw(t, "own") > 0 {
		return rapid.SampledFrom(of).Draw(t, "field")
	}
	if oneIn(t, 12) {
		return asked{"requestObject.data." + rapid.SampledFrom([]string{"k0", "k63", "k64", "k65", "k89"}).Draw(t, "key"), []string{"a", "b", "64"}}
	}
	return rapid.SampledFrom(requestAsked).Draw(t, "field")
}

func drawItem(t *rapid.T, c event.Category) *sigma.Item {
	of := drawAsked(t, c)
	item := &sigma.Item{Field: of.field, Neg: oneIn(t, 10)}
	switch rapid.IntRange(0, 13).Draw(t, "op") {
	case 13:
		item.Op = sigma.OpExists
		item.Values = []sigma.Value{{Kind: sigma.Bool, Bool: rapid.Bool().Draw(t, "exists")}}
		return item
	case 12:
		item.Op = sigma.OpRegexp
		item.Values = []sigma.Value{{Regexp: regexp.MustCompile(rapid.SampledFrom([]string{"^g", "t$", "[0-9]+", "", "x.y", "(?i)NGINX", "^/"}).Draw(t, "re"))}}
		return item
	case 11:
		item.Op = rapid.SampledFrom([]sigma.Op{sigma.OpLT, sigma.OpLTE, sigma.OpGT, sigma.OpGTE}).Draw(t, "compare")
		n := rapid.SampledFrom([]float64{0, 1, 200, 403, 403.5}).Draw(t, "bound")
		item.Values = []sigma.Value{{Kind: sigma.Number, Text: strconv.FormatFloat(n, 'g', -1, 64), Number: n}}
		return item
	case 10:
		item.Op = sigma.OpFieldRef
		item.Affix, item.Cased = rapid.SampledFrom([]string{"", "startswith", "endswith", "contains"}).Draw(t, "affix"), rapid.Bool().Draw(t, "cased")
		item.Values = []sigma.Value{{Text: drawAsked(t, c).field}}
		return item
	case 9:
		item.Op = sigma.OpCIDR
		item.Values = []sigma.Value{{Prefix: netip.MustParsePrefix(rapid.SampledFrom([]string{"203.0.113.0/24", "::/0", "127.0.0.0/8"}).Draw(t, "prefix"))}}
		return item
	}
	item.All, item.Cased = oneIn(t, 6), oneIn(t, 6)
	for range rapid.IntRange(1, 3).Draw(t, "values") {
		item.Values = append(item.Values, drawValue(t, of.values))
	}
	return item
}

func drawKeywords(t *rapid.T) *sigma.Item {
	item := &sigma.Item{Cased: oneIn(t, 3), All: oneIn(t, 3)}
	for range rapid.IntRange(1, 2).Draw(t, "keywords") {
		item.Values = append(item.Values, sigma.Value{Text: rapid.SampledFrom([]string{"nginx", "NGINX", "dev", "containers", "cluster-admin", "ä", "\"", "\\", "40", "tru", "pad1"}).Draw(t, "keyword")})
	}
	return item
}

func drawValue(t *rapid.T, from []string) sigma.Value {
	text := rapid.SampledFrom(from).Draw(t, "want")
	literal, many, one := sigma.Part{Literal: text}, sigma.Part{Wild: sigma.Many}, sigma.Part{Wild: sigma.One}
	runes := []rune(text)
	half := len(runes) / 2
	switch rapid.IntRange(0, 12).Draw(t, "shape") {
	case 12:
		return sigma.Value{Kind: sigma.Null}
	case 11:
		return sigma.Value{Pattern: []sigma.Part{{Literal: string(runes[:half])}, many}}
	case 10:
		return sigma.Value{Pattern: []sigma.Part{many, {Literal: string(runes[half:])}}}
	case 9:
		return sigma.Value{Pattern: []sigma.Part{many, literal, many}}
	case 8:
		return sigma.Value{Pattern: []sigma.Part{{Literal: string(runes[:half])}, one, many, {Literal: string(runes[min(len(runes), half+1):])}}}
	case 7:
		return sigma.Value{Pattern: []sigma.Part{many}}
	case 6:
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return sigma.Value{Kind: sigma.Number, Text: text, Number: n}
		}
		if text == "true" || text == "false" {
			return sigma.Value{Kind: sigma.Bool, Text: text, Bool: text == "true"}
		}
	}
	return sigma.Value{Text: text}
}

func drawNode(t *rapid.T, c event.Category, depth int, keywords bool) sigma.Node {
	if keywords && oneIn(t, 20) {
		return drawKeywords(t)
	}
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") < 2 {
		return drawItem(t, c)
	}
	nodes := make([]sigma.Node, rapid.IntRange(1, 3).Draw(t, "nodes"))
	for i := range nodes {
		nodes[i] = drawNode(t, c, depth-1, keywords)
	}
	if rapid.Bool().Draw(t, "any") {
		return sigma.AnyOf(nodes)
	}
	return sigma.AllOf(nodes)
}

func drawExpr(t *rapid.T, selections, depth int) sigma.Expr {
	kind := rapid.IntRange(0, 4).Draw(t, "expr")
	if depth == 0 || kind < 2 {
		return sigma.Ref(rapid.IntRange(0, selections-1).Draw(t, "ref"))
	}
	if kind == 2 {
		return sigma.Not{X: drawExpr(t, selections, depth-1)}
	}
	list := []sigma.Expr{drawExpr(t, selections, depth-1), drawExpr(t, selections, depth-1)}
	if kind == 3 {
		return sigma.Or(list)
	}
	return sigma.And(list)
}

// drawRule draws a rule on any record kind. keywords says whether it may look for words in the whole event.
func drawRule(t *rapid.T, i int, keywords bool) *sigma.Rule {
	c := rapid.SampledFrom([]event.Category{event.Request, event.Request, event.Container, event.Container, event.Pod, event.Volume, event.Subject, event.PolicyRule}).Draw(t, "category")
	r := &sigma.Rule{Title: fmt.Sprint("rule ", i), ID: strconv.Itoa(i), Logsource: sigma.Logsource{Product: "kubernetes", Service: "audit", Category: string(c)}}
	for s := range rapid.IntRange(1, 3).Draw(t, "selections") {
		r.Detection.Selections = append(r.Detection.Selections, sigma.Selection{Name: fmt.Sprint("s", s), Match: drawNode(t, c, 2, keywords)})
	}
	r.Detection.Condition = drawExpr(t, len(r.Detection.Selections), 3)
	if c != event.Request && oneIn(t, 5) && valid(r, c) {
		asOwn(r)
	}
	return r
}

// asOwn makes r a rule of ours, which ignores what a controller makes from a template.
func asOwn(r *sigma.Rule) {
	n := sigma.Ref(len(r.Detection.Selections))
	r.Detection.Selections = append(r.Detection.Selections, sigma.Selection{Name: "write", Match: sigma.AllOf{
		&sigma.Item{Field: "outcome", Values: []sigma.Value{{Text: "success"}, {Text: "unknown"}}},
		&sigma.Item{Field: "dryRun", Values: []sigma.Value{{Kind: sigma.Bool, Text: "false"}}},
	}})
	r.Detection.Condition = sigma.And{n, r.Detection.Condition}
	r.Own, r.Foretop = true, &sigma.Extension{}
}

// eachItem calls f with every item of a detection.
func eachItem(d *sigma.Detection, f func(*sigma.Item)) {
	var walk func(n sigma.Node)
	walk = func(n sigma.Node) {
		switch n := n.(type) {
		case sigma.AllOf:
			for _, x := range n {
				walk(x)
			}
		case sigma.AnyOf:
			for _, x := range n {
				walk(x)
			}
		case *sigma.Item:
			f(n)
		}
	}
	for _, s := range d.Selections {
		walk(s.Match)
	}
}

// valid is true if the record kind has every field that the rule names: rules of ours must not name others.
func valid(r *sigma.Rule, c event.Category) bool {
	all := true
	eachItem(&r.Detection, func(item *sigma.Item) {
		known := func(field string) bool {
			_, ok := event.Lookup(c, field)
			return ok || names[field] != nil || field == ""
		}
		all = all && known(item.Field)
		for _, v := range item.Values {
			all = all && (item.Op != sigma.OpFieldRef || known(v.Text))
		}
	})
	return all
}

func namesStage(d *sigma.Detection) bool {
	found := false
	eachItem(d, func(item *sigma.Item) { found = found || item.Field == "stage" })
	return found
}
