package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

// hostileTexts are what an attacker may put into names, agents and paths.
var hostileTexts = []string{
	"\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x1b\\link", "line\nbreak", "over\rwritten", "tab\tbed", "back\b\b\bspace",
	"\u009b31mC1", "\u0085next", "\u202egnp.exe", "\u2066isolate\u2069", "zero\u200bwidth\u200d\ufeff", "sep\u2028arator\u2029", "nul\x00byte", "del\x7f",
	"bad\xff\xfeutf8", "tags\U000e0041\U000e007f", "filler\u3164", strings.Repeat("\u0301", 500) + "zalgo", strings.Repeat("長い", 300), strings.Repeat("x", 5000),
	`=cmd|'/c calc'!A1`, "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", " =1+1", "\uff1d1+1", `"=1+1`, "a,b\"c",
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "javascript:alert(1)", "{{.}}", "<!--", "]]>", "</style><style>*{display:none}",
	"%s%n%d", "${jndi:ldap://x}", "`id`",
}

// actsOnTerminals is written apart from the code under test, by Unicode categories.
func actsOnTerminals(r rune) bool {
	return r != '\n' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co) || r == 0x3164)
}

func checkClean(t *testing.T, what, out string) {
	t.Helper()
	if !utf8.ValidString(out) {
		t.Errorf("%s is no UTF-8", what)
	}
	for i, r := range out {
		if actsOnTerminals(r) {
			t.Fatalf("%s holds %U: %q", what, r, out[max(0, i-40):min(len(out), i+40)])
		}
	}
}

// hostileFinding has text in every place that an event can fill.
func hostileFinding(t testing.TB, text string, level sigma.Level, n int) *finding.Finding {
	t.Helper()
	ev := &event.Event{
		AuditID: fmt.Sprint(text, n), Verb: text, RequestURI: "/" + text + "?command=" + text, User: event.User{Username: text, Groups: []string{text}, Extra: map[string][]string{"sessionName": {text}, "arn": {"arn:aws:sts::" + text + ":assumed-role/" + text + "/x"}, text: {text}}},
		ImpersonatedUser: &event.User{Username: text}, SourceIPs: []string{text}, UserAgent: text, Annotations: map[string]string{text: text},
		ObjectRef:      &event.ObjectRef{Resource: text, Namespace: text, Name: text, Subresource: "exec"},
		ResponseStatus: &event.ResponseStatus{Message: text, Reason: text}, StageTimestamp: time.Date(2026, 1, 2, 3, 4, n%60, 0, time.UTC),
	}
	env := &event.Envelope{Format: text, Provider: text, Cluster: event.Cluster{ID: text, Name: text}}
	m := &engine.Match{Rule: &sigma.Rule{ID: text, Title: text, Foretop: &sigma.Extension{Reason: "{user.username} {userAgent} {objectRef.name}", Respond: text}}, Level: level, Count: 2, Elements: []engine.Element{
		{Category: "container", Name: text, Path: text, Fields: map[string][]string{"user.username": {text}, "userAgent": {text}, "objectRef.name": {text}}, Evidence: []engine.Evidence{{Selection: text, Field: "userAgent", Values: []string{text}}}},
	}}
	return builder.Build(ev, env, m, pipeline.Origin{Source: text, Stream: text, Pos: text})
}

func hostileQuality() *Quality {
	q := &Quality{Malformed: map[string]int64{}, Skipped: map[string]int64{}, Suppressed: map[string]int64{}, Controlled: map[string]int64{}, Panics: map[string]int64{}, Waiting: map[string]string{}, Blind: map[engine.Blind]int64{}, Traffic: &Traffic{}}
	for i, text := range hostileTexts {
		q.Malformed[text], q.Skipped[text], q.Suppressed[text], q.Controlled[text], q.Panics[text] = 1, 1, 1, 1, 1
		q.Waiting[text], q.Blind[engine.Blind{Rule: text, Field: text}] = text, int64(i)
		q.CannotFire = append(q.CannotFire, CannotFire{text, text})
		q.Unreadable = append(q.Unreadable, text)
		q.DeadLetters = text
		env := &event.Envelope{Format: text, Provider: text, Cluster: event.Cluster{Name: text}}
		for n := range 300 {
			at := time.Unix(1_770_000_000+int64(n)*10, 0)
			if n > 150 {
				at = at.Add(5 * time.Hour)
			}
			q.Traffic.Observe(env, text, at)
		}
	}
	return q
}

