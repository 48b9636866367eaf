package elasticsearch_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
)

// field is a field of a mapping.
type field struct {
	Type            string           `json:"type"`
	Properties      map[string]field `json:"properties"`
	Dynamic         any              `json:"dynamic"`
	Subobjects      *bool            `json:"subobjects"`
	Index           *bool            `json:"index"`
	DocValues       *bool            `json:"doc_values"`
	IgnoreAbove     int              `json:"ignore_above"`
	IgnoreMalformed *bool            `json:"ignore_malformed"`
	DepthLimit      int              `json:"depth_limit"`
	Value           string           `json:"value"`
	Fields          map[string]field `json:"fields"`
}

// mapping reads the mapping of a component template.
func mapping(t *testing.T, name string) field {
	t.Helper()
	all, err := templates.Templates()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Name != name {
			continue
		}
		var body struct {
			Template struct {
				Mappings field `json:"mappings"`
			} `json:"template"`
		}
		if err := json.Unmarshal(one.Body, &body); err != nil {
			t.Fatal(err)
		}
		return body.Template.Mappings
	}
	t.Fatalf("there is no template %s", name)
	return field{}
}

func (f *field) at(path []string) (field, bool) {
	here := *f
	for _, name := range path {
		next, ok := here.Properties[name]
		if !ok {
			return field{}, false
		}
		here = next
	}
	return here, true
}

// each visits every field that holds values, multi-fields too.
func (f *field) each(path string, visit func(path string, f field)) {
	for name, inner := range f.Properties {
		here := strings.TrimPrefix(path+"."+name, ".")
		if inner.Type != "" && inner.Type != "object" {
			visit(here, inner)
		}
		for sub, multi := range inner.Fields {
			visit(here+"."+sub, multi)
		}
		inner.each(here, visit)
	}
}

// documented lists the fields that a Go type is written as, with the Elasticsearch types that fit.
func documented(t reflect.Type, path []string, tag string, visit func(path []string, fits []string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if tag != "" {
		visit(path, []string{tag})
		return
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		visit(path, []string{"date"})
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous && name == "":
				documented(f.Type, path, "", visit)
			case f.IsExported() && name != "-":
				documented(f.Type, append(slices.Clone(path), name), f.Tag.Get("es"), visit)
			}
		}
	case t.Kind() == reflect.Bool:
		visit(path, []string{"boolean"})
	case t.Kind() == reflect.Float64:
		visit(path, []string{"float"})
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		visit(path, []string{"long", "integer"})
	default:
		visit(path, []string{"keyword"})
	}
}

func TestEveryFieldOfAFindingIsMapped(t *testing.T) {
	root := mapping(t, "foretop.findings@mappings")
	seen := 0
	documented(reflect.TypeFor[finding.Finding](), nil, "", func(path, fits []string) {
		seen++
		name := strings.Join(path, ".")
		f, ok := root.at(path)
		switch {
		case !ok:
			t.Errorf("%s is not mapped: it should be %s", name, fits[0])
		case name == "labels" || name == "kubernetes.audit.annotations":
			if f.Properties == nil && f.Type != "object" {
				t.Errorf("%s has names that nobody knows in advance, so it must be an object, not %s", name, f.Type)
			}
		case !slices.Contains(fits, f.Type):
			t.Errorf("%s is mapped as %q, and the document writes %s", name, f.Type, fits[0])
		}
	})
	if seen < 150 {
		t.Fatalf("only %d fields were found in finding.Finding: the walk over its types is broken", seen)
	}
}

