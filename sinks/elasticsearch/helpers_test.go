package elasticsearch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stream = "logs-foretop.findings-default"

// rig is a sink, the server behind it with the templates installed, and the sink's metrics.
type rig struct {
	*elasticsearch.Sink
	server  *estest.Server
	metrics *prometheus.Registry
}

func newRig(t *testing.T, change ...func(*elasticsearch.Config)) *rig {
	t.Helper()
	server := estest.New(t)
	cfg := elasticsearch.Config{Addresses: []string{server.URL}}
	setup(t, cfg)
	for _, f := range change {
		f(&cfg)
	}
	r := &rig{server: server, metrics: prometheus.NewRegistry()}
	r.Sink = newSink(t, cfg, elasticsearch.Options{Registerer: r.metrics})
	return r
}

func newSink(t *testing.T, cfg elasticsearch.Config, o elasticsearch.Options) *elasticsearch.Sink {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := elasticsearch.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil { // the test's own context has ended by now
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func setup(t *testing.T, cfg elasticsearch.Config) string {
	t.Helper()
	var out strings.Builder
	if err := elasticsearch.Setup(t.Context(), cfg, elasticsearch.SetupOptions{Out: &out}); err != nil {
		t.Fatalf("Setup: %v\n%s", err, &out)
	}
	return out.String()
}

func doc(id string) pipeline.Document {
	return pipeline.Document{ID: id, Body: fmt.Appendf(nil, `{"@timestamp":"2026-01-02T03:04:05Z","event":{"id":%q,"kind":"alert"}}`, id)}
}

func docs(n int) []pipeline.Document {
	out := make([]pipeline.Document, n)
	for i := range out {
		out[i] = doc(fmt.Sprintf("id-%03d", i))
	}
	return out
}

// write expects the request as a whole to succeed.
func (r *rig) write(t *testing.T, docs []pipeline.Document) []error {
	t.Helper()
	results, err := r.Write(t.Context(), docs)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	if len(results) != len(docs) {
		t.Fatalf("%d results for %d documents", len(results), len(docs))
	}
	return results
}

// stores expects every document to be accepted.
func (r *rig) stores(t *testing.T, docs []pipeline.Document) {
	t.Helper()
	for i, err := range r.write(t, docs) {
		if err != nil {
			t.Errorf("document %s: %v", docs[i].ID, err)
		}
	}
}

func (r *rig) stored(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	return r.server.Documents(t, stream)
}

// counts expects the number of documents that had a result.
func (r *rig) counts(t *testing.T, result string, want int) {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" && l.GetValue() == result && int(m.GetCounter().GetValue()) != want {
					t.Errorf("%v documents counted as %s, want %d", m.GetCounter().GetValue(), result, want)
				}
			}
		}
	}
}

// fails expects an error of a class whose text has every one of these parts.
func fails(t *testing.T, err error, class pipeline.Class, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of class %v", class)
	}
	if got := pipeline.ClassOf(err); got != class {
		t.Errorf("class %v, want %v: %v", got, class, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	r := newRig(t)
	r.stores(t, docs(1))
	problems, err := testutil.GatherAndLint(r.metrics)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
