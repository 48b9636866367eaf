package engine

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/event"
)

// pathOnly is an event of a provider that reports the path of a request without its query, and answers in
// gRPC's codes.
const pathOnly = `{"stage":"ResponseComplete","verb":"patch","requestURI":"/api/v1/namespaces/n/pods/p","user":{"username":"u"},"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`

func TestALostQueryIsUnknownAndThePathIsNot(t *testing.T) {
	env := &event.Envelope{Missing: []string{"request.query", "user.groups"}, Inferred: []string{"requestURI"}}
	for item, want := range map[string]string{
		"requestURI|startswith: /api/v1/namespaces/n/":             "match",
		"requestURI|contains: pods":                                "match",
		"requestURI|re: ^/api/v1/.*pods/p":                         "match",
		"requestURI|exists: true":                                  "match",
		"requestURI: /api/v1/namespaces/n/pods/p":                  "blind",
		"requestURI|re: pods/p$":                                   "blind",
		"requestURI|endswith: pods/p":                              "blind",
		"requestURI|contains: command=":                            "blind",
		"requestURI|neq: /x?a=b":                                   "match",
		"requestURI: /api/v1/namespaces/n/pods/p?x=y":              "blind",
		"requestURI: '*pods/p?x=*'":                                "blind",
		"requestURI: /api/v1/secrets":                              "no",
		"requestURI|startswith: /api/v1/watch/":                    "no",
		"requestURI|startswith: /api/v1/namespaces/n/pods/p?limit": "blind",
		"requestURI: '/apis/*/x?y=*'":                              "no",
		"requestURI: null":                                         "no",
		"requestURI|exists: false":                                 "no",
		"request.path: /api/v1/namespaces/n/pods/p":                "match",
		"request.path: /x":                                         "no",
		"request.query.x: y":                                       "blind",
		"exec.command|contains: sh":                                "blind",
		"exec.container: c":                                        "blind",
		"dryRun: false":                                            "match",
		"dryRun: true":                                             "no",
		"outcome: failure":                                         "no",
		"outcome: success":                                         "match",
	} {
		if got := fate(judgeIn(compile(t, thirdParty("s:\n  verb: patch\n  "+item+"\ncondition: s")), pathOnly, env)); got != want {
			t.Errorf("%s: %s, want %s", item, got, want)
		}
	}
}

func TestAnInferredCodeStandsForThoseThatTheProviderCannotTellApart(t *testing.T) {
	env := &event.Envelope{Inferred: []string{"responseStatus.code"}}
	for item, want := range map[string]string{
		"responseStatus.code: 201":        "blind",
		"responseStatus.code: [201, 500]": "blind",
		"responseStatus.code: 200":        "match",
		"responseStatus.code: 403":        "no",
		"responseStatus.code|gte: 400":    "no",
		"responseStatus.code|lt: 300":     "match",
	} {
		set := compile(t, thirdParty("s:\n  verb: patch\n  "+item+"\ncondition: s"))
		if got := fate(judgeIn(set, pathOnly, env)); got != want {
			t.Errorf("%s: %s, want %s", item, got, want)
		}
		if got := fate(judge(set, pathOnly)); got == "blind" {
			t.Errorf("%s: blind on a code that the API server gave", item)
		}
	}
}

func fate(v *Verdict) string {
	switch {
	case len(v.Matches) > 0:
		return "match"
	case len(v.Blind) > 0:
		return "blind"
	}
	return "no"
}

