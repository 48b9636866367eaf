package app

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// grpcCodes are the codes that Google's audit entries have for HTTP's.
var grpcCodes = map[string]int{"101": 2, "400": 3, "401": 16, "403": 7, "404": 5, "409": 10, "410": 11, "422": 3, "429": 8, "500": 13, "503": 14, "504": 4}

// logEntry writes an event as GKE does: as far as a Cloud Audit entry can say it.
func logEntry(t *testing.T, native []byte) object {
	t.Helper()
	e := parse(native)
	id := e["auditID"]
	uri, err := url.Parse(str(e, "requestURI"))
	if err != nil {
		t.Fatal(err)
	}
	method, resource := gkeNames(e, uri)
	operation := object{"id": id, "producer": "k8s.io", "first": true, "last": true}
	if str(e, "stage") == "ResponseStarted" && str(e, "user", "username") != "" {
		delete(operation, "last")
	} else if isLong(e, uri) {
		delete(operation, "first")
	}
	info := object{"permission": method, "resource": resource}
	code := fmt.Sprint(at(e, "responseStatus", "code"))
	if code < "300" {
		info["granted"] = true
	}
	payload := object{
		"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": method, "resourceName": resource,
		"authenticationInfo": object{}, "authorizationInfo": []any{info}, "status": object{},
		"requestMetadata": object{"callerSuppliedUserAgent": str(e, "userAgent") + ",gzip(gfe)"},
	}
	if name := str(e, "user", "username"); name != "" {
		payload["authenticationInfo"] = object{"principalEmail": name}
	}
	if ips, ok := e["sourceIPs"].([]any); ok && len(ips) > 0 {
		payload["requestMetadata"].(object)["callerIp"] = ips[len(ips)-1]
	}
	if grpc, ok := grpcCodes[code]; ok {
		status := object{"code": grpc}
		if m := str(e, "responseStatus", "message"); m != "" {
			status["message"] = m
		}
		payload["status"] = status
	}
	for from, to := range map[string]string{"requestObject": "request", "responseObject": "response"} {
		if body := gkeBody(e, from); body != nil {
			payload[to] = body
		}
	}
	entry := object{
		"insertId": id, "logName": "projects/demo/logs/cloudaudit.googleapis.com%2Factivity", "operation": operation, "protoPayload": payload,
		"resource":         object{"type": "k8s_cluster", "labels": object{"cluster_name": "prod", "location": "europe-west1", "project_id": "demo"}},
		"timestamp":        e["stageTimestamp"],
		"receiveTimestamp": "2026-03-04T10:15:20.123456789Z",
	}
	labels := object{}
	if a, ok := e["annotations"].(object); ok {
		maps.Copy(labels, a)
	}
	if slices.Contains(uri.Query()["dryRun"], "All") {
		labels["command.gke.io/dryRun"] = "All"
	}
	if len(labels) > 0 && code != "401" {
		entry["labels"] = labels
	}
	return entry
}

// at follows keys through objects.
func at(v any, keys ...string) any {
	for _, k := range keys {
		o, _ := v.(object)
		v = o[k]
	}
	return v
}

func str(v any, keys ...string) string {
	s, _ := at(v, keys...).(string)
	return s
}

// isLong is true for requests that have an entry at their start and one at their end.
func isLong(e object, uri *url.URL) bool {
	switch str(e, "objectRef", "subresource") {
	case "exec", "attach", "portforward":
		return fmt.Sprint(at(e, "responseStatus", "code")) == "101"
	}
	return str(e, "verb") == "watch" && uri.Query().Get("watch") != ""
}

// gkeNames gives methodName and resourceName.
func gkeNames(e object, uri *url.URL) (method, resource string) {
	ref, ok := e["objectRef"].(object)
	verb := str(e, "verb")
	if !ok {
		return "io.k8s." + verb, strings.TrimPrefix(uri.Path, "/")
	}
	group, version, kind, sub := str(ref, "apiGroup"), str(ref, "apiVersion"), str(ref, "resource"), str(ref, "subresource")
	dotted := strings.Split(strings.TrimSuffix(group, ".k8s.io"), ".")
	slices.Reverse(dotted)
	switch {
	case group == "":
		method = "io.k8s.core"
	case strings.HasSuffix(group, ".k8s.io"), !strings.Contains(group, "."):
		method = "io.k8s." + strings.Join(dotted, ".")
	default:
		method = strings.Join(dotted, ".")
	}
	parts := []string{method, version, kind}
	path := []string{group, version}
	if group == "" {
		path[0] = "core"
	}
	name := str(ref, "name")
	if ns := str(ref, "namespace"); ns != "" && kind != "namespaces" {
		path = append(path, "namespaces", ns)
	}
	path = append(path, kind)
	if name != "" {
		path = append(path, name)
	}
	if sub != "" {
		parts, path = append(parts, sub), append(path, sub)
		switch sub {
		case "exec", "attach", "portforward":
			path = append(path, name)
		case "proxy":
			if _, tail, ok := strings.Cut(uri.Path, "/proxy/"); ok {
				path = append(path, tail)
			}
		}
	}
	return strings.Join(append(parts, verb), "."), strings.Join(path, "/")
}

// gkeBody gives a body with the mark of its type. A JSON Patch, being no object, leaves only the mark.
func gkeBody(e object, field string) object {
	if fmt.Sprint(e[field]) == "<nil>" {
		return nil
	}
	typed := object{}
	if body, ok := e[field].(object); ok {
		maps.Copy(typed, body)
	}
	version, kind := str(e[field], "apiVersion"), str(e[field], "kind")
	if !strings.Contains(version, "/") {
		version = "core.k8s.io/" + version
	}
	typed["@type"] = version + "." + kind
	if kind == "Status" {
		typed["@type"] = "core.k8s.io/v1.Status"
	}
	if str(e, "verb") == "patch" && field == "requestObject" {
		typed["@type"] = "k8s.io/Patch"
	}
	return typed
}
