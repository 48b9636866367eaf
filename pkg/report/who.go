package report

import (
	"strings"

	"github.com/foretop/foretop/pkg/finding"
)

// cloudIdentity says who is behind a user name, in the words by which the cloud's own logs are searched. It is empty
// where the name says everything.
func cloudIdentity(id *finding.Identity) string {
	var parts []string
	add := func(what, value string) {
		if value != "" {
			parts = append(parts, what+" "+value)
		}
	}
	if id.PermissionSet != "" {
		add("permission set", id.PermissionSet)
	} else {
		add("role", id.Role)
	}
	if id.Role != "" {
		add("session", id.SessionName)
	} else {
		add("ARN", id.ARN)
	}
	add("account", id.Account)
	add("access key", id.AccessKeyID)
	add("pool", id.Pool)
	add("subject", id.Subject)
	add("object id", id.OID)
	add("pod", id.TokenPod)
	add("node", id.TokenNode)
	switch words := strings.NewReplacer("_", " "); {
	case id.Shared:
		add("nobody can be named:", words.Replace(id.SharedReason))
	case id.Role != "" && id.SessionName != "":
		parts = append(parts, words.Replace(id.Confidence))
	}
	return strings.Join(parts, ", ")
}

// located is an address with the place that databases know of it.
type located struct{ address, place string }

func (l located) String() string {
	if l.place == "" {
		return l.address
	}
	return l.address + " (" + l.place + ")"
}

func locate(f *finding.Finding) located {
	return located{strings.Clone(f.Source.Address), strings.Clone(f.Source.Place.String())}
}
