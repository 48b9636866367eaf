package finding

import (
	"slices"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

func FuzzIdentities(f *testing.F) {
	f.Add("kubernetes-admin", "aws-iam-authenticator:111122223333:AROAEXAMPLE", "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/erin@example.com", "erin@example.com", "eks", false)
	f.Add("principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s", "", "", "", "gke", false)
	f.Add("other.svc.id.goog[ci/runner]", "", "", "", "gke", true)
	f.Add("1-compute@developer.gserviceaccount.com", "", "", "", "gke", false)
	f.Add("0d3c5a10-2222-4333-8444-eeeeeeeeeeee", "", "", "", "aks", false)
	f.Add("masterclient", "x", "arn:aws:iam::1:user/a/b", "", "aks", true)
	sets := closedSets(f)
	f.Fuzz(func(t *testing.T, name, uid, arn, session, provider string, truncated bool) {
		u := event.User{Username: name, UID: uid, Extra: map[string][]string{"arn": {arn}, "x/canonicalArn": {arn}, "sessionName": {"", session}, "oid": {session}}}
		id := identityOf(&event.Event{User: u, ImpersonatedUser: &u}, provider, truncated)
		if id.Shared != (id.SharedReason != "") || id.Shared != (id.Confidence == confidenceShared) {
			t.Errorf("shared %v because of %q, confidence %q", id.Shared, id.SharedReason, id.Confidence)
		}
		for set, value := range map[string]string{"kind": id.Kind, "type": id.Type, "confidence": id.Confidence, "shared": id.SharedReason} {
			if value != "" && !slices.Contains(sets[set], value) {
				t.Errorf("%s is %q, which is not one of the documented", set, value)
			}
		}
		if id.Effective.Shared || id.Effective.Confidence != confidenceImpersonated {
			t.Errorf("the impersonated identity is %+v", id.Effective)
		}
		all := strings.Join([]string{name, uid, arn, session}, "\n")
		for _, part := range []string{id.Account, id.ARN, id.Role, id.PermissionSet, id.SessionName, id.InstanceID, id.Pool, id.Subject, id.OID, id.Node, id.PrincipalID} {
			if !strings.Contains(all, part) {
				t.Errorf("%q was made up", part)
			}
		}
		id.person(name)
	})
}
