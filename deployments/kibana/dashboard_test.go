package kibana_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// panel is one tile of the dashboard.
type panel struct {
	Type         string
	Title        string
	Version      string
	PanelIndex   string
	PanelRefName string
	GridData     struct {
		X, Y, W, H int
		I          string
	}
	EmbeddableConfig struct {
		Attributes struct {
			Title             string
			VisualizationType string
			References        []reference
			State             struct {
				Query            struct{ Query, Language string }
				DatasourceStates map[string]struct{ Layers map[string]layer }
				Visualization    json.RawMessage
			}
		}
	}
}

type layer struct {
	ColumnOrder []string
	Columns     map[string]column
}

type column struct {
	Label, OperationType, SourceField, DataType, Scale string
	IsBucketed                                         bool
	Filter                                             *struct{ Query, Language string }
	Params                                             struct {
		Size                       int
		OrderBy                    struct{ Type, ColumnID string }
		OtherBucket, MissingBucket bool
	}
}

func (p *panel) layers() map[string]layer {
	return p.EmbeddableConfig.Attributes.State.DatasourceStates["formBased"].Layers
}

func panels(t *testing.T) []panel {
	t.Helper()
	return inString[[]panel](t, of(t, "dashboard").Attributes["panelsJSON"])
}

type control struct {
	Order         int
	Type          string
	ExplicitInput struct{ ID, DataViewID, FieldName, Title string }
}

func controls(t *testing.T) map[string]control {
	t.Helper()
	group := decode[map[string]json.RawMessage](t, of(t, "dashboard").Attributes["controlGroupInput"])
	return inString[map[string]control](t, group["panelsJSON"])
}

func TestTheOverviewHasWhatPeopleExpect(t *testing.T) {
	var titles []string
	for _, p := range panels(t) {
		titles = append(titles, p.Title)
	}
	for _, want := range []string{
		"Findings", "High and critical", "Clusters", "Identities", "Denied requests", "Findings over time by severity",
		"Findings by rule", "Findings by cluster and provider", "Top identities", "Top source addresses", "Top user agents",
		"Top namespaces", "Top resources", "Tactics and techniques", "Newest findings",
		"Sessions behind user names", "Shared identities", "Countries", "Networks",
	} {
		if !slices.Contains(titles, want) {
			t.Errorf("there is no panel %q", want)
		}
	}
	if n := len(controls(t)); n != 6 {
		t.Errorf("%d controls, want cluster, provider, severity, rule, namespace and identity", n)
	}
}

func TestPanelsHaveTheirPlace(t *testing.T) {
	all := panels(t)
	seen := make(map[string]bool)
	for i, p := range all {
		g := p.GridData
		if p.PanelIndex == "" || seen[p.PanelIndex] || g.I != p.PanelIndex {
			t.Errorf("panel %q: index %q, in the grid %q", p.Title, p.PanelIndex, g.I)
		}
		seen[p.PanelIndex] = true
		if g.W <= 0 || g.H <= 0 || g.X < 0 || g.Y < 0 || g.X+g.W > 48 {
			t.Errorf("panel %q is outside the grid: %+v", p.Title, g)
		}
		for _, q := range all[:i] {
			h := q.GridData
			if g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				t.Errorf("panels %q and %q overlap", p.Title, q.Title)
			}
		}
		if p.Type != "lens" && p.Type != "search" {
			t.Errorf("panel %q is a %s", p.Title, p.Type)
		}
	}
}

func TestEveryColumnOfAChartIsInOrderAndUsed(t *testing.T) {
	for _, p := range panels(t) {
		if p.Type != "lens" {
			continue
		}
		if len(p.layers()) != 1 {
			t.Errorf("panel %q has %d layers", p.Title, len(p.layers()))
		}
		for id, l := range p.layers() {
			checkLayer(t, &p, id, &l)
		}
	}
}

func checkLayer(t *testing.T, p *panel, id string, l *layer) {
	t.Helper()
	if len(l.ColumnOrder) != len(l.Columns) {
		t.Errorf("panel %q orders %d columns of %d", p.Title, len(l.ColumnOrder), len(l.Columns))
	}
	metrics := false
	for _, c := range l.ColumnOrder {
		col, ok := l.Columns[c]
		if !ok {
			t.Errorf("panel %q orders a column that is not there", p.Title)
		}
		if col.IsBucketed && metrics {
			t.Errorf("panel %q: bucket %q stands behind a metric", p.Title, col.Label)
		}
		metrics = metrics || !col.IsBucketed
		by := col.Params.OrderBy
		if _, ok := l.Columns[by.ColumnID]; col.OperationType == "terms" && (by.Type != "column" || !ok || l.Columns[by.ColumnID].IsBucketed) {
			t.Errorf("panel %q: %q is ordered by no metric", p.Title, col.Label)
		}
		if col.OperationType == "terms" && (col.Params.Size < 1 || col.Params.Size > 100) {
			t.Errorf("panel %q: %q shows %d values", p.Title, col.Label, col.Params.Size)
		}
	}
	used := columnsInUse(t, p.EmbeddableConfig.Attributes.State.Visualization, id)
	for c := range used {
		if _, ok := l.Columns[c]; !ok {
			t.Errorf("panel %q draws a column that is not there: %s", p.Title, c)
		}
	}
	for c, col := range l.Columns {
		if !used[c] {
			t.Errorf("panel %q does not draw its column %q", p.Title, col.Label)
		}
	}
}

