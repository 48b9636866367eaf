package finding

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Kinds of identities, foretop.identity.kind.
const (
	kindUser           = "user"
	kindServiceAccount = "serviceaccount"
	kindNode           = "node"
	kindSystem         = "system"
	kindAnonymous      = "anonymous"
	kindUnknown        = "unknown"
)

const serviceAccountPrefix = "system:serviceaccount:"

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
	case strings.HasPrefix(name, "system:node:"), provider == "aks" && name == "nodeclient":
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

func identityOf(ev *event.Event, provider string) Identity {
	extra := func(name string) string { return extraValue(ev.User.Extra, name) }
	id := Identity{
		Kind:           kindOf(ev.User.Username, provider),
		ServiceAccount: serviceAccountOf(ev.User.Username),
		TokenPod:       extra("pod-name"), TokenPodUID: extra("pod-uid"),
		TokenNode: extra("node-name"), TokenNodeUID: extra("node-uid"),
		CredentialID: extra("credential-id"),
		ARN:          extra("arn"), CanonicalARN: extra("canonicalArn"), SessionName: extra("sessionName"),
		AccessKeyID: extra("accessKeyId"), PrincipalID: extra("principalId"), OID: extra("oid"),
	}
	if id.Kind == kindUnknown && slices.Contains(ev.User.Groups, "system:unauthenticated") {
		id.Kind = kindAnonymous
	}
	if ev.ImpersonatedUser != nil {
		id.EffectiveKind = kindOf(ev.ImpersonatedUser.Username, provider)
		id.EffectiveServiceAccount = serviceAccountOf(ev.ImpersonatedUser.Username)
	}
	if ev.AuthenticationMetadata != nil {
		id.Constraint = ev.AuthenticationMetadata.ImpersonationConstraint
	}
	return id
}

// extraValue is the first value whose key is name, or ends in /name: authenticators put their domain
// before it ("authentication.kubernetes.io/pod-name").
func extraValue(extra map[string][]string, name string) string {
	for _, key := range sortedKeys(extra) {
		if extraName(key) == name && len(extra[key]) > 0 {
			return extra[key][0]
		}
	}
	return ""
}

func extraName(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// openExtra are the keys of user.extra that name a credential or its holder and give nothing away.
var openExtra = []string{
	"pod-name", "pod-uid", "node-name", "node-uid", "credential-id", "arn", "canonicalArn", "sessionName", "accessKeyId", "principalId", "oid",
}

const (
	maxExtra       = 50 // keys
	maxExtraValues = 10 // per key
	maxExtraText   = 1024
)

// extraKey is a key of a flattened field: dots and slashes stay, a NUL would make Elasticsearch refuse it.
func extraKey(key string) string {
	if key == "" {
		return "_"
	}
	return cut(strings.ReplaceAll(key, "\x00", "_"), shortText)
}

// extraOf copies user.extra without its secrets. Values under keys that are known to be harmless stay as
// they are (the generic pass would take an access key id for a key).
func extraOf(extra map[string][]string) map[string][]string {
	if len(extra) == 0 {
		return nil
	}
	out := make(map[string][]string, min(len(extra), maxExtra))
	for _, key := range sortedKeys(extra) {
		if len(out) == maxExtra {
			break
		}
		values := head(extra[key], maxExtraValues)
		for i, v := range values {
			switch {
			case slices.Contains(openExtra, extraName(key)):
			case sensitiveName(key):
				values[i] = mark("value", len(v))
			default:
				values[i], _ = redactText(v)
			}
			values[i] = cut(strings.ToValidUTF8(values[i], "\ufffd"), maxExtraText)
		}
		out[extraKey(key)] = values
	}
	return out
}

func (c *facts) user() User {
	u := c.ev.User
	out := User{Name: u.Username, ID: u.UID, Group: Names{head(u.Groups, maxGroups)}, Target: c.targets}
	if local, domain, ok := strings.Cut(u.Username, "@"); ok && mailLike(local, domain) {
		out.Email, out.Domain = u.Username, domain
	} else if local, domain, ok := strings.Cut(c.identity.SessionName, "@"); ok && mailLike(local, domain) {
		out.Email = c.identity.SessionName
	}
	if account := accountOf(u.Username, c.identity.ARN); out.Domain == "" {
		out.Domain = account
	}
	if i := c.ev.ImpersonatedUser; i != nil {
		out.Effective = Effective{Name: i.Username, ID: i.UID, Group: Names{head(i.Groups, maxGroups)}}
	}
	return out
}

func mailLike(local, domain string) bool {
	return local != "" && !strings.ContainsAny(local, ":/ ") && strings.Contains(domain, ".") && !strings.ContainsAny(domain, "@:/ ")
}

// accountOf is the account of the first AWS ARN (arn:partition:service:region:account:resource).
func accountOf(names ...string) string {
	for _, n := range names {
		if parts := strings.SplitN(n, ":", 6); len(parts) == 6 && parts[0] == "arn" {
			return parts[4]
		}
	}
	return ""
}
