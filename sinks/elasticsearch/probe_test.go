package elasticsearch_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

// examined are the checks of a Probe, one line each: state, name, detail, fix.
func (r *rig) examined(t *testing.T) string {
	t.Helper()
	before := len(r.server.Requests(""))
	var lines []string
	if records := r.Probe(t.Context(), 10, func(c pipeline.Check) {
		lines = append(lines, fmt.Sprintf("%s %s: %s -> %s", c.State, c.Name, c.Detail, c.Fix))
	}); records != nil {
		t.Errorf("a sink has %d records", len(records))
	}
	for _, q := range r.server.Requests("")[before:] {
		if q.Method != http.MethodGet && q.Path != "/_security/user/_has_privileges" {
			t.Errorf("%s %s is no reading", q.Method, q.Path)
		}
	}
	return strings.Join(lines, "\n")
}

func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// withSecurity answers questions about users as a server with security does. who is the user, empty for one that is
// refused; missing are privileges that it has not.
func withSecurity(who string, missing ...string) func(w http.ResponseWriter, r *http.Request, body []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		switch {
		case who == "":
			estest.Reply(w, 401, estest.Failure(401, "security_exception", "unable to authenticate"))
		case r.URL.Path == "/_security/_authenticate":
			answer := map[string]any{"username": who}
			if r.Header.Get("Authorization")[:6] == "ApiKey" {
				answer["api_key"] = map[string]any{"id": "x", "name": "foretop\x1b[31m"}
			}
			estest.Reply(w, 200, answer)
		case r.URL.Path == "/_security/user/_has_privileges":
			var q struct {
				Index []struct{ Names, Privileges []string }
			}
			if err := json.Unmarshal(body, &q); err != nil || len(q.Index) != 1 || len(q.Index[0].Names) != 1 {
				estest.Reply(w, 400, estest.Failure(400, "parse_exception", "no privileges are asked for"))
				return true
			}
			has := make(map[string]bool)
			for _, p := range q.Index[0].Privileges {
				has[p] = true
			}
			for _, p := range missing {
				has[p] = false
			}
			estest.Reply(w, 200, map[string]any{"has_all_requested": len(missing) == 0, "index": map[string]any{q.Index[0].Names[0]: has}})
		case r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/_cat"):
			estest.Reply(w, 403, estest.Failure(403, "security_exception", "action [cluster:monitor/main] is unauthorized"))
		default:
			return false
		}
		return true
	}
}

func withPassword(c *elasticsearch.Config) { c.Username, c.Password = "writer", "hunter2-secret" }

func TestAProbeOfAServerWithoutSecurity(t *testing.T) {
	r := newRig(t)
	says(t, r.examined(t), "ok server "+r.server.URL+": Elasticsearch 8.19.21", "ok login: the server asks for none",
		"ok templates: logs-foretop.findings is installed in version 1", "ok data stream: "+stream+" takes documents", "ok clock")
}

func TestAProbeNamesTheUserAndTheMissingPrivileges(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*elasticsearch.Config)
		script func(w http.ResponseWriter, r *http.Request, body []byte) bool
		want   []string
	}{
		"all is well": {withPassword, withSecurity("writer"), []string{"ok login: user writer", "ok privileges: create_doc, auto_configure, read, view_index_metadata on " + stream, "ok templates", "may not see its version"}},
		"an API key":  {func(c *elasticsearch.Config) { c.APIKey = "id:hunter2-secret" }, withSecurity("owner"), []string{`ok login: API key foretop\x1b[31m of owner`}},
		"some privileges are missing": {withPassword, withSecurity("writer", "read", "create_doc"),
			[]string{"failed privileges: missing on " + stream + ": create_doc, read -> grant the user or API key create_doc, read on logs-foretop.*"}},
		"a wrong password":      {withPassword, withSecurity(""), []string{"failed login: the server refuses these credentials (HTTP 401) -> correct USERNAME and PASSWORD"}},
		"an old API key":        {func(c *elasticsearch.Config) { c.APIKey = "id:hunter2-secret" }, withSecurity(""), []string{"-> make a new API key"}},
		"no credentials at all": {func(*elasticsearch.Config) {}, withSecurity(""), []string{"-> set API_KEY, or USERNAME and PASSWORD"}},
		"a proxy that is upset": {withPassword, script("/_authenticate", raw(502, "<html>bad gateway</html>")), []string{"failed login: asking who we are: HTTP 502"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.change)
			r.server.OnRequest(tt.script)
			got := r.examined(t)
			says(t, got, tt.want...)
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
		})
	}
}

