package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const event1 = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"e1","stage":"ResponseComplete","requestURI":"/api/v1/pods?a=1\u0026b=2","verb":"list","user":{"username":"u"},"requestReceivedTimestamp":"2026-03-04T10:15:20.000001Z","stageTimestamp":"2026-03-04T10:15:20.000002Z","annotations":{"authorization.k8s.io/decision":"allow"}}`

var event2 = strings.ReplaceAll(event1, `"e1"`, `"e2"`)

// quote is text as a JSON string.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// summaries are the items of a record, each in two words.
func summaries(t *testing.T, body string) []string {
	t.Helper()
	var out []string
	for _, it := range decode(t, New(Options{}), body, nil) {
		out = append(out, summary(it))
	}
	return out
}

func TestFormsAroundAnEvent(t *testing.T) {
	pretty := func(s string) string {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(s), "", "  "); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	e1, both := []string{"event e1"}, []string{"event e1", "event e2"}
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"alone", event1, e1},
		{"with a BOM", "\xef\xbb\xbf" + event1, e1},
		{"with CRLF", event1 + "\r\n", e1},
		{"pretty-printed", pretty(event1), e1},
		{"two, a newline between them", event1 + "\n" + event2, both},
		{"two, nothing between them", event1 + event2, both},
		{"two, pretty-printed", pretty(event1) + "\r\n\r\n" + pretty(event2), both},
		{"an array", "[" + event1 + "," + event2 + "]", both},
		{"an array of JSON texts", "[" + quote(event1) + "," + quote(event2) + "]", both},
		{"arrays in an array", "[[" + event1 + "],[" + event2 + "]]", both},
		{"a JSON string", quote(event1), e1},
		{"a JSON string of a JSON string", quote(quote(event1)), e1},
		{"an event list", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + event1 + `,` + event2 + `]}`, both},
		{"a list of JSON text", `{"message":` + quote("["+event1+","+event2+"]") + `}`, both},
		{"lines of JSON text", `{"message":` + quote(event1+"\n"+event2+"\n") + `}`, both},
		{"gzip", string(gzipped([]byte(event1))), e1},
		{"gzip of several members", string(gzipped([]byte(event1+"\n"))) + string(gzipped([]byte(event2))), both},
		{"gzip inside gzip", string(gzipped(gzipped([]byte(event1)))), e1},
		{"Confluent's JSON Schema", "\x00\x00\x00\x00\x07" + event1, e1},
		{"behind a timestamp and a host", "2026-03-04T10:15:20.123Z cp1 " + event1, e1},
		{"behind a syslog header", `<134>1 2026-03-04T10:15:20Z cp1 kube - - [meta@1 seq="9"] ` + event1, e1},
		{"behind a syslog header, twice", "<13>Mar  4 cp1 " + event1 + "\n<13>Mar  4 cp1 " + event2 + "\n", both},
		{"behind text with braces", "tag={a} " + event1, e1},
		{"behind a CRI prefix", "2026-03-04T10:15:20.1Z stdout F " + event1, e1},
		{"a CRI prefix inside a key", `{"log":` + quote("2026-03-04T10:15:20.1Z stderr F "+event1+"\n") + `}`, e1},
		{"a key with JSON text", `{"log":` + quote(event1) + `}`, e1},
		{"a key with JSON text encoded twice", `{"log":` + quote(quote(event1)) + `}`, e1},
		{"a key with an object", `{"payload":` + event1 + `,"schema":null}`, e1},
		{"a nested key", `{"kubernetes":{"audit":` + event1 + `,"host":"x"}}`, e1},
		{"a flat nested key", `{"kubernetes.audit":` + event1 + `}`, e1},
		{"an event.original", `{"event":{"original":` + quote(event1) + `}}`, e1},
		{"a flat event.original", `{"event.original":` + quote(event1) + `}`, e1},
		{"properties.log", `{"properties":{"log":` + quote(event1) + `}}`, e1},
		{"two wrappers", `{"payload":{"message":` + quote(event1) + `}}`, e1},
		{"four wrappers", `{"payload":{"data":{"body":{"log":` + event1 + `}}}}`, e1},
		{"GELF", `{"version":"1.1","host":"cp1","short_message":` + quote(event1) + `}`, e1},
		{"a key written with an escape", `{"\u006cog":` + event1 + `}`, e1},
		{"twice, as text and as object", `{"log":` + quote(event1) + `,"log_processed":` + event1 + `}`, e1},
		{"twice, the object re-encoded", `{"log":` + quote(event1) + `,"log_processed":` + strings.ReplaceAll(event1, `\u0026`, `&`) + `}`, e1},
		{"twice, under two wrappers", `{"log":` + quote(`{"message":`+quote(event1)+`}`) + `,"log_processed":{"message":` + quote(event1) + `}}`, e1},
		{"two events in one shipper's object", `{"message":` + quote(event1) + `,"log":` + quote(event2) + `}`, []string{"event e2", "event e1"}},
		{"text beside the event", `{"message":"took 3ms","json":` + event1 + `}`, e1},
		{"Filebeat's log object", `{"log":{"offset":1,"file":{"path":"/x"}},"message":` + quote(event1) + `}`, e1},
		{"OTLP with text", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":` + quote(event1) + `}}]}]}]}`, e1},
		{"Loki", `{"streams":[{"stream":{"a":"b"},"values":[["1772619320000000000",` + quote(event1) + `],["1",` + quote(event2) + `]]}]}`, both},
		{"zeros before it", "\x00\x00\x00\x00\x00\x00\x00" + event1, e1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, summaries(t, c.body)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoEventIsSkippedByClass(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", ClassEmpty},
		{"whitespace", " \r\n\t", ClassEmpty},
		{"null", "null", ClassEmpty},
		{"an empty array", " [ ] ", ClassEmpty},
		{"an event list without items", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}`, ClassEmpty},
		{"a number", "12.5", ClassOtherJSON},
		{"numbers", "[1,2,3]", ClassOtherJSON},
		{"a string", `"text"`, ClassText},
		{"a log line", `I0304 10:15:20.151432 1 httplog.go:132] "HTTP" verb="LIST" URI="/api/v1/pods"`, ClassText},
		{"a log line with braces", `E0304 10:15:20.1 1 x.go:1] failed: &Pod{Name:x, Spec: {a b}}`, ClassText},
		{"a bracketed log line", `[INFO] 10.0.0.1:53 - 4711 "A IN x. udp" NOERROR`, ClassText},
		{"a stack trace", "panic: x\n\tgoroutine 1\n\tmain.go:1\n", ClassText},
		{"a log line in a key", `{"log":"listening on :8080","stream":"stdout"}`, ClassText},
		{"a legacy audit line", `2017-03-21T03:57:09.106841886-04:00 AUDIT: id="c939d2a7" stage="RequestReceived" ip="127.0.0.1" method="get" uri="/x"`, ClassLegacyText},
		{"other JSON", `{"level":"info","ts":1}`, ClassOtherJSON},
		{"other JSON with an unrelated payload", `{"payload":{"id":7},"data":[1,2]}`, ClassOtherJSON},
		{"a core Event", `{"kind":"Event","apiVersion":"v1","metadata":{"name":"x"}}`, ClassNotAuditEvent},
		{"an events.k8s.io list", `{"kind":"EventList","apiVersion":"events.k8s.io/v1","items":[]}`, ClassNotAuditEvent},
		{"another kind", `{"kind":"Status","apiVersion":"v1","status":"Failure"}`, ClassOtherJSON},
		{"auditd under ViaQ", `{"log_type":"audit","log_source":"auditd","message":"type=X msg={}"}`, ClassOtherCategory},
		{"an empty Loki push", `{"streams":[]}`, ClassEmpty},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{"skipped " + c.want}, summaries(t, c.body)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	t.Run("a tombstone", func(t *testing.T) {
		n := 0
		New(Options{}).Decode(nil, nil, func(it *Item) {
			if n++; it.Kind != Skipped || it.Class != ClassTombstone {
				t.Errorf("kind %d, class %q", it.Kind, it.Class)
			}
		})
		if n != 1 {
			t.Errorf("%d items", n)
		}
	})
}

func TestWhatShouldBeAnEventIsBrokenByClass(t *testing.T) {
	fragment := event1[strings.Index(event1, `"stage"`)+3:]
	deep := strings.Repeat(`{"a":`, 600) + "1" + strings.Repeat("}", 600)
	wrapped := event1
	for range 6 {
		wrapped = `{"payload":` + wrapped + `}`
	}
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"a syntax error", `{"kind":"Event",'auditID':"x"}`, []string{"broken not_json"}},
		{"escaped text that is no JSON", `{"message":"{\\\"kind\\\":\\\"Event\\\"}"}`, []string{"broken not_json"}},
		{"a raw control character", "{\"a\":\"\x01\"}", []string{"broken not_json"}},
		{"only the broken line of a record", event1 + "\n{\"a\":x}\n" + event2, []string{"event e1", "broken not_json", "event e2"}},
		{"only the broken value of a record, pretty-printed", event1 + "\n{\n  \"a\": x,\n  \"b\": {\n  }\n}\n" + event2, []string{"event e1", "broken not_json", "event e2"}},
		{"only the broken element of an array", "[" + event1 + ",\n{\"a\":x},\n" + event2 + "]", []string{"event e1", "broken not_json", "event e2"}},
		{"a later piece of a cut event", fragment, []string{"broken truncated"}},
		{"a later piece of a cut event in a key", `{"log":` + quote(fragment) + `,"stream":"stdout"}`, []string{"broken truncated"}},
		{"a lone bracket", "}", []string{"broken not_json"}},
		{"too deep", deep, []string{"broken too_deep"}},
		{"too deep, then an event", deep + "\n" + event1, []string{"broken too_deep", "event e1"}},
		{"too many wrappers", wrapped, []string{"broken too_deep"}},
		{"no verb", `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x"}`, []string{"broken missing_fields"}},
		{"no audit id", `{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get"}`, []string{"broken missing_fields"}},
		{"zstd", "\x28\xb5\x2f\xfd\x00\x00", []string{"broken unsupported_encoding"}},
		{"UTF-16", "\xff\xfe{\x00}\x00", []string{"broken unsupported_encoding"}},
		{"msgpack", "\x82\xa3log\x01\x02", []string{"broken unsupported_encoding"}},
		{"damaged gzip", string(gzipped([]byte(event1))[:40]), []string{"broken bad_compression"}},
		{"gzip with a damaged second member", string(gzipped([]byte(event1+"\n"))) + "\x1f\x8b\x08garbage", []string{"event e1", "broken bad_compression"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, summaries(t, c.body)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A client writes the bodies of its own requests. Nothing in them may ever pass for a record.
func TestABodyNeverPassesForARecord(t *testing.T) {
	forged := strings.ReplaceAll(event1, `"e1"`, `"forged"`)
	carrier := strings.Replace(event1, `"annotations"`, `"requestObject":{"x":[`+forged+`],"log":`+quote(forged)+`,"pad":"`+strings.Repeat("y", 200)+`"},"annotations"`, 1)
	for cut := range len(carrier) {
		for _, part := range []string{carrier[:cut], carrier[cut:], carrier[:cut] + "\n" + carrier[cut:]} {
			got := summaries(t, part)
			framer := NewFramer(strings.NewReader(part), 1<<20)
			framer.size = 4 << 10
			for _, f := range allFrames(t, framer) {
				got = append(got, summaries(t, string(f.Bytes))...)
			}
			for _, s := range got {
				if strings.HasSuffix(s, "forged") {
					t.Fatalf("cut at %d: a forged event came out of %q", cut, part)
				}
			}
		}
	}
}

func TestLimitsOfARecord(t *testing.T) {
	many := strings.Repeat(event1+"\n", 3) + `{"x":1}` + strings.Repeat("\n"+event2, 10)
	d := New(Options{MaxItems: 5})
	var got []string
	for _, it := range decode(t, d, many, nil) {
		got = append(got, summary(it))
	}
	want := []string{"event e1", "skipped duplicate", "skipped duplicate", "skipped other_json", "event e2", "broken too_many"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("items: (-want +got)\n%s", diff)
	}
	d = New(Options{MaxItemBytes: 100})
	if items := decode(t, d, event1, nil); len(items) != 1 || items[0].Class != ClassTooLarge {
		t.Errorf("a large event: %+v", items)
	}
	bomb := gzipped(bytes.Repeat([]byte(" "), 64<<20))
	if items := decode(t, New(Options{}), string(bomb), nil); items[len(items)-1].Class != ClassTooLarge {
		t.Errorf("a gzip bomb: %+v", items[len(items)-1].Class)
	}
	d = New(Options{MaxDecompressed: len(event1) + 10})
	items := decode(t, d, string(gzipped([]byte(event1+"\n"+event2))), nil)
	if len(items) != 3 || summary(items[0]) != "event e1" || items[2].Class != ClassTooLarge {
		t.Errorf("a record over the limit when decompressed: %d items, %+v", len(items), items)
	}
}

func TestPositionsBoundTheItem(t *testing.T) {
	body := "junk\n" + event1 + "\n[ " + event2 + ` , {"log":` + quote(bodyEvent) + `}]`
	for i, it := range decode(t, New(Options{}), body, nil) {
		if i == 0 {
			continue
		}
		again := decode(t, New(Options{}), body[it.Offset:it.Offset+it.Length], nil)
		if len(again) != 1 || again[0].canonical != it.canonical {
			t.Errorf("item %d: bytes %d+%d give %d items", i, it.Offset, it.Length, len(again))
		}
	}
}

func TestEventsAreNormalised(t *testing.T) {
	without := func(s string, names ...string) string {
		for _, n := range names {
			var m map[string]json.RawMessage
			if err := json.Unmarshal([]byte(s), &m); err != nil {
				t.Fatal(err)
			}
			delete(m, n)
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			s = string(b)
		}
		return s
	}
	with := func(s, member string) string { return strings.TrimSuffix(s, "}") + "," + member + "}" }
	for _, c := range []struct {
		name, body string
		want       map[string]string
		inferred   []string
	}{
		{"an item of a list gets its kind", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + without(event1, "kind", "apiVersion") + `]}`,
			map[string]string{"kind": `"Event"`, "apiVersion": `"audit.k8s.io/v1"`, "auditID": `"e1"`}, nil},
		{"v1beta1", with(strings.Replace(event1, "k8s.io/v1", "k8s.io/v1beta1", 1), `"metadata":{"creationTimestamp":"2019-05-01T08:00:00Z"},"timestamp":"2019-05-01T08:00:00Z"`),
			map[string]string{"apiVersion": `"audit.k8s.io/v1"`, "metadata": "", "timestamp": "", "stageTimestamp": `"2026-03-04T10:15:20.000002Z"`}, nil},
		{"an item of a v1beta1 list", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[` + with(without(event1, "kind", "apiVersion"), `"timestamp":"2019-05-01T08:00:00Z"`) + `]}`,
			map[string]string{"apiVersion": `"audit.k8s.io/v1"`, "timestamp": ""}, nil},
		{"v1alpha1", with(without(strings.Replace(event1, "k8s.io/v1", "k8s.io/v1alpha1", 1), "stageTimestamp", "requestReceivedTimestamp"), `"timestamp":"2018-05-01T08:00:00Z","objectRef":{"resource":"deployments","apiVersion":"apps/v1"}`),
			map[string]string{"stageTimestamp": `"2018-05-01T08:00:00.000000Z"`, "objectRef": `{"resource":"deployments","apiVersion":"v1","apiGroup":"apps"}`}, []string{"requestReceivedTimestamp", "stageTimestamp"}},
		{"ViaQ's level", with(strings.Replace(event1, `"Metadata"`, `"default"`, 1), `"k8s_audit_level":"Request","openshift":{"cluster_id":"c"}`),
			map[string]string{"level": `"Request"`}, nil},
		{"annotations freed of dots", strings.Replace(event1, `authorization.k8s.io/decision`, `authorization_k8s_io/decision`, 1),
			map[string]string{"annotations": `{"authorization.k8s.io/decision":"allow"}`}, nil},
		{"annotations freed of dots and slashes", strings.Replace(event1, `authorization.k8s.io/decision`, `authorization_k8s_io_decision`, 1),
			map[string]string{"annotations": `{"authorization.k8s.io/decision":"allow"}`}, nil},
		{"extra freed of dots with them", strings.Replace(strings.Replace(event1, `authorization.k8s.io/decision`, `authorization_k8s_io/decision`, 1), `"username":"u"`, `"username":"u","extra":{"authentication_kubernetes_io/pod-name":["p"]}`, 1),
			map[string]string{"user": `{"username":"u","extra":{"authentication.kubernetes.io/pod-name":["p"]}}`}, nil},
		{"a time that the shipper took", with(without(event1, "stageTimestamp"), `"@timestamp":1772619320.151432`),
			map[string]string{"stageTimestamp": `"2026-03-04T10:15:20.151432Z"`, "requestReceivedTimestamp": `"2026-03-04T10:15:20.000001Z"`}, []string{"stageTimestamp"}},
		{"both times that the shipper took", `{"@timestamp":"2026-03-04T12:15:20.5+02:00","log":` + without(event1, "stageTimestamp", "requestReceivedTimestamp") + `}`,
			map[string]string{"stageTimestamp": `"2026-03-04T10:15:20.500000Z"`, "requestReceivedTimestamp": `"2026-03-04T10:15:20.500000Z"`}, []string{"requestReceivedTimestamp", "stageTimestamp"}},
		{"of duplicate members the last", `{"verb":"get",` + event1[1:],
			map[string]string{"verb": `"list"`}, nil},
		{"an edited member that stands twice", `{"apiVersion":"audit.k8s.io/v1",` + strings.Replace(event1[1:], "k8s.io/v1", "k8s.io/v1beta1", 1),
			map[string]string{"apiVersion": `"audit.k8s.io/v1"`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			items := decode(t, New(Options{}), c.body, nil)
			if len(items) != 1 || items[0].Kind != Event {
				t.Fatalf("%+v", items)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal([]byte(items[0].canonical), &got); err != nil {
				t.Fatal(err)
			}
			for name, value := range c.want {
				if string(got[name]) != value {
					t.Errorf("%s is %s, want %s", name, got[name], value)
				}
			}
			if diff := cmp.Diff(c.inferred, items[0].Envelope.Inferred); diff != "" {
				t.Errorf("inferred: (-want +got)\n%s", diff)
			}
		})
	}
}

func TestUnchangedEventsAreNotCopied(t *testing.T) {
	for _, body := range []string{event1, "[" + event1 + "]", `{"payload":` + event1 + `}`, `{"cluster":"c","@timestamp":1772619320.1,` + event1[1:]} {
		b := []byte(body)
		New(Options{}).Decode(b, nil, func(it *Item) {
			if cap(it.Canonical) == 0 || cap(b)-cap(it.Canonical) != strings.Index(body, string(it.Canonical)) {
				t.Errorf("%.40s: the canonical bytes are not a part of the record", body)
			}
		})
	}
}

func TestOTLPKeyValuesBecomeTheEvent(t *testing.T) {
	body := `{"resourceLogs":[{"resource":{"attributes":[{"key":"k8s.cluster.name","value":{"stringValue":"edge"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1772619320000000001","body":{"kvlistValue":{"values":[` +
		`{"key":"kind","value":{"stringValue":"Event"}},{"key":"apiVersion","value":{"stringValue":"audit.k8s.io/v1"}},{"key":"auditID","value":{"stringValue":"o1"}},` +
		`{"\u006bey":"ve\u0072b","value":{"string\u0056alue":"get"}},{"key":"requestURI","value":{"stringValue":"/x"}},{"key":"sourceIPs","value":{"arrayValue":{"values":[{"stringValue":"10.0.0.1"}]}}},` +
		`{"key":"responseStatus","value":{"kvlistValue":{"values":[{"key":"code","value":{"intValue":"403"}},{"key":"x","value":{"boolValue":true}}]}}}]}}}]}]}]}`
	items := decode(t, New(Options{}), body, nil)
	if len(items) != 1 || items[0].Kind != Event {
		t.Fatalf("%+v", items)
	}
	want := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"o1","ve\u0072b":"get","requestURI":"/x","sourceIPs":["10.0.0.1"],"responseStatus":{"code":403,"x":true},`
	if got := items[0].canonical; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
	if env := items[0].Envelope; env.Cluster.Name != "edge" || env.Time.UnixNano() != 1772619320000000001 || env.Format != FormatOTLP {
		t.Errorf("%+v", env)
	}
}

func TestEveryFormatIsListed(t *testing.T) {
	known := make(map[string]bool)
	for _, f := range Formats() {
		if known[f] {
			t.Errorf("%s is listed twice", f)
		}
		known[f] = true
	}
	for _, body := range []string{event1, quote(event1), "x " + event1, `{"log":` + event1 + `}`, `{"a":1,` + event1[1:]} {
		for _, it := range decode(t, New(Options{}), body, nil) {
			if !known[it.Envelope.Format] {
				t.Errorf("format %q is not listed", it.Envelope.Format)
			}
		}
	}
}

func ExampleDecoder() {
	d := New(Options{})
	d.Decode([]byte(`{"log":"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"1\",\"verb\":\"get\"}"}`), nil, func(it *Item) {
		fmt.Println(it.Envelope.Format, it.Envelope.Cluster.Name)
	})
	// Output: in:log unknown
}
