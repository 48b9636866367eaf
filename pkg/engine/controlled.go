package engine

import "bytes"

// controllers are the built-in controllers by the kind whose objects they own, with the API groups of that
// kind. Source: kubernetes/kubernetes cmd/kube-controller-manager, names of the service accounts.
var controllers = map[string]struct {
	account string
	group   string
}{
	"ReplicaSet":            {"replicaset-controller", "apps"},
	"Deployment":            {"deployment-controller", "apps"},
	"DaemonSet":             {"daemon-set-controller", "apps"},
	"StatefulSet":           {"statefulset-controller", "apps"},
	"Job":                   {"job-controller", "batch"},
	"CronJob":               {"cronjob-controller", "batch"},
	"ReplicationController": {"replication-controller", ""},
}

const (
	controllerPrefix  = "system:serviceaccount:kube-system:"
	controllerManager = "system:kube-controller-manager" // without --use-service-account-credentials
)

// isControlled is true for an object that the built-in controller of its owner's kind wrote, and for that
// controller's writes to its own kind. It rests on the authenticated identity, never on the user agent.
func (j *Judge) isControlled() bool {
	if j.take(controlledPart, objectScope) {
		j.derived.controlled = j.byController()
	}
	return j.derived.controlled
}

// controlledMayBeLost is true where the object is none that a controller wrote only as far as the event is there.
func (j *Judge) controlledMayBeLost() bool {
	if !j.object.partial && !j.isCut(topImpersonated) || !j.members[impersonatedName].none() {
		return false
	}
	user := j.textOf(j.members[userName])
	return bytes.HasPrefix(user, []byte(controllerPrefix)) || string(user) == controllerManager
}

func (j *Judge) byController() bool {
	if !j.members[impersonatedName].none() || j.isCut(topImpersonated) {
		return false
	}
	user := j.textOf(j.members[userName])
	account, isAccount := bytes.CutPrefix(user, []byte(controllerPrefix))
	isManager := string(user) == controllerManager
	if !isAccount && !isManager {
		return false
	}
	c, ok := controllers[string(j.object.kind)]
	if ok && (isManager || string(account) == c.account) && string(j.tops[topVerb].text()) != "create" {
		return true
	}
	c, ok = controllers[string(j.textOf(j.owner().get("kind")))]
	return ok && (isManager || string(account) == c.account) && string(groupOf(j.textOf(j.owner().get("apiVersion")))) == c.group
}

func groupOf(apiVersion []byte) []byte {
	group, _, ok := bytes.Cut(apiVersion, []byte{'/'})
	if !ok {
		return nil
	}
	return group
}

// owner is the ownerReference with controller: true.
func (j *Judge) owner() span {
	if j.take(ownerPart, objectScope) {
		j.derived.owner = controllingOwner(j.object.metadata)
	}
	return j.derived.owner
}

func controllingOwner(metadata span) span {
	refs := metadata.get("ownerReferences")
	if !refs.isArray() {
		return span{}
	}
	for c := open(refs); c.element(); {
		if ref := c.value(); ref.get("controller").isTrue() {
			return ref
		}
	}
	return span{}
}
