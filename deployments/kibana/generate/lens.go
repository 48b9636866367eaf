package main

// panel is one tile of a dashboard, 48 columns wide altogether.
type panel struct {
	x, y, w, h int
	title      string
	// search is the id of a saved search to show; else chart is drawn.
	search string
	chart  chart
}

// chart is a Lens visualisation of one layer. columns are those of its table, buckets first.
type chart struct {
	kind    string // visualizationType
	columns []column
	// state is the visualisation's own part. It names columns by what id gives for their keys.
	state func(layer string, id func(key string) string) object
}

// column is a bucket or a metric. Keys are unique within a chart.
type column struct {
	key, label string
	bucket     bool
	operation  string
	field      string
	dataType   string
	scale      string
	filter     string // KQL; metrics only
	params     func(id func(key string) string) object
}

func (p *panel) build(dashboard string) (object, []reference) {
	id := uuid(dashboard + "/panel/" + p.title)
	out := object{
		"version": panelVersion, "panelIndex": id, "title": p.title,
		"gridData": object{"x": p.x, "y": p.y, "w": p.w, "h": p.h, "i": id},
	}
	if p.search != "" {
		name := "panel_" + id
		out["type"], out["panelRefName"] = "search", name
		out["embeddableConfig"] = object{"enhancements": object{}}
		return out, []reference{{Type: "search", ID: p.search, Name: id + ":" + name}}
	}
	layer := uuid(dashboard + "/layer/" + p.title)
	name := "indexpattern-datasource-layer-" + layer
	out["type"] = "lens"
	out["embeddableConfig"] = object{
		"enhancements": object{}, "hidePanelTitles": false,
		"attributes": object{
			"title": p.title, "description": "", "type": "lens", "visualizationType": p.chart.kind,
			"references": []reference{{Type: dataViewType, ID: dataViewID, Name: name}},
			"state":      p.chart.lens(dashboard+"/"+p.title, layer),
		},
	}
	return out, []reference{{Type: dataViewType, ID: dataViewID, Name: id + ":" + name}}
}

func (c *chart) lens(path, layer string) object {
	id := func(key string) string { return uuid(path + "/column/" + key) }
	var order []string
	columns := make(object)
	for _, col := range c.columns {
		order = append(order, id(col.key))
		columns[id(col.key)] = col.lens(id)
	}
	return object{
		"datasourceStates": object{"formBased": object{"layers": object{layer: object{
			"columnOrder": order, "columns": columns, "incompleteColumns": object{}, "sampling": 1, "ignoreGlobalFilters": false,
		}}}},
		"visualization": c.state(layer, id),
		"query":         query(""), "filters": []any{}, "internalReferences": []any{}, "adHocDataViews": object{},
	}
}

func (c *column) lens(id func(string) string) object {
	out := object{
		"label": c.label, "customLabel": true, "dataType": c.dataType, "isBucketed": c.bucket,
		"operationType": c.operation, "scale": c.scale, "sourceField": c.field, "params": c.params(id),
	}
	if c.filter != "" {
		out["filter"] = query(c.filter)
	}
	return out
}

// count is the number of findings, of those that match a query if one is given.
func count(key, label, kql string) column {
	return metric(key, label, "count", recordsAsField, kql)
}

// distinct is the number of different values of a field.
func distinct(key, label, field string) column {
	return metric(key, label, "unique_count", field, "")
}

func metric(key, label, operation, field, kql string) column {
	return column{
		key: key, label: label, operation: operation, field: field, dataType: "number", scale: "ratio", filter: kql,
		params: func(func(string) string) object { return object{"emptyAsNull": true} },
	}
}

// findingsKey is the key of the column that values are ordered by, in every chart with values.
const findingsKey = "findings"

// terms are the values of a field with the most findings.
func terms(key, label, field string, size int) column {
	return column{
		key: key, label: label, bucket: true, operation: "terms", field: field, dataType: "string", scale: "ordinal",
		params: func(id func(string) string) object {
			return object{
				"size": size, "orderBy": object{"type": "column", "columnId": id(findingsKey)}, "orderDirection": "desc",
				"otherBucket": false, "missingBucket": false, "parentFormat": object{"id": "terms"},
				"include": []any{}, "exclude": []any{}, "includeIsRegex": false, "excludeIsRegex": false,
			}
		},
	}
}

