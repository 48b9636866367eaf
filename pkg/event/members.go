package event

// Members are the members of an audit event, in the order in which kube-apiserver writes them. Source: audit.k8s.io/v1
// Event, its JSON tags. A member's tag is its place here, counted from 1: decoding leaves it in the index of the event.
var Members = [...]string{
	"kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser",
	"authenticationMetadata", "sourceIPs", "userAgent", "objectRef", "responseStatus", "requestObject", "responseObject",
	"requestReceivedTimestamp", "stageTimestamp", "annotations",
}

// Tag gives the tag of a member of audit events, 0 for other names.
func Tag(name string) uint8 {
	for i, member := range Members {
		if member == name {
			return uint8(i + 1)
		}
	}
	return 0
}
