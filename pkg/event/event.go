package event

import (
	"encoding/json"
	"time"
)

// Event is an audit.k8s.io/v1 Event in full, typed. It is built for findings, `decode`, `explain` and
// tests only: the engine judges canonical bytes. It owns its bytes.
// Source of the field names: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
type Event struct {
	Kind                     string                  `json:"kind,omitempty"`
	APIVersion               string                  `json:"apiVersion,omitempty"`
	Level                    string                  `json:"level,omitempty"`
	AuditID                  string                  `json:"auditID"`
	Stage                    string                  `json:"stage,omitempty"`
	RequestURI               string                  `json:"requestURI,omitempty"`
	Verb                     string                  `json:"verb,omitempty"`
	User                     User                    `json:"user"`
	ImpersonatedUser         *User                   `json:"impersonatedUser,omitempty"`
	AuthenticationMetadata   *AuthenticationMetadata `json:"authenticationMetadata,omitempty"`
	SourceIPs                []string                `json:"sourceIPs,omitempty"`
	UserAgent                string                  `json:"userAgent,omitempty"`
	ObjectRef                *ObjectRef              `json:"objectRef,omitempty"`
	ResponseStatus           *ResponseStatus         `json:"responseStatus,omitempty"`
	RequestObject            json.RawMessage         `json:"requestObject,omitempty"`
	ResponseObject           json.RawMessage         `json:"responseObject,omitempty"`
	RequestReceivedTimestamp time.Time               `json:"requestReceivedTimestamp,omitzero"`
	StageTimestamp           time.Time               `json:"stageTimestamp,omitzero"`
	Annotations              map[string]string       `json:"annotations,omitempty"`
}

// User is who made the request, or who was impersonated.
type User struct {
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// AuthenticationMetadata is the newer part of the event about constrained impersonation.
type AuthenticationMetadata struct {
	ImpersonationConstraint string `json:"impersonationConstraint,omitempty"`
}

// ObjectRef names the object of the request. APIGroup is empty for the core group.
type ObjectRef struct {
	Resource        string `json:"resource,omitempty"`
	Namespace       string `json:"namespace,omitempty"`
	Name            string `json:"name,omitempty"`
	UID             string `json:"uid,omitempty"`
	APIGroup        string `json:"apiGroup,omitempty"`
	APIVersion      string `json:"apiVersion,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	Subresource     string `json:"subresource,omitempty"`
}

// ResponseStatus is the API server's answer. Code is an HTTP status; zero means that none was reported.
type ResponseStatus struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Code    int    `json:"code,omitempty"`
}
