//go:build integration

package elasticsearch

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
)

// These tests break the server, so they have one of their own. They run one after the other on it.
func TestFaultsOfTheServer(t *testing.T) {
	n := private(t)
	t.Run("nothing is written before setup, and no index appears", func(t *testing.T) { beforeSetup(t, n) })
	t.Run("the template is deleted while the service runs", func(t *testing.T) { templateDeleted(t, n) })
	t.Run("a newer or foreign template is not replaced", func(t *testing.T) { foreignTemplates(t, n) })
	t.Run("an overloaded server is tried again", func(t *testing.T) { overloaded(t, n) })
	t.Run("a blocked index is tried again", func(t *testing.T) { blocked(t, n) })
	t.Run("the server restarts in the middle", func(t *testing.T) { restarted(t, n) })
}

func beforeSetup(t *testing.T, n *node) {
	cfg := n.config(t)
	s := sink(t, cfg, elasticsearch.Findings)
	failsAs(t, s, documents("doc", 3), pipeline.Fatal, "foretop setup elasticsearch")
	if status := n.call(t, http.MethodGet, "/"+elasticsearch.Findings.Stream(cfg.Namespace), "", nil); status != http.StatusNotFound {
		t.Errorf("there is an index or data stream: status %d", status)
	}
	setup(t, cfg)
	docs := documents("doc", 3)
	stores(t, s, docs)
	n.holds(t, elasticsearch.Findings.Stream(cfg.Namespace), docs)
}

func templateDeleted(t *testing.T, n *node) {
	cfg := n.config(t)
	setup(t, cfg)
	stream := elasticsearch.Findings.Stream(cfg.Namespace)
	s := sink(t, cfg, elasticsearch.Findings)
	stores(t, s, documents("doc", 3))
	n.must(t, http.MethodDelete, "/_data_stream/*", "", nil)
	n.must(t, http.MethodDelete, "/_index_template/logs-foretop.findings", "", nil)
	failsAs(t, s, documents("doc", 3), pipeline.Fatal, "foretop setup elasticsearch")
	failsAs(t, s, documents("doc", 3), pipeline.Fatal, "there is no index template")
	if status := n.call(t, http.MethodGet, "/"+stream, "", nil); status != http.StatusNotFound {
		t.Errorf("a plain index appeared: status %d", status)
	}
	setup(t, cfg)
	stores(t, s, documents("doc", 3))
	n.holds(t, stream, documents("doc", 3))
}

func foreignTemplates(t *testing.T, n *node) {
	cfg := n.config(t)
	setup(t, cfg)
	refuses := func(says string) {
		t.Helper()
		err := elasticsearch.Setup(t.Context(), cfg, elasticsearch.SetupOptions{})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error that says %q", err, says)
		}
	}
	n.must(t, http.MethodPut, "/_component_template/foretop@settings", `{"version":99,"_meta":{"managed_by":"foretop"},"template":{}}`, nil)
	refuses("a newer Foretop installed it")
	n.must(t, http.MethodPut, "/_component_template/foretop@settings", `{"template":{}}`, nil)
	refuses("not Foretop's")
	n.must(t, http.MethodPut, "/_component_template/foretop@settings", `{"version":1,"_meta":{"managed_by":"foretop"},"template":{}}`, nil)
	out := setup(t, cfg)
	for _, line := range []string{"which was changed after it was installed", "roll over  data stream"} {
		if !strings.Contains(out, line) {
			t.Errorf("setup does not say %q:\n%s", line, out)
		}
	}
	if out := setup(t, cfg); !strings.Contains(out, "Done: 0 changes.") {
		t.Errorf("repeated:\n%s", out)
	}
}

// eventually repeats a write, as the pipeline does, until every document is stored.
func eventually(t *testing.T, s *elasticsearch.Sink, docs []pipeline.Document) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got, err := s.Write(t.Context(), docs)
		var last error
		for _, e := range append(got, err) {
			if e != nil {
				last = e
			}
		}
		if last == nil {
			return
		}
		if pipeline.ClassOf(last) != pipeline.Retry || time.Now().After(deadline) {
			t.Fatalf("the documents are not stored: %v", last)
		}
		time.Sleep(200 * time.Millisecond) // a real server, real time
	}
}

func overloaded(t *testing.T, n *node) {
	cfg := n.config(t)
	setup(t, cfg)
	s := sink(t, cfg, elasticsearch.Findings)
	docs := documents("doc", 200)
	stores(t, s, docs[:100])
	breaker := func(limit string) {
		n.must(t, http.MethodPut, "/_cluster/settings", `{"persistent":{"indices.breaker.total.limit":`+limit+`}}`, nil)
	}
	breaker(`"5%"`)
	failsAs(t, s, docs, pipeline.Retry, "429 circuit_breaking_exception")
	breaker("null")
	eventually(t, s, docs)
	n.holds(t, elasticsearch.Findings.Stream(cfg.Namespace), docs)
}

func blocked(t *testing.T, n *node) {
	cfg := n.config(t)
	setup(t, cfg)
	stream := elasticsearch.Findings.Stream(cfg.Namespace)
	s := sink(t, cfg, elasticsearch.Findings)
	docs := documents("doc", 20)
	stores(t, s, docs[:10])
	// The first is what an operator sets, and a 403; the second is what a full disk sets, and a 429.
	for _, block := range []string{"index.blocks.write", "index.blocks.read_only_allow_delete"} {
		n.must(t, http.MethodPut, "/"+stream+"/_settings", `{"`+block+`":true}`, nil)
		got := results(t, s, docs[10:])
		for _, err := range got {
			if err == nil || pipeline.ClassOf(err) != pipeline.Retry || !strings.Contains(err.Error(), "cluster_block_exception") {
				t.Errorf("%s: %v, want a retry", block, err)
			}
		}
		if s.Health() == nil {
			t.Errorf("%s: the sink calls itself healthy", block)
		}
		n.must(t, http.MethodPut, "/"+stream+"/_settings", `{"`+block+`":null}`, nil)
	}
	eventually(t, s, docs)
	n.holds(t, stream, docs)
}

func restarted(t *testing.T, n *node) {
	cfg := n.config(t)
	setup(t, cfg)
	s := sink(t, cfg, elasticsearch.Findings)
	docs := documents("doc", 400)
	stores(t, s, docs[:200])
	n.script(t, "stop")
	failsAs(t, s, docs, pipeline.Retry, "")
	n.start(t)
	if n.url != cfg.Addresses[0] {
		t.Fatalf("the node came back at %s", n.url)
	}
	eventually(t, s, docs)
	n.holds(t, elasticsearch.Findings.Stream(cfg.Namespace), docs)
}
