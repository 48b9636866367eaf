package main

import (
	"crypto/sha1" //nolint:gosec // version 5 of the UUID is made with it
	"fmt"
)

// object is a JSON object; its keys are written in order.
type object = map[string]any

// savedObject is one line of the file.
type savedObject struct {
	ID          string      `json:"id"`
	Type        string      `json:"type"`
	Attributes  object      `json:"attributes"`
	References  []reference `json:"references"`
	CoreVersion string      `json:"coreMigrationVersion"`
	TypeVersion string      `json:"typeMigrationVersion"`
	Managed     bool        `json:"managed"`
}

// reference names an object that another one needs. Kibana finds it by Name.
type reference struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

const (
	coreVersion    = "8.8.0"
	dataset        = "foretop.findings"
	dataViewID     = "foretop-findings-data-view"
	newestID       = "foretop-findings-newest"
	overviewID     = "foretop-findings-overview"
	searchSource   = "kibanaSavedObjectMeta.searchSourceJSON"
	dataViewType   = "index-pattern"
	panelVersion   = "8.9.0"
	kueryLanguage  = "kuery"
	recordsAsField = "___records___"
)

// text is a value that Kibana keeps as JSON inside a string. What is given is written in this program, so
// that it cannot fail.
func text(v any) string {
	s, err := encode(v)
	if err != nil {
		panic(err)
	}
	return s
}

// uuid is the same for the same key, for ever: an import updates what is there instead of adding to it.
func uuid(key string) string {
	sum := sha1.Sum([]byte("foretop/kibana/" + key)) //nolint:gosec // not for secrecy
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func query(kql string) object { return object{"query": kql, "language": kueryLanguage} }

func dataView() savedObject {
	return savedObject{
		ID: dataViewID, Type: dataViewType, CoreVersion: coreVersion, TypeVersion: "7.11.0", References: []reference{},
		Attributes: object{
			"title": "logs-" + dataset + "-*", "name": "Foretop findings", "timeFieldName": "@timestamp",
			"allowNoIndex": true, // no error page before the first finding
			"fields":       "[]", "sourceFilters": "[]",
			"fieldAttrs": "{}", "fieldFormatMap": "{}", "runtimeFieldMap": "{}", "typeMeta": "{}",
		},
	}
}

func newestFindings() savedObject {
	return savedObject{
		ID: newestID, Type: "search", CoreVersion: coreVersion, TypeVersion: "8.0.0",
		References: []reference{{Type: dataViewType, ID: dataViewID, Name: searchSource + ".index"}},
		Attributes: object{
			"title": "Foretop: newest findings", "description": "Every finding, newest first.",
			"columns": []string{
				"foretop.severity_name", "rule.name", "event.reason", "user.name", "orchestrator.cluster.name",
				"orchestrator.namespace", "source.ip", "event.outcome",
			},
			"sort": [][]string{{"@timestamp", "desc"}},
			"grid": object{}, "hideChart": true, "isTextBasedQuery": false, "timeRestore": false,
			"kibanaSavedObjectMeta": object{"searchSourceJSON": text(object{
				"query": query(""), "filter": []any{}, "highlightAll": true, "version": true, "indexRefName": searchSource + ".index",
			})},
		},
	}
}

// dashboard puts panels and controls together, with all their references.
type dashboard struct {
	id, title, description string
	panels                 []panel
	controls               []control
}

// control is a list of a field's values above the dashboard.
type control struct{ field, title string }

func (d *dashboard) object() savedObject {
	filter, filterRef := datasetFilter()
	refs := []reference{filterRef}
	panels := make([]object, len(d.panels))
	for i := range d.panels {
		p, r := d.panels[i].build(d.id)
		panels[i], refs = p, append(refs, r...)
	}
	controls, r := d.controlGroup()
	return savedObject{
		ID: d.id, Type: "dashboard", CoreVersion: coreVersion, TypeVersion: "8.9.0", References: append(refs, r...),
		Attributes: object{
			"title": d.title, "description": d.description,
			"timeRestore": true, "timeFrom": "now-7d", "timeTo": "now",
			"refreshInterval": object{"pause": true, "value": 60_000},
			"optionsJSON":     text(object{"useMargins": true, "syncColors": false, "syncCursor": true, "syncTooltips": false, "hidePanelTitles": false}),
			"panelsJSON":      text(panels), "controlGroupInput": controls,
			"kibanaSavedObjectMeta": object{"searchSourceJSON": text(object{"query": query(""), "filter": []any{filter}})},
		},
	}
}

// datasetFilter keeps a dashboard to our documents, should the data view ever match more.
func datasetFilter() (object, reference) {
	const field, name = "data_stream.dataset", searchSource + ".filter[0].meta.index"
	return object{
		"$state": object{"store": "appState"},
		"meta": object{
			"alias": nil, "disabled": false, "negate": false, "type": "phrase", "key": field, "field": field,
			"params": object{"query": dataset}, "indexRefName": name,
		},
		"query": object{"match_phrase": object{field: dataset}},
	}, reference{Type: dataViewType, ID: dataViewID, Name: name}
}

func (d *dashboard) controlGroup() (object, []reference) {
	var refs []reference
	all := make(object)
	for i, c := range d.controls {
		id := uuid(d.id + "/control/" + c.field)
		all[id] = object{
			"order": i, "grow": true, "width": "medium", "type": "optionsListControl",
			"explicitInput": object{
				"id": id, "dataViewId": dataViewID, "fieldName": c.field, "title": c.title, "searchTechnique": "prefix",
				"selectedOptions": []any{}, "sort": object{"by": "_count", "direction": "desc"}, "enhancements": object{},
			},
		}
		refs = append(refs, reference{Type: dataViewType, ID: dataViewID, Name: "controlGroup_" + id + ":optionsListDataView"})
	}
	return object{
		"chainingSystem": "HIERARCHICAL", "controlStyle": "oneLine", "showApplySelections": false,
		"ignoreParentSettingsJSON": text(object{"ignoreFilters": false, "ignoreQuery": false, "ignoreTimerange": false, "ignoreValidations": false}),
		"panelsJSON":               text(all),
	}, refs
}
