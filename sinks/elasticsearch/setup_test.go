package elasticsearch_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

// plan runs setup and returns what it printed. says are parts that must be there, in lines of the plan.
func plan(t *testing.T, server *estest.Server, dry bool, says ...string) string {
	t.Helper()
	var out strings.Builder
	cfg := elasticsearch.Config{Addresses: []string{server.URL}}
	if err := elasticsearch.Setup(t.Context(), cfg, elasticsearch.SetupOptions{DryRun: dry, Out: &out}); err != nil {
		t.Fatalf("Setup: %v\n%s", err, &out)
	}
	for _, line := range says {
		if !strings.Contains(words(out.String()), line) {
			t.Errorf("the plan does not say %q:\n%s", line, &out)
		}
	}
	return out.String()
}

// words brings columns to one space.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// changes are the requests that changed something.
func changes(server *estest.Server) (n int) {
	for _, r := range server.Requests("") {
		if r.Method == http.MethodPut || strings.HasSuffix(r.Path, "/_rollover") {
			n++
		}
	}
	return n
}

func TestSetupCreatesEverythingOnceAndThenLeavesItAlone(t *testing.T) {
	server := estest.New(t)
	plan(t, server, false, "Elasticsearch 8.19.21 at http://", "create component template foretop@settings version 1",
		"create index template logs-foretop.findings version 1", "create data stream logs-foretop.findings-default",
		"create data stream logs-foretop.deadletters-default", "Done: 7 changes.")
	before := changes(server)
	plan(t, server, false, "unchanged component template foretop.findings@mappings version 1",
		"unchanged data stream logs-foretop.findings-default", "Done: 0 changes.")
	if n := changes(server); n != before {
		t.Errorf("the second setup made %d changes", n-before)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	server := estest.New(t)
	plan(t, server, true, "create index template logs-foretop.findings version 1", "Dry run: nothing was changed.")
	if n := changes(server); n != 0 {
		t.Errorf("%d changes", n)
	}
}

// reinstall replaces a template by a changed one.
func reinstall(t *testing.T, server *estest.Server, path string, change func(map[string]any)) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(server.Template(path), &body); err != nil {
		t.Fatal(err)
	}
	change(body)
	out, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	server.PutTemplate(path, string(out))
}

func TestSetupUpdatesWhatIsOlderOrChangedAndRollsOver(t *testing.T) {
	t.Run("an older version", func(t *testing.T) {
		server := estest.New(t)
		plan(t, server, false)
		reinstall(t, server, "component_template/foretop.findings@mappings", func(m map[string]any) { m["version"] = 0 })
		plan(t, server, false, "update component template foretop.findings@mappings version 0 -> 1",
			"roll over data stream logs-foretop.findings-default", "unchanged data stream logs-foretop.deadletters-default", "Done: 2 changes.")
		plan(t, server, false, "unchanged data stream logs-foretop.findings-default 2 backing", "Done: 0 changes.")
	})
	t.Run("a change by hand", func(t *testing.T) {
		server := estest.New(t)
		plan(t, server, false)
		reinstall(t, server, indexTemplate, func(m map[string]any) { m["priority"] = 100 })
		plan(t, server, false, "update index template logs-foretop.findings version 1, which was changed after it was installed", "Done: 1 change.")
	})
	t.Run("a setup that was interrupted before the rollover", func(t *testing.T) {
		server := estest.New(t)
		plan(t, server, false)
		good := server.Template("component_template/foretop.findings@mappings")
		server.PutTemplate("component_template/foretop.findings@mappings", `{"template":{"mappings":{"_meta":{"managed_by":"foretop","version":-1}}}}`)
		server.Rollover(stream)
		server.PutTemplate("component_template/foretop.findings@mappings", string(good))
		plan(t, server, false, "roll over data stream logs-foretop.findings-default", "Done: 1 change.")
	})
}

