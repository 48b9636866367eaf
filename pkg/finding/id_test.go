package finding

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// TestIDsOfKnownRequests fixes ids for ever. The digests were computed from the description of IDOf by
// another program:
//
//	python3 -c 'import hashlib,struct,sys; print(hashlib.sha256(b"".join(struct.pack(">Q",len(p.encode()))+p.encode() for p in sys.argv[1:])).hexdigest())' 1 prod ...
func TestIDsOfKnownRequests(t *testing.T) {
	for _, c := range []struct {
		name, want string
		ev         event.Event
		cluster    event.Cluster
		rule       sigma.Rule
	}{
		{
			"a request in full", "ead3549be440d34b96cffde1a85362831418674d4cd7a7b2ce4cf4f665041ad5",
			event.Event{
				AuditID: "0c1f0a52-6f5e-4c43-9a37-0f7e0b7a9d01", User: event.User{Username: "system:serviceaccount:ci:deployer"},
				ImpersonatedUser: &event.User{Username: "system:admin"}, Verb: "get", RequestURI: "/api/v1/namespaces/payments/secrets/stripe-live?x=1",
				RequestReceivedTimestamp: time.Date(2026, 5, 11, 8, 14, 30, 7999, time.FixedZone("", 7200)),
			},
			event.Cluster{ID: "arn:aws:eks:eu-west-1:111122223333:cluster/prod", Name: "prod"},
			sigma.Rule{ID: "3c0b9a52-0d2f-4f3e-8a31-1a5b7f5f0003", Title: "t"},
		},
		{
			"a request of which nothing is known", "246af1572062e67d08b7646f09f7dac7ae009b5a85853ad0afb48b55ed306ee6", event.Event{}, event.Cluster{}, sigma.Rule{Title: "Nameless"},
		},
		{
			"text beyond ASCII", "5d74fc144457e7e67c830baaad81398f4edd1e7ee6e08c45dc4a31b60ac2dd22", event.Event{AuditID: "ü\x00\n", User: event.User{Username: "用户"}, Verb: "create", RequestURI: "?", RequestReceivedTimestamp: time.Unix(0, -1)},
			event.Cluster{Name: "only a name"}, sigma.Rule{Name: "short-name", Title: "t"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := IDOf(&c.ev, &event.Envelope{Cluster: c.cluster}, &c.rule); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// reference is the id by its description, written down a second time.
func reference(parts ...string) string {
	var buf []byte
	for _, p := range parts {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:])
}

// identified is what an id is made of, beside what must not matter.
type identified struct {
	ev   event.Event
	env  event.Envelope
	rule sigma.Rule
}

func drawIdentified(t *rapid.T) identified {
	text := rapid.String()
	uri := rapid.StringMatching(`[a-z/%.]{0,12}`)
	return identified{
		ev: event.Event{
			AuditID: text.Draw(t, "auditID"), User: event.User{Username: text.Draw(t, "user")},
			ImpersonatedUser: &event.User{Username: text.Draw(t, "as")}, Verb: text.Draw(t, "verb"), RequestURI: uri.Draw(t, "path"),
			RequestReceivedTimestamp: time.UnixMicro(rapid.Int64Range(1, 1<<52).Draw(t, "received")),
		},
		env:  event.Envelope{Cluster: event.Cluster{ID: text.Draw(t, "cluster") + "c"}},
		rule: sigma.Rule{ID: text.Draw(t, "rule") + "r"},
	}
}

func (x identified) id() string { return IDOf(&x.ev, &x.env, &x.rule) }

func TestIDDependsOnTheRequestAndTheRuleOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawIdentified(t)
		text := rapid.String()
		y := x
		y.ev.Stage, y.ev.Level, y.ev.UserAgent = text.Draw(t, "stage"), text.Draw(t, "level"), text.Draw(t, "agent")
		y.ev.ResponseStatus = &event.ResponseStatus{Code: rapid.Int().Draw(t, "code")}
		y.ev.StageTimestamp = time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "stage time"))
		y.ev.RequestReceivedTimestamp = x.ev.RequestReceivedTimestamp.Add(time.Duration(rapid.IntRange(0, 999).Draw(t, "nanoseconds"))).In(time.FixedZone("x", 3600))
		y.ev.RequestObject, y.ev.ResponseObject = []byte(text.Draw(t, "body")), []byte(`{}`)
		y.ev.RequestURI += "?" + text.Draw(t, "query")
		y.ev.User.UID, y.ev.User.Groups = text.Draw(t, "uid"), []string{text.Draw(t, "group")}
		y.ev.SourceIPs, y.ev.ObjectRef, y.ev.Annotations = []string{"::1"}, &event.ObjectRef{Resource: "pods"}, map[string]string{"a": "b"}
		y.env.Format, y.env.Provider, y.env.Truncated, y.env.Cluster.Name = text.Draw(t, "format"), "aks", true, text.Draw(t, "name")
		y.env.Time, y.env.Inferred, y.env.Missing = time.Unix(1, 0), []string{"verb"}, []string{"user"}
		y.rule.Title, y.rule.Name, y.rule.Level, y.rule.Modified = text.Draw(t, "title"), text.Draw(t, "rule name"), sigma.High, "2026-01-01"
		if x.id() != y.id() {
			t.Fatalf("the id changed with something that is not the request: %+v", y)
		}
	})
}

func TestIDChangesWithEachOfItsParts(t *testing.T) {
	change := map[string]func(x *identified){
		"cluster":  func(x *identified) { x.env.Cluster.ID += "x" },
		"rule":     func(x *identified) { x.rule.ID += "x" },
		"audit id": func(x *identified) { x.ev.AuditID += "x" },
		"user":     func(x *identified) { x.ev.User.Username += "x" },
		"impersonated": func(x *identified) {
			x.ev.ImpersonatedUser = &event.User{Username: x.ev.ImpersonatedUser.Username + "x"}
		},
		"verb": func(x *identified) { x.ev.Verb += "x" },
		"path": func(x *identified) { x.ev.RequestURI += "x" },
		"received": func(x *identified) {
			x.ev.RequestReceivedTimestamp = x.ev.RequestReceivedTimestamp.Add(time.Microsecond)
		},
	}
	for name, f := range change {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x := drawIdentified(t)
				y := x
				f(&y)
				if x.id() == y.id() {
					t.Fatal("the id did not change")
				}
			})
		})
	}
}

// Without lengths, "ab"+"c" and "a"+"bc" would be one request.
func TestIDKeepsItsPartsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawIdentified(t)
		y := x
		all := x.ev.AuditID + x.ev.User.Username
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		y.ev.AuditID, y.ev.User.Username = all[:cut], all[cut:]
		if same := x.ev.AuditID == y.ev.AuditID; same != (x.id() == y.id()) {
			t.Fatalf("%q+%q against %q+%q", x.ev.AuditID, x.ev.User.Username, y.ev.AuditID, y.ev.User.Username)
		}
	})
}

func TestIDIsWhatItsDescriptionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawIdentified(t)
		want := reference("1", x.env.Cluster.ID, x.rule.ID, x.ev.AuditID, x.ev.User.Username, x.ev.ImpersonatedUser.Username, x.ev.Verb,
			x.ev.RequestURI, itoa(int(x.ev.RequestReceivedTimestamp.UnixMicro())))
		if x.id() != want {
			t.Fatalf("got %s, want %s", x.id(), want)
		}
	})
}
