package finding

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Identity is foretop.identity.*: who called, as Kubernetes and as the cloud know it. Every field comes from what
// the API server's authenticator wrote; where a cluster is comes from the transport and stands in cloud.* and
// orchestrator.cluster.*.
type Identity struct {
	Principal
	// Effective is the impersonated identity. The caller chose its name, groups and extra, as far as its
	// rights to impersonate go.
	Effective  Principal `json:"effective,omitzero"`
	Constraint string    `json:"impersonation_constraint,omitempty"`
}

// Principal is one identity and the credential behind it. Kind, Type, Confidence and SharedReason are closed sets.
type Principal struct {
	// Kind is what Kubernetes takes it for: user, serviceaccount, node, system, anonymous, unknown.
	Kind string `json:"kind" redact:"-"`
	// Type is what the cloud takes it for, empty for what only the cluster knows.
	Type string `json:"type,omitempty" redact:"-"`
	// Confidence says how far the names below can be relied on for who it was.
	Confidence string `json:"confidence,omitempty" redact:"-"`
	// Shared is true where several people or programs look the same, so that none can be named.
	Shared       bool   `json:"shared,omitempty"`
	SharedReason string `json:"shared_reason,omitempty" redact:"-"`

	ServiceAccount NamespacedName `json:"service_account,omitzero"`
	Node           string         `json:"node,omitempty"`
	TokenPod       string         `json:"token_pod,omitempty"`
	TokenPodUID    string         `json:"token_pod_uid,omitempty"`
	TokenNode      string         `json:"token_node,omitempty"`
	TokenNodeUID   string         `json:"token_node_uid,omitempty"`
	// CredentialID names a credential without giving it away: the JTI of a token, the hash of a certificate.
	CredentialID string `json:"credential_id,omitempty" redact:"name"`

	// Account is the AWS account or the Google project that the identity belongs to: not always the cluster's.
	Account      string `json:"account,omitempty" redact:"name"`
	ARN          string `json:"arn,omitempty" redact:"name"`
	CanonicalARN string `json:"canonical_arn,omitempty" redact:"name"`
	// Role is the IAM role, without its path; PermissionSet is that of IAM Identity Center.
	Role          string `json:"role,omitempty" redact:"name"`
	PermissionSet string `json:"permission_set,omitempty" redact:"name"`
	SessionName   string `json:"session_name,omitempty" redact:"name"`
	// InstanceID is the EC2 instance that the session is named after.
	InstanceID string `json:"instance_id,omitempty" redact:"name"`
	// AccessKeyID is the public half of an AWS key: CloudTrail is searched by it.
	AccessKeyID string `json:"access_key_id,omitempty" redact:"name"`
	PrincipalID string `json:"principal_id,omitempty" redact:"name"`
	// Pool and Subject are those of workforce and workload identity federation on Google Cloud.
	Pool    string `json:"pool,omitempty" redact:"name"`
	Subject string `json:"subject,omitempty" redact:"name"`
	// OID is the object id in Entra ID.
	OID string `json:"oid,omitempty" redact:"name"`
}

// NamespacedName is a namespace and a name.
type NamespacedName struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Kinds of identities, foretop.identity.kind.
const (
	kindUser           = "user"
	kindServiceAccount = "serviceaccount"
	kindNode           = "node"
	kindSystem         = "system"
	kindAnonymous      = "anonymous"
	kindUnknown        = "unknown"
)

// Values of foretop.identity.confidence.
const (
	// confidenceCredential: the credential that was presented names this one identity.
	confidenceCredential = "credential"
	// confidenceSSO: the session's name is the user's in IAM Identity Center. The role's name says so; whoever
	// can create roles in that account can imitate it.
	confidenceSSO = "session_name_is_set_by_sso"
	// confidenceSession: whoever assumed the role chose the session's name.
	confidenceSession = "session_name_is_caller_chosen"
	// confidenceImpersonated: the caller chose everything about this identity.
	confidenceImpersonated = "chosen_by_impersonator"
	confidenceShared       = "shared"
	confidenceNone         = "none"
)

const (
	serviceAccountPrefix = "system:serviceaccount:"
	nodePrefix           = "system:node:"
)

// aksSystem are Microsoft's own identities in AKS clusters, as its published audit policy names them.
var aksSystem = []string{"aksService", "acsService", "hcpService", "aksProblemDetector"}

