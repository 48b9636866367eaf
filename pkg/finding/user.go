package finding

import "strings"

// user is who Kubernetes says it was; foretop.identity.* says who is behind it.
func (c *facts) user() User {
	u := c.ev.User
	out := User{Name: u.Username, ID: u.UID, Group: Names{head(u.Groups, maxGroups)}, Target: c.targets}
	if local, domain, ok := strings.Cut(u.Username, "@"); ok && mailLike(local, domain) {
		out.Email, out.Domain = u.Username, domain
	} else if local, domain, ok := strings.Cut(c.identity.SessionName, "@"); ok && mailLike(local, domain) {
		out.Email = c.identity.SessionName
	}
	if out.Domain == "" && strings.HasPrefix(c.identity.Type, "aws_") {
		out.Domain = c.identity.Account
	}
	if i := c.ev.ImpersonatedUser; i != nil {
		out.Effective = Effective{Name: i.Username, ID: i.UID, Group: Names{head(i.Groups, maxGroups)}}
	}
	return out
}

func mailLike(local, domain string) bool {
	return local != "" && !strings.ContainsAny(local, ":/ ") && strings.Contains(domain, ".") && !strings.ContainsAny(domain, "@:/ ")
}
