// Package event is the common model of one Kubernetes API request, whichever cluster, cloud or
// shipper reported it. It does no I/O and knows no vendor's envelope.
package event

import "time"

// Envelope is what is known about an event beside its canonical bytes: where it came from, and what
// the form that it came in could not say. The decoder fills it; the engine and the finding read it.
// Its strings may alias the decoder's buffers: whoever keeps one beyond the batch clones it.
type Envelope struct {
	// Format names the wrapping that was recognised, for example "native", "eventlist",
	// "filebeat", "fluentbit-log". One closed set, listed in package decode.
	Format string
	// Provider is the managed service that wrote the record: "eks", "gke", "aks", "openshift", or
	// empty where the form does not tell.
	Provider string
	Cluster  Cluster
	Cloud    Cloud
	// Time is when the shipper or the log service says it saw the record; zero if it does not say.
	Time time.Time
	// Inferred are audit.k8s.io paths whose value the decoder derived rather than read.
	Inferred []string
	// Missing are paths of the field table (each with everything below it) that this form cannot carry,
	// or this record has left out: mostly audit.k8s.io paths, and request.query where requestURI is the
	// path alone. A field below one of them is unknown, not absent.
	Missing []string
	// Truncated is true where the record was cut, so that Canonical is a prefix of the event, closed
	// by the decoder. Fields that lie behind the cut are unknown. See also engine.Judge.
	Truncated bool
	// BodiesRemoved is true where the API server itself removed the bodies because the event was too
	// large (annotation audit.k8s.io/truncated), or a service replaced them by a marker.
	BodiesRemoved bool
}

// Cluster identifies the watched cluster. ID is the globally unique one where the source knows it
// (an ARN, a resource path), else equal to Name. Both are "unknown" where nothing names a cluster.
type Cluster struct {
	ID, Name string
}

// UnknownCluster is the name and id of a cluster that neither configuration nor record names.
const UnknownCluster = "unknown"

// Cloud is the place of a managed cluster, from the transport, never from the event body.
type Cloud struct {
	Provider  string // ECS cloud.provider: aws, gcp, azure
	AccountID string
	ProjectID string
	Region    string
	Zone      string
}
