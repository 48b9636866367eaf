//go:build integration

// Package elasticsearch tests the sink, the templates and the dashboards against a real Elasticsearch.
package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
)

// node is an Elasticsearch. Tests that share one keep to namespaces of their own.
type node struct {
	url string
	dir string // of a private one
}

// shared is the node that integration/services/run starts for all tests.
func shared(t testing.TB) *node {
	t.Helper()
	url := os.Getenv("FORETOP_TEST_ELASTICSEARCH")
	if url == "" {
		t.Fatal("FORETOP_TEST_ELASTICSEARCH is not set: run the tests through integration/services/run")
	}
	return &node{url: url}
}

// private starts a node for tests that break it, and ends it with the test.
func private(t *testing.T) *node {
	t.Helper()
	n := &node{dir: t.TempDir()}
	t.Cleanup(func() { n.script(t, "stop") })
	n.start(t)
	return n
}

func (n *node) script(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // cleanups run after the test's context
	defer cancel()
	log, err := os.Create(filepath.Join(n.dir, command+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// A file, not a pipe: the server inherits it, and a pipe would be waited for until the server ends.
	cmd := exec.CommandContext(ctx, "../services/elasticsearch", command, n.dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(log.Name())
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

func (n *node) start(t *testing.T) {
	t.Helper()
	n.script(t, "start")
	env, err := os.ReadFile(filepath.Join(n.dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(string(env)), "FORETOP_TEST_ELASTICSEARCH=")
	if !ok {
		t.Fatalf("%s does not name the address: %s", n.dir, env)
	}
	n.url = url
}

// call sends a request and decodes the answer, if it is JSON, into out. It returns the status.
func (n *node) call(t testing.TB, method, path, body string, out any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			t.Fatalf("%s %s: %v in %.300s", method, path, err, data)
		}
	}
	return res.StatusCode
}

// must is call for requests that have to succeed.
func (n *node) must(t testing.TB, method, path, body string, out any) {
	t.Helper()
	var raw json.RawMessage
	if status := n.call(t, method, path, body, &raw); status/100 != 2 {
		t.Fatalf("%s %s: status %d: %.500s", method, path, status, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

// ids are those of all documents of a stream, each as often as it is stored.
func (n *node) ids(t testing.TB, stream string) map[string]int {
	t.Helper()
	n.must(t, http.MethodPost, "/"+stream+"/_refresh", "", nil)
	var got struct {
		Hits struct {
			Total struct{ Value int }
			Hits  []struct {
				ID string `json:"_id"`
			}
		}
	}
	n.must(t, http.MethodPost, "/"+stream+"/_search", `{"size":10000,"track_total_hits":true,"_source":false}`, &got)
	if got.Hits.Total.Value != len(got.Hits.Hits) {
		t.Fatalf("%d documents, more than can be listed", got.Hits.Total.Value)
	}
	out := make(map[string]int)
	for _, h := range got.Hits.Hits {
		out[h.ID]++
	}
	return out
}

// holds expects exactly these documents, each once.
func (n *node) holds(t testing.TB, stream string, docs []pipeline.Document) {
	t.Helper()
	got := n.ids(t, stream)
	for _, d := range docs {
		if got[d.ID] != 1 {
			t.Errorf("%s is stored %d times in %s", d.ID, got[d.ID], stream)
		}
		delete(got, d.ID)
	}
	if len(got) > 0 {
		t.Errorf("%d documents too many in %s", len(got), stream)
	}
}

// config is for a namespace of the test's own.
func (n *node) config(t testing.TB) elasticsearch.Config {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(t.Name()))
	return elasticsearch.Config{
		Addresses: []string{n.url}, Compression: true,
		Namespace: fmt.Sprintf("%.60s_%x", name, time.Now().UnixNano()),
	}
}

// installed is a sink to a fresh data stream of which setup has made everything.
func (n *node) installed(t testing.TB) (*elasticsearch.Sink, string) {
	t.Helper()
	cfg := n.config(t)
	setup(t, cfg)
	t.Cleanup(func() { n.drop(t, cfg.Namespace) })
	return sink(t, cfg, elasticsearch.Findings), elasticsearch.Findings.Stream(cfg.Namespace)
}

// drop removes the data streams of a namespace. Private nodes may be gone by then, with all they had.
func (n *node) drop(t testing.TB, namespace string) {
	t.Helper()
	if n.dir != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own context has ended
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, n.url+"/_data_stream/logs-foretop.*-"+namespace, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func setup(t testing.TB, cfg elasticsearch.Config) string {
	t.Helper()
	var out bytes.Buffer
	if err := elasticsearch.Setup(t.Context(), cfg, elasticsearch.SetupOptions{Out: &out}); err != nil {
		t.Fatalf("Setup: %v\n%s", err, &out)
	}
	return out.String()
}

func sink(t testing.TB, cfg elasticsearch.Config, d elasticsearch.Dataset) *elasticsearch.Sink {
	t.Helper()
	s, err := elasticsearch.New(cfg, elasticsearch.Options{Dataset: d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) }) // the test's own context has ended
	return s
}

// documents are n small findings.
func documents(prefix string, n int) []pipeline.Document {
	out := make([]pipeline.Document, n)
	for i := range out {
		id := fmt.Sprintf("%s-%06d", prefix, i)
		out[i] = pipeline.Document{ID: id, Body: fmt.Appendf(nil,
			`{"@timestamp":"2026-01-02T03:04:05.%03dZ","event":{"id":%q,"kind":"alert"},"rule":{"name":"rule %d"},"user":{"name":"user %d"}}`, i%1000, id, i%7, i%13)}
	}
	return out
}

// stores writes and expects every document to be accepted.
func stores(t testing.TB, s *elasticsearch.Sink, docs []pipeline.Document) {
	t.Helper()
	for i, err := range results(t, s, docs) {
		if err != nil {
			t.Fatalf("document %s: %v", docs[i].ID, err)
		}
	}
}

func results(t testing.TB, s *elasticsearch.Sink, docs []pipeline.Document) []error {
	t.Helper()
	got, err := s.Write(t.Context(), docs)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	return got
}

// failsAs expects a failure of a class with a text, of the request or of each document.
func failsAs(t testing.TB, s *elasticsearch.Sink, docs []pipeline.Document, class pipeline.Class, says string) {
	t.Helper()
	got, err := s.Write(t.Context(), docs)
	if err != nil {
		got = []error{err}
	}
	for _, err := range got {
		if err == nil || pipeline.ClassOf(err) != class || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v, want an error of class %v that says %q", err, class, says)
		}
	}
}
