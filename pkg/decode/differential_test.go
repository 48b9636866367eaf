package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/jsonindex"
)

// Members may stand twice, with names and values escaped in any way: what the decoder and event.Parse
// read must be what encoding/json reads into a map, where the last one counts.
func TestDuplicatesAndEscapesAreReadAsByEncodingJSON(t *testing.T) {
	names := []string{"kind", "apiVersion", "auditID", "verb", "requestURI", "stage", "level", "userAgent", "log", "x"}
	values := map[string][]string{"kind": {"Event"}, "apiVersion": {"audit.k8s.io/v1"}}
	rapid.Check(t, func(t *rapid.T) {
		var body bytes.Buffer
		body.WriteByte('{')
		for i := range rapid.IntRange(1, 14).Draw(t, "members") {
			if i > 0 {
				body.WriteString(rapid.SampledFrom([]string{",", " ,\n\t"}).Draw(t, "comma"))
			}
			name := rapid.SampledFrom(names).Draw(t, "name")
			options := values[name]
			if options == nil {
				options = []string{"a", "b/ü", "q\"\\", "\t\u2028", "😀", "<&>"}
			}
			value := rapid.SampledFrom(options).Draw(t, "value")
			fmt.Fprintf(&body, "%s:%s", escaped(t, name), escaped(t, value))
		}
		body.WriteByte('}')
		var want map[string]string
		if err := json.Unmarshal(body.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		var got *event.Event
		New(Options{}).Decode(body.Bytes(), nil, func(it *Item) {
			if it.Kind == Event {
				var err error
				if got, err = event.Parse(it.Canonical); err != nil {
					t.Fatal(err)
				}
			}
		})
		named := want["auditID"] != "" || want["requestURI"] != ""
		isEvent := want["verb"] != "" && (want["auditID"] != "" && want["requestURI"] != "" ||
			want["kind"] == "Event" && (want["requestURI"] != "" || named && want["apiVersion"] == "audit.k8s.io/v1"))
		if isEvent != (got != nil) {
			t.Fatalf("%s: an event: %v, want %v", body.Bytes(), got != nil, isEvent)
		}
		if got == nil {
			return
		}
		if want["auditID"] == "" && strings.HasPrefix(got.AuditID, "sha256-") {
			got.AuditID = ""
		}
		for name, value := range map[string]string{
			"auditID": got.AuditID, "verb": got.Verb, "requestURI": got.RequestURI, "stage": got.Stage, "level": got.Level, "userAgent": got.UserAgent,
		} {
			if value != want[name] {
				t.Fatalf("%s: %s is %q, want %q", body.Bytes(), name, value, want[name])
			}
		}
	})
}

// escaped is s as a JSON string, with some of its characters escaped.
func escaped(t *rapid.T, s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r > 0xffff || r >= ' ' && r != '"' && r != '\\' && rapid.IntRange(0, 5).Draw(t, "escape") > 0:
			b.WriteRune(r)
		case r == '/':
			b.WriteString(`\/`)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func FuzzUnescapeAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{``, `a`, `\"\\\/\b\f\n\r\t`, `\u00e9\ud83d\ude00`, `\ud83dx\ude00\u0000`, `12345678\n12345678`, `\ud83d\ud83d\ude00`, "\xff\xfe\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got := jsonindex.AppendUnescaped(nil, content)
		if len(got) > len(content) {
			t.Fatalf("%d bytes became %d", len(content), len(got))
		}
		quoted := append(append([]byte{'"'}, content...), '"')
		var want string
		if json.Unmarshal(quoted, &want) != nil || !utf8.Valid(content) {
			return
		}
		if string(got) != want {
			t.Fatalf("%q: got %q, want %q", content, got, want)
		}
	})
}
