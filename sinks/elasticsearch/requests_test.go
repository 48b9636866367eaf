package elasticsearch_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

// script answers the requests whose path ends with suffix, and lets all others through.
func script(suffix string, f http.HandlerFunc) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasSuffix(r.URL.Path, suffix) {
			return false
		}
		f(w, r)
		return true
	}
}

func status(code int, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		estest.Reply(w, code, estest.Failure(code, kind, "because of "+leak))
	}
}

func raw(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func TestARequestThatFailsAsAWholeHasTheFateThatItsAnswerSays(t *testing.T) {
	const page = "<html><body>502 Bad Gateway " + leak + "</body></html>"
	tests := []struct {
		name   string
		answer http.HandlerFunc
		class  pipeline.Class
		says   string
	}{
		{"429", status(429, "es_rejected_execution_exception"), pipeline.Retry, "es_rejected_execution_exception"},
		{"500", status(500, "exception"), pipeline.Retry, "HTTP 500"},
		{"502 of a proxy, as a page", raw(502, page), pipeline.Retry, "HTTP 502"},
		{"503 of a proxy, empty", raw(503, ""), pipeline.Retry, "HTTP 503"},
		{"504", raw(504, "upstream"), pipeline.Retry, "HTTP 504"},
		{"408", raw(408, ""), pipeline.Retry, "HTTP 408"},
		{"403 of a full disk", status(403, "cluster_block_exception"), pipeline.Retry, "cluster_block_exception"},
		{"503 while no master is known", status(503, "master_not_discovered_exception"), pipeline.Retry, "master_not_discovered_exception"},
		{"200 with a page", raw(200, page), pipeline.Retry, "web page"},
		{"200 cut in the middle", raw(200, `{"items":[{"create":{"_id":"id-0`), pipeline.Retry, "cut short"},
		{"200 with nothing", raw(200, ""), pipeline.Retry, "cut short"},
		{"200 with fewer items", raw(200, `{"items":[{"create":{"_id":"id-000","status":201}}]}`), pipeline.Retry, "1 items for 3 documents"},
		{"200 with more items", raw(200, `{"items":[{},{},{},{}]}`), pipeline.Retry, "4 items for 3 documents"},
		{"200 with the items of others", raw(200, `{"items":[{"create":{"_id":"id-001","status":201}},{"create":{"_id":"id-000","status":201}},{"create":{"_id":"id-002","status":201}}]}`), pipeline.Retry, "item 0"},
		{"200 that never ends", func(w http.ResponseWriter, _ *http.Request) {
			for range 200 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
		}, pipeline.Retry, "longer than"},
		{"401", status(401, "security_exception"), pipeline.Fatal, "API key"},
		{"403", status(403, "security_exception"), pipeline.Fatal, "privileges"},
		{"404", status(404, "index_not_found_exception"), pipeline.Fatal, "foretop setup elasticsearch"},
		{"400", status(400, "illegal_argument_exception"), pipeline.Fatal, "8.14"},
		{"302 of a login page", raw(302, page), pipeline.Fatal, "HTTP 302"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.server.OnRequest(script("/_bulk", tt.answer))
			results, err := r.Write(t.Context(), docs(3))
			if results != nil {
				t.Errorf("there are results although no fate is known: %v", results)
			}
			fails(t, err, tt.class, tt.says)
			if strings.Contains(err.Error(), leak) {
				t.Errorf("the error quotes the answer: %v", err)
			}
			if r.Health() == nil {
				t.Error("the sink calls itself healthy")
			}
			r.server.OnRequest(nil)
			r.stores(t, docs(3))
			if len(r.stored(t)) != 3 || r.Health() != nil {
				t.Errorf("not all is well again: %d stored, health %v", len(r.stored(t)), r.Health())
			}
		})
	}
}

