package finding

import (
	"slices"
	"strings"
)

// pivotsOf suggests where to look next. A query is put together from field names of ours and quoted
// values only.
func pivotsOf(f *Finding) []Pivot {
	var out []Pivot
	add := func(title string, terms ...string) {
		if !slices.Contains(terms, "") {
			out = append(out, Pivot{Title: title, Query: strings.Join(terms, " and ")})
		}
	}
	cluster := term("orchestrator.cluster.id", f.Orchestrator.Cluster.ID)
	if f.Foretop.Identity.ARN != "" { // many people may share the user name
		add("Other findings on this session", term("related.user", f.Foretop.Identity.ARN))
	} else {
		add("Other findings on this identity", term("related.user", f.User.Name))
	}
	add("Findings on the impersonated identity", term("related.user", f.User.Effective.Name))
	for _, target := range head(f.User.Target.Name, 3) {
		add("What "+targetWord(target)+" that this request acted upon did itself", term("user.name", target))
	}
	add("Other findings from this address", term("related.ip", f.Source.IP))
	add("Everything done with this credential", term("foretop.identity.credential_id", f.Foretop.Identity.CredentialID))
	add("Everything done with this AWS access key", term("foretop.identity.access_key_id", f.Foretop.Identity.AccessKeyID))
	add("Findings on the pod that holds this token", cluster, term("kubernetes.pod.name", f.Foretop.Identity.TokenPod))
	add("Other findings on this object", cluster, term("orchestrator.resource.type", f.Orchestrator.Resource.Type),
		term("orchestrator.resource.name", f.Orchestrator.Resource.Name), optional("orchestrator.namespace", f.Orchestrator.Namespace))
	if f.Orchestrator.Namespace != "" {
		add("Other findings in this namespace", cluster, term("orchestrator.namespace", f.Orchestrator.Namespace))
	}
	for _, image := range head(f.Container.Image.Name, 3) {
		add("This image elsewhere", term("container.image.name", image))
	}
	if len(f.Kubernetes.Audit.AuditID) > 0 {
		add("All records of this request", term("kubernetes.audit.auditID", f.Kubernetes.Audit.AuditID[0]))
	}
	return out
}

func targetWord(name string) string {
	if strings.HasPrefix(name, serviceAccountPrefix) {
		return "the service account"
	}
	return "the identity"
}

// term is `field : "value"` in Kibana's query language, or empty where the value is empty, cannot be
// quoted safely, or is too long to be what the index holds.
func term(field, value string) string {
	if value == "" || len(value) > 1024 || strings.ContainsFunc(value, acts) {
		return ""
	}
	return field + ` : "` + kqlEscaper.Replace(value) + `"`
}

// optional is term, or a condition that is always true where there is no value.
func optional(field, value string) string {
	if value == "" {
		return "not " + field + " : *"
	}
	return term(field, value)
}

var kqlEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
