package event

import (
	"slices"
	"strings"
)

// Category is the kind of a derived record: what a rule names in logsource.category.
type Category string

// The record kinds. Request is one record per event; the others are one record per element of the
// object that the request writes.
const (
	Request    Category = ""
	Pod        Category = "pod"
	Container  Category = "container"
	Volume     Category = "volume"
	Subject    Category = "subject"
	PolicyRule Category = "policy_rule"
)

// Categories are all record kinds, Request first.
var Categories = []Category{Request, Pod, Container, Volume, Subject, PolicyRule}

// CategoryOf maps logsource.category to a record kind. Sigma's own "application" is the request.
func CategoryOf(logsourceCategory string) (Category, bool) {
	if logsourceCategory == "application" {
		return Request, true
	}
	for _, c := range Categories {
		if string(c) == logsourceCategory {
			return c, true
		}
	}
	return "", false
}

// Type is the JSON type of a field.
type Type string

// Types of fields. A List field holds several values, and an item is true if any of them satisfies it.
const (
	Text   Type = "string"
	Number Type = "number"
	Bool   Type = "boolean"
	List   Type = "list"
	Any    Type = "any"
)

// Field is one row of the field table: what rules may name, and what documentation and lint are made from.
type Field struct {
	// Path in rules. A path that ends in ".*" stands for everything below it.
	Path string
	// In are the record kinds that have it; nil means all.
	In      []Category
	Type    Type
	Meaning string
	// Derived is true for fields of ours, false for those that the audit event has itself.
	Derived bool
	// Needs are the audit fields that the value comes from: where one of those is unknown, so is this.
	Needs []string
	// Lacking are providers that never report it: eks, gke, aks.
	Lacking []string
}

var (
	podKinds  = []Category{Pod, Container, Volume}
	container = []Category{Container}
	volume    = []Category{Volume}
	subject   = []Category{Subject}
	policy    = []Category{PolicyRule}
	elements  = []Category{Pod, Container, Volume, Subject, PolicyRule}
	gke       = []string{"gke"}
)

