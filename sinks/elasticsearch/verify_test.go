package elasticsearch_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

const indexTemplate = "index_template/logs-foretop.findings"

// refuses expects that nothing is written, and that the error tells what to do.
func (r *rig) refuses(t *testing.T, says ...string) {
	t.Helper()
	bulks := len(r.server.Requests("/_bulk"))
	_, err := r.Write(t.Context(), docs(2))
	fails(t, err, pipeline.Fatal, append(says, "foretop setup elasticsearch")...)
	if n := len(r.server.Requests("/_bulk")); n != bulks {
		t.Errorf("%d bulk requests were sent all the same", n-bulks)
	}
}

func TestNothingIsWrittenWhereTheTemplateIsNotAsItShouldBe(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		r := newRig(t)
		r.server.DeleteTemplate(indexTemplate)
		r.refuses(t, "there is no index template logs-foretop.findings")
		fails(t, r.Check(t.Context()), pipeline.Fatal)
	})
	t.Run("somebody else's", func(t *testing.T) {
		r := newRig(t)
		r.server.PutTemplate(indexTemplate, `{"index_patterns":["logs-foretop.findings-*"],"version":7}`)
		r.refuses(t, "is not Foretop's")
	})
	t.Run("of an older version", func(t *testing.T) {
		r := newRig(t)
		r.server.PutTemplate(indexTemplate, `{"version":0,"_meta":{"managed_by":"foretop"}}`)
		r.refuses(t, "version 0")
	})
	t.Run("of a newer version is fine", func(t *testing.T) {
		r := newRig(t)
		r.server.PutTemplate(indexTemplate, `{"version":99,"_meta":{"managed_by":"foretop"}}`)
		r.stores(t, docs(1))
	})
}

func TestTheTemplateIsLookedAtOnceAndAgainAfterAFatalError(t *testing.T) {
	r := newRig(t)
	looks := func() int { return len(r.server.Requests("/_index_template/logs-foretop.findings")) }
	before := looks()
	r.stores(t, docs(1))
	r.stores(t, docs(2))
	if n := looks() - before; n != 1 {
		t.Errorf("the template was looked at %d times, want once", n)
	}
	r.server.OnRequest(script("/_bulk", status(404, "index_not_found_exception")))
	if _, err := r.Write(t.Context(), docs(3)); pipeline.ClassOf(err) != pipeline.Fatal {
		t.Fatalf("%v, want fatal", err)
	}
	r.server.OnRequest(nil)
	r.server.DeleteTemplate(indexTemplate)
	r.refuses(t)
	setup(t, elasticsearch.Config{Addresses: []string{r.server.URL}})
	r.stores(t, docs(3))
}

func TestCredentialsThatMayOnlyWriteAreEnoughAfterSetup(t *testing.T) {
	hide := func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasPrefix(r.URL.Path, "/_index_template") {
			return false
		}
		estest.Reply(w, 403, estest.Failure(403, "security_exception", ""))
		return true
	}
	r := newRig(t)
	r.server.OnRequest(hide)
	r.stores(t, docs(3))

	t.Run("but not without a data stream", func(t *testing.T) {
		r := newRig(t, func(c *elasticsearch.Config) { c.Namespace = "other" })
		r.server.OnRequest(hide)
		r.refuses(t, "there is no data stream logs-foretop.findings-other")
	})
	t.Run("nor with an old mapping in its newest index", func(t *testing.T) {
		r := newRig(t)
		r.server.PutTemplate("component_template/foretop.findings@mappings", `{"template":{"mappings":{"_meta":{"managed_by":"foretop","version":-1}}}}`)
		r.server.Rollover(stream)
		r.server.OnRequest(hide)
		r.refuses(t, "version -1")
	})
	t.Run("nor with the mapping of others", func(t *testing.T) {
		r := newRig(t)
		r.server.PutTemplate("component_template/foretop.findings@mappings", `{"template":{"mappings":{"_meta":{"managed_by":"x","version":9}}}}`)
		r.server.Rollover(stream)
		r.server.OnRequest(hide)
		r.refuses(t, "not made from Foretop's template")
	})
}

func TestAServerThatIsNotElasticsearchIsRefused(t *testing.T) {
	r := newRig(t)
	r.server.OnRequest(script("", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"index_templates":[{"index_template":{"version":1,"_meta":{"managed_by":"foretop"}}}]}`))
	}))
	fails(t, r.Check(t.Context()), pipeline.Fatal, "not Elasticsearch")
	r.server.OnRequest(script("", raw(404, "<html>not found</html>")))
	fails(t, r.Check(t.Context()), pipeline.Fatal, "HTTP 404", "address")
	r.server.OnRequest(nil)
	if err := r.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