// columnsInUse are the ids that a visualisation names. Every string in it that has the form of an id is one
// of a column, but for the layer's own.
func columnsInUse(t *testing.T, raw json.RawMessage, layer string) map[string]bool {
	t.Helper()
	used := make(map[string]bool)
	sawLayer := false
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if v == layer {
				sawLayer = true
			} else if len(v) == 36 && strings.Count(v, "-") == 4 {
				used[v] = true
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(decode[any](t, raw))
	if !sawLayer {
		t.Errorf("a visualisation does not name its layer %s", layer)
	}
	return used
}

// fits says which types of fields an operation of Lens works on.
var fits = map[string][]string{
	"terms":          {"keyword", "ip", "long", "integer", "float", "boolean", "constant_keyword"},
	"unique_count":   {"keyword", "ip", "long", "integer", "float", "boolean", "date"},
	"date_histogram": {"date"},
}

// dataTypes are Kibana's names for the types of fields.
var dataTypes = map[string]string{"keyword": "string", "constant_keyword": "string", "ip": "ip", "date": "date", "long": "number", "integer": "number", "float": "number", "boolean": "boolean"}

func TestEveryFieldOfADashboardIsMappedWithATypeThatFits(t *testing.T) {
	types := fieldTypes(t)
	for _, p := range panels(t) {
		for _, l := range p.layers() {
			for _, c := range l.Columns {
				if c.OperationType == "count" {
					if c.SourceField != "___records___" {
						t.Errorf("panel %q counts %s", p.Title, c.SourceField)
					}
					continue
				}
				if got := types[c.SourceField]; !slices.Contains(fits[c.OperationType], got) {
					t.Errorf("panel %q: %s of %s, which is %q", p.Title, c.OperationType, c.SourceField, got)
				}
				if c.IsBucketed && c.DataType != dataTypes[types[c.SourceField]] {
					t.Errorf("panel %q calls %s a %s", p.Title, c.SourceField, c.DataType)
				}
			}
		}
	}
	for id, c := range controls(t) {
		if got := types[c.ExplicitInput.FieldName]; !slices.Contains([]string{"keyword", "ip", "boolean"}, got) {
			t.Errorf("control %q: %s is %q, which gives no list", c.ExplicitInput.Title, c.ExplicitInput.FieldName, got)
		}
		if c.ExplicitInput.ID != id || c.Type != "optionsListControl" || c.ExplicitInput.DataViewID != of(t, "index-pattern").ID {
			t.Errorf("control %q: %+v", c.ExplicitInput.Title, c)
		}
	}
}

func TestTheDashboardIsKeptToOurDocuments(t *testing.T) {
	source := sourceOf(t, of(t, "dashboard"))
	if len(source.Filter) != 1 || source.Filter[0].Meta.Key != "data_stream.dataset" || source.Filter[0].Meta.Params.Query != "foretop.findings" ||
		source.Filter[0].Query["match_phrase"]["data_stream.dataset"] != "foretop.findings" {
		t.Errorf("filters: %+v", source.Filter)
	}
	if got := decode[string](t, of(t, "index-pattern").Attributes["title"]); got != "logs-foretop.findings-*" {
		t.Errorf("the data view is %s", got)
	}
}

func TestEveryQueryParsesAndAsksForFieldsThatExist(t *testing.T) {
	types := fieldTypes(t)
	check := func(where, kql, language string) {
		t.Helper()
		if language != "kuery" {
			t.Errorf("%s: the language is %q", where, language)
		}
		fields, err := parseKQL(kql)
		if err != nil {
			t.Errorf("%s: %q: %v", where, kql, err)
		}
		for _, f := range fields {
			if types[f] == "" {
				t.Errorf("%s: %s is not mapped", where, f)
			}
		}
	}
	for _, kind := range []string{"dashboard", "search"} {
		q := sourceOf(t, of(t, kind)).Query
		check(kind, q.Query, q.Language)
	}
	filters := 0
	for _, p := range panels(t) {
		if p.Type != "lens" {
			continue
		}
		check(p.Title, p.EmbeddableConfig.Attributes.State.Query.Query, p.EmbeddableConfig.Attributes.State.Query.Language)
		for _, l := range p.layers() {
			for _, c := range l.Columns {
				if c.Filter != nil {
					filters++
					check(p.Title+"/"+c.Label, c.Filter.Query, c.Filter.Language)
				}
			}
		}
	}
	if filters < 7 {
		t.Errorf("only %d filtered metrics were found", filters)
	}
}