// Fields is the table of every field a rule can name. Sources of the audit fields:
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
var Fields = []Field{
	{Path: "kind", Type: Text, Meaning: "Event"},
	{Path: "apiVersion", Type: Text, Meaning: "audit.k8s.io/v1"},
	{Path: "level", Type: Text, Meaning: "audit level: Metadata, Request or RequestResponse", Lacking: gke},
	{Path: "auditID", Type: Text, Meaning: "id of the request; a client can choose it"},
	{Path: "stage", Type: Text, Meaning: "RequestReceived, ResponseStarted, ResponseComplete or Panic", Lacking: gke},
	{Path: "requestURI", Type: Text, Meaning: "path and raw query of the request; GKE reports the path alone, so that what depends on the query is unknown there"},
	{Path: "verb", Type: Text, Meaning: "get, list, watch, create, update, patch, delete, deletecollection; the HTTP method in lower case for non-resource paths"},
	{Path: "user.username", Type: Text, Meaning: "the authenticated caller; absent if authentication failed"},
	{Path: "user.uid", Type: Text, Meaning: "uid of the caller", Lacking: gke},
	{Path: "user.groups", Type: List, Meaning: "groups of the caller", Lacking: gke},
	{Path: "user.extra.*", Type: List, Meaning: "what the authenticator added, for example the node and pod of a token", Lacking: gke},
	{Path: "impersonatedUser.username", Type: Text, Meaning: "the identity that the caller took on", Lacking: gke},
	{Path: "impersonatedUser.uid", Type: Text, Meaning: "uid of that identity", Lacking: gke},
	{Path: "impersonatedUser.groups", Type: List, Meaning: "groups of that identity", Lacking: gke},
	{Path: "impersonatedUser.extra.*", Type: List, Meaning: "extra of that identity", Lacking: gke},
	{Path: "authenticationMetadata.*", Type: Any, Meaning: "constraint of the impersonation", Lacking: gke},
	{Path: "sourceIPs", Type: List, Meaning: "all addresses in order; only the last is the connection's own"},
	{Path: "userAgent", Type: Text, Meaning: "what the client calls itself"},
	{Path: "objectRef.resource", Type: Text, Meaning: "resource in plural, lower case"},
	{Path: "objectRef.namespace", Type: Text, Meaning: "namespace of the object"},
	{Path: "objectRef.name", Type: Text, Meaning: "name of the object; absent on lists and generated names"},
	{Path: "objectRef.uid", Type: Text, Meaning: "uid of the object", Lacking: gke},
	{Path: "objectRef.apiGroup", Type: Text, Meaning: "API group; absent or empty for core"},
	{Path: "objectRef.apiVersion", Type: Text, Meaning: "API version"},
	{Path: "objectRef.resourceVersion", Type: Text, Meaning: "resource version", Lacking: gke},
	{Path: "objectRef.subresource", Type: Text, Meaning: "subresource, for example exec"},
	{Path: "responseStatus.code", Type: Number, Meaning: "HTTP status"},
	{Path: "responseStatus.status", Type: Text, Meaning: "Success or Failure"},
	{Path: "responseStatus.reason", Type: Text, Meaning: "machine-readable reason of a failure"},
	{Path: "responseStatus.message", Type: Text, Meaning: "message of a failure"},
	{Path: "responseStatus.details.*", Type: Any, Meaning: "details of a failure"},
	{Path: "responseStatus.metadata.*", Type: Any, Meaning: "metadata of the status"},
	{Path: "requestReceivedTimestamp", Type: Text, Meaning: "when the request arrived, RFC 3339"},
	{Path: "stageTimestamp", Type: Text, Meaning: "when the stage was reached, RFC 3339"},
	{Path: "annotations.*", Type: Text, Meaning: "annotations of the audit event"},
	{Path: "requestObject.*", Type: Any, Meaning: "the body as the client sent it; lists of objects are flattened"},
	{Path: "responseObject.*", Type: Any, Meaning: "the object as the API server returned it; lists of objects are flattened"},

	{Path: "outcome", Type: Text, Derived: true, Meaning: "success (code below 400), failure, or unknown (no code)", Needs: []string{"responseStatus.code"}},
	{Path: "authorization.decision", Type: Text, Derived: true, Meaning: "allow or forbid: what authorization said, whatever became of the request", Needs: []string{"annotations"}},
	{Path: "authorization.reason", Type: Text, Derived: true, Meaning: "why: names the binding and the role", Needs: []string{"annotations"}},
	{Path: "dryRun", Type: Bool, Derived: true, Meaning: "true if the request asked for a dry run: in its query, in a delete's options, or by GKE's label", Needs: []string{"requestURI"}},
	{Path: "client.address", Type: Text, Derived: true, Meaning: "the client's address as text, behind trusted proxies", Needs: []string{"sourceIPs"}},
	{Path: "client.ip", Type: Text, Derived: true, Meaning: "the client's address if it is an IP address", Needs: []string{"sourceIPs"}},
	{Path: "client.forwarded", Type: Bool, Derived: true, Meaning: "true if client.address is not the connection's own, so that the client may have chosen it", Needs: []string{"sourceIPs", "client.forwarded"}, Lacking: gke},
	{Path: "user.effective.username", Type: Text, Derived: true, Meaning: "the impersonated identity if there is one, else the caller; GKE reports one of the two, and does not say which", Needs: []string{"user.username"}},
	{Path: "user.effective.groups", Type: List, Derived: true, Meaning: "groups of that identity", Needs: []string{"user.groups"}, Lacking: gke},
	{Path: "exec.command", Type: Text, Derived: true, Meaning: "the command of an exec request, its words joined by spaces", Needs: []string{"requestURI", "request.query"}, Lacking: gke},
	{Path: "exec.container", Type: Text, Derived: true, Meaning: "the container of an exec or attach request", Needs: []string{"requestURI", "request.query"}, Lacking: gke},
	{Path: "request.path", Type: Text, Derived: true, Meaning: "requestURI without its query, percent-decoded and cleaned", Needs: []string{"requestURI"}},
	{Path: "request.query.*", Type: List, Derived: true, Meaning: "query parameters, decoded", Needs: []string{"requestURI", "request.query"}, Lacking: gke},
	{Path: "object.name", Type: Text, Derived: true, Meaning: "objectRef.name, else the name in the response or request body", Needs: []string{"objectRef.name"}},
	{Path: "cluster.name", Type: Text, Derived: true, Meaning: "name of the cluster, from the transport"},
	{Path: "cluster.id", Type: Text, Derived: true, Meaning: "globally unique id of the cluster where known"},
	{Path: "provider", Type: Text, Derived: true, Meaning: "eks, gke, aks, openshift or empty"},

	{Path: "record.touched", In: elements, Type: Bool, Derived: true, Meaning: "false where a patch left this element alone"},
	{Path: "element.injected", In: elements, Type: Bool, Derived: true, Meaning: "true for what admission added beyond the request"},
	{Path: "metadata.*", In: elements, Type: Any, Derived: true, Meaning: "metadata of the object that was written"},
	{Path: "workload.kind", In: podKinds, Type: Text, Derived: true, Meaning: "kind of the object that holds the pod spec: Pod, Deployment, CronJob, a custom kind"},
	{Path: "workload.name", In: podKinds, Type: Text, Derived: true, Meaning: "its name"},
	{Path: "workload.controlled", In: podKinds, Type: Bool, Derived: true, Meaning: "true for an object that the built-in controller of its owner's kind wrote"},
	{Path: "workload.owner.kind", In: podKinds, Type: Text, Derived: true, Meaning: "kind of the controlling owner"},
	{Path: "workload.owner.name", In: podKinds, Type: Text, Derived: true, Meaning: "name of the controlling owner"},
	{Path: "workload.containers", In: podKinds, Type: Number, Derived: true, Meaning: "how many containers of all kinds the pod spec has; an exception that names one image asks for 1"},
	{Path: "pod.metadata.*", In: podKinds, Type: Any, Derived: true, Meaning: "metadata of the pod or of its template"},
	{Path: "pod.*", In: podKinds, Type: Any, Derived: true, Meaning: "the pod spec"},

	{Path: "container.type", In: container, Type: Text, Derived: true, Meaning: "container, initContainer or ephemeralContainer"},
	{Path: "container.*", In: container, Type: Any, Derived: true, Meaning: "the container as in the API; securityContext inherits from the pod"},
	{Path: "image.registry", In: container, Type: Text, Derived: true, Meaning: "registry host (and port) of the image; docker.io if the image names none"},
	{Path: "image.repository", In: container, Type: Text, Derived: true, Meaning: "path of the image without registry, tag and digest; library/ is added for docker.io"},
	{Path: "image.tag", In: container, Type: Text, Derived: true, Meaning: "tag, absent if the image names none"},
	{Path: "image.digest", In: container, Type: Text, Derived: true, Meaning: "digest with its algorithm, absent if the image names none"},

	{Path: "volume.hostPath.cleaned", In: volume, Type: Text, Derived: true, Meaning: "hostPath.path without .., doubled and trailing slashes"},
	{Path: "volume.*", In: volume, Type: Any, Derived: true, Meaning: "the volume as in the API"},
	{Path: "mount.containers", In: volume, Type: List, Derived: true, Meaning: "names of the containers that mount it"},
	{Path: "mount.writable", In: volume, Type: Bool, Derived: true, Meaning: "true if a container mounts it without readOnly"},

	{Path: "subject.identity", In: subject, Type: Text, Derived: true, Meaning: "the subject as a user name: system:serviceaccount:<namespace>:<name> for service accounts, else its name"},
	{Path: "subject.*", In: subject, Type: Any, Derived: true, Meaning: "kind, name, namespace and apiGroup of the subject"},
	{Path: "roleRef.*", In: subject, Type: Any, Derived: true, Meaning: "kind, name and apiGroup of the role that is bound"},
	{Path: "rule.*", In: policy, Type: Any, Derived: true, Meaning: "apiGroups, resources, resourceNames, verbs and nonResourceURLs of the rule"},
}

// Lookup finds the row for a path in a record kind: the exact one, else the longest ".*" above it.
func Lookup(c Category, path string) (Field, bool) {
	var best Field
	found := false
	for _, f := range Fields {
		if !f.appliesTo(c) {
			continue
		}
		if f.Path == path {
			return f, true
		}
		prefix, open := strings.CutSuffix(f.Path, ".*")
		if open && (path == prefix || strings.HasPrefix(path, prefix+".")) && (!found || len(f.Path) > len(best.Path)) {
			best, found = f, true
		}
	}
	return best, found
}

func (f Field) appliesTo(c Category) bool {
	if f.In == nil {
		return true
	}
	return slices.Contains(f.In, c)
}
