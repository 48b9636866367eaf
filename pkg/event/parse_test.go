package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, doc string) *Event {
	t.Helper()
	e, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseReadsAWholeEvent(t *testing.T) {
	doc := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete",
		"requestURI":"/api/v1/namespaces/n/pods?x=1","verb":"create",
		"user":{"username":"u","uid":"7","groups":["g1","g2"],"extra":{"example.com/key":["v1","v2"]}},
		"impersonatedUser":{"username":"i","groups":["h"]},"authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"},
		"sourceIPs":["1.2.3.4","::1"],"userAgent":"kubectl",
		"objectRef":{"resource":"pods","namespace":"n","name":"p","uid":"8","apiGroup":"","apiVersion":"v1","resourceVersion":"9","subresource":"exec"},
		"responseStatus":{"metadata":{},"status":"Failure","message":"m","reason":"Forbidden","code":403},
		"requestObject":{"a":1},"responseObject":[1],"requestReceivedTimestamp":"2026-03-04T10:15:20.123456Z","stageTimestamp":"2026-03-04T12:15:21+02:00",
		"annotations":{"authorization.k8s.io/decision":"allow"},"future":{"x":1}}`
	want := &Event{
		Kind: "Event", APIVersion: "audit.k8s.io/v1", Level: "RequestResponse", AuditID: "a", Stage: "ResponseComplete",
		RequestURI: "/api/v1/namespaces/n/pods?x=1", Verb: "create",
		User:                   User{Username: "u", UID: "7", Groups: []string{"g1", "g2"}, Extra: map[string][]string{"example.com/key": {"v1", "v2"}}},
		ImpersonatedUser:       &User{Username: "i", Groups: []string{"h"}},
		AuthenticationMetadata: &AuthenticationMetadata{ImpersonationConstraint: "impersonate:user-info"},
		SourceIPs:              []string{"1.2.3.4", "::1"}, UserAgent: "kubectl",
		ObjectRef:      &ObjectRef{Resource: "pods", Namespace: "n", Name: "p", UID: "8", APIVersion: "v1", ResourceVersion: "9", Subresource: "exec"},
		ResponseStatus: &ResponseStatus{Status: "Failure", Message: "m", Reason: "Forbidden", Code: 403},
		RequestObject:  json.RawMessage(`{"a":1}`), ResponseObject: json.RawMessage(`[1]`),
		RequestReceivedTimestamp: time.Date(2026, 3, 4, 10, 15, 20, 123456000, time.UTC),
		StageTimestamp:           time.Date(2026, 3, 4, 10, 15, 21, 0, time.UTC),
		Annotations:              map[string]string{"authorization.k8s.io/decision": "allow"},
	}
	if diff := cmp.Diff(want, parse(t, doc)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseTakesWhatShippersMakeOfTheTypes(t *testing.T) {
	e := parse(t, `{"auditID":7,"user":{"username":"u","groups":"g","extra":{"authentication_kubernetes_io/pod-name":"p","n":[1,true]}},
		"sourceIPs":"1.2.3.4, 5.6.7.8","responseStatus":{"code":"403"},"requestObject":null,"stageTimestamp":null,"requestReceivedTimestamp":"yesterday",
		"annotations":{"authorization_k8s_io/decision":"forbid","authorization_k8s_io_reason":"r","n":1,"o":{"k8s":{"io/x":"y"}},"nil":null}}`)
	want := &Event{
		Kind: "Event", APIVersion: "audit.k8s.io/v1", AuditID: "7",
		User:           User{Username: "u", Groups: []string{"g"}, Extra: map[string][]string{"authentication.kubernetes.io/pod-name": {"p"}, "n": {"1", "true"}}},
		SourceIPs:      []string{"1.2.3.4", "5.6.7.8"},
		ResponseStatus: &ResponseStatus{Code: 403},
		Annotations:    map[string]string{"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": "r", "n": "1", "o.k8s.io/x": "y", "nil": ""},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for doc, code := range map[string]int{`403.0`: 403, `4.03e2`: 403, `"x"`: 0, `403.5`: 0, `-1`: 0, `null`: 0, `1e9`: 0} {
		if got := parse(t, `{"responseStatus":{"code":`+doc+`}}`).ResponseStatus.Code; got != code {
			t.Errorf("code %s is read as %d, want %d", doc, got, code)
		}
	}
	for _, doc := range []string{`{"user":null}`, `{"user":[]}`, `{}`, `{"objectRef":"x","responseStatus":1,"impersonatedUser":7}`} {
		if diff := cmp.Diff(&Event{Kind: "Event", APIVersion: "audit.k8s.io/v1"}, parse(t, doc)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", doc, diff)
		}
	}
}

func TestParseOwnsItsBytes(t *testing.T) {
	doc := []byte(`{"auditID":"abc","requestObject":{"secret":"abc"},"annotations":{"abc":"abc"}}`)
	e, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	copy(doc, bytes.Repeat([]byte("#"), len(doc)))
	if e.AuditID != "abc" || string(e.RequestObject) != `{"secret":"abc"}` || e.Annotations["abc"] != "abc" {
		t.Errorf("the event changed with the buffer: %+v", e)
	}
}

func TestParseErrorsQuoteNothing(t *testing.T) {
	for _, doc := range []string{`["hunter2"]`, `{"auditID":"hunter2"`, `{"auditID":hunter2}`, ``, `"hunter2"`} {
		_, err := Parse([]byte(doc))
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: error %v", doc, err)
		}
	}
}

func TestHelpersOfAFinding(t *testing.T) {
	for doc, want := range map[string]string{
		`{}`: "unknown", `{"responseStatus":{}}`: "unknown", `{"responseStatus":{"code":101}}`: "success",
		`{"responseStatus":{"code":399}}`: "success", `{"responseStatus":{"code":400},"annotations":{"authorization.k8s.io/decision":"allow"}}`: "failure",
	} {
		if got := parse(t, doc).Outcome(); got != want {
			t.Errorf("outcome of %s is %s, want %s", doc, got, want)
		}
	}
	for doc, want := range map[string]bool{
		`{"requestURI":"/x?dryRun=All"}`: true, `{"requestURI":"/x?a=1&dry%52un=All"}`: true, `{"requestURI":"/x?dryRun="}`: false,
		`{"requestURI":"/x"}`: false, `{"annotations":{"command.gke.io/dryRun":"All"}}`: true,
		`{"verb":"delete","requestObject":{"dryRun":["All"]}}`: true, `{"verb":"create","requestObject":{"dryRun":["All"]}}`: false,
	} {
		if got := parse(t, doc).DryRun(); got != want {
			t.Errorf("dry run of %s is %v, want %v", doc, got, want)
		}
	}
}

func TestAnnotationNamesGetTheirDotsBack(t *testing.T) {
	for name, want := range map[string]string{
		"authorization_k8s_io/decision": "authorization.k8s.io/decision", "authorization_k8s_io_decision": "authorization.k8s.io/decision",
		"mutation_webhook_admission_k8s_io/round_0_index_1": "mutation.webhook.admission.k8s.io/round_0_index_1",
		"audit_k8s_io_truncated":                            "audit.k8s.io/truncated",
		"authorization.k8s.io/decision":                     "", "mutation.webhook.admission.k8s.io/round_0_index_1": "", "my_own": "", "plain": "", "": "",
	} {
		got, ok := AnnotationName(name)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", name, got, ok, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	at := func(nanos int) time.Time { return time.Date(2026, 3, 4, 10, 15, 20, nanos, time.UTC) }
	for text, want := range map[string]time.Time{
		"2026-03-04T10:15:20Z": at(0), "2026-03-04T10:15:20.1Z": at(100000000), "2026-03-04T10:15:20.123456Z": at(123456000),
		"2026-03-04T10:15:20.123456789Z": at(123456789), "2026-03-04T10:15:20.1234567891Z": at(123456789), "2026-03-04T12:45:20+02:30": at(0),
		"2026-03-04T08:15:20-0200": at(0), "2026-03-04 10:15:20.123": at(123000000), "2026-03-04t10:15:20z": at(0), "2026-03-04T10:15:20,5Z": at(500000000),
	} {
		if got, ok := ParseTime(text); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "2026-03-04", "2026-13-04T10:15:20Z", "2026-02-30T10:15:20Z", "2026-03-04T24:15:20Z", "2026-03-04T10:15:20.Z", "2026-03-04T10:15:20X",
		"2026-03-04T10:15:20+25:00", "2026-03-04T10:15:20Zx", "2026/03/04 10:15:20", "not a time at all, but long", "20260-3-04T10:15:20Z",
		"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00",
	} {
		if got, ok := ParseTime(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { ParseTime("2026-03-04T10:15:20.123456Z") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"auditID":"a","user":{"extra":{"a":["b"]}},"annotations":{"a":{"b":1}},"requestURI":"/a?b=%zz&dryRun=All"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := Parse(doc)
		if valid := json.Valid(doc) && bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")); valid != (err == nil) {
			t.Fatalf("error %v, valid %v", err, valid)
		}
		if err != nil {
			return
		}
		e.Outcome()
		e.DryRun()
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b); err != nil {
			t.Fatal(err)
		}
	})
}