func TestDryRunMeansTheSameToTheEngineAndTheEvent(t *testing.T) {
	set := compile(t, thirdParty("s: {dryRun: true}\ncondition: s"))
	queries := rapid.SampledFrom([]string{"", "?dryRun=All", "?a=b&dry%52un=All", "?dryRun=", "?dryRun=all", "?dryRun=All&dryRun=x", "?xdryRun=All", "?dryRun=%41ll", "?dryRun"})
	verbs := rapid.SampledFrom([]string{"create", "delete", "deletecollection", "patch"})
	bodies := rapid.SampledFrom([]string{"null", `{}`, `{"dryRun":["All"]}`, `{"dryRun":"All"}`, `{"dryRun":["x","All"]}`, `{"dryRun":[]}`, `{"dryRun":true}`, `[{"dryRun":["All"]}]`})
	labels := rapid.SampledFrom([]string{`{}`, `null`, `{"command.gke.io/dryRun":"All"}`, `{"command.gke.io/dryRun":"true"}`, `{"command.gke.io/dryRun":"false"}`,
		`{"command.gke.io/dryRun":""}`, `{"command_gke_io/dryRun":"All"}`, `{"x/dryRun":"All"}`})
	rapid.Check(t, func(t *rapid.T) {
		doc := `{"verb":"` + verbs.Draw(t, "verb") + `","requestURI":"/x` + queries.Draw(t, "query") + `","requestObject":` + bodies.Draw(t, "body") + `,"annotations":` + labels.Draw(t, "labels") + `}`
		ev, err := event.Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(judge(set, doc).Matches) == 1; got != ev.DryRun() {
			t.Fatalf("engine %v, event %v: %s", got, ev.DryRun(), doc)
		}
	})
}

func TestDerivedFieldsOfARequest(t *testing.T) {
	const exec = `{"verb":"get","requestURI":"/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=cat+%2Fetc%2Fshadow%20x&container=c&command=%zz","objectRef":{"resource":"pods","subresource":"exec"}}`
	for _, c := range []struct{ doc, field, want string }{
		{exec, "exec.command", "sh -c cat /etc/shadow x %zz"},
		{exec, "exec.container", "c"},
		{`{"requestURI":"/x/attach?container=c","objectRef":{"subresource":"attach"}}`, "exec.container", "c"},
		{`{"requestURI":"/x?command=sh&container=c","objectRef":{"resource":"pods"}}`, "exec.command", ""},
		{`{"requestURI":"/x?command=sh&container=c","objectRef":{"resource":"pods"}}`, "exec.container", ""},
		{`{"objectRef":{"name":"a"},"responseObject":{"metadata":{"name":"b"}}}`, "object.name", "a"},
		{`{"objectRef":{},"responseObject":{"metadata":{"name":"b"}}}`, "object.name", "b"},
		{`{"responseObject":{"kind":"Status","metadata":{}},"requestObject":{"metadata":{"name":"c"}}}`, "object.name", "c"},
		{`{"requestObject":{"metadata":"x"},"responseObject":{"metadata":{"name":null}},"objectRef":{"name":""}}`, "object.name", ""},
		{`{"requestURI":"/"}`, "request.path", "/"},
		{`{"requestURI":"/api/v1/pods?limit=5"}`, "request.path", "/api/v1/pods"},
		{`{"requestURI":"/api//v1/../v1/%70ods/"}`, "request.path", "/api/v1/pods"},
		{`{"requestURI":"/%zz?x"}`, "request.path", "/%zz"},
		{`{"requestURI":""}`, "request.path", "/"},
		{`{"requestURI":"?x=1"}`, "request.path", "/"},
		{`{"requestURI":"api?x=1"}`, "request.path", "/api"},
		{`{"requestURI":null}`, "request.path", ""},
		{`{"user":{"username":"u"},"impersonatedUser":{"username":"i"}}`, "user.effective.username", "i"},
		{`{"user":{"username":"u"},"impersonatedUser":{}}`, "user.effective.username", "u"},
	} {
		set := compile(t, thirdParty("s: {"+c.field+": '*'}\ncondition: s"))
		j := set.NewJudge()
		j.env, j.verdict = envelope(), new(Verdict)
		j.scanHeader(parsed(&j.index, []byte(c.doc)))
		if got := strings.Join(j.values(event.Request, c.field), "|"); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.field, c.doc, got, c.want)
		}
	}
}
