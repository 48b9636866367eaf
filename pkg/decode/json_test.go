package decode

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

// validJSON says what the scanner makes of b as one whole document.
func validJSON(b []byte, maxDepth int) (bool, verdict) {
	s := newScanner(maxDepth)
	end, v := s.value(b, 0)
	if v != valueDone {
		return false, v
	}
	return skipSpace(b, end) == len(b), v
}

func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	for _, doc := range jsonSeeds {
		got, _ := validJSON([]byte(doc), 10000)
		if want := json.Valid([]byte(doc)); got != want {
			t.Errorf("%q: valid = %v, want %v", doc, got, want)
		}
	}
}

var jsonSeeds = []string{
	``, ` `, `{}`, `[]`, `{"a":1}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" 1}`, `{a:1}`, `{"a":}`, `{,}`, `[,]`,
	`"x"`, `"x`, `"\u00e9"`, `"\u00g9"`, `"\u00"`, `"\x"`, "\"a\tb\"", "\"a\nb\"", "\"\x7f\xff\xfe\"", "\"\x1f\"",
	`0`, `-0`, `00`, `01`, `-`, `1.`, `1.5`, `.5`, `1e`, `1e+`, `1e+5`, `1E5`, `1.5e-3`, `-a`, `+1`, `1.e1`,
	`true`, `false`, `null`, `tru`, `truee`, `nul`, `True`, "\ufeff{}",
	`{"a":{"b":[1,2,{"c":null}]}}`, `{"a":[}`, `[{]`, `{"a":1]`, `[1}`, `{}{}`, `[] x`, " \t\r\n{ \"a\" : [ 1 , 2 ] } ",
	`"12345678"`, `"1234567\\"`, `"12345678\""`, `"0123456789abcdef\u0041"`, strings.Repeat("[", 600) + strings.Repeat("]", 600),
	"{\"a\"\v:1}", "[1,\x00]", "\x0c1",
}

func TestScannerStopsAtTheDepthLimit(t *testing.T) {
	deep := func(n int) []byte { return []byte(strings.Repeat(`[{"a":`, n) + "1" + strings.Repeat("}]", n)) }
	if ok, v := validJSON(deep(256), 512); !ok {
		t.Fatalf("512 levels: verdict %d, want a valid value", v)
	}
	if _, v := validJSON(deep(257), 512); v != valueDeep {
		t.Fatalf("514 levels: verdict %d, want valueDeep", v)
	}
}

func TestScannerResumesWhereverTheBytesAreCut(t *testing.T) {
	doc := []byte(`{"key\u0041":["a\"b",12.5e+3,true,false,null,{"x":{},"y":[]}],"long":"0123456789abcdefghij\\"} `)
	for cut := range doc {
		s := newScanner(16)
		i, v := s.value(doc[:cut], 0)
		if v == valueDone {
			if cut < len(doc)-1 {
				t.Fatalf("cut at %d: done too early at %d", cut, i)
			}
			continue
		}
		if v != valueCut {
			t.Fatalf("cut at %d: verdict %d, want valueCut", cut, v)
		}
		if i, v = s.resume(doc, i); v != valueDone || i != len(doc)-1 {
			t.Fatalf("cut at %d: resumed to %d with verdict %d", cut, i, v)
		}
	}
}

func FuzzScannerAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, doc []byte, cut int) {
		got, v := validJSON(doc, 10000)
		if want := json.Valid(doc); got != want && v != valueDeep {
			t.Fatalf("valid = %v (verdict %d), want %v", got, v, want)
		}
		if cut < 0 || cut >= len(doc) {
			return
		}
		whole, resumed := newScanner(64), newScanner(64)
		wantEnd, wantVerdict := whole.value(doc, 0)
		end, verdict := resumed.value(doc[:cut], 0)
		if verdict == valueCut {
			end, verdict = resumed.resume(doc, end)
		} else if verdict == valueDone && end == cut {
			return // a number that goes on behind the cut
		}
		if end != wantEnd || verdict != wantVerdict {
			t.Fatalf("resumed at %d: (%d, %d), want (%d, %d)", cut, end, verdict, wantEnd, wantVerdict)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	doc := bytes.Repeat([]byte(nativeEvent+"\n"), 100)
	s := newScanner(512)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		for i := skipSpace(doc, 0); i < len(doc); i = skipSpace(doc, i) {
			var v verdict
			if i, v = s.value(doc, i); v != valueDone {
				b.Fatal(v)
			}
		}
	}
}

// nativeEvent is a metadata-only event as kube-apiserver writes it.
const nativeEvent = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"8f0c0d3e-5f0b-4d6c-9a3e-0c5f4b6f7a10","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets?limit=500\u0026labelSelector=app","verb":"list","user":{"username":"system:serviceaccount:shop:web","uid":"0f2f6d1e-7c0d-4a55-8d0f-2d3b0b5c9a01","groups":["system:serviceaccounts","system:serviceaccounts:shop","system:authenticated"],"extra":{"authentication.kubernetes.io/pod-name":["web-0"]}},"sourceIPs":["10.1.2.3"],"userAgent":"kubectl/v1.36.0 (linux/amd64) kubernetes/abcdef0","objectRef":{"resource":"secrets","namespace":"shop","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-03-04T10:15:20.123456Z","stageTimestamp":"2026-03-04T10:15:20.125000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"read/shop\" of Role \"read\" to ServiceAccount \"web/shop\""}}`

func TestKeysOfEventsAreNumberedAsMembersAre(t *testing.T) {
	if int(lastEventKey) != len(event.Members) {
		t.Fatalf("%d keys, %d members", lastEventKey, len(event.Members))
	}
	for i, name := range event.Members {
		if keyOf([]byte(name)) != key(i+1) {
			t.Errorf("%s has the key %d, not %d", name, keyOf([]byte(name)), i+1)
		}
	}
}
