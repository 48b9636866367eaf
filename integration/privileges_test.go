//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
)

// The privileges that docs/operations.md tells operators to give, and no others.
var (
	setupCluster = []string{"monitor", "manage_index_templates"}
	setupIndex   = []string{"manage"}
	writeIndex   = []string{"create_doc", "auto_configure", "read", "view_index_metadata"}
)

// secured is the Elasticsearch with TLS and API keys, as its superuser sees it.
type secured struct {
	url    string
	client *http.Client
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	pem, err := os.ReadFile(server(t, "FORETOP_TEST_ELASTICSEARCH_CA"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &secured{url: server(t, "FORETOP_TEST_ELASTICSEARCH_SECURE"), client: &http.Client{Transport: transport}}
}

func (s *secured) ask(t *testing.T, method, path string, body, answer any) {
	t.Helper()
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(server(t, "FORETOP_TEST_ELASTICSEARCH_USER"), server(t, "FORETOP_TEST_ELASTICSEARCH_PASSWORD"))
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s answered %s", method, path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// configWith is a sink's configuration with an API key of these privileges.
func (s *secured) configWith(t *testing.T, namespace string, cluster, index []string) elasticsearch.Config {
	t.Helper()
	var key struct{ Encoded string }
	s.ask(t, http.MethodPost, "/_security/api_key", map[string]any{
		"name": t.Name(),
		"role_descriptors": map[string]any{"foretop": map[string]any{
			"cluster": cluster,
			"index":   []any{map[string]any{"names": []string{"logs-foretop.*"}, "privileges": index}},
		}},
	}, &key)
	return elasticsearch.Config{
		Addresses: []string{s.url}, APIKey: config.Secret(key.Encoded), CAFile: server(t, "FORETOP_TEST_ELASTICSEARCH_CA"),
		Namespace: namespace, Retention: "30d",
	}
}

func (s *secured) count(t *testing.T, stream string) int {
	t.Helper()
	var answer struct{ Count int }
	s.ask(t, http.MethodPost, "/"+stream+"/_refresh", nil, &struct{}{})
	s.ask(t, http.MethodPost, "/"+stream+"/_count", nil, &answer)
	return answer.Count
}

func TestTheDocumentedPrivilegesAreEnoughAndNeeded(t *testing.T) {
	const namespace = "privileges"
	s := newSecured(t)
	if err := elasticsearch.Setup(t.Context(), s.configWith(t, namespace, setupCluster, setupIndex), elasticsearch.SetupOptions{Out: t.Output()}); err != nil {
		t.Fatalf("setup with the documented privileges: %v", err)
	}
	document := pipeline.Document{ID: "a", Body: []byte(`{"@timestamp":"2026-11-22T00:00:00Z","message":"x",` +
		`"data_stream":{"type":"logs","dataset":"foretop.findings","namespace":"` + namespace + `"}}`)}
	if err := write(t, s.configWith(t, namespace, nil, writeIndex), document); err != nil {
		t.Fatalf("writing with the documented privileges: %v", err)
	}
	if err := write(t, s.configWith(t, namespace, nil, writeIndex), document); err != nil {
		t.Fatalf("writing the same finding again: %v", err)
	}
	if got := s.count(t, elasticsearch.Findings.Stream(namespace)); got != 1 {
		t.Errorf("%d documents are stored, want 1", got)
	}
	for i, missing := range writeIndex {
		if missing == "auto_configure" {
			continue // it is needed for the first document of an index only, and that one is stored by now
		}
		rest := append(append([]string(nil), writeIndex[:i]...), writeIndex[i+1:]...)
		t.Run("without "+missing, func(t *testing.T) {
			err := write(t, s.configWith(t, namespace, nil, rest), pipeline.Document{ID: "b", Body: document.Body})
			if err == nil || pipeline.ClassOf(err) != pipeline.Fatal {
				t.Errorf("the sink says %v, want an error for a human", err)
			}
		})
	}
}

// write stores one document through a new sink and returns its fate.
func write(t *testing.T, cfg elasticsearch.Config, document pipeline.Document) error {
	t.Helper()
	sink, err := elasticsearch.New(cfg, elasticsearch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close(context.WithoutCancel(t.Context()))
	results, err := sink.Write(t.Context(), []pipeline.Document{document})
	if err == nil && len(results) != 1 {
		err = fmt.Errorf("%d results for one document", len(results))
	}
	if err != nil {
		return err
	}
	return results[0]
}

func TestTheGuideListsThesePrivileges(t *testing.T) {
	page := strings.Join(strings.Fields(readFile(t, "../docs/operations.md")), " ")
	for _, sentence := range []string{
		"writing needs `create_doc`, `auto_configure` (labels are mapped when first seen), `read` and `view_index_metadata` on `logs-foretop.*`",
		"Setup needs the cluster privileges `monitor` and `manage_index_templates`, and `manage` on `logs-foretop.*`",
	} {
		if !strings.Contains(page, sentence) {
			t.Errorf("docs/operations.md does not say %q", sentence)
		}
	}
}
