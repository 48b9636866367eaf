package finding

import (
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// Kubernetes is kubernetes.*: the object by its kind, under the names of Elastic Agent's metadata, and
// the audit event.
type Kubernetes struct {
	Namespace   string `json:"namespace,omitempty"`
	Pod         Object `json:"pod,omitzero"`
	Node        Named  `json:"node,omitzero"`
	Deployment  Named  `json:"deployment,omitzero"`
	DaemonSet   Named  `json:"daemonset,omitzero"`
	StatefulSet Named  `json:"statefulset,omitzero"`
	ReplicaSet  Named  `json:"replicaset,omitzero"`
	Job         Named  `json:"job,omitzero"`
	CronJob     Named  `json:"cronjob,omitzero"`
	Service     Named  `json:"service,omitzero"`
	Audit       Audit  `json:"audit"`
}

// Object is a name and a uid.
type Object struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// Audit is kubernetes.audit.*, under the names of Elastic's Kubernetes integration.
type Audit struct {
	APIVersion               string            `json:"apiVersion,omitempty"`
	Kind                     string            `json:"kind,omitempty"`
	Level                    string            `json:"level,omitempty"`
	AuditID                  AuditIDs          `json:"auditID"`
	Stage                    string            `json:"stage,omitempty"`
	Verb                     string            `json:"verb,omitempty"`
	RequestURI               string            `json:"requestURI,omitempty"`
	UserAgent                string            `json:"userAgent,omitempty"`
	User                     AuditUser         `json:"user,omitzero"`
	ImpersonatedUser         AuditUser         `json:"impersonatedUser,omitzero"`
	SourceIPs                []string          `json:"sourceIPs,omitempty"`
	ObjectRef                event.ObjectRef   `json:"objectRef,omitzero"`
	ResponseStatus           ResponseStatus    `json:"responseStatus,omitzero"`
	RequestReceivedTimestamp time.Time         `json:"requestReceivedTimestamp,omitzero"`
	StageTimestamp           time.Time         `json:"stageTimestamp,omitzero"`
	Annotations              map[string]string `json:"annotations,omitempty" es:"keyword"`
}

// AuditIDs are the audit ids that a finding rests on: one for a rule, up to MaxAuditIDs for a
// correlation. One id is written as a string, several as a list; to Elasticsearch both are the same.
type AuditIDs []string

// MaxAuditIDs bounds the audit ids that a document names.
const MaxAuditIDs = 100

// AuditUser is kubernetes.audit.user.* and .impersonatedUser.*.
type AuditUser struct {
	Username string              `json:"username,omitempty" redact:"name"`
	UID      string              `json:"uid,omitempty" redact:"name"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty" es:"flattened" redact:"-"` // redacted by key, see extraOf
}

// ResponseStatus is kubernetes.audit.responseStatus.*.
type ResponseStatus struct {
	Status  string `json:"status,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty" es:"text"`
	Code    int    `json:"code,omitempty" es:"integer"`
}

const (
	maxGroups      = 100
	maxSourceIPs   = 50
	maxAnnotations = 100
)

func auditOf(ev *event.Event, uri string) Audit {
	a := Audit{
		APIVersion: ev.APIVersion, Kind: ev.Kind, Level: ev.Level,
		AuditID: AuditIDs{ev.AuditID},
		Stage:   ev.Stage, Verb: ev.Verb,
		RequestURI: uri,
		UserAgent:  ev.UserAgent, User: auditUserOf(&ev.User),
		SourceIPs:                head(ev.SourceIPs, maxSourceIPs),
		RequestReceivedTimestamp: micro(ev.RequestReceivedTimestamp),
		StageTimestamp:           micro(ev.StageTimestamp),
		Annotations:              annotationsOf(ev.Annotations),
	}
	if ev.ImpersonatedUser != nil {
		a.ImpersonatedUser = auditUserOf(ev.ImpersonatedUser)
	}
	if ev.ObjectRef != nil {
		a.ObjectRef = *ev.ObjectRef
	}
	if s := ev.ResponseStatus; s != nil {
		a.ResponseStatus = ResponseStatus{Status: s.Status, Reason: s.Reason, Message: s.Message, Code: s.Code}
	}
	return a
}

func auditUserOf(u *event.User) AuditUser {
	return AuditUser{Username: u.Username, UID: u.UID, Groups: head(u.Groups, maxGroups), Extra: extraOf(u.Extra)}
}

// annotationsOf replaces dots in keys, as Elastic's integration does: a dot in a key means an object.
func annotationsOf(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(in), maxAnnotations))
	for _, key := range sortedKeys(in) {
		if len(out) == maxAnnotations {
			break
		}
		value := in[key]
		if kind, hide := hiddenPath("annotations", "annotations."+key); hide {
			value = mark(kind, len(value))
		}
		out[safeKey(key)] = value
	}
	return out
}

// safeKey makes a name that Elasticsearch accepts as a field: no dots, no control bytes, not empty.
func safeKey(key string) string {
	key = cut(strings.Map(func(r rune) rune {
		if r == '.' || r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, key), 256)
	if key == "" {
		return "_"
	}
	return key
}

// byKind puts the object under the field of its kind.
func (k *Kubernetes) byKind(ref *event.ObjectRef, name, uid string) {
	if ref == nil {
		return
	}
	k.Namespace = ref.Namespace
	switch ref.APIGroup + "/" + ref.Resource {
	case "/pods":
		k.Pod = Object{Name: name, UID: uid}
	case "/nodes":
		k.Node.Name = name
	case "/services":
		k.Service.Name = name
	case "apps/deployments", "apps/daemonsets", "apps/statefulsets", "apps/replicasets", "batch/jobs", "batch/cronjobs":
		k.workload(ref.Resource, name)
	}
}

// workload puts a workload, or the owner of one, under the field of its kind (singular or plural).
func (k *Kubernetes) workload(kind, name string) {
	switch strings.TrimSuffix(strings.ToLower(kind), "s") {
	case "deployment":
		k.Deployment.Name = name
	case "daemonset":
		k.DaemonSet.Name = name
	case "statefulset":
		k.StatefulSet.Name = name
	case "replicaset":
		k.ReplicaSet.Name = name
	case "job":
		k.Job.Name = name
	case "cronjob":
		k.CronJob.Name = name
	case "node":
		k.Node.Name = name
	}
}
