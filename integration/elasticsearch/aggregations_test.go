//go:build integration

package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/deployments/kibana"
	"github.com/foretop/foretop/pkg/pipeline"
)

// sample are findings that differ in everything the dashboards show, as values by field.
func sample() []map[string]any {
	levels := []struct {
		name     string
		severity int
	}{{"informational", 21}, {"low", 21}, {"medium", 47}, {"high", 73}, {"critical", 99}}
	var out []map[string]any
	for i := range 120 {
		level := levels[i%len(levels)]
		f := map[string]any{
			"@timestamp": time.Date(2026, 1, 1+i%5, i%24, 0, 0, 0, time.UTC).Format(time.RFC3339),
			"event.kind": "alert", "event.outcome": []string{"success", "failure", "unknown"}[i%3],
			"event.severity": level.severity, "foretop.severity_name": level.name,
			"rule.name": fmt.Sprintf("Rule %d", i%6), "rule.uuid": fmt.Sprintf("uuid-%d", i%6),
			"source.ip":                 fmt.Sprintf("203.0.113.%d", i%9),
			"user_agent.original":       fmt.Sprintf("kubectl/v1.%d", i%4),
			"orchestrator.cluster.name": []string{"prod", "test"}[i%2], "orchestrator.namespace": fmt.Sprintf("ns-%d", i%8),
			"orchestrator.resource.type": []string{"pods", "secrets", "roles"}[i%3],
			"threat.tactic.name":         []string{"Persistence", "Execution"}[i%2], "threat.technique.name": fmt.Sprintf("Technique %d", i%5),
			"foretop.decision": []string{"allow", "allow", "forbid"}[i%3], "foretop.identity.kind": []string{"user", "serviceaccount"}[i%2],
			"http.response.status_code": []int{200, 201, 403, 401}[i%4],
		}
		if i%10 > 0 { // some callers are not known, some clusters are nobody's service
			f["user.name"] = fmt.Sprintf("user-%d", i%7)
			f["foretop.provider"] = []string{"eks", "gke", "aks"}[i%3]
			f["source.geo.country_name"] = []string{"Netherlands", "Chile"}[i%2]
			f["source.as.organization.name"] = fmt.Sprintf("Network %d", i%3)
		}
		if i%4 == 1 { // who is behind a name is known of some
			f["foretop.identity.session_name"] = fmt.Sprintf("session-%d", i%5)
			f["foretop.identity.shared_reason"] = []string{"admin_certificate", "session_default"}[i/4%2]
		}
		out = append(out, f)
	}
	return out
}

// seeded writes the sample into a data stream of its own.
func seeded(t *testing.T) (*node, string, []map[string]any) {
	t.Helper()
	n := shared(t)
	s, stream := n.installed(t)
	var docs []pipeline.Document
	all := sample()
	for i, f := range all {
		body := make(map[string]any)
		for path, v := range f {
			put(body, strings.Split(path, "."), v)
		}
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, pipeline.Document{ID: fmt.Sprintf("f-%03d", i), Body: data})
	}
	stores(t, s, docs)
	n.holds(t, stream, docs)
	return n, stream, all
}

func put(into map[string]any, path []string, v any) {
	for ; len(path) > 1; path = path[1:] {
		inner, ok := into[path[0]].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			into[path[0]] = inner
		}
		into = inner
	}
	into[path[0]] = v
}

// bucket is one of an aggregation, with those below it.
type bucket struct {
	Key   any
	Text  string `json:"key_as_string"`
	Count int    `json:"doc_count"`
	Next  struct{ Buckets []bucket }
	Value struct{ Value float64 }
}

func (b *bucket) name() string {
	if b.Text != "" {
		return b.Text
	}
	return fmt.Sprint(b.Key)
}

// ask runs aggregations over a stream.
func ask(t *testing.T, n *node, stream string, aggs map[string]any) bucket {
	t.Helper()
	body, err := json.Marshal(map[string]any{"size": 0, "track_total_hits": true, "aggs": aggs})
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Aggregations bucket }
	n.must(t, http.MethodPost, "/"+stream+"/_search", string(body), &got)
	return got.Aggregations
}

func TestFindingsAreCountedByRuleUserAddressAndTime(t *testing.T) {
	n, stream, all := seeded(t)
	for _, field := range []string{"rule.name", "user.name", "source.ip"} {
		got := ask(t, n, stream, map[string]any{"next": map[string]any{"terms": map[string]any{"field": field, "size": 100}}})
		counts := make(map[string]int)
		for _, b := range got.Next.Buckets {
			counts[b.name()] = b.Count
		}
		if want := countBy(all, field); !maps.Equal(counts, want) {
			t.Errorf("by %s: %v, want %v", field, counts, want)
		}
	}
	got := ask(t, n, stream, map[string]any{"next": map[string]any{"date_histogram": map[string]any{"field": "@timestamp", "fixed_interval": "1d"}}})
	if len(got.Next.Buckets) != 5 || got.Next.Buckets[0].Count != 24 {
		t.Errorf("by day: %+v, want 5 days of 24", got.Next.Buckets)
	}
}

func countBy(all []map[string]any, field string) map[string]int {
	out := make(map[string]int)
	for _, f := range all {
		if v, ok := f[field]; ok {
			out[fmt.Sprint(v)]++
		}
	}
	return out
}

// lensPanel is a panel of the dashboard with its table.
type lensPanel struct {
	Title            string
	EmbeddableConfig struct {
		Attributes struct {
			State struct {
				DatasourceStates struct {
					FormBased struct{ Layers map[string]lensLayer }
				}
			}
		}
	}
}