// kindOf tells what kind of identity a user name stands for.
func kindOf(name, provider string) string {
	switch {
	case name == "":
		return kindUnknown
	case name == "system:anonymous":
		return kindAnonymous
	case strings.HasPrefix(name, serviceAccountPrefix):
		return kindServiceAccount
	case strings.HasPrefix(name, nodePrefix), isNodeCredential(name, provider):
		return kindNode
	case strings.HasPrefix(name, "system:"), provider == "eks" && strings.HasPrefix(name, "eks:"),
		provider == "aks" && slices.Contains(aksSystem, name):
		return kindSystem
	}
	return kindUser
}

// serviceAccountOf takes system:serviceaccount:<namespace>:<name> apart.
func serviceAccountOf(name string) NamespacedName {
	rest, ok := strings.CutPrefix(name, serviceAccountPrefix)
	if !ok {
		return NamespacedName{}
	}
	namespace, sa, _ := strings.Cut(rest, ":")
	return NamespacedName{Namespace: namespace, Name: sa}
}

// identityOf reads who called. truncated is true for an event that was cut.
func identityOf(ev *event.Event, provider string, truncated bool) Identity {
	id := Identity{Principal: principalOf(&ev.User, provider)}
	if id.Kind == kindUnknown && slices.Contains(ev.User.Groups, "system:unauthenticated") {
		id.Kind = kindAnonymous
	}
	id.SharedReason = id.sharedReason(&ev.User, provider, truncated)
	id.Shared = id.SharedReason != ""
	id.Confidence = id.confidence()
	if ev.ImpersonatedUser != nil {
		id.Effective = principalOf(ev.ImpersonatedUser, provider)
		id.Effective.Confidence = confidenceImpersonated
	}
	if ev.AuthenticationMetadata != nil {
		id.Constraint = ev.AuthenticationMetadata.ImpersonationConstraint
	}
	return id
}

func principalOf(u *event.User, provider string) Principal {
	extra := func(name string) string { return extraValue(u.Extra, name) }
	p := Principal{
		Kind:           kindOf(u.Username, provider),
		ServiceAccount: serviceAccountOf(u.Username),
		TokenPod:       extra("pod-name"), TokenPodUID: extra("pod-uid"),
		TokenNode: extra("node-name"), TokenNodeUID: extra("node-uid"),
		CredentialID: extra("credential-id"),
	}
	if node, ok := strings.CutPrefix(u.Username, nodePrefix); ok {
		p.Node = node
	}
	p.readAWS(u)
	switch provider {
	case "gke":
		p.readGoogle(u.Username)
	case "aks":
		p.readEntra(u)
	}
	return p
}

func (p *Principal) confidence() string {
	switch {
	case p.Shared:
		return confidenceShared
	case p.Kind == kindAnonymous || p.Kind == kindUnknown:
		return confidenceNone
	case p.PermissionSet != "":
		return confidenceSSO
	case p.Role != "" && p.SessionName != "":
		return confidenceSession
	}
	return confidenceCredential
}

// person is what tells the caller from others of the same user name: the role and the session, or the IAM user. It
// is empty where the name says it itself, and where nobody is known.
func (p *Principal) person(name string) string {
	if p.Kind != kindUser && p.SharedReason != sharedAdmin {
		return ""
	}
	var who string
	switch {
	case p.PermissionSet != "":
		who = join(p.PermissionSet, p.SessionName)
	case p.Role != "":
		who = join(p.Role, p.SessionName)
	case p.ARN != "":
		a, _ := parseARN(p.ARN)
		who = a.resource
	}
	if own := afterSlash(who); own != "" && strings.Contains(sessionSpelling(name), sessionSpelling(own)) {
		who = ""
	}
	if p.Shared {
		return strings.Trim(who+", shared", ", ")
	}
	return who
}

func join(a, b string) string { return strings.Trim(a+"/"+b, "/") }

func afterSlash(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// sessionSpelling is how a session's name is written into user names: aws-iam-authenticator turns @ into -.
func sessionSpelling(s string) string { return strings.ReplaceAll(s, "@", "-") }

// inParentheses adds what explains a name, if there is anything.
func inParentheses(name, explanation string) string {
	if name == "" || explanation == "" {
		return name
	}
	return name + " (" + explanation + ")"
}
