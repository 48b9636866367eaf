package envelopes

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// event is what a Cloud Audit entry takes from an audit event.
type event struct {
	AuditID, Stage, RequestURI, Verb, UserAgent, StageTimestamp string

	User           struct{ Username string }
	SourceIPs      []string
	ObjectRef      *struct{ Resource, Namespace, Name, APIGroup, APIVersion, Subresource string }
	ResponseStatus struct {
		Code    int
		Message string
	}
	RequestObject, ResponseObject json.RawMessage
	Annotations                   map[string]string
}

// grpcCodes are the codes that Google's audit entries have for HTTP's.
var grpcCodes = map[int]int{101: 2, 400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 410: 11, 422: 3, 429: 8, 500: 13, 503: 14, 504: 4}

// logEntry is the event as Cloud Logging has it: as far as an audit entry can say it.
func logEntry(text []byte) (any, error) {
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	method, resource, err := e.names()
	if err != nil {
		return nil, err
	}
	info := object{"permission": method, "resource": resource}
	if e.ResponseStatus.Code < 300 {
		info["granted"] = true
	}
	status := object{}
	if code, ok := grpcCodes[e.ResponseStatus.Code]; ok {
		status["code"] = code
		if e.ResponseStatus.Message != "" {
			status["message"] = e.ResponseStatus.Message
		}
	}
	caller := object{"callerSuppliedUserAgent": e.UserAgent + ",gzip(gfe)"}
	if len(e.SourceIPs) > 0 {
		caller["callerIp"] = e.SourceIPs[len(e.SourceIPs)-1]
	}
	payload := object{
		"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": method, "resourceName": resource,
		"authenticationInfo": object{"principalEmail": e.User.Username}, "authorizationInfo": []any{info}, "status": status, "requestMetadata": caller,
	}
	if body := withType(e.RequestObject, e.Verb == "patch"); body != nil {
		payload["request"] = body
	}
	if body := withType(e.ResponseObject, false); body != nil {
		payload["response"] = body
	}
	operation := object{"id": e.AuditID, "producer": "k8s.io", "first": true, "last": true}
	if e.Stage == "ResponseStarted" {
		delete(operation, "last")
	}
	return object{
		"insertId": e.AuditID, "logName": "projects/demo/logs/cloudaudit.googleapis.com%2Factivity", "operation": operation, "protoPayload": payload,
		"resource": object{"type": "k8s_cluster", "labels": object{"cluster_name": "prod", "location": "europe-west1", "project_id": "demo"}},
		"labels":   e.Annotations, "timestamp": e.StageTimestamp, "receiveTimestamp": "2026-03-04T10:15:20.123456789Z",
	}, nil
}

// names gives methodName and resourceName.
func (e *event) names() (method, resource string, err error) {
	uri, err := url.Parse(e.RequestURI)
	if err != nil {
		return "", "", err
	}
	ref := e.ObjectRef
	if ref == nil {
		return "io.k8s." + e.Verb, strings.TrimPrefix(uri.Path, "/"), nil
	}
	group := strings.Split(strings.TrimSuffix(ref.APIGroup, ".k8s.io"), ".")
	slices.Reverse(group)
	method = strings.Join(group, ".")
	path := []string{ref.APIGroup, ref.APIVersion}
	switch {
	case ref.APIGroup == "":
		method, path[0] = "io.k8s.core", "core"
	case strings.HasSuffix(ref.APIGroup, ".k8s.io"), !strings.Contains(ref.APIGroup, "."):
		method = "io.k8s." + method
	}
	if ref.Namespace != "" && ref.Resource != "namespaces" {
		path = append(path, "namespaces", ref.Namespace)
	}
	words := []string{method, ref.APIVersion, ref.Resource, ref.Subresource, e.Verb}
	path = append(path, ref.Resource, ref.Name, ref.Subresource)
	empty := func(s string) bool { return s == "" }
	return strings.Join(slices.DeleteFunc(words, empty), "."), strings.Join(slices.DeleteFunc(path, empty), "/"), nil
}

// withType is a body with the type that Cloud Logging writes into it; an entry has no place for a body that is no object.
func withType(body json.RawMessage, patch bool) json.RawMessage {
	rest, ok := bytes.CutPrefix(body, []byte("{"))
	if !ok || len(rest) < 2 {
		return nil
	}
	name := "core.k8s.io/v1.Object"
	if patch {
		name = "k8s.io/Patch"
	}
	return slices.Concat([]byte(`{"@type":"`+name+`",`), rest)
}
