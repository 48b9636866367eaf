package decode

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// decoded is an item that outlives its record.
type decoded struct {
	Item
	canonical string
}

// decode returns the items of a record and checks what holds for every item.
func decode(t *testing.T, d *Decoder, body string, meta map[string]string) []decoded {
	t.Helper()
	var items []decoded
	d.Decode([]byte(body), meta, func(it *Item) {
		checkItem(t, it, []byte(body))
		items = append(items, decoded{Item: *it, canonical: string(it.Canonical)})
	})
	return items
}

// checkItem checks what Item promises.
func checkItem(t *testing.T, it *Item, body []byte) {
	t.Helper()
	if it.Offset < 0 || it.Length < 0 || it.Offset+it.Length > len(body) {
		t.Fatalf("offset %d, length %d of a record of %d bytes", it.Offset, it.Length, len(body))
	}
	if it.Kind == Broken && it.Length > 0 && !bytes.Equal(it.Raw, body[it.Offset:it.Offset+it.Length]) {
		t.Fatalf("%s: the raw bytes are not those at offset %d", it.Class, it.Offset)
	}
	switch it.Kind {
	case Event:
		if !json.Valid(it.Canonical) || it.Canonical[0] != '{' {
			t.Fatalf("canonical bytes are no JSON object: %q", it.Canonical)
		}
		if it.Envelope.Cluster.Name == "" || it.Envelope.Cluster.ID == "" || it.Envelope.Format == "" {
			t.Fatalf("incomplete envelope: %+v", it.Envelope)
		}
	case Skipped:
		if !hasClass(SkippedClasses, it.Class) {
			t.Fatalf("unknown class %q", it.Class)
		}
	case Broken:
		if !hasClass(BrokenClasses, it.Class) || it.Detail == "" {
			t.Fatalf("class %q, detail %q", it.Class, it.Detail)
		}
	}
}

func hasClass(classes []ClassInfo, name string) bool {
	for _, c := range classes {
		if c.Name == name {
			return true
		}
	}
	return false
}

