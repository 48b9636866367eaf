package finding

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Values of foretop.identity.shared_reason: why nobody can be named.
const (
	// sharedAKSLocal: everybody who may list the cluster's admin credentials holds this certificate.
	sharedAKSLocal = "aks_local_account"
	// sharedAdmin: the certificate in an installer's admin kubeconfig, or a mapped name without an ARN beside it.
	sharedAdmin = "admin_kubeconfig"
	// sharedRole: an IAM role, and no session that would tell who assumed it.
	sharedRole = "role_without_session"
	// sharedSession: an IAM role whose session has the name that a tool gives to everybody's.
	sharedSession = "session_named_by_tool"
	// sharedDefaultAccount: the service account of every pod in the namespace that names no other, and no pod beside it.
	sharedDefaultAccount = "default_service_account"
	// sharedGoogleDefault: the service account of everything in the project that names no other.
	sharedGoogleDefault = "gcp_default_service_account"
	// sharedPrincipalSet: a set of federated identities rather than one.
	sharedPrincipalSet = "principal_set"
	// sharedNode: a credential that nodes hold in common, before or instead of one of their own.
	sharedNode = "node_credential"
)

// adminNames are users in the admin kubeconfigs that installers write: kubeadm (kubernetes-admin also is what EKS maps
// a cluster's creator to), k3s, RKE2 and OpenShift.
var adminNames = []string{"kubernetes-admin", "kubernetes-super-admin", "system:admin", "kube:admin", "kube-admin"}

// nodeCredentials are users of credentials that several nodes hold, by provider; those under "" are Kubernetes' own.
var nodeCredentials = map[string][]string{
	"":    {"kubelet-bootstrap"},
	"gke": {"kubelet-nodepool-bootstrap"},
	"aks": {"nodeclient"},
}

// isNodeCredential is true for names that nodes have in common, bootstrap tokens among them.
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
func isNodeCredential(name, provider string) bool {
	return strings.HasPrefix(name, "system:bootstrap:") || slices.Contains(nodeCredentials[""], name) ||
		slices.Contains(nodeCredentials[provider], name)
}

// sharedReason says why the identity cannot be told from others, and is empty if it can. In an event that was cut,
// what would tell may lie behind the cut.
func (p *Principal) sharedReason(u *event.User, provider string, truncated bool) string {
	complete := !truncated || len(u.Extra) > 0
	switch {
	case p.Type == typeAKSLocal:
		return sharedAKSLocal
	case slices.Contains(adminNames, u.Username) && p.ARN == "" && p.CanonicalARN == "" && complete:
		return sharedAdmin
	case p.Kind == kindUser && p.Type == typeAWSRole && complete:
		return sharedRole
	case p.Kind == kindUser && p.Role != "" && isToolSession(p.SessionName):
		return sharedSession
	case p.ServiceAccount.Name == "default" && p.TokenPod == "" && complete:
		return sharedDefaultAccount
	case p.Type == typeGoogleDefault:
		return sharedGoogleDefault
	case strings.HasPrefix(u.Username, "principalSet://"):
		return sharedPrincipalSet
	case isNodeCredential(u.Username, provider):
		return sharedNode
	}
	return ""
}
