package finding

import (
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Types of identities in Azure, foretop.identity.type.
const (
	typeEntraUser = "entra_user" // known by its user principal name
	// typeEntraObject is known by its object id only: a service principal, a managed identity, a guest.
	typeEntraObject = "entra_object"
	// typeAKSLocal is the local admin account of a cluster, beside Entra ID.
	typeAKSLocal = "aks_local_account"
)

// aksLocalAccount is the certificate that `az aks get-credentials --admin` hands out to everybody who asks.
// https://learn.microsoft.com/azure/aks/manage-local-accounts-managed-azure-ad
const aksLocalAccount = "masterclient"

// readEntra reads what AKS writes of Entra ID: a user principal name or an object id as the user's name, and the
// object id in extra.
func (p *Principal) readEntra(u *event.User) {
	p.OID = extraValue(u.Extra, "oid")
	if p.Kind != kindUser {
		return
	}
	local, domain, _ := strings.Cut(u.Username, "@")
	switch {
	case u.Username == aksLocalAccount:
		p.Type = typeAKSLocal
	case isGUID(u.Username):
		p.Type = typeEntraObject
		if p.OID == "" {
			p.OID = u.Username
		}
	case mailLike(local, domain):
		p.Type = typeEntraUser
	case p.OID != "":
		p.Type = typeEntraObject
	}
}

// isGUID is true for 8-4-4-4-12 hexadecimal digits.
func isGUID(s string) bool {
	groups := strings.Split(strings.ToLower(s), "-")
	if len(groups) != 5 {
		return false
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if len(groups[i]) != n || !isHex(groups[i]) {
			return false
		}
	}
	return true
}