// bodyEvent has bodies, escapes and text beyond ASCII.
const bodyEvent = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods?x=1\u0026y=2","verb":"create","user":{"username":"jörg","groups":["a","b"]},"sourceIPs":["203.0.113.9"],"objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"c","image":"döcker.io/x:1","command":["sh","-c","echo \"\u00e9\\\""],"tty":true,"n":12.5e1},{"name":"d"}]}},"requestReceivedTimestamp":"2026-03-04T10:15:20.123456Z","stageTimestamp":"2026-03-04T10:15:20.125000Z","annotations":{"authorization.k8s.io/decision":"allow"}}`

func TestACutEventIsReadUpToTheCut(t *testing.T) {
	var whole any
	if err := json.Unmarshal([]byte(bodyEvent), &whole); err != nil {
		t.Fatal(err)
	}
	userEnd := strings.Index(bodyEvent, `,"sourceIPs"`)
	d := New(Options{})
	for cut := 1; cut < len(bodyEvent); cut++ {
		for _, mark := range []string{"", "[Truncated...]", "\n", "[Truncated...]\r\n"} {
			items := decode(t, d, bodyEvent[:cut]+mark, nil)
			if len(items) != 1 {
				t.Fatalf("cut at %d: %d items", cut, len(items))
			}
			it := items[0]
			if cut < userEnd {
				if it.Kind != Broken || it.Class != ClassTruncated {
					t.Fatalf("cut at %d (%q): kind %d, class %q, want broken as truncated", cut, mark, it.Kind, it.Class)
				}
				continue
			}
			if it.Kind != Event || !it.Envelope.Truncated {
				t.Fatalf("cut at %d (%q): kind %d, class %q, %+v, want a truncated event", cut, mark, it.Kind, it.Class, it.Envelope)
			}
			var got any
			if err := json.Unmarshal([]byte(it.canonical), &got); err != nil {
				t.Fatal(err)
			}
			if path := notWithin("", got, whole); path != "" {
				t.Fatalf("cut at %d: %s is not as in the whole event: %s", cut, path, it.canonical)
			}
		}
	}
}

// notWithin gives the path of something in part that the whole does not have there.
func notWithin(path string, part, whole any) string {
	switch p := part.(type) {
	case map[string]any:
		w, ok := whole.(map[string]any)
		if !ok {
			return path
		}
		for k, v := range p {
			if _, ok := w[k]; !ok {
				return path + "." + k
			}
			if bad := notWithin(path+"."+k, v, w[k]); bad != "" {
				return bad
			}
		}
		return ""
	case []any:
		w, ok := whole.([]any)
		if !ok || len(p) > len(w) {
			return path
		}
		for i := range p {
			if bad := notWithin(path+"[]", p[i], w[i]); bad != "" {
				return bad
			}
		}
		return ""
	}
	if !reflect.DeepEqual(part, whole) {
		return path
	}
	return ""
}

func TestACutEventKeepsItsCompleteMembers(t *testing.T) {
	at := func(mark string) string { return bodyEvent[:strings.Index(bodyEvent, mark)] }
	head := at(`"requestObject"`)
	for _, c := range []struct{ name, in, want string }{
		{"behind a comma", head, head[:len(head)-1] + `}`},
		{"inside a number", head + `"requestObject":{"n":12`, head + `"requestObject":{}}`},
		{"inside a literal", head + `"requestObject":{"n":1,"t":tru`, head + `"requestObject":{"n":1}}`},
		{"inside a name", head + `"requestObject":{"n":1,"na`, head + `"requestObject":{"n":1}}`},
		{"before a colon", head + `"requestObject":{"n":1,"name"`, head + `"requestObject":{"n":1}}`},
		{"inside a list", head + `"requestObject":{"l":[{"a":1},{"b":"x`, head + `"requestObject":{"l":[{"a":1},{}]}}`},
		{"inside a UTF-8 sequence", head + "\"requestObject\":{\"n\":\"a\",\"m\":\"d\xc3", head + `"requestObject":{"n":"a"}}`},
		{"inside an escape", head + `"requestObject":{"n":"a","m":"\u00`, head + `"requestObject":{"n":"a"}}`},
		{"with EKS's mark inside a string", head + `"requestObject":{"n":"a","m":"b[Truncated...]`, head + `"requestObject":{"n":"a"}}`},
		{"with EKS's mark behind a value", head + `"requestObject":{"n":1,"m":2[Truncated...]`, head + `"requestObject":{"n":1}}`},
		{"with EKS's mark in place of a value", head + `"requestObject":{"n":1,"m":[Truncated...]`, head + `"requestObject":{"n":1}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			items := decode(t, New(Options{}), c.in, nil)
			if len(items) != 1 || items[0].canonical != c.want {
				t.Fatalf("got %+v\nwant %s", items, c.want)
			}
		})
	}
}

func TestACutWrapperGivesWhatItHolds(t *testing.T) {
	quoted := string(appendQuoted(nil, []byte(bodyEvent)))
	requestObject := strings.Index(quoted, "requestObject")
	list := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + nativeEvent + `,` + bodyEvent
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"an event in text, cut", `{"@timestamp":1772619320.15,"log":` + quoted[:requestObject+40], []string{"cut a-1"}},
		{"an event in text, cut inside an escape", `{"log":` + quoted[:strings.Index(quoted, `\"requestObject`)+1], []string{"cut a-1"}},
		{"an event in an object, cut", `{"json":` + bodyEvent[:len(bodyEvent)-200], []string{"cut a-1"}},
		{"a whole event, the shipper's keys cut", `{"log":` + quoted + `,"kubernetes":{"host":"cp`, []string{"event a-1"}},
		{"an event cut too early", `{"log":` + quoted[:100], []string{"broken truncated"}},
		{"a list cut inside an item", list[:len(list)-100], []string{"event 8f0c0d3e", "cut a-1"}},
		{"a list cut between items", list, []string{"event 8f0c0d3e", "event a-1", "broken truncated"}},
		{"somebody else's JSON", `{"level":"info","text":"abc`, []string{"broken truncated"}},
		{"the line before a whole one", bodyEvent[:300] + "\n" + nativeEvent, []string{"cut a-1", "event 8f0c0d3e"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, it := range decode(t, New(Options{}), c.in, nil) {
				got = append(got, summary(it))
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// summary is an item in two words.
func summary(it decoded) string {
	switch {
	case it.Kind == Skipped:
		return "skipped " + it.Class
	case it.Kind == Broken:
		return "broken " + it.Class
	}
	var e struct{ AuditID string }
	if json.Unmarshal([]byte(it.canonical), &e) != nil {
		return "invalid"
	}
	id := e.AuditID[:min(8, len(e.AuditID))]
	if it.Envelope.Truncated {
		return "cut " + id
	}
	return "event " + id
}
