package engine

import (
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

// cutBefore is an event in the order of the API server, up to where the addresses would follow.
const cutBefore = `{"stage":"ResponseComplete","requestURI":"/x","verb":"create","user":{"username":"u","groups":["g"]}`

var cutEnvelope = &event.Envelope{Truncated: true}

// fates judges doc by a rule for each item and compares with fate's words.
func fates(t *testing.T, doc string, env *event.Envelope, want map[string]string) {
	t.Helper()
	for item, want := range want {
		if got := fate(judgeIn(compile(t, thirdParty("s:\n  "+item+"\ncondition: s")), doc, env)); got != want {
			t.Errorf("%s: %s, want %s, on %s", item, got, want, doc)
		}
	}
}

func TestTheClientIsUnknownWithoutTheEndOfTheAddresses(t *testing.T) {
	addresses := cutBefore + `,"sourceIPs":["203.0.113.9"]`
	fates(t, addresses+`}`, cutEnvelope, map[string]string{
		"client.ip: 203.0.113.9": "blind", "client.ip: 192.0.2.1": "blind", "client.address: 203.0.113.9": "blind", "client.forwarded: false": "blind",
		"sourceIPs: 203.0.113.9": "match",
	})
	fates(t, addresses+`,"objectRef":{}}`, cutEnvelope, map[string]string{"client.ip: 203.0.113.9": "match", "client.ip: 192.0.2.1": "no", "client.forwarded: false": "match"})
	fates(t, addresses+`}`, &event.Envelope{Provider: "gke", Missing: []string{"client.forwarded"}}, map[string]string{
		"client.forwarded: false": "blind", "client.forwarded: true": "blind", "client.ip: 203.0.113.9": "match",
	})
	fates(t, cutBefore+`}`, &event.Envelope{Missing: []string{"sourceIPs"}}, map[string]string{"client.forwarded: false": "blind", "client.ip: null": "blind"})
}

func TestTheEffectiveUserIsUnknownWhereAnImpersonatedOneMayLieBehindTheCut(t *testing.T) {
	fates(t, cutBefore+`}`, cutEnvelope, map[string]string{"user.effective.username: u": "blind", "user.effective.groups: g": "blind", "user.username: u": "match"})
	fates(t, cutBefore+`,"sourceIPs":[]}`, cutEnvelope, map[string]string{"user.effective.username: u": "match", "user.effective.groups: g": "match"})
	fates(t, cutBefore+`,"impersonatedUser":{"username":"i"}}`, cutEnvelope, map[string]string{
		"user.effective.username: i": "match", "user.effective.username: u": "blind", "user.effective.groups: g": "blind",
	})
}

func TestWithoutACodeTheOutcomeIsNeitherSuccessNorFailureForCertain(t *testing.T) {
	wanted := map[string]string{"outcome: success": "blind", "outcome: failure": "blind", "outcome: [success, unknown]": "match", "outcome|neq: failure": "blind"}
	fates(t, cutBefore+`}`, cutEnvelope, wanted)
	fates(t, cutBefore+`}`, &event.Envelope{Missing: []string{"responseStatus"}}, wanted)
	fates(t, cutBefore+`,"responseStatus":{"code":201}}`, cutEnvelope, map[string]string{"outcome: success": "match", "outcome: failure": "no", "outcome: unknown": "no"})
	fates(t, cutBefore+`,"responseStatus":{},"requestObject":{}}`, cutEnvelope, map[string]string{"outcome: success": "no", "outcome: unknown": "match"})
}

func TestTheNameIsUnknownWhereItMayLieBehindTheCut(t *testing.T) {
	reference := cutBefore + `,"objectRef":{"resource":"pods"}`
	body := reference + `,"requestObject":{"metadata":{"name":"x"}}`
	fates(t, reference+`}`, cutEnvelope, map[string]string{"object.name: x": "blind", "object.name: null": "blind"})
	fates(t, reference+`,"requestObject":{"metadata":{"generateName":"x-"}}}`, cutEnvelope, map[string]string{"object.name: x": "blind", "object.name: null": "blind"})
	fates(t, body+`}`, cutEnvelope, map[string]string{"object.name: x": "match", "object.name: y": "no"})
	fates(t, reference+`}`, &event.Envelope{BodiesRemoved: true}, map[string]string{"object.name: x": "blind"})
	fates(t, reference+`}`, envelope(), map[string]string{"object.name: x": "no", "object.name: null": "match"})
}

func TestADryRunIsUnknownWhereItsQueryOrItsOptionsAreLost(t *testing.T) {
	remove := strings.Replace(cutBefore, "create", "delete", 1)
	fates(t, cutBefore+`}`, cutEnvelope, map[string]string{"dryRun: false": "match", "dryRun: true": "no"})
	fates(t, remove+`}`, cutEnvelope, map[string]string{"dryRun: false": "blind", "dryRun: true": "blind"})
	fates(t, remove+`,"requestObject":{"dryRun":["All"]}}`, cutEnvelope, map[string]string{"dryRun: false": "no", "dryRun: true": "match"})
	fates(t, remove+`,"requestObject":{},"responseObject":{}}`, cutEnvelope, map[string]string{"dryRun: false": "match"})
	fates(t, remove+`}`, &event.Envelope{BodiesRemoved: true}, map[string]string{"dryRun: false": "blind"})
	fates(t, `{"stage":"ResponseComplete"}`, cutEnvelope, map[string]string{"dryRun: false": "blind"})
	fates(t, cutBefore+`}`, &event.Envelope{Truncated: true, Provider: "gke"}, map[string]string{"dryRun: false": "blind"})
}

func TestNumbersAreThoseOfJSON(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-0": true, "5": true, "-5": true, "10.50": true, "1e3": true, "1E+3": true, "1e-3": true, "0.5": true, "123456789012345678": true, "-0.0e0": true,
		"": false, "-": false, "+5": false, ".5": false, "5.": false, "05": false, "-05": false, "00": false, "1e": false, "1e+": false, "e3": false, " 5": false, "5 ": false,
		"+Inf": false, "Inf": false, "NaN": false, "0x10": false, "0x10p0": false, "1_000": false, "1e999": false, "--1": false, "1.2.3": false, "1e2.5": false,
		strings.Repeat("9", 65): false,
	} {
		if _, ok := parseNumber([]byte(text)); ok != want {
			t.Errorf("%q is a number: %v, want %v", text, ok, want)
		}
	}
	for agent, want := range map[string]string{"+Inf": "no", "9": "match", "1_000": "no", "+9": "no"} {
		fates(t, `{"verb":"get","userAgent":"`+agent+`"}`, envelope(), map[string]string{"userAgent|gte: 5": want})
	}
	fates(t, `{"verb":"get","userAgent":"0x10p0"}`, envelope(), map[string]string{"userAgent: 16": "no"})
}

