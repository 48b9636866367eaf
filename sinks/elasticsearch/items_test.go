package elasticsearch_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

// leak stands for what Elasticsearch quotes from a document when it gives its reasons.
const leak = "PASSWORD-IN-A-DOCUMENT"

func TestEachItemOfABulkHasTheFateThatItsStatusSays(t *testing.T) {
	const ok = pipeline.Class(-1)
	tests := []struct {
		name  string
		item  estest.Item
		class pipeline.Class
		says  string
		count string
	}{
		{"200 is stored", estest.Item{Status: 200}, ok, "", "created"},
		{"201 is stored", estest.Item{Status: 201}, ok, "", "created"},
		{"409 is there already", estest.Item{Status: 409, Type: "version_conflict_engine_exception"}, ok, "", "duplicate"},
		{"409 without a type is there already", estest.Item{Status: 409}, ok, "", "duplicate"},
		{"409 of another kind is tried again", estest.Item{Status: 409, Type: "resource_already_exists_exception"}, pipeline.Retry, "409", "retry"},
		{"success in the failure store is none", estest.Item{Status: 201, FailureStore: "used"}, pipeline.Reject, "failure store", "failure_store"},
		{"a failure store that is off is no matter", estest.Item{Status: 201, FailureStore: "not_applicable_or_unknown"}, ok, "", "created"},
		{"429 is tried again", estest.Item{Status: 429, Type: "es_rejected_execution_exception"}, pipeline.Retry, "es_rejected_execution_exception", "retry"},
		{"an open circuit breaker is tried again", estest.Item{Status: 429, Type: "circuit_breaking_exception"}, pipeline.Retry, "429", "retry"},
		{"500 is tried again", estest.Item{Status: 500, Type: "null_pointer_exception"}, pipeline.Retry, "500", "retry"},
		{"502 is tried again", estest.Item{Status: 502}, pipeline.Retry, "502", "retry"},
		{"503 is tried again", estest.Item{Status: 503, Type: "unavailable_shards_exception"}, pipeline.Retry, "unavailable_shards_exception", "retry"},
		{"504 is tried again", estest.Item{Status: 504}, pipeline.Retry, "504", "retry"},
		{"a disk at flood stage, as 429, is tried again", estest.Item{Status: 429, Type: "cluster_block_exception"}, pipeline.Retry, "cluster_block_exception", "retry"},
		{"a disk at flood stage, as the 403 of older servers, is tried again", estest.Item{Status: 403, Type: "cluster_block_exception"}, pipeline.Retry, "cluster_block_exception", "retry"},
		{"a mapping that does not fit is final", estest.Item{Status: 400, Type: "document_parsing_exception"}, pipeline.Reject, "document_parsing_exception", "rejected"},
		{"a closed index is tried again", estest.Item{Status: 400, Type: "index_closed_exception"}, pipeline.Retry, "400", "retry"},
		{"413 for a document is final", estest.Item{Status: 413}, pipeline.Reject, "413", "rejected"},
		{"401 needs a human", estest.Item{Status: 401, Type: "security_exception"}, pipeline.Fatal, "privileges", "fatal"},
		{"403 needs a human", estest.Item{Status: 403, Type: "security_exception"}, pipeline.Fatal, "privileges", "fatal"},
		{"404 needs setup", estest.Item{Status: 404, Type: "index_not_found_exception"}, pipeline.Fatal, "foretop setup elasticsearch", "fatal"},
		{"a type that is no name is left out", estest.Item{Status: 400, Type: leak + " in the type"}, pipeline.Reject, "400", "rejected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			tt.item.Reason = "failed to parse field, preview of its value: " + leak
			r.server.OnItem(func(id string, _ json.RawMessage) *estest.Item {
				if id != "id-003" {
					return nil
				}
				return &tt.item
			})
			for i, err := range r.write(t, docs(7)) {
				switch {
				case i != 3:
					if err != nil {
						t.Errorf("document %d failed with its neighbour: %v", i, err)
					}
				case tt.class == ok:
					if err != nil {
						t.Errorf("%v, want success", err)
					}
				default:
					fails(t, err, tt.class, tt.says)
					if strings.Contains(err.Error(), leak) {
						t.Errorf("the error quotes the document: %v", err)
					}
				}
			}
			want := 1
			if tt.count == "created" {
				want = 7
			}
			r.counts(t, tt.count, want)
		})
	}
}

func TestARefusedDocumentIsTriedOnceMoreWithoutItsBodies(t *testing.T) {
	const whole = `{"@timestamp":"2026-01-02T03:04:05Z","event":{"id":"x"},"foretop":{"severity_name":"high","request_object":{"bad":1},"response_object":{"a":[1,"}"]}},"user":{"name":"u"}}`
	refuse := func(all bool) func(string, json.RawMessage) *estest.Item {
		return func(_ string, doc json.RawMessage) *estest.Item {
			if all || strings.Contains(string(doc), "_object") {
				return &estest.Item{Status: 400, Type: "document_parsing_exception", Reason: leak}
			}
			return nil
		}
	}
	t.Run("and is stored then", func(t *testing.T) {
		r := newRig(t)
		r.server.OnItem(refuse(false))
		r.stores(t, []pipeline.Document{doc("a"), {ID: "x", Body: []byte(whole)}, doc("b")})
		var got struct {
			User    struct{ Name string }
			Foretop map[string]any
		}
		if err := json.Unmarshal(r.stored(t)["x"], &got); err != nil {
			t.Fatal(err)
		}
		if got.User.Name != "u" || got.Foretop["severity_name"] != "high" || got.Foretop["bodies_stripped"] != true || len(got.Foretop) != 2 {
			t.Errorf("stored without its bodies: %+v", got)
		}
		if n := len(r.server.Requests("/_bulk")); n != 2 {
			t.Errorf("%d bulk requests, want 2", n)
		}
		r.counts(t, "stripped", 1)
		r.counts(t, "created", 3)
	})
	t.Run("and rejected if that does not help", func(t *testing.T) {
		r := newRig(t)
		r.server.OnItem(refuse(true))
		fails(t, r.write(t, []pipeline.Document{{ID: "x", Body: []byte(whole)}})[0], pipeline.Reject, "document_parsing_exception")
		if n := len(r.server.Requests("/_bulk")); n != 2 {
			t.Errorf("%d bulk requests, want 2", n)
		}
	})
	t.Run("but not if it has none", func(t *testing.T) {
		r := newRig(t)
		r.server.OnItem(refuse(true))
		fails(t, r.write(t, docs(1))[0], pipeline.Reject)
		if n := len(r.server.Requests("/_bulk")); n != 1 {
			t.Errorf("%d bulk requests, want 1", n)
		}
	})
}