func TestAnAnswerThatIsCutOffOnTheWire(t *testing.T) {
	r := newRig(t)
	r.server.OnRequest(script("/_bulk", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"items":[`))
		panic(http.ErrAbortHandler)
	}))
	_, err := r.Write(t.Context(), docs(3))
	fails(t, err, pipeline.Retry, "bulk to")
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "100000": 5 * time.Minute, "-1": 0, "soon": 0, "Fri, 01 Jan 2027 00:00:00 GMT": 0} {
		r := newRig(t)
		r.server.OnRequest(script("/_bulk", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			estest.Reply(w, 429, estest.Failure(429, "es_rejected_execution_exception", ""))
		}))
		_, err := r.Write(t.Context(), docs(1))
		fails(t, err, pipeline.Retry)
		got := pipeline.DelayOf(err)
		if strings.HasPrefix(header, "Fri") {
			until, _ := http.ParseTime(header)
			want = min(max(time.Until(until), 0), 5*time.Minute)
			got, want = got.Truncate(time.Minute), want.Truncate(time.Minute)
		}
		if got != want {
			t.Errorf("Retry-After: %s asks for %v, want %v", header, got, want)
		}
	}
}

func TestTheLookupDecidesNothingUnlessEveryShardAnswered(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a shard failed":    raw(200, `{"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[]}}`),
		"it timed out":      raw(200, `{"timed_out":true,"_shards":{"failed":0},"hits":{"hits":[]}}`),
		"it was refused":    status(503, "search_phase_execution_exception"),
		"the answer is cut": raw(200, `{"hits":`),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.server.OnRequest(script("/_search", answer))
			_, err := r.Write(t.Context(), docs(3))
			fails(t, err, pipeline.Retry, "looking up ids")
			if n := len(r.server.Requests("/_bulk")); n != 0 {
				t.Errorf("%d bulk requests were sent all the same", n)
			}
		})
	}
	t.Run("it is not allowed", func(t *testing.T) {
		r := newRig(t)
		r.server.OnRequest(script("/_search", status(403, "security_exception")))
		_, err := r.Write(t.Context(), docs(3))
		fails(t, err, pipeline.Fatal, "looking up ids", "privileges")
	})
}

// tooLargeOver refuses bulk requests with more than n documents.
func tooLargeOver(n int) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if !strings.HasSuffix(r.URL.Path, "/_bulk") || strings.Count(string(body), "\n") <= 2*n {
			return false
		}
		raw(413, "")(w, r)
		return true
	}
}

func TestARequestThatIsTooLargeIsHalved(t *testing.T) {
	r := newRig(t)
	r.server.OnRequest(tooLargeOver(3))
	r.stores(t, docs(20))
	if n := len(r.stored(t)); n != 20 {
		t.Errorf("%d documents are stored, want 20", n)
	}
}

func TestASingleDocumentThatIsTooLargeLosesItsBodiesAndIsThenRejected(t *testing.T) {
	r := newRig(t)
	r.server.OnRequest(func(w http.ResponseWriter, req *http.Request, body []byte) bool {
		if !strings.HasSuffix(req.URL.Path, "/_bulk") || len(body) < 5000 {
			return false
		}
		raw(413, "")(w, req)
		return true
	})
	big := strings.Repeat("x", 10_000)
	results := r.write(t, []pipeline.Document{
		doc("a"),
		{ID: "body", Body: []byte(`{"@timestamp":"2026-01-02T03:04:05Z","foretop":{"request_object":{"k":"` + big + `"}}}`)},
		{ID: "rest", Body: []byte(`{"@timestamp":"2026-01-02T03:04:05Z","message":"` + big + `"}`)},
		doc("b"),
	})
	for _, i := range []int{0, 1, 3} {
		if results[i] != nil {
			t.Errorf("document %d: %v", i, results[i])
		}
	}
	fails(t, results[2], pipeline.Reject, "too large")
	if !strings.Contains(string(r.stored(t)["body"]), `"bodies_stripped":true`) {
		t.Errorf("stored: %s", r.stored(t)["body"])
	}
}

func TestWhatWasWrittenBeforeARequestFailedKeepsItsFate(t *testing.T) {
	r := newRig(t, func(c *elasticsearch.Config) { c.BulkBytes = 500 }) // about three documents a request
	var bulks atomic.Int32
	r.server.OnRequest(script2("/_bulk", func() bool { return bulks.Add(1) > 1 }, status(503, "unavailable_shards_exception")))
	results := r.write(t, docs(12))
	done := 0
	for i, err := range results {
		if err == nil {
			done++
			continue
		}
		fails(t, err, pipeline.Retry)
		if i < done {
			t.Errorf("document %d failed before others that succeeded", i)
		}
	}
	if done == 0 || done == 12 || done != len(r.stored(t)) {
		t.Errorf("%d documents are said to be stored, %d are", done, len(r.stored(t)))
	}
	if n := bulks.Load(); n != 2 {
		t.Errorf("%d bulk requests, want 2: after a failure the rest waits for the next attempt", n)
	}
}

