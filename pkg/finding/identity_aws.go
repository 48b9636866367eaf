package finding

import (
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Types of identities in AWS, foretop.identity.type.
const (
	typeAWSSession   = "aws_role_session"
	typeAWSSSO       = "aws_sso_session"
	typeAWSRole      = "aws_role" // a role without a session
	typeAWSUser      = "aws_iam_user"
	typeAWSRoot      = "aws_root"
	typeAWSFederated = "aws_federated_user"
)

// arn is an Amazon Resource Name: arn:partition:service:region:account:resource.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
type arn struct{ partition, service, region, account, resource string }

// parseARN reads s by its fields, whatever the partition (aws, aws-cn, aws-us-gov, aws-iso, ...).
func parseARN(s string) (arn, bool) {
	f := strings.SplitN(s, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[1] != "aws" && !strings.HasPrefix(f[1], "aws-") || f[2] == "" || f[5] == "" {
		return arn{}, false
	}
	return arn{f[1], f[2], f[3], f[4], f[5]}, true
}

// Prefixes of the uid that aws-iam-authenticator gives, today's and that of clusters before 2018; the account and
// the principal's id follow.
const (
	authenticatorUID = "aws-iam-authenticator:"
	heptioUID        = "heptio-authenticator-aws:"
)

// readAWS reads what aws-iam-authenticator says: in extra, in the user name where an access entry has none of its
// own, and in the uid.
func (p *Principal) readAWS(u *event.User) {
	extra := func(name string) string { return extraValue(u.Extra, name) }
	p.ARN, p.CanonicalARN, p.SessionName = extra("arn"), extra("canonicalArn"), extra("sessionName")
	p.AccessKeyID, p.PrincipalID = extra("accessKeyId"), extra("principalId")
	if p.ARN == "" {
		if _, ok := parseARN(u.Username); ok {
			p.ARN = u.Username
		}
	}
	uid, ok := strings.CutPrefix(u.UID, authenticatorUID)
	if !ok {
		uid, ok = strings.CutPrefix(u.UID, heptioUID)
	}
	if account, principal, both := strings.Cut(uid, ":"); ok && both {
		p.Account = account
		if p.PrincipalID == "" {
			p.PrincipalID = principal
		}
	}
	for _, text := range []string{p.CanonicalARN, p.ARN} { // the second tells more
		if a, ok := parseARN(text); ok {
			p.readARN(a)
		}
	}
	if p.Role != "" {
		p.PermissionSet = permissionSet(p.Role)
	}
	if p.PermissionSet != "" && p.Type == typeAWSSession {
		p.Type = typeAWSSSO
	}
	for _, text := range []string{p.SessionName, p.Node} { // nodes of EKS Auto Mode are called like their instance
		if p.InstanceID == "" && isInstanceID(text) {
			p.InstanceID = text
		}
	}
}

// readARN reads the ARN of a caller (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html).
func (p *Principal) readARN(a arn) {
	if a.service != "iam" && a.service != "sts" {
		return
	}
	if a.account != "" {
		p.Account = a.account
	}
	kind, rest, _ := strings.Cut(a.resource, "/")
	switch kind {
	case "assumed-role":
		role, session, _ := strings.Cut(rest, "/")
		p.Type, p.Role = typeAWSSession, role
		if p.SessionName == "" {
			p.SessionName = session
		}
		if p.SessionName == "" {
			p.Type = typeAWSRole
		}
	case "role":
		p.Type, p.Role = typeAWSRole, afterSlash(rest) // a path may stand before it
		if p.SessionName != "" {
			p.Type = typeAWSSession
		}
	case "user":
		p.Type = typeAWSUser
	case "federated-user":
		p.Type = typeAWSFederated
	case "root":
		p.Type = typeAWSRoot
	}
}

// permissionSet is <set> of a role AWSReservedSSO_<set>_<16 hex>, as IAM Identity Center names those it makes.
// https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
func permissionSet(role string) string {
	const hash = 16
	rest, ok := strings.CutPrefix(role, "AWSReservedSSO_")
	cut := len(rest) - hash - 1
	if !ok || cut <= 0 || rest[cut] != '_' || !isHex(rest[cut+1:]) {
		return ""
	}
	return rest[:cut]
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// isInstanceID is true for ids of EC2 instances (8 or 17 digits) and of hybrid nodes (mi-, 17 digits).
func isInstanceID(s string) bool {
	if rest, ok := strings.CutPrefix(s, "mi-"); ok {
		return len(rest) == 17 && isHex(rest)
	}
	rest, ok := strings.CutPrefix(s, "i-")
	return ok && (len(rest) == 8 || len(rest) == 17) && isHex(rest)
}

// toolSessions begin the session names that SDKs and tools make up when nobody gives one: botocore, the SDKs for
// Go, Java, JavaScript and .NET, and `aws eks get-token --role-arn`. They are the same for everybody, or a time.
var toolSessions = []string{
	"EKSGetTokenAuth", "botocore-session-", "aws-go-sdk-", "aws-sdk-java-", "aws-sdk-js-", "aws-dotnet-sdk-session-", "AWSCLI-Session",
}

// isToolSession is true for a session name that tells nothing about who assumed the role.
func isToolSession(session string) bool {
	for _, prefix := range toolSessions {
		if strings.HasPrefix(session, prefix) {
			return true
		}
	}
	return len(session) >= 9 && strings.Trim(session, "0123456789") == "" // a time
}