func TestAProbeSaysWhatKeepsDocumentsOut(t *testing.T) {
	t.Run("no template", func(t *testing.T) {
		r := newRig(t)
		r.server.DeleteTemplate(indexTemplate)
		says(t, r.examined(t), "failed templates: there is no index template logs-foretop.findings -> foretop setup elasticsearch")
	})
	t.Run("an old template", func(t *testing.T) {
		r := newRig(t)
		r.server.PutTemplate(indexTemplate, `{"version":0,"_meta":{"managed_by":"foretop"}}`)
		says(t, r.examined(t), "failed templates: the index template logs-foretop.findings has version 0, and this program needs version 1 -> foretop setup elasticsearch")
	})
	t.Run("a full disk", func(t *testing.T) {
		r := newRig(t)
		r.server.BlockNewest(stream, "index.blocks.read_only_allow_delete")
		says(t, r.examined(t), "failed data stream: the newest index of "+stream+" takes no documents: index.blocks.read_only_allow_delete is set -> free disk space")
	})
	t.Run("no data stream yet", func(t *testing.T) {
		r := newRig(t, func(c *elasticsearch.Config) { c.Namespace = "other" })
		says(t, r.examined(t), "ok data stream: logs-foretop.findings-other is made with the first document")
	})
	t.Run("an old server", func(t *testing.T) {
		r := newRig(t)
		r.server.SetVersion("8.10.0")
		says(t, r.examined(t), `failed server `+r.server.URL+`: version "8.10.0" is too old`, "-> upgrade Elasticsearch")
	})
	t.Run("another server", func(t *testing.T) {
		r := newRig(t)
		r.server.OnRequest(script("", raw(200, "<html>hello</html>")))
		says(t, r.examined(t), "failed server", "web page")
	})
}

func TestAProbeAsksEveryNode(t *testing.T) {
	r := newRig(t, func(c *elasticsearch.Config) { c.Addresses = append(c.Addresses, "http://127.0.0.1:1") })
	got := r.examined(t)
	says(t, got, "ok server "+r.server.URL, "warning server http://127.0.0.1:1: ", "refused", "-> start the server")
	r = newRig(t, func(c *elasticsearch.Config) { c.Addresses = []string{"http://127.0.0.1:1"} })
	if got = r.examined(t); strings.Contains(got, "login") {
		t.Errorf("it goes on without a server:\n%s", got)
	}
	says(t, got, "failed server http://127.0.0.1:1")
}

func TestAProbeComparesTheClocks(t *testing.T) {
	for name, tt := range map[string]struct {
		off  time.Duration
		want string
	}{
		"the same":         {0, "ok clock"},
		"half a minute on": {20 * time.Second, "ok clock"},
		"ahead":            {5 * time.Minute, "ahead of the one here -> let both follow a time server"},
		"behind":           {-2 * time.Hour, "behind the one here"},
	} {
		for _, from := range []string{"Date", "health"} {
			t.Run(name+" by "+from, func(t *testing.T) {
				r := newRig(t)
				r.server.OnRequest(func(w http.ResponseWriter, q *http.Request, _ []byte) bool {
					there := time.Now().Add(tt.off)
					w.Header()["Date"] = nil // Elasticsearch sends none
					if from == "Date" {
						w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
					}
					if !strings.HasPrefix(q.URL.Path, "/_cat/health") {
						return false
					}
					estest.Reply(w, 200, []any{map[string]any{"epoch": fmt.Sprint(there.Unix())}})
					return true
				})
				says(t, r.examined(t), tt.want)
			})
		}
	}
}