func TestNothingHostileReachesAnOutput(t *testing.T) {
	s := NewSummary()
	var table, page bytes.Buffer
	table.Write(append(CSVTitles(), '\n'))
	for i, text := range hostileTexts {
		f := hostileFinding(t, text, sigma.Level(i%5), i)
		s.Add(f)
		table.Write(append(CSVLine(f), '\n'))
		checkClean(t, "the document of "+text, string(f.Document().Body))
	}
	for _, width := range []int{1, 40, 80, 200} {
		var out bytes.Buffer
		s.Text(NewPrinter(&out, PrinterOptions{Width: width}), hostileQuality())
		checkClean(t, "the summary", out.String())
		for line := range strings.Lines(out.String()) {
			if w := displayWidth(strings.TrimSuffix(line, "\n")); w > max(width, minWidth) && strings.Contains(line, "  ") {
				t.Errorf("a line is %d columns wide, with room for %d: %q", w, width, line)
			}
		}
	}
	checkClean(t, "the CSV", table.String())
	checkFormulas(t, table.String())
	if err := s.HTML(&page, hostileQuality(), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	checkClean(t, "the page", page.String())
	checkPage(t, page.String())
}

func checkFormulas(t *testing.T, text string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(hostileTexts)+1 {
		t.Errorf("%d lines for %d findings", len(rows), len(hostileTexts))
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\uff1d\uff0b\uff0d\uff20|%", []rune(strings.TrimLeft(cell, " "))[0]) {
				t.Errorf("a spreadsheet takes %q for a formula", cell)
			}
		}
	}
}

var tags = regexp.MustCompile(`<(/?[a-z!A-Z0-9-]+)`)

// checkPage holds the page to the few elements that its template uses, and its policy to its style.
func checkPage(t *testing.T, page string) {
	t.Helper()
	known := strings.Fields("!DOCTYPE html head meta title style body h1 h2 p dl dt dd table thead tbody tr th td details summary span ol li article code")
	for _, m := range tags.FindAllStringSubmatch(page, -1) {
		if !slices.Contains(known, strings.TrimPrefix(m[1], "/")) {
			t.Errorf("the page has an element %q", m[1])
		}
	}
	for _, attr := range []string{"onerror=", "href=", "src=", "style=", "http://", "url(", "@import"} {
		for _, at := range regexp.MustCompile(`<[^>]*`+regexp.QuoteMeta(attr)).FindAllString(page, -1) {
			t.Errorf("an element has %s: %s", attr, at)
		}
	}
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, ok := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	hash := strings.ReplaceAll(base64.StdEncoding.EncodeToString(sum[:]), "+", "&#43;")
	if !ok || !strings.Contains(page, "default-src &#39;none&#39;; style-src &#39;sha256-"+hash+"&#39;") {
		t.Error("the policy does not fit the style sheet: a browser would refuse it")
	}
}