func script2(suffix string, when func() bool, f http.HandlerFunc) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasSuffix(r.URL.Path, suffix) || !when() {
			return false
		}
		f(w, r)
		return true
	}
}

func TestASlowServerGetsSmallerRequestsAndThenLargerOnes(t *testing.T) {
	r := newRig(t, func(c *elasticsearch.Config) { c.BulkTimeout, c.BulkBytes = 200*time.Millisecond, 256<<10 })
	body := `{"@timestamp":"2026-01-02T03:04:05Z","message":"` + strings.Repeat("x", 20<<10) + `"}`
	var many []pipeline.Document
	for _, d := range docs(10) {
		many = append(many, pipeline.Document{ID: d.ID, Body: []byte(body)})
	}
	block := make(chan struct{})
	r.server.OnRequest(func(w http.ResponseWriter, req *http.Request, body []byte) bool {
		if !strings.HasSuffix(req.URL.Path, "/_bulk") || strings.Count(string(body), "\n") <= 8 {
			return false
		}
		<-block
		return true
	})
	t.Cleanup(func() { close(block) })
	var err error
	for range 5 {
		if _, err = r.Write(t.Context(), many); err == nil {
			break
		}
		fails(t, err, pipeline.Retry, "no answer in time")
	}
	if err != nil || len(r.stored(t)) != 10 {
		t.Errorf("the same request times out again and again: %v, %d stored", err, len(r.stored(t)))
	}
}

func TestACancelledWriteIsToBeRetried(t *testing.T) {
	r := newRig(t)
	r.stores(t, docs(1))
	ctx, cancel := context.WithCancel(t.Context())
	r.server.OnRequest(script("/_search", func(http.ResponseWriter, *http.Request) { cancel() }))
	_, err := r.Write(ctx, docs(3))
	fails(t, err, pipeline.Retry)
}

func TestAServerThatIsGoneIsToBeRetriedAtTheOtherAddress(t *testing.T) {
	gone := estest.New(t)
	alive := estest.New(t)
	cfg := elasticsearch.Config{Addresses: []string{alive.URL}}
	setup(t, cfg)
	cfg.Addresses = []string{gone.URL, alive.URL}
	gone.Close()
	s := newSink(t, cfg, elasticsearch.Options{})
	failures := 0
	for range 10 {
		if _, err := s.Write(t.Context(), docs(1)); err != nil {
			fails(t, err, pipeline.Retry)
			failures++
		}
	}
	if failures > 1 || len(alive.Documents(t, stream)) != 1 {
		t.Errorf("%d of 10 writes went to the dead node", failures)
	}
}

func TestRequestsAskForWhatTheSinkRestsOn(t *testing.T) {
	for _, compressed := range []bool{true, false} {
		r := newRig(t, func(c *elasticsearch.Config) { c.Compression = compressed })
		r.stores(t, docs(2))
		b := r.server.Requests("/_bulk")[0]
		if (b.Header.Get("Content-Encoding") == "gzip") != compressed {
			t.Errorf("Content-Encoding is %q with compression %v", b.Header.Get("Content-Encoding"), compressed)
		}
		for _, want := range []string{"require_data_stream=true", "filter_path=", "error.type"} {
			if !strings.Contains(b.Query, want) {
				t.Errorf("the bulk request does not ask for %s: %s", want, b.Query)
			}
		}
		if strings.Contains(b.Query, "reason") {
			t.Errorf("the bulk request asks for reasons, which quote documents: %s", b.Query)
		}
		if l := r.server.Requests("/_search")[0]; !strings.Contains(l.Query, "allow_partial_search_results=false") {
			t.Errorf("the lookup may be partial: %s", l.Query)
		}
	}
}
