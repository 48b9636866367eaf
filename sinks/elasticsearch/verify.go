package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
	"github.com/foretop/foretop/pkg/pipeline"
)

// minVersion is the oldest Elasticsearch whose data stream lifecycle is no preview.
const minVersion = "8.14"

// owner is how our templates and mappings name themselves in _meta.
const owner = "foretop"

// meta is the _meta of a template or a mapping.
type meta struct {
	ManagedBy string `json:"managed_by"`
	Version   int    `json:"version"`
}

// verify makes sure that the documents go where their fields are mapped, once; and again after an error
// that only a human can cure.
func (s *Sink) verify(ctx context.Context) error {
	if s.verified.Load() {
		return nil
	}
	s.verifying.Lock()
	defer s.verifying.Unlock()
	if s.verified.Load() {
		return nil
	}
	err := s.checkTemplate(ctx)
	if err == nil {
		s.verified.Store(true)
	}
	return err
}

// setupAdvice ends the errors that a setup cures.
const setupAdvice = ": run `foretop setup elasticsearch`"

func setupNeeded(format string, args ...any) error {
	return pipeline.FatalError(fmt.Errorf("elasticsearch: "+format+setupAdvice, args...))
}

// checkTemplate looks at the index template. A key that may only write cannot see it; then the mapping of
// the data stream says the same, provided that there is a data stream.
func (s *Sink) checkTemplate(ctx context.Context) error {
	name := s.dataset.template()
	about := "looking for the index template " + name
	a, err := s.client.do(ctx, about, &esapi.IndicesGetIndexTemplateRequest{Name: name, FilterPath: []string{
		"index_templates.index_template.version", "index_templates.index_template._meta", "error.type",
	}}, maxAnswer)
	switch {
	case err != nil:
		return err
	case fateOf(a.status, a.errorType()) == denied && a.status == http.StatusForbidden:
		return s.checkMapping(ctx)
	case fateOf(a.status, a.errorType()) == missing && a.product != "":
		return setupNeeded("there is no index template %s", name)
	case a.status != http.StatusOK:
		return a.err(about)
	case a.product != "Elasticsearch":
		return pipeline.FatalError(errors.New("elasticsearch: the server at the address is not Elasticsearch (it sends no X-Elastic-Product)"))
	}
	var got struct {
		Templates []struct {
			Template installed `json:"index_template"`
		} `json:"index_templates"`
	}
	if err := decode(a, about, &got); err != nil {
		return err
	}
	if len(got.Templates) != 1 {
		return setupNeeded("there is no index template %s", name)
	}
	t := got.Templates[0].Template
	switch {
	case t.Meta.ManagedBy != owner:
		return setupNeeded("the index template %s is not Foretop's", name)
	case t.Version < templates.Version:
		return setupNeeded("the index template %s has version %d, and this program needs version %d", name, t.Version, templates.Version)
	}
	return nil
}

// checkMapping looks at the newest backing index of the data stream.
func (s *Sink) checkMapping(ctx context.Context) error {
	m, err := mappingMeta(ctx, s.client, s.stream)
	switch {
	case err != nil:
		return err
	case m == meta{}:
		return setupNeeded("there is no data stream %s with Foretop's mappings, and these credentials may not look for the index template", s.stream)
	case m.ManagedBy != owner:
		return setupNeeded("the data stream %s was not made from Foretop's template", s.stream)
	case m.Version < templates.Version:
		return setupNeeded("the newest index of %s has mappings of version %d, and this program needs version %d", s.stream, m.Version, templates.Version)
	}
	return nil
}

// mappingMeta is the _meta of the mapping that a data stream writes with, zero if there is none.
func mappingMeta(ctx context.Context, c *client, stream string) (meta, error) {
	var got map[string]struct {
		Mappings struct {
			Meta meta `json:"_meta"`
		} `json:"mappings"`
	}
	if _, err := c.find(ctx, "looking at the mapping of "+stream, &esapi.IndicesGetMappingRequest{
		Index: []string{stream}, FilterPath: []string{"*.mappings._meta", "error.type"},
	}, &got); err != nil {
		return meta{}, err
	}
	newest, m := "", meta{}
	for index, mapping := range got {
		if newerIndex(index, newest) {
			newest, m = index, mapping.Mappings.Meta
		}
	}
	return m, nil
}

// newerIndex compares the generations of backing indices, the digits behind the last dash. They have
// leading zeros up to six digits.
func newerIndex(a, b string) bool {
	a, b = a[strings.LastIndexByte(a, '-')+1:], b[strings.LastIndexByte(b, '-')+1:]
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}