// planted are secrets of every kind; each is unique.
var planted = map[string]string{
	"jwt":      "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.cGxhbnRlZC1zaWduYXR1cmU",
	"password": "planted-password-1", "env": "planted-env-2", "data": "cGxhbnRlZC1kYXRhLTM=", "stringData": "planted-stringdata-4", "configmap": "planted-configmap-5",
	"token": "planted-token-6", "argument": "planted-argument-7", "query": "planted-query-8", "annotation": "planted-annotation-9", "applied": "planted-applied-10",
	"bearer": "planted-bearer-11", "github": "ghp_plantedplantedplantedplantedplanted12", "aws": "AKIAPLANTEDPLANTED13", "url": "planted-url-14", "csr": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNUcGxhbnRlZA==",
	"extra": "planted-extra-16", "message": "planted-message-17", "bundle": "cGxhbnRlZC1idW5kbGUtMTg=", "docker": "planted-docker-19",
}

func plantedEvents() []*event.Event {
	p := planted
	base := func(resource, sub, body string) *event.Event {
		return &event.Event{
			AuditID: resource + sub, Verb: "create", StageTimestamp: time.Unix(1_770_000_000, 0),
			RequestURI: "/api/v1/" + resource + "?access_token=" + p["query"] + "&command=sh&command=-c&command=curl+--token+" + p["argument"] + "+https://u:" + p["url"] + "@x/&x=" + p["jwt"],
			User:       event.User{Username: "u", Extra: map[string][]string{"example.com/session-token": {p["extra"]}, "note": {"Bearer " + p["bearer"]}, "arn": {"arn:aws:sts::1:assumed-role/" + p["jwt"] + "/" + p["github"]}}},
			// Whoever may impersonate chooses all of it.
			ImpersonatedUser: &event.User{Username: p["jwt"], UID: "Bearer " + p["bearer"], Groups: []string{p["github"]}, Extra: map[string][]string{
				"arn": {p["jwt"]}, "canonicalArn": {"arn:aws:iam::1:role/" + p["jwt"]}, "accessKeyId": {p["github"]}, "sessionName": {"Bearer " + p["bearer"]}, "principalId": {p["jwt"]},
				"oid": {p["jwt"]}, "example.com/credential-id": {p["jwt"]}, "example.com/pod-name": {p["github"]}, "aws/sessionToken": {p["extra"]},
			}},
			UserAgent:      "agent/" + p["github"] + " password=" + p["password"],
			ObjectRef:      &event.ObjectRef{Resource: resource, Subresource: sub, Namespace: "n", Name: "x"},
			ResponseStatus: &event.ResponseStatus{Code: 422, Message: "invalid: token=" + p["message"] + " " + p["aws"]},
			Annotations:    map[string]string{"example.com/api-token": p["annotation"], "x": `{"password":"` + p["password"] + `"}`},
			RequestObject:  json.RawMessage(body), ResponseObject: json.RawMessage(body),
		}
	}
	meta := `"metadata":{"name":"x","labels":{"a":"b"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"stringData\":{\"a\":\"` + p["applied"] + `\"}}"}}`
	return []*event.Event{
		base("secrets", "", `{"kind":"Secret",`+meta+`,"data":{"a":"`+p["data"]+`",".dockerconfigjson":"`+p["docker"]+`"},"stringData":{"b":"`+p["stringData"]+`"}}`),
		base("configmaps", "", `{"kind":"ConfigMap",`+meta+`,"data":{"a":"`+p["configmap"]+`"}}`),
		base("pods", "", `{"kind":"Pod",`+meta+`,"spec":{"containers":[{"name":"c","image":"x","env":[{"name":"A","value":"`+p["env"]+`"}],"args":["--token","`+p["argument"]+`","Bearer `+p["bearer"]+`"],"command":["sh","-c","curl -H 'Authorization: Bearer `+p["bearer"]+`'"]}]}}`),
		base("pods", "exec", ""),
		base("serviceaccounts", "token", `{"kind":"TokenRequest","status":{"token":"`+p["token"]+`"}}`),
		base("tokenreviews", "", `{"kind":"TokenReview","spec":{"token":"`+p["token"]+`"}}`),
		base("certificatesigningrequests", "", `{"kind":"CertificateSigningRequest","spec":{"request":"`+p["csr"]+`"}}`),
		base("mutatingwebhookconfigurations", "", `{"kind":"MutatingWebhookConfiguration","webhooks":[{"clientConfig":{"caBundle":"`+p["bundle"]+`","url":"https://u:`+p["url"]+`@hook/"}}]}`),
	}
}

