package event

import "strings"

// Annotations that decoding and findings read. Source:
// https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/
const (
	AnnotationDecision  = "authorization.k8s.io/decision"
	AnnotationReason    = "authorization.k8s.io/reason"
	AnnotationTruncated = "audit.k8s.io/truncated"
	// AnnotationDryRun is GKE's own: it tells of a dry run where the request's query is lost.
	AnnotationDryRun = "command.gke.io/dryRun"
)

// IsDryRunLabel reports whether a value of AnnotationDryRun says that the request was a dry run.
func IsDryRunLabel(value string) bool { return value != "" && !strings.EqualFold(value, "false") }

// AnnotationName gives the real spelling of an annotation's name that a shipper has freed of dots, since
// they mean nesting to Elasticsearch: authorization_k8s_io/decision, authorization_k8s_io_decision. ok is
// false, and nothing is allocated, if the name is no such spelling.
func AnnotationName[T string | []byte](name T) (real string, ok bool) {
	under, dots := false, false
	for i := range len(name) {
		switch name[i] {
		case '/':
			if !under || dots {
				return "", false
			}
			// The part before the slash is a DNS name, in which no underscore is legal.
			return strings.ReplaceAll(string(name[:i]), "_", ".") + string(name[i:]), true
		case '_':
			under = true
		case '.':
			dots = true
		}
	}
	if !under || dots {
		return "", false
	}
	real, ok = flatNames[string(name)]
	return real, ok
}

// flatNames are the known annotations with every dot and slash turned into an underscore.
var flatNames = func() map[string]string {
	flat := make(map[string]string)
	for _, name := range []string{
		AnnotationDecision, AnnotationReason, AnnotationTruncated,
		"pod-security.kubernetes.io/enforce-policy", "pod-security.kubernetes.io/audit-violations", "pod-security.kubernetes.io/exempt",
		"validation.policy.admission.k8s.io/validation_failure", "k8s.io/deprecated", "k8s.io/removed-release",
		"authentication.k8s.io/legacy-token", "authentication.k8s.io/stale-token",
		"authentication.kubernetes.io/credential-id", "authentication.kubernetes.io/issued-credential-id",
		"authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid",
		"authentication.kubernetes.io/node-name", "authentication.kubernetes.io/node-uid",
		"authentication.openshift.io/decision", "authentication.openshift.io/username",
		"scopes.authorization.openshift.io",
	} {
		flat[strings.NewReplacer(".", "_", "/", "_").Replace(name)] = name
	}
	return flat
}()
