package elasticsearch_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
	"github.com/foretop/foretop/sinks/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		r := newRig(t)
		r.server.OnItem(func(_ string, doc json.RawMessage) *estest.Item {
			if strings.Contains(string(doc), "poison") {
				return &estest.Item{Status: 400, Type: "document_parsing_exception"}
			}
			return nil
		})
		every := func(f http.HandlerFunc) func(t *testing.T) func() {
			return func(*testing.T) func() {
				r.server.OnRequest(script("", f))
				return func() { r.server.OnRequest(nil) }
			}
		}
		return sinktest.Harness{
			Sink:       r.Sink,
			Idempotent: true,
			Stored: func(t *testing.T) []pipeline.Document {
				var out []pipeline.Document
				for id, body := range r.stored(t) {
					out = append(out, pipeline.Document{ID: id, Body: withoutIngested(t, body)})
				}
				return out
			},
			Down:   every(status(503, "unavailable_shards_exception")),
			Denied: every(status(401, "security_exception")),
			Busy: func(_ *testing.T, id string) func() {
				r.server.OnItem(func(got string, _ json.RawMessage) *estest.Item {
					if got == id {
						return &estest.Item{Status: 429, Type: "es_rejected_execution_exception"}
					}
					return nil
				})
				return func() { r.server.OnItem(nil) }
			},
			Poison: func(*testing.T) pipeline.Document {
				return pipeline.Document{ID: "bad", Body: []byte(`{"poison":true}`)}
			},
		}
	})
}

// withoutIngested takes out what the sink itself put in.
func withoutIngested(t *testing.T, body []byte) []byte {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	event, _ := members["event"].(map[string]any)
	if _, ok := event["ingested"]; !ok {
		t.Errorf("event.ingested is missing in %s", body)
	}
	if delete(event, "ingested"); len(event) == 0 {
		delete(members, "event")
	}
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
