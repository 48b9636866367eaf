//go:build integration

package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
)

// fill sets every field of a value that a finding can have. text makes the strings.
func fill(v reflect.Value, tag reflect.StructTag, text func() string) {
	es := tag.Get("es")
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)))
		return
	case es == "flattened" && v.Kind() == reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"spec": map[string]any{"a.b": []any{text(), 1, true, nil}}}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				fill(v.Field(i), f.Tag, text)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), tag, text)
		}
	case reflect.Map:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one, "", text)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("authorization_k8s_io/decision"), one)
	case reflect.String:
		v.SetString(text())
		if es == "ip" {
			v.SetString("203.0.113.7")
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(73)
	case reflect.Float64:
		v.SetFloat(7.5)
	}
}

// maximal is a finding with every field.
func maximal(t *testing.T, stream string, text func() string) pipeline.Document {
	t.Helper()
	var f finding.Finding
	fill(reflect.ValueOf(&f).Elem(), "", text)
	f.DataStream = finding.DataStream{Type: "logs", Dataset: finding.Dataset, Namespace: strings.TrimPrefix(stream, "logs-foretop.findings-")}
	body, err := json.Marshal(&f)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Document{ID: fmt.Sprintf("maximal-%d", len(body)), Body: body}
}

// leaves are the paths of the values in a document.
func leaves(path string, v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			leaves(strings.TrimPrefix(path+"."+k, "."), inner, into)
		}
	case []any:
		for _, inner := range v {
			leaves(path, inner, into)
		}
	case nil:
	default:
		into[path] = true
	}
}

func TestEveryFieldOfAFindingCanBeSearched(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	doc := maximal(t, stream, func() string { return "text" })
	stores(t, s, []pipeline.Document{doc})
	n.holds(t, stream, []pipeline.Document{doc})
	var v any
	if err := json.Unmarshal(doc.Body, &v); err != nil {
		t.Fatal(err)
	}
	paths := make(map[string]bool)
	leaves("", v, paths)
	if len(paths) < 150 {
		t.Fatalf("the document has %d fields only", len(paths))
	}
	filters := make(map[string]any)
	for p := range paths {
		filters[p] = map[string]any{"exists": map[string]any{"field": p}}
	}
	body, err := json.Marshal(map[string]any{"size": 0, "aggs": map[string]any{"fields": map[string]any{"filters": map[string]any{"filters": filters}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Aggregations struct {
			Fields struct {
				Buckets map[string]struct {
					Count int `json:"doc_count"`
				}
			}
		}
	}
	n.must(t, http.MethodPost, "/"+stream+"/_search", string(body), &got)
	for p := range paths {
		if got.Aggregations.Fields.Buckets[p].Count != 1 {
			t.Errorf("%s cannot be searched", p)
		}
	}
}

func TestNoTextIsTooLongOrTooOddForTheMapping(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	texts := map[string]string{
		"empty":                      "",
		"longer than a term":         strings.Repeat("x", 40_000),
		"longer than a term, words":  strings.Repeat("word ", 8000),
		"four bytes a character":     strings.Repeat("\U0001F600", 9000),
		"control characters and NUL": "a\x00b\x1b[2J\r\n\u202e",
		"replacement characters":     "\ufffd\ufffe\uffff",
		"a number":                   "-1e400",
	}
	var docs []pipeline.Document
	for name, text := range texts {
		d := maximal(t, stream, func() string { return text })
		d.ID = name
		docs = append(docs, d)
	}
	stores(t, s, docs)
	n.holds(t, stream, docs)
	n.unstripped(t, stream, len(docs))
}

// unstripped expects that so many documents still have their bodies.
func (n *node) unstripped(t *testing.T, stream string, want int) {
	t.Helper()
	var got struct{ Count int }
	n.must(t, http.MethodPost, "/"+stream+"/_count", `{"query":{"bool":{"must_not":{"term":{"foretop.bodies_stripped":true}}}}}`, &got)
	if got.Count != want {
		t.Errorf("%d documents have kept their bodies, want %d", got.Count, want)
	}
}

// with is a small finding with one more member, written as JSON.
func with(name, member string) pipeline.Document {
	return pipeline.Document{ID: name, Body: []byte(`{"@timestamp":"2026-01-02T03:04:05Z","event":{"kind":"alert"},` + member + `}`)}
}

func TestValuesThatDoNotFitAreIgnoredAndTheDocumentIsStored(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	nested := strings.Repeat(`{"a":`, 800) + "1" + strings.Repeat("}", 800)
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	docs := []pipeline.Document{
		with("addresses that are none", `"source":{"ip":"gce-internal-ip"},"client":{"ip":"fe80::1%eth0"},"related":{"ip":["x","203.0.113.7",""]}`),
		with("numbers that are none", `"event2":1,"http":{"response":{"status_code":"many"}},"foretop":{"redactions":1e300}`),
		with("times that are none", `"kubernetes":{"audit":{"stageTimestamp":"yesterday","requestReceivedTimestamp":"99999-01-01T00:00:00Z"}}`),
		with("truth that is none", `"foretop":{"dry_run":"perhaps"}`),
		with("fields that nobody mapped", `"unknown":{"":1,".":2},"more":`+nested),
		with("a deep body", `"foretop":{"request_object":`+nested+`}`),
		with("a body with many names", `"foretop":{"request_object":{`+strings.Join(many, ",")+`}}`),
		with("a body with odd names", `"foretop":{"request_object":{"":1,".":2,"a.b":{"c":1},"a":{"b.c":2}," ":3}}`),
		with("a list of bodies", `"foretop":{"response_object":[{"a":1},{"a":{"b":2}}]}`),
		with("labels with dots and of all kinds", `"labels":{"a":"x","a.b":"y","n":1,"t":true,"l":["x","y"],"o":{"p":"q"}}`),
		with("a very old event", `"event3":1`),
	}
	docs[len(docs)-1].Body = []byte(`{"@timestamp":"0001-01-01T00:00:00Z"}`)
	stores(t, s, docs)
	n.holds(t, stream, docs)
	n.unstripped(t, stream, len(docs))
}

func TestABodyThatFitsNoIndexCostsTheBodyAndNotTheFinding(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	docs := []pipeline.Document{
		with("a name with a NUL byte", `"foretop":{"severity_name":"high","request_object":{"a\u0000b":1}}`),
		with("a name of 40 kB", `"foretop":{"severity_name":"high","response_object":{"`+strings.Repeat("k", 40_000)+`":1}}`),
		with("a body that is a text", `"foretop":{"severity_name":"high","request_object":"omitted"}`),
		with("deeper than the limit", `"foretop":{"severity_name":"high","request_object":`+strings.Repeat(`{"a":`, 1200)+"1"+strings.Repeat("}", 1200)+`}`),
		with("a number of 5,000 digits", `"foretop":{"severity_name":"high","request_object":{"a":1`+strings.Repeat("0", 5000)+`}}`),
	}
	stores(t, s, append(documents("doc", 3), docs...))
	n.holds(t, stream, append(documents("doc", 3), docs...))
	n.unstripped(t, stream, 3)
	var got struct{ Count int }
	n.must(t, http.MethodPost, "/"+stream+"/_count", `{"query":{"term":{"foretop.severity_name":"high"}}}`, &got)
	if got.Count != len(docs) {
		t.Errorf("%d findings have kept the rest, want %d", got.Count, len(docs))
	}
}