func TestTheRetentionIsThatOfTheConfiguration(t *testing.T) {
	server := estest.New(t)
	var out strings.Builder
	run := func(retention string) {
		t.Helper()
		out.Reset()
		cfg := elasticsearch.Config{Addresses: []string{server.URL}, Retention: retention}
		if err := elasticsearch.Setup(t.Context(), cfg, elasticsearch.SetupOptions{Out: &out}); err != nil {
			t.Fatal(err)
		}
	}
	run("30d")
	if !strings.Contains(string(server.Template(indexTemplate)), `"data_retention":"30d"`) {
		t.Errorf("installed: %s", server.Template(indexTemplate))
	}
	run("90d")
	if !strings.Contains(words(out.String()), "update lifecycle logs-foretop.findings-default retention 30d -> 90d") {
		t.Errorf("the data stream that is there keeps its retention:\n%s", &out)
	}
	run("90d")
	if !strings.Contains(out.String(), "Done: 0 changes.") {
		t.Errorf("repeated:\n%s", &out)
	}
}

func TestSetupRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*testing.T, *estest.Server)
		says    string
	}{
		{"to replace what a newer Foretop installed", func(t *testing.T, s *estest.Server) {
			plan(t, s, false)
			reinstall(t, s, indexTemplate, func(m map[string]any) { m["version"] = 2 })
		}, "a newer Foretop installed it"},
		{"to replace the template of somebody else", func(_ *testing.T, s *estest.Server) {
			s.PutTemplate(indexTemplate, `{"index_patterns":["logs-foretop.findings-*"]}`)
		}, "not Foretop's"},
		{"a data stream that was made from another template", func(_ *testing.T, s *estest.Server) {
			s.PutTemplate("index_template/logs", `{"index_patterns":["logs-*"],"data_stream":{}}`)
			s.Rollover(stream)
			s.DeleteTemplate("index_template/logs")
		}, "made from the template"},
		{"an Elasticsearch that is too old", func(_ *testing.T, s *estest.Server) { s.SetVersion("8.13.4") }, "8.14"},
		{"what is not Elasticsearch", func(_ *testing.T, s *estest.Server) {
			s.OnRequest(script("", raw(200, `{"version":{"number":"2.11.0","distribution":"opensearch"}}`)))
		}, "not Elasticsearch"},
		{"without privileges", func(_ *testing.T, s *estest.Server) {
			s.OnRequest(script("foretop@settings", status(403, "security_exception")))
		}, "privileges"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := estest.New(t)
			tt.prepare(t, server)
			before := changes(server)
			err := elasticsearch.Setup(t.Context(), elasticsearch.Config{Addresses: []string{server.URL}}, elasticsearch.SetupOptions{})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want an error that says %q", err, tt.says)
			}
			if n := changes(server); n != before {
				t.Errorf("%d changes were made all the same", n-before)
			}
		})
	}
}

func TestSetupSaysWhenItStoppedHalfway(t *testing.T) {
	server := estest.New(t)
	server.OnRequest(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.Method != http.MethodPut || !strings.HasPrefix(r.URL.Path, "/_index_template/") {
			return false
		}
		estest.Reply(w, 400, estest.Failure(400, "illegal_argument_exception", "unknown field [lifecycle]\x1b[2J"))
		return true
	})
	err := elasticsearch.Setup(t.Context(), elasticsearch.Config{Addresses: []string{server.URL}}, elasticsearch.SetupOptions{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"create index template logs-foretop.deadletters", "unknown field [lifecycle]", "3 of the changes above were made"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "\x1b") {
		t.Errorf("the error holds what the server may put into a terminal: %q", err)
	}
}

func TestSetupNoticesThatAnotherTemplateWins(t *testing.T) {
	server := estest.New(t)
	server.OnRequest(script("/_mapping", func(w http.ResponseWriter, _ *http.Request) {
		estest.Reply(w, 200, map[string]any{".ds-x-000001": map[string]any{"mappings": map[string]any{}}})
	}))
	err := elasticsearch.Setup(t.Context(), elasticsearch.Config{Addresses: []string{server.URL}}, elasticsearch.SetupOptions{})
	if err == nil || !strings.Contains(err.Error(), "higher priority") {
		t.Errorf("%v, want an error about the other template", err)
	}
}
