package finding

import "strings"

// Types of identities in Google Cloud, foretop.identity.type.
const (
	typeGoogleUser           = "gcp_user"
	typeGoogleServiceAccount = "gcp_service_account"
	// typeGoogleDefault is a service account that Google makes for everything in a project that names no other.
	typeGoogleDefault = "gcp_default_service_account"
	// typeGoogleAgent is a service account of one of Google's own services.
	typeGoogleAgent     = "gcp_service_agent"
	typeGoogleWorkforce = "gcp_workforce_identity"
	typeGoogleWorkload  = "gcp_workload_identity"
)

// googleDefaults are the domains of default service accounts; the project's number or id stands before the @.
// https://cloud.google.com/iam/docs/service-account-types
var googleDefaults = []struct{ suffix, domain, kind string }{
	{"-compute", "developer.gserviceaccount.com", typeGoogleDefault},
	{"", "cloudbuild.gserviceaccount.com", typeGoogleDefault},
	{"", "appspot.gserviceaccount.com", typeGoogleDefault},
	{"", "cloudservices.gserviceaccount.com", typeGoogleAgent},
}

// readGoogle reads a principal as Cloud Audit Logs writes it, its kind of member taken off: an address, principal:// or
// principalSet://, or the name of a workload pool's member. Names of Kubernetes identities stand there as they are and say nothing more.
// https://cloud.google.com/iam/docs/principal-identifiers
func (p *Principal) readGoogle(name string) {
	if p.Kind != kindUser {
		return
	}
	if set, ok := cutPrincipal(name); ok {
		p.readPool(set)
		return
	}
	if member, workload, ok := workloadMember(name); ok {
		p.Type, p.Pool, p.Subject = typeGoogleWorkload, member, workload
		return
	}
	local, domain, ok := strings.Cut(name, "@")
	if !ok || !mailLike(local, domain) {
		return
	}
	p.Type = typeGoogleUser
	if project, ok := strings.CutSuffix(domain, ".iam.gserviceaccount.com"); ok {
		p.Type, p.Account = typeGoogleServiceAccount, project
		if number, ok := strings.CutPrefix(local, "service-"); ok && isDigits(number) {
			p.Type, p.Account = typeGoogleAgent, number
		}
		return
	}
	for _, d := range googleDefaults {
		if project, ok := strings.CutSuffix(local, d.suffix); ok && domain == d.domain {
			p.Type, p.Account = d.kind, project
			return
		}
	}
	if domain == "gserviceaccount.com" || strings.HasSuffix(domain, ".gserviceaccount.com") {
		p.Type = typeGoogleAgent
	}
}

func cutPrincipal(name string) (path string, ok bool) {
	for _, scheme := range []string{"principal://", "principalSet://"} {
		if rest, ok := strings.CutPrefix(name, scheme); ok {
			return rest, true
		}
	}
	return "", false
}

// readPool reads iam.googleapis.com/[projects/<number>/]locations/<location>/(workforcePools|workloadIdentityPools)/<pool>/
// and what is chosen of it: subject/<subject>, group/<group>, attribute.<name>/<value> or *.
func (p *Principal) readPool(path string) {
	steps := strings.Split(path, "/")
	for i := 1; i < len(steps); i++ {
		switch steps[i-1] {
		case "projects":
			p.Account = steps[i]
		case "workforcePools", "workloadIdentityPools":
			p.Type = typeGoogleWorkforce
			if steps[i-1] == "workloadIdentityPools" {
				p.Type = typeGoogleWorkload
			}
			p.Pool = steps[i]
			p.Subject = strings.TrimPrefix(strings.Join(steps[i+1:], "/"), "subject/")
			return
		}
	}
}

// workloadMember reads <project>.svc.id.goog[<namespace>/<name>]: a Kubernetes service account as
// Google knows it, of whichever cluster of the project.
func workloadMember(name string) (pool, subject string, ok bool) {
	pool, inner, ok := strings.Cut(name, "[")
	if !ok || !strings.HasSuffix(pool, ".svc.id.goog") || !strings.HasSuffix(inner, "]") {
		return "", "", false
	}
	return pool, strings.TrimSuffix(inner, "]"), true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