func TestAnnotationsThatAreNoTextAreAbsent(t *testing.T) {
	for _, value := range []string{"null", "{}", `["allow"]`} {
		fates(t, `{"verb":"get","annotations":{"authorization.k8s.io/decision":`+value+`}}`, envelope(), map[string]string{
			"authorization.decision: null": "match", "authorization.decision|exists: true": "no", "authorization.decision: ''": "no",
		})
	}
	fates(t, `{"verb":"get","annotations":{"authorization.k8s.io/decision":null,"authorization_k8s_io/decision":"forbid"}}`, envelope(), map[string]string{"authorization.decision: forbid": "match"})
	fates(t, `{"verb":"get","annotations":{"command.gke.io/\u0064ryRun":"true"}}`, envelope(), map[string]string{"dryRun: true": "match"})
}

func TestBytesThatAreNoUTF8CompareAsTheReplacementCharacter(t *testing.T) {
	fates(t, "{\"verb\":\"get\",\"userAgent\":\"a\xff\xfe\"}", envelope(), map[string]string{
		`userAgent|cased: "a\uFFFD\uFFFD"`: "match", `userAgent: "A\uFFFD\uFFFD"`: "match", `userAgent|cased: "a\uFFFD"`: "no", "userAgent|cased: a??": "match",
	})
}
