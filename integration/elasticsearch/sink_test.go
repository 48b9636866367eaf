//go:build integration

package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
)

func TestSetupCanBeRepeated(t *testing.T) {
	n := shared(t)
	cfg := n.config(t)
	t.Cleanup(func() { n.drop(t, cfg.Namespace) })
	began := time.Now()
	first := setup(t, cfg)
	took := time.Since(began)
	if !strings.Contains(first, "create     data stream         logs-foretop.findings-"+cfg.Namespace) {
		t.Errorf("the first setup:\n%s", first)
	}
	began = time.Now()
	if second := setup(t, cfg); !strings.Contains(second, "Done: 0 changes.") {
		t.Errorf("the second setup is not without changes:\n%s", second)
	}
	t.Logf("setup took %v, and %v when there was nothing to do", took, time.Since(began))
}

func TestDocumentsAreStoredOnceHoweverOftenTheyAreWritten(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	docs := documents("doc", 2500)
	stores(t, s, docs)
	// At once, before they can be found by a search: create refuses them.
	stores(t, s, docs)
	n.holds(t, stream, docs)
	// And after that: the lookup finds them.
	stores(t, s, docs)
	n.holds(t, stream, docs)
}

func TestTwoReplicasMayWriteTheSameDocuments(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	docs := documents("doc", 600)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; i < len(docs); i += 100 {
				got, err := s.Write(t.Context(), docs[i:i+100])
				for _, e := range append(got, err) {
					if e != nil {
						t.Error(e)
					}
				}
			}
		})
	}
	wg.Wait()
	n.holds(t, stream, docs)
}

func TestAReplayAcrossRolloversStoresNothingTwice(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	docs := documents("doc", 300)
	stores(t, s, docs[:200])
	n.must(t, http.MethodPost, "/"+stream+"/_refresh", "", nil)
	n.must(t, http.MethodPost, "/"+stream+"/_rollover", "", nil)
	stores(t, s, docs)
	n.must(t, http.MethodPost, "/"+stream+"/_refresh", "", nil)
	n.must(t, http.MethodPost, "/"+stream+"/_rollover", "", nil)
	stores(t, s, docs)
	n.holds(t, stream, docs)
	var got struct {
		Streams []struct{ Indices []any } `json:"data_streams"`
	}
	n.must(t, http.MethodGet, "/_data_stream/"+stream, "", &got)
	if len(got.Streams) != 1 || len(got.Streams[0].Indices) != 3 {
		t.Errorf("there were no rollovers: %+v", got)
	}
}

func TestOneDocumentThatDoesNotFitIsRejectedAndNoOther(t *testing.T) {
	n := shared(t)
	s, stream := n.installed(t)
	docs := documents("doc", 500)
	const secret = "hunter2-in-a-document"
	docs[321].Body = []byte(`{"@timestamp":"2026-01-02T03:04:05Z","user":{"name":{"` + secret + `":"` + secret + `"}}}`)
	for i, err := range results(t, s, docs) {
		switch {
		case i != 321 && err != nil:
			t.Errorf("document %d failed with its neighbour: %v", i, err)
		case i == 321 && (err == nil || pipeline.ClassOf(err) != pipeline.Reject || !strings.Contains(err.Error(), "400 document_parsing_exception")):
			t.Errorf("document %d: %v, want a rejection with status and type", i, err)
		case i == 321 && strings.Contains(err.Error(), secret):
			t.Errorf("the error quotes the document: %v", err)
		}
	}
	n.holds(t, stream, append(docs[:321:321], docs[322:]...))
}

func TestADocumentLargerThanTheServerTakesIsRejected(t *testing.T) {
	n := shared(t)
	_, stream := n.installed(t)
	cfg := n.config(t)
	cfg.Namespace, cfg.Compression = strings.TrimPrefix(stream, "logs-foretop.findings-"), false
	s := sink(t, cfg, elasticsearch.Findings)
	docs := documents("doc", 3)
	docs[1].Body = []byte(`{"@timestamp":"2026-01-02T03:04:05Z","message":"` + strings.Repeat("x", 101<<20) + `"}`)
	got := results(t, s, docs)
	if got[0] != nil || got[2] != nil || got[1] == nil || pipeline.ClassOf(got[1]) != pipeline.Reject {
		t.Errorf("%v, want only the second document to be rejected", got)
	}
	n.holds(t, stream, []pipeline.Document{docs[0], docs[2]})
}

func TestDeadLettersAreStoredWhateverIsInThem(t *testing.T) {
	n := shared(t)
	cfg := n.config(t)
	setup(t, cfg)
	t.Cleanup(func() { n.drop(t, cfg.Namespace) })
	s := sink(t, cfg, elasticsearch.DeadLetters)
	bodies := []string{"", "{", "\x00\xff\xfe", `{"@timestamp":"x","":{".":[]}}`, strings.Repeat("A", 5<<20), strings.Repeat("[", 100_000), "line\nbreak\u2028"}
	var docs []pipeline.Document
	for i, b := range bodies {
		docs = append(docs, pipeline.EncodeDeadLetter(pipeline.DeadLetter{
			Origin: pipeline.Origin{Source: "s", Stream: "file/" + strings.Repeat("x", 3000), Pos: fmt.Sprint(i)}, Class: "syntax",
			Detail: strings.Repeat("why ", 2000), SHA256: fmt.Sprint(i), Length: len(b), Time: time.Now(), Body: []byte(b),
		}))
	}
	stores(t, s, docs)
	stores(t, s, docs)
	stream := elasticsearch.DeadLetters.Stream(cfg.Namespace)
	n.holds(t, stream, docs)
	var got struct {
		Hits struct {
			Hits []struct {
				Source struct {
					Foretop struct {
						Letter json.RawMessage `json:"dead_letter"`
					}
				} `json:"_source"`
			}
		}
	}
	n.must(t, http.MethodPost, "/"+stream+"/_search", `{"query":{"term":{"foretop.dead_letter.sha256":"2"}}}`, &got)
	if len(got.Hits.Hits) != 1 {
		t.Fatalf("%d dead letters were found by their hash, want 1", len(got.Hits.Hits))
	}
	back, err := pipeline.DecodeDeadLetter(got.Hits.Hits[0].Source.Foretop.Letter)
	if err != nil || string(back.Body) != bodies[2] {
		t.Errorf("read back: %q, %v", back.Body, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	s, _ := shared(b).installed(b)
	body := strings.Repeat("x", 2500)
	const bulk = 1000
	sent := 0
	for b.Loop() {
		docs := documents(fmt.Sprint(sent), bulk)
		for i := range docs {
			docs[i].Body = append(docs[i].Body[:len(docs[i].Body)-1], `,"foretop":{"respond":"`+body+`"}}`...)
		}
		stores(b, s, docs)
		sent += bulk
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "docs/s")
}