// withOther adds what is beyond the most frequent values, and documents without the field, as values of
// their own: for charts whose parts must add up to the whole.
func (c column) withOther() column {
	params := c.params
	c.params = func(id func(string) string) object {
		p := params(id)
		p["otherBucket"], p["missingBucket"] = true, true
		return p
	}
	return c
}

func (c column) ofType(dataType string) column {
	c.dataType = dataType
	return c
}

func overTime(key string) column {
	return column{
		key: key, label: "Time", bucket: true, operation: "date_histogram", field: "@timestamp", dataType: "date", scale: "interval",
		params: func(func(string) string) object {
			return object{"interval": "auto", "includeEmptyRows": true, "dropPartials": false}
		},
	}
}

// tile is one number.
func tile(c column) chart {
	return chart{kind: "lnsMetric", columns: []column{c}, state: func(layer string, id func(string) string) object {
		return object{"layerId": layer, "layerType": "data", "metricAccessor": id(c.key)}
	}}
}

// table is sorted by its last column.
func table(columns ...column) chart {
	return chart{kind: "lnsDatatable", columns: columns, state: func(layer string, id func(string) string) object {
		shown := make([]object, len(columns))
		for i, c := range columns {
			shown[i] = object{"columnId": id(c.key)}
		}
		return object{
			"layerId": layer, "layerType": "data", "columns": shown,
			"paging":  object{"size": 10, "enabled": true},
			"sorting": object{"columnId": id(columns[len(columns)-1].key), "direction": "desc"},
		}
	}}
}

// shade is a metric with a colour that does not change with the data.
type shade struct {
	column
	color string
}

// stacked draws metrics on top of each other along x.
func stacked(x column, metrics []shade) chart {
	columns := []column{x}
	for _, m := range metrics {
		columns = append(columns, m.column)
	}
	return chart{kind: "lnsXY", columns: columns, state: func(layer string, id func(string) string) object {
		var accessors []string
		var colors []object
		for _, m := range metrics {
			accessors = append(accessors, id(m.key))
			colors = append(colors, object{"forAccessor": id(m.key), "color": m.color})
		}
		return xy("bar_stacked", object{
			"layerId": layer, "layerType": "data", "accessors": accessors, "xAccessor": id(x.key), "yConfig": colors,
		})
	}}
}

// bars draws a metric for each value of x, each bar divided by split.
func bars(x, split, m column) chart {
	return chart{kind: "lnsXY", columns: []column{x, split, m}, state: func(layer string, id func(string) string) object {
		return xy("bar_horizontal_stacked", object{
			"layerId": layer, "layerType": "data", "accessors": []string{id(m.key)}, "xAccessor": id(x.key), "splitAccessor": id(split.key),
		})
	}}
}

func xy(series string, layer object) object {
	layer["seriesType"], layer["position"], layer["showGridlines"] = series, "top", false
	return object{
		"layers": []object{layer}, "preferredSeriesType": series, "valueLabels": "hide",
		"legend":                       object{"isVisible": true, "position": "right"},
		"axisTitlesVisibilitySettings": object{"x": false, "yLeft": false, "yRight": false},
	}
}

func donut(slice, m column) chart {
	return chart{kind: "lnsPie", columns: []column{slice, m}, state: func(layer string, id func(string) string) object {
		return object{"shape": "donut", "layers": []object{{
			"layerId": layer, "layerType": "data", "primaryGroups": []string{id(slice.key)}, "metrics": []string{id(m.key)},
			"numberDisplay": "percent", "categoryDisplay": "default", "legendDisplay": "default", "nestedLegend": false,
		}}}
	}}
}

func heatmap(x, y, m column) chart {
	return chart{kind: "lnsHeatmap", columns: []column{x, y, m}, state: func(layer string, id func(string) string) object {
		return object{
			"shape": "heatmap", "layerId": layer, "layerType": "data",
			"xAccessor": id(x.key), "yAccessor": id(y.key), "valueAccessor": id(m.key),
			"legend": object{"isVisible": true, "position": "right", "type": "heatmap_legend"},
			"gridConfig": object{
				"type": "heatmap_grid", "isCellLabelVisible": false, "isXAxisLabelVisible": true, "isYAxisLabelVisible": true,
				"isXAxisTitleVisible": false, "isYAxisTitleVisible": false,
			},
		}
	}}
}
