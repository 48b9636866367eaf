package elasticsearch_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
)

// head is what every template has around its contents.
type head struct {
	Version  int       `json:"version"`
	Priority int       `json:"priority"`
	Patterns []string  `json:"index_patterns"`
	Composed []string  `json:"composed_of"`
	Missing  []string  `json:"ignore_missing_component_templates"`
	Stream   *struct{} `json:"data_stream"`
	Meta     struct {
		ManagedBy string `json:"managed_by"`
	} `json:"_meta"`
	Template struct {
		Lifecycle struct {
			Retention string `json:"data_retention"`
		} `json:"lifecycle"`
		Mappings struct {
			Meta struct {
				ManagedBy string `json:"managed_by"`
				Version   int    `json:"version"`
			} `json:"_meta"`
		} `json:"mappings"`
	} `json:"template"`
}

func TestTemplatesAreOursAndOfOneVersion(t *testing.T) {
	all, err := templates.Templates()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, string(one.Kind)+"/"+one.Name)
		var h head
		if err := json.Unmarshal(one.Body, &h); err != nil {
			t.Fatalf("%s: %v", one.Name, err)
		}
		if h.Version != templates.Version || h.Meta.ManagedBy != "foretop" {
			t.Errorf("%s: version %d of %q, want version %d of foretop", one.Name, h.Version, h.Meta.ManagedBy, templates.Version)
		}
		if strings.HasSuffix(one.Name, "@mappings") && (h.Template.Mappings.Meta.Version != templates.Version || h.Template.Mappings.Meta.ManagedBy != "foretop") {
			t.Errorf("%s: its mapping must say in _meta whose it is and which version: a sink with few privileges reads that", one.Name)
		}
		if one.Kind == templates.IndexTemplate {
			checkIndexTemplate(t, one.Name, &h)
		}
	}
	want := []string{
		"component_template/foretop.deadletters@mappings", "component_template/foretop.findings@mappings", "component_template/foretop@settings",
		"index_template/logs-foretop.deadletters", "index_template/logs-foretop.findings",
	}
	if !slices.Equal(names, want) {
		t.Errorf("templates in order of installation: %v, want %v", names, want)
	}
}

// Elastic's own template for logs-*-* has priority 100, its packages 200.
func checkIndexTemplate(t *testing.T, name string, h *head) {
	t.Helper()
	if h.Priority <= 200 || h.Stream == nil || !slices.Equal(h.Patterns, []string{name + "-*"}) {
		t.Errorf("%s: priority %d, patterns %v: it must win over the templates of Elastic and match its own data streams only", name, h.Priority, h.Patterns)
	}
	if h.Template.Lifecycle.Retention == "" {
		t.Errorf("%s has no retention: its data would be kept for ever", name)
	}
	custom := strings.TrimPrefix(name, "logs-") + "@custom"
	if !slices.Contains(h.Composed, custom) || !slices.Equal(h.Missing, []string{custom}) {
		t.Errorf("%s: a site's own %s must be taken up, and may be absent", name, custom)
	}
}
