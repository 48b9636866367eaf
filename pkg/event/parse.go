package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads one audit event into its typed form, which owns its bytes. Shippers change types on the way,
// so it takes what can be understood (a list as one text, a code as text or fraction, an annotation that
// is no text) and leaves out what cannot. It fails only if canonical is no JSON object.
func Parse(canonical []byte) (*Event, error) {
	fields, err := object(canonical)
	if err != nil {
		return nil, err
	}
	e := &Event{
		Kind:                     text(fields["kind"]),
		APIVersion:               text(fields["apiVersion"]),
		Level:                    text(fields["level"]),
		AuditID:                  text(fields["auditID"]),
		Stage:                    text(fields["stage"]),
		RequestURI:               text(fields["requestURI"]),
		Verb:                     text(fields["verb"]),
		SourceIPs:                list(fields["sourceIPs"], ", "),
		UserAgent:                text(fields["userAgent"]),
		RequestObject:            body(fields["requestObject"]),
		ResponseObject:           body(fields["responseObject"]),
		RequestReceivedTimestamp: timestamp(fields["requestReceivedTimestamp"]),
		StageTimestamp:           timestamp(fields["stageTimestamp"]),
		ObjectRef:                objectRef(fields["objectRef"]),
		ResponseStatus:           responseStatus(fields["responseStatus"]),
		Annotations:              annotations(fields["annotations"]),
	}
	if e.Kind == "" {
		e.Kind = "Event" // items of an EventList carry neither
	}
	if e.APIVersion == "" {
		e.APIVersion = "audit.k8s.io/v1"
	}
	if u := user(fields["user"]); u != nil {
		e.User = *u
	}
	e.ImpersonatedUser = user(fields["impersonatedUser"])
	if meta, err := object(fields["authenticationMetadata"]); err == nil {
		e.AuthenticationMetadata = &AuthenticationMetadata{ImpersonationConstraint: text(meta["impersonationConstraint"])}
	}
	return e, nil
}

var errNoObject = errors.New("an audit event must be a JSON object")

// object splits a JSON object into its members; the last of several with one name counts.
func object(raw []byte) (map[string]json.RawMessage, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil, errNoObject
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("an audit event is not valid JSON: %w", plain(err))
	}
	return fields, nil
}

// plain keeps what encoding/json quotes from the event out of the error.
func plain(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("syntax error at byte %d", syntax.Offset)
	}
	return errors.New("wrong type")
}

// text reads a scalar as text: absent and null are empty, other values are their JSON.
func text(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// list reads a list of scalars; a single one is a list of one, or of several where cut separates them.
func list(raw json.RawMessage, cut string) []string {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var items []json.RawMessage
	if raw[0] == '[' && json.Unmarshal(raw, &items) == nil {
		var out []string
		for _, item := range items {
			out = append(out, text(item))
		}
		return out
	}
	one := text(raw)
	if cut != "" {
		return strings.FieldsFunc(one, func(r rune) bool { return strings.ContainsRune(cut, r) })
	}
	if one == "" {
		return nil
	}
	return []string{one}
}

// body owns its bytes; null is no body.
func body(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return bytes.Clone(raw)
}

// timestamp is zero where the value is none.
func timestamp(raw json.RawMessage) time.Time {
	t, _ := ParseTime(text(raw))
	return t
}

func user(raw json.RawMessage) *User {
	fields, err := object(raw)
	if err != nil {
		if name := text(raw); len(raw) > 0 && raw[0] == '"' && name != "" {
			return &User{Username: name}
		}
		return nil
	}
	u := &User{Username: text(fields["username"]), UID: text(fields["uid"]), Groups: list(fields["groups"], "")}
	extra, err := object(fields["extra"])
	if err != nil || len(extra) == 0 {
		return u
	}
	u.Extra = make(map[string][]string, len(extra))
	for name, values := range extra {
		if real, ok := AnnotationName(name); ok {
			name = real
		}
		u.Extra[name] = list(values, "")
	}
	return u
}

func objectRef(raw json.RawMessage) *ObjectRef {
	fields, err := object(raw)
	if err != nil {
		return nil
	}
	return &ObjectRef{
		Resource: text(fields["resource"]), Namespace: text(fields["namespace"]), Name: text(fields["name"]),
		UID: text(fields["uid"]), APIGroup: text(fields["apiGroup"]), APIVersion: text(fields["apiVersion"]),
		ResourceVersion: text(fields["resourceVersion"]), Subresource: text(fields["subresource"]),
	}
}

func responseStatus(raw json.RawMessage) *ResponseStatus {
	fields, err := object(raw)
	if err != nil {
		return nil
	}
	return &ResponseStatus{
		Status: text(fields["status"]), Message: text(fields["message"]), Reason: text(fields["reason"]),
		Code: code(text(fields["code"])),
	}
}

// code reads an HTTP status written as 403, 403.0, 4.03e2 or "403"; zero if it is none.
func code(s string) int {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || f != math.Trunc(f) || f < 0 || f > 999 {
		return 0
	}
	return int(f)
}

// annotations gives names freed of dots their real spelling, and flattens what a shipper has nested at
// the dots.
func annotations(raw json.RawMessage) map[string]string {
	fields, err := object(raw)
	if err != nil || len(fields) == 0 {
		return nil
	}
	out := make(map[string]string, len(fields))
	flatten(out, "", fields, 8)
	return out
}

func flatten(out map[string]string, prefix string, fields map[string]json.RawMessage, depth int) {
	for name, raw := range fields {
		name = prefix + name
		if nested, err := object(raw); err == nil && depth > 0 {
			flatten(out, name+".", nested, depth-1)
			continue
		}
		if real, ok := AnnotationName(name); ok {
			name = real
		}
		out[name] = text(raw)
	}
}

// Outcome is success (code below 400), failure, or unknown (no code). The authorization decision plays no
// part: an allowed request can fail.
func (e *Event) Outcome() string {
	switch {
	case e.ResponseStatus == nil || e.ResponseStatus.Code <= 0:
		return "unknown"
	case e.ResponseStatus.Code < 400:
		return "success"
	}
	return "failure"
}

// Decision is allow or forbid, empty where authorization was not asked or is not reported.
func (e *Event) Decision() string { return e.Annotations[AnnotationDecision] }

// query gives the values of a query parameter in order. A part that is not well-formed is taken as it
// stands rather than dropped: what cannot be decoded was still sent.
func (e *Event) query(name string) []string {
	_, raw, _ := strings.Cut(e.RequestURI, "?")
	var values []string
	for part := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(part, "=")
		if unescape(key) == name {
			values = append(values, unescape(value))
		}
	}
	return values
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// DryRun is true if the request asked to change nothing: in its query, in the options that a delete has as
// its body, or by what GKE reports instead of the query.
func (e *Event) DryRun() bool {
	if slices.Contains(e.query("dryRun"), "All") {
		return true
	}
	if IsDryRunLabel(e.Annotations[AnnotationDryRun]) {
		return true
	}
	if e.Verb == "delete" || e.Verb == "deletecollection" {
		if options, err := object(e.RequestObject); err == nil {
			if slices.Contains(list(options["dryRun"], ""), "All") {
				return true
			}
		}
	}
	return false
}