// leaves lists every string of a JSON value by the path that a rule would name it by.
func leaves(v any, path string, out map[string][]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			leaves(e, path+"."+k, out)
		}
	case []any:
		for _, e := range v {
			leaves(e, path, out)
		}
	case string:
		out[path] = append(out[path], v)
	}
}

func TestPlantedSecretsReachNoOutput(t *testing.T) {
	s := NewSummary()
	var table, text, page, documents bytes.Buffer
	table.Write(append(CSVTitles(), '\n'))
	withBodies := finding.NewBuilder(finding.Options{IncludeBodies: true})
	for _, ev := range plantedEvents() {
		// Evidence is everything there is, under every name that a rule may use.
		fields := map[string][]string{
			"userAgent": {ev.UserAgent}, "requestURI": {ev.RequestURI}, "responseStatus.message": {ev.ResponseStatus.Message},
			"exec.command":               {"sh -c curl --token " + planted["argument"] + " https://u:" + planted["url"] + "@x/"},
			"request.query.access_token": {planted["query"]}, "user.username": {"u"}, "user.effective.username": {planted["jwt"]},
		}
		for root, raw := range map[string]json.RawMessage{"requestObject": ev.RequestObject, "responseObject": ev.ResponseObject} {
			var body any
			if len(raw) > 0 {
				if err := json.Unmarshal(raw, &body); err != nil {
					t.Fatal(err)
				}
			}
			leaves(body, root, fields)
		}
		for k, v := range ev.Annotations {
			fields["annotations."+k] = []string{v}
		}
		element, template := engine.Element{Fields: fields}, "x"
		for _, field := range slices.Sorted(func(yield func(string) bool) {
			for f := range fields {
				if !yield(f) {
					return
				}
			}
		}) {
			element.Evidence = append(element.Evidence, engine.Evidence{Field: field, Values: fields[field]})
			if strings.HasPrefix(field, "requestObject.spec.containers.") {
				derived := strings.Replace(field, "requestObject.spec.containers.", "container.", 1)
				element.Evidence = append(element.Evidence, engine.Evidence{Field: derived, Values: fields[field]})
			}
			template += " {" + field + "}"
		}
		for _, reason := range []string{template, "{exec.command} {request.query.access_token} {requestURI}", "{user.effective.username} reads", "{user.username} reads", ""} {
			m := &engine.Match{Rule: &sigma.Rule{ID: reason, Title: "T", Foretop: &sigma.Extension{Reason: reason}}, Elements: []engine.Element{element}, Count: 1}
			f := withBodies.Build(ev, &event.Envelope{}, m, pipeline.Origin{})
			documents.Write(f.Document().Body)
			s.Add(f)
			table.Write(append(CSVLine(f), '\n'))
		}
		item, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := json.Marshal(map[string]string{"log": string(item)})
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range [][]byte{item, wrapped, item[:len(item)*2/3], wrapped[:len(wrapped)*2/3]} {
			documents.Write(finding.Redact(letter))
		}
	}
	s.Text(NewPrinter(&text, PrinterOptions{Width: 1000}), &Quality{})
	if err := s.HTML(&page, &Quality{}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	for what, out := range map[string]string{"documents": documents.String(), "the CSV": table.String(), "the summary": text.String(), "the page": page.String()} {
		if len(out) < 1000 {
			t.Errorf("%s is suspiciously short: %q", what, out)
		}
		for kind, secret := range planted {
			if i := strings.Index(out, secret); i >= 0 {
				t.Errorf("%s holds the %s: ...%s", what, kind, out[max(0, i-80):min(len(out), i+40)])
			}
		}
	}
}