// The fields by which ECS, Elastic Security and the dashboards find things.
func TestECSFieldsHaveTheirTypes(t *testing.T) {
	root := mapping(t, "foretop.findings@mappings")
	for path, want := range map[string]string{
		"@timestamp": "date", "message": "match_only_text", "tags": "keyword", "ecs.version": "keyword",
		"event.kind": "keyword", "event.severity": "long", "event.risk_score": "float", "event.ingested": "date",
		"event.reason": "keyword", "rule.uuid": "keyword", "rule.name": "keyword", "threat.technique.id": "keyword",
		"user.name": "keyword", "user.effective.name": "keyword", "user.target.name": "keyword", "related.user": "keyword",
		"source.ip": "ip", "client.ip": "ip", "related.ip": "ip", "orchestrator.resource.ip": "ip",
		"source.geo.location": "geo_point", "source.as.number": "long",
		"orchestrator.cluster.name": "keyword", "orchestrator.namespace": "keyword", "container.image.name": "keyword",
		"container.security_context.privileged": "boolean", "process.command_line": "wildcard", "url.path": "wildcard",
		"http.response.status_code": "long", "cloud.account.id": "keyword", "data_stream.dataset": "constant_keyword",
		"kubernetes.audit.responseStatus.code": "integer", "kubernetes.audit.sourceIPs": "keyword",
		"kubernetes.audit.annotations.authorization_k8s_io/decision": "keyword", "kubernetes.audit.user.extra": "flattened",
		"foretop.severity_name": "keyword", "foretop.request_object": "flattened", "foretop.bodies_stripped": "boolean",
	} {
		f, ok := root.at(strings.Split(path, "."))
		if !ok || f.Type != want {
			t.Errorf("%s is %q, want %q", path, f.Type, want)
		}
	}
	if f, _ := root.at([]string{"data_stream", "dataset"}); f.Value != finding.Dataset {
		t.Errorf("data_stream.dataset is fixed to %q, and findings say %q: every write would fail", f.Value, finding.Dataset)
	}
}

func TestNoFieldRejectsADocumentForItsLength(t *testing.T) {
	const term = 32766 // bytes of the longest term of the index; a character has up to four
	for _, name := range []string{"foretop.findings@mappings", "foretop.deadletters@mappings"} {
		root := mapping(t, name)
		if root.Dynamic != false {
			t.Errorf("%s: unknown fields must not be indexed", name)
		}
		if f, _ := root.at([]string{"@timestamp"}); f.IgnoreMalformed == nil || *f.IgnoreMalformed {
			t.Errorf("%s: a data stream takes no @timestamp that ignores what is malformed", name)
		}
		root.each("", func(path string, f field) {
			stored := f.Index == nil || *f.Index || f.DocValues == nil || *f.DocValues
			switch f.Type {
			case "keyword", "wildcard", "flattened":
				if stored && (f.IgnoreAbove == 0 || f.IgnoreAbove*4 > term && f.IgnoreAbove > 8191) {
					t.Errorf("%s: %s is a %s without a bound that fits into a term", name, path, f.Type)
				}
			}
			if f.Type == "flattened" && f.DepthLimit < 100 {
				t.Errorf("%s: %s rejects what is nested deeper than %d", name, path, f.DepthLimit)
			}
		})
	}
}

func TestEveryFieldOfADeadLetterIsMapped(t *testing.T) {
	root := mapping(t, "foretop.deadletters@mappings")
	doc := pipeline.EncodeDeadLetter(pipeline.DeadLetter{
		Origin: pipeline.Origin{Source: "s", Stream: "t", Pos: "1", Offset: 1, Length: 2}, Key: "k", Class: "c", Detail: "d",
		SHA256: "00", Length: 3, Time: time.Unix(1, 0), Body: []byte("text"),
	})
	var members map[string]any
	if err := json.Unmarshal(doc.Body, &members); err != nil {
		t.Fatal(err)
	}
	members["body_base64"] = ""
	for name := range members {
		if _, ok := root.at([]string{"foretop", "dead_letter", name}); !ok {
			t.Errorf("foretop.dead_letter.%s is not mapped", name)
		}
	}
	for _, body := range []string{"body", "body_base64"} {
		if f, _ := root.at([]string{"foretop", "dead_letter", body}); f.Index == nil || *f.Index || f.DocValues == nil || *f.DocValues {
			t.Errorf("%s must not be indexed: anything can be in it", body)
		}
	}
}