type lensLayer struct {
	ColumnOrder []string
	Columns     map[string]lensColumn
}

type lensColumn struct {
	Label, OperationType, SourceField string
	Filter                            struct{ Query string }
	Params                            struct{ Size int }
}

func lensPanels(t *testing.T) []lensPanel {
	t.Helper()
	for line := range bytes.Lines(kibana.SavedObjects) {
		var o struct {
			Type       string
			Attributes struct{ PanelsJSON string }
		}
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		if o.Type != "dashboard" {
			continue
		}
		var panels []lensPanel
		if err := json.Unmarshal([]byte(o.Attributes.PanelsJSON), &panels); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(panels, func(p lensPanel) bool {
			return len(p.EmbeddableConfig.Attributes.State.DatasourceStates.FormBased.Layers) == 0
		})
	}
	t.Fatal("there is no dashboard")
	return nil
}

// lucene is a query of the dashboards in the language that Elasticsearch reads itself.
func lucene(kql string) string {
	return strings.NewReplacer(" : ", ":", " >= ", ":>=", " or ", " OR ", " and ", " AND ").Replace(kql)
}

func (c *lensColumn) aggregation() map[string]any {
	switch c.OperationType {
	case "terms":
		return map[string]any{"terms": map[string]any{"field": c.SourceField, "size": c.Params.Size}}
	case "date_histogram":
		return map[string]any{"date_histogram": map[string]any{"field": c.SourceField, "fixed_interval": "1d"}}
	case "unique_count":
		return map[string]any{"cardinality": map[string]any{"field": c.SourceField}}
	case "count":
		if c.Filter.Query != "" {
			return map[string]any{"filter": map[string]any{"query_string": map[string]any{"query": lucene(c.Filter.Query)}}}
		}
	}
	return nil
}

// TestEveryPanelOfTheDashboardHasData runs what Kibana would ask for each panel.
func TestEveryPanelOfTheDashboardHasData(t *testing.T) {
	n, stream, all := seeded(t)
	panels := lensPanels(t)
	if len(panels) < 15 {
		t.Fatalf("only %d panels were found", len(panels))
	}
	for _, p := range panels {
		t.Run(p.Title, func(t *testing.T) {
			for _, l := range p.EmbeddableConfig.Attributes.State.DatasourceStates.FormBased.Layers {
				checkBuckets(t, n, stream, all, &l)
				checkMetrics(t, n, stream, all, &l)
			}
		})
	}
}

// checkBuckets nests the bucket columns and compares every combination with the sample.
func checkBuckets(t *testing.T, n *node, stream string, all []map[string]any, l *lensLayer) {
	t.Helper()
	var fields []string
	var aggs map[string]any
	for _, id := range slices.Backward(l.ColumnOrder) {
		c := l.Columns[id]
		if c.OperationType != "terms" && c.OperationType != "date_histogram" {
			continue
		}
		fields = slices.Insert(fields, 0, c.SourceField)
		one := c.aggregation()
		if aggs != nil {
			one["aggs"] = aggs
		}
		aggs = map[string]any{"next": one}
	}
	if aggs == nil {
		return
	}
	got := make(map[string]int)
	root := ask(t, n, stream, aggs)
	collect(&root, nil, len(fields), got)
	want := make(map[string]int)
	for _, f := range all {
		var key []string
		for _, field := range fields {
			if v, ok := f[field]; ok {
				text := fmt.Sprint(v)
				if field == "@timestamp" {
					text = text[:len("2026-01-02")] + "T00:00:00.000Z"
				}
				key = append(key, text)
			}
		}
		if len(key) == len(fields) {
			want[strings.Join(key, " / ")]++
		}
	}
	if len(want) == 0 {
		t.Errorf("by %v: the sample has nothing to show", fields)
	}
	if !maps.Equal(got, want) {
		t.Errorf("by %v: %v, want %v", fields, got, want)
	}
}

// collect counts the buckets at a depth, by the names on the way to them. Above, what lacks a deeper field is counted
// too.
func collect(b *bucket, path []string, depth int, into map[string]int) {
	for _, next := range b.Next.Buckets {
		here := append(slices.Clone(path), next.name())
		if len(here) == depth {
			into[strings.Join(here, " / ")] = next.Count
			continue
		}
		collect(&next, here, depth, into)
	}
}

// checkMetrics asks for each metric over everything.
func checkMetrics(t *testing.T, n *node, stream string, all []map[string]any, l *lensLayer) {
	t.Helper()
	for _, c := range l.Columns {
		agg := c.aggregation()
		switch {
		case agg == nil || c.OperationType == "terms" || c.OperationType == "date_histogram":
		case c.OperationType == "unique_count":
			got, want := ask(t, n, stream, map[string]any{"value": agg}), len(countBy(all, c.SourceField))
			if int(got.Value.Value) != want {
				t.Errorf("%s: %v different values of %s, want %d", c.Label, got.Value.Value, c.SourceField, want)
			}
		default:
			var got struct {
				Aggregations struct {
					Value struct {
						Count int `json:"doc_count"`
					}
				}
			}
			body, err := json.Marshal(map[string]any{"size": 0, "aggs": map[string]any{"value": agg}})
			if err != nil {
				t.Fatal(err)
			}
			n.must(t, http.MethodPost, "/"+stream+"/_search", string(body), &got)
			if count := got.Aggregations.Value.Count; count == 0 || count >= len(all) {
				t.Errorf("%s: %d of %d findings match %s", c.Label, count, len(all), c.Filter.Query)
			}
		}
	}
}
