package elasticsearch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/foretop/foretop/deployments/kibana"
	"github.com/foretop/foretop/sinks/elasticsearch"
)

// fakeKibana takes an import and remembers it.
type fakeKibana struct {
	*httptest.Server
	imports []imported
	answer  func(w http.ResponseWriter, first bool)
	version string
}

type imported struct {
	path, query, fileName, authorization string
	file                                 []byte
}

func newKibana(t *testing.T) *fakeKibana {
	t.Helper()
	k := &fakeKibana{version: "8.19.0"}
	k.answer = func(w http.ResponseWriter, first bool) {
		fmt.Fprintf(w, `{"success":true,"successCount":1,"successResults":[{"type":"dashboard","id":"foretop-findings-overview","meta":{"title":"x"},"overwrite":%v}],"warnings":[]}`, !first)
	}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/status" {
			fmt.Fprintf(w, `{"version":{"number":%q,"build_flavor":"traditional"}}`, k.version)
			return
		}
		if r.Header.Get("Kbn-Xsrf") == "" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"message":"Request must contain a kbn-xsrf header."}`)
			return
		}
		file, header, err := r.FormFile("file")
		if err != nil {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		data, _ := io.ReadAll(file)
		k.imports = append(k.imports, imported{r.URL.Path, r.URL.RawQuery, header.Filename, r.Header.Get("Authorization"), data})
		k.answer(w, len(k.imports) == 1)
	}))
	t.Cleanup(k.Close)
	return k
}

func setupKibana(t *testing.T, cfg elasticsearch.KibanaConfig, dry bool) (string, error) {
	t.Helper()
	var out strings.Builder
	err := elasticsearch.SetupKibana(t.Context(), cfg, elasticsearch.SetupOptions{DryRun: dry, Out: &out})
	return out.String(), err
}

func TestDashboardsAreImportedAsKibanaWantsIt(t *testing.T) {
	k := newKibana(t)
	out, err := setupKibana(t, elasticsearch.KibanaConfig{URL: k.URL + "/", Space: "security", Username: "u", Password: "p"}, false)
	if err != nil {
		t.Fatal(err)
	}
	got := k.imports[0]
	if got.path != "/s/security/api/saved_objects/_import" || got.query != "overwrite=true" || !strings.HasSuffix(got.fileName, ".ndjson") || got.authorization != "Basic dTpw" {
		t.Errorf("the request: %+v", got)
	}
	if !bytes.Equal(got.file, kibana.SavedObjects) {
		t.Error("the file is not the one of the dashboards")
	}
	for _, line := range []string{
		"Kibana 8.19.0 at " + k.URL + ", space security",
		"import data view foretop-findings-data-view Foretop findings",
		"import dashboard foretop-findings-overview Foretop: overview",
		"created dashboard foretop-findings-overview", "Done: 1 object.",
	} {
		if !strings.Contains(words(out), line) {
			t.Errorf("it does not say %q:\n%s", line, out)
		}
	}
	out, err = setupKibana(t, elasticsearch.KibanaConfig{URL: k.URL, APIKey: "abc"}, false)
	if err != nil || !strings.Contains(words(out), "replaced dashboard") || !strings.Contains(out, "the default space") ||
		k.imports[1].path != "/api/saved_objects/_import" || k.imports[1].authorization != "ApiKey abc" {
		t.Errorf("again: %v, %+v\n%s", err, k.imports[1], out)
	}
}

func TestADryRunImportsNothing(t *testing.T) {
	k := newKibana(t)
	out, err := setupKibana(t, elasticsearch.KibanaConfig{URL: k.URL}, true)
	if err != nil || len(k.imports) != 0 || !strings.Contains(words(out), "import dashboard foretop-findings-overview") {
		t.Errorf("%v, %d imports\n%s", err, len(k.imports), out)
	}
}

func TestAnAnswerOfSuccessIsReadToItsEnd(t *testing.T) {
	k := newKibana(t)
	k.answer = func(w http.ResponseWriter, _ bool) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"success": false, "successCount": 1,
			"successResults": []any{map[string]any{"type": "index-pattern", "id": "foretop-findings-data-view", "destinationId": "other"}},
			"errors": []any{
				map[string]any{"type": "dashboard", "id": "foretop-findings-overview", "error": map[string]any{
					"type": "missing_references", "references": []any{map[string]any{"type": "search", "id": "gone"}},
				}},
				map[string]any{"type": "search", "id": "x", "error": map[string]any{"type": "unknown", "message": "bad\x1b[2J"}},
			},
		})
	}
	out, err := setupKibana(t, elasticsearch.KibanaConfig{URL: k.URL}, false)
	if err == nil || !strings.Contains(err.Error(), "2 objects") {
		t.Errorf("%v, want an error about 2 objects", err)
	}
	for _, line := range []string{"created data view foretop-findings-data-view as other", "failed dashboard foretop-findings-overview missing_references, needs saved search gone", "failed saved search x unknown, bad"} {
		if !strings.Contains(words(out), line) {
			t.Errorf("it does not say %q:\n%s", line, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("what Kibana says goes to the terminal as it is: %q", out)
	}
}

func TestFailuresOfKibanaSayWhatToDo(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fakeKibana)
		says   string
	}{
		{"too old", func(k *fakeKibana) { k.version = "8.8.2" }, "8.9"},
		{"wrong credentials", func(k *fakeKibana) {
			k.answer = func(w http.ResponseWriter, _ bool) { w.WriteHeader(http.StatusUnauthorized) }
		}, "API key"},
		{"no privilege", func(k *fakeKibana) {
			k.answer = func(w http.ResponseWriter, _ bool) {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, `{"message":"Unable to bulk_create dashboard"}`)
			}
		}, "Unable to bulk_create dashboard: the privilege Saved Objects Management"},
		{"no such space", func(k *fakeKibana) {
			k.answer = func(w http.ResponseWriter, _ bool) { w.WriteHeader(http.StatusNotFound) }
		}, "space"},
		{"a bare 500", func(k *fakeKibana) {
			k.answer = func(w http.ResponseWriter, _ bool) { w.WriteHeader(http.StatusInternalServerError) }
		}, "older than 8.9"},
		{"a login page", func(k *fakeKibana) {
			k.answer = func(w http.ResponseWriter, _ bool) {
				w.Header().Set("Location", "/login")
				w.WriteHeader(http.StatusFound)
			}
		}, "HTTP 302"},
		{"a web page", func(k *fakeKibana) {
			k.answer = func(w http.ResponseWriter, _ bool) { fmt.Fprint(w, "<html>") }
		}, "address of Kibana"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newKibana(t)
			tt.change(k)
			_, err := setupKibana(t, elasticsearch.KibanaConfig{URL: k.URL}, false)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want an error that says %q", err, tt.says)
			}
		})
	}
	for _, cfg := range []elasticsearch.KibanaConfig{{}, {URL: "kibana:5601"}, {URL: "http://k:1", Space: "My Space/.."}, {URL: "http://k:1", Username: "u"}} {
		if _, err := setupKibana(t, cfg, false); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