func TestWhatWouldSpoilTheRequestIsRejectedBeforeItIsSent(t *testing.T) {
	tests := []struct {
		name string
		doc  pipeline.Document
	}{
		{"a document without an id, which would be stored twice", pipeline.Document{Body: []byte(`{}`)}},
		{"an id longer than Elasticsearch takes, which fails the whole request", pipeline.Document{ID: strings.Repeat("x", 513), Body: []byte(`{}`)}},
		{"an id that is no UTF-8", pipeline.Document{ID: "\xff", Body: []byte(`{}`)}},
		{"an empty body, which would shift all lines", pipeline.Document{ID: "x"}},
		{"line breaks in what is no JSON", pipeline.Document{ID: "x", Body: []byte("{\n")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			results := r.write(t, []pipeline.Document{doc("a"), tt.doc, doc("b")})
			fails(t, results[1], pipeline.Reject)
			if results[0] != nil || results[2] != nil || len(r.stored(t)) != 2 {
				t.Errorf("the neighbours were not stored: %v", results)
			}
		})
	}
}

func TestADocumentOnSeveralLinesIsStored(t *testing.T) {
	r := newRig(t)
	r.stores(t, []pipeline.Document{{ID: "x", Body: []byte("{\n  \"@timestamp\": \"2026-01-02T03:04:05Z\",\r\n  \"message\": \"a\\nb\"\n}")}, doc("b")})
	var got map[string]any
	if err := json.Unmarshal(r.stored(t)["x"], &got); err != nil || got["message"] != "a\nb" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTheTimeOfWritingIsInTheDocumentAndNotInItsID(t *testing.T) {
	r := newRig(t)
	before := time.Now().Truncate(time.Millisecond)
	r.stores(t, docs(1))
	var got struct {
		Event struct {
			ID       string
			Ingested time.Time
		}
	}
	if err := json.Unmarshal(r.stored(t)["id-000"], &got); err != nil {
		t.Fatal(err)
	}
	if got.Event.ID != "id-000" || got.Event.Ingested.Before(before) || got.Event.Ingested.After(time.Now()) {
		t.Errorf("event is %+v, want it ingested after %v", got.Event, before)
	}
}

func TestADocumentIsStoredOnceAcrossARollover(t *testing.T) {
	r := newRig(t)
	r.stores(t, docs(5))
	r.server.Rollover(stream)
	r.stores(t, docs(8))
	r.server.Rollover(stream)
	r.stores(t, append(docs(8), docs(8)...))
	if n := len(r.stored(t)); n != 8 { // stored fails the test for an id in two indices
		t.Errorf("%d documents are stored, want 8", n)
	}
	r.counts(t, "created", 8)
	r.counts(t, "duplicate", 5+16)
	r.counts(t, "retry", 0)
}

func TestADeadLetterBecomesAnEvent(t *testing.T) {
	server := estest.New(t)
	cfg := elasticsearch.Config{Addresses: []string{server.URL}, Namespace: "prod"}
	setup(t, cfg)
	s := newSink(t, cfg, elasticsearch.Options{Dataset: elasticsearch.DeadLetters})
	letter := pipeline.DeadLetter{
		Origin: pipeline.Origin{Source: "s", Stream: "file/a", Pos: "7"}, Class: "syntax", Detail: "no JSON",
		SHA256: "00", Length: 3, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Body: []byte("{\x00\xff"),
	}
	d := pipeline.EncodeDeadLetter(letter)
	results, err := s.Write(t.Context(), []pipeline.Document{d, d})
	if err != nil || results[0] != nil || results[1] != nil {
		t.Fatalf("%v, %v", results, err)
	}
	var got struct {
		Timestamp time.Time `json:"@timestamp"`
		Event     struct{ Kind, Dataset string }
		Stream    struct{ Dataset, Namespace string } `json:"data_stream"`
		Foretop   struct {
			Letter json.RawMessage `json:"dead_letter"`
		}
	}
	stored := server.Documents(t, "logs-foretop.deadletters-prod")
	if err := json.Unmarshal(stored[d.ID], &got); err != nil {
		t.Fatalf("%v: %s", err, stored)
	}
	if got.Timestamp.IsZero() || got.Event.Kind != "pipeline_error" || got.Stream.Namespace != "prod" || got.Stream.Dataset != got.Event.Dataset {
		t.Errorf("stored as %+v", got)
	}
	back, err := pipeline.DecodeDeadLetter(got.Foretop.Letter)
	if err != nil || fmt.Sprint(back) != fmt.Sprint(letter) {
		t.Errorf("read back as %+v, %v, want %+v", back, err, letter)
	}
}
