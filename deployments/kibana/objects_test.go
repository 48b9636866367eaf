package kibana_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
	"github.com/foretop/foretop/deployments/kibana"
)

// savedObject is one line of the file, as Kibana reads it.
type savedObject struct {
	ID          string                     `json:"id"`
	Type        string                     `json:"type"`
	Attributes  map[string]json.RawMessage `json:"attributes"`
	References  []reference                `json:"references"`
	CoreVersion string                     `json:"coreMigrationVersion"`
	TypeVersion string                     `json:"typeMigrationVersion"`
	Managed     *bool                      `json:"managed"`
}

type reference struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

func savedObjects(t *testing.T) []savedObject {
	t.Helper()
	if !bytes.HasSuffix(kibana.SavedObjects, []byte("\n")) {
		t.Error("the last line must end in a newline")
	}
	var out []savedObject
	for line := range bytes.Lines(kibana.SavedObjects) {
		var o savedObject
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			t.Fatalf("line %d: %v", len(out)+1, err)
		}
		out = append(out, o)
	}
	return out
}

// of returns the only object of a type.
func of(t *testing.T, kind string) savedObject {
	t.Helper()
	all := savedObjects(t)
	i := slices.IndexFunc(all, func(o savedObject) bool { return o.Type == kind })
	if i < 0 {
		t.Fatalf("there is no %s", kind)
	}
	return all[i]
}

// decode reads a JSON value strictly enough for what the tests look at.
func decode[T any](t *testing.T, raw []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %.200s", err, raw)
	}
	return v
}

// inString reads a value that is kept as JSON inside a string.
func inString[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	return decode[T](t, []byte(decode[string](t, raw)))
}

// The newest versions that Kibana 8.9 knows. A file with a newer one is refused there.
var typeVersions = map[string]string{"index-pattern": "7.11.0", "search": "8.0.0", "dashboard": "8.9.0"}

func TestEachLineIsAnObjectThatTheOldestKibanaTakes(t *testing.T) {
	seen := make(map[string]bool)
	for _, o := range savedObjects(t) {
		want, ok := typeVersions[o.Type]
		switch {
		case !ok:
			t.Errorf("%s: objects of type %s are not shipped", o.ID, o.Type)
		case o.TypeVersion != want || o.CoreVersion != "8.8.0":
			t.Errorf("%s: versions %s and %s, want 8.8.0 and %s", o.ID, o.CoreVersion, o.TypeVersion, want)
		case o.Managed == nil || *o.Managed:
			t.Errorf("%s: users could not change it", o.ID)
		case !strings.HasPrefix(o.ID, "foretop-") || seen[o.ID]:
			t.Errorf("%s: ids are ours and unique", o.ID)
		case o.References == nil:
			t.Errorf("%s: references must be a list", o.ID)
		}
		seen[o.ID] = true
	}
}

func TestNestedValuesAreJSONInStrings(t *testing.T) {
	for _, name := range []string{"fields", "fieldFormatMap", "runtimeFieldMap", "fieldAttrs", "sourceFilters", "typeMeta"} {
		inString[any](t, of(t, "index-pattern").Attributes[name])
	}
	d := of(t, "dashboard")
	for _, name := range []string{"panelsJSON", "optionsJSON"} {
		inString[any](t, d.Attributes[name])
	}
	group := decode[map[string]json.RawMessage](t, d.Attributes["controlGroupInput"])
	inString[map[string]any](t, group["panelsJSON"])
	inString[any](t, group["ignoreParentSettingsJSON"])
	for _, kind := range []string{"dashboard", "search"} {
		meta := decode[map[string]json.RawMessage](t, of(t, kind).Attributes["kibanaSavedObjectMeta"])
		inString[any](t, meta["searchSourceJSON"])
	}
}

// searchSource is the part of an object that says what it looks at.
type searchSource struct {
	Query struct {
		Query, Language string
	}
	Filter []struct {
		Meta struct {
			Key          string
			IndexRefName string
			Params       struct{ Query string }
		}
		Query map[string]map[string]string
	}
	IndexRefName string
}

func sourceOf(t *testing.T, o savedObject) searchSource {
	t.Helper()
	return inString[searchSource](t, decode[map[string]json.RawMessage](t, o.Attributes["kibanaSavedObjectMeta"])["searchSourceJSON"])
}

func TestReferencesAreExactlyThoseThatAreUsed(t *testing.T) {
	known := make(map[string]string)
	for _, o := range savedObjects(t) {
		known[o.ID] = o.Type
	}
	for _, o := range savedObjects(t) {
		declared := make(map[string]string)
		for _, r := range o.References {
			if known[r.ID] != r.Type {
				t.Errorf("%s refers to %s %s, which is not in the file", o.ID, r.Type, r.ID)
			}
			if _, twice := declared[r.Name]; twice {
				t.Errorf("%s declares the reference %s twice", o.ID, r.Name)
			}
			declared[r.Name] = r.Type
		}
		if used := usedReferences(t, o); !maps.Equal(used, declared) {
			t.Errorf("%s uses the references\n%v\nand declares\n%v", o.ID, used, declared)
		}
	}
}

// usedReferences are the names by which Kibana will look for references, with the types it wants.
func usedReferences(t *testing.T, o savedObject) map[string]string {
	t.Helper()
	used := make(map[string]string)
	if o.Type == "index-pattern" {
		return used
	}
	source := sourceOf(t, o)
	if source.IndexRefName != "" {
		used[source.IndexRefName] = "index-pattern"
	}
	for _, f := range source.Filter {
		used[f.Meta.IndexRefName] = "index-pattern"
	}
	if o.Type != "dashboard" {
		return used
	}
	for _, p := range panels(t) {
		if p.PanelRefName != "" {
			used[p.PanelIndex+":"+p.PanelRefName] = "search"
			continue
		}
		for layer := range p.layers() {
			name := "indexpattern-datasource-layer-" + layer
			used[p.PanelIndex+":"+name] = "index-pattern"
			inner := p.EmbeddableConfig.Attributes.References
			if len(inner) != 1 || inner[0].Name != name || inner[0].Type != "index-pattern" {
				t.Errorf("panel %q: references inside it are %v, want %s", p.Title, inner, name)
			}
		}
	}
	for id := range controls(t) {
		used["controlGroup_"+id+":optionsListDataView"] = "index-pattern"
	}
	return used
}

// fieldTypes are the mapped fields with their types, from the index template.
func fieldTypes(t *testing.T) map[string]string {
	t.Helper()
	type field struct {
		Type       string
		Properties map[string]json.RawMessage
	}
	out := make(map[string]string)
	var walk func(path string, raw json.RawMessage)
	walk = func(path string, raw json.RawMessage) {
		f := decode[field](t, raw)
		if f.Type != "" {
			out[path] = f.Type
		}
		for name, inner := range f.Properties {
			walk(strings.TrimPrefix(path+"."+name, "."), inner)
		}
	}
	all, err := templates.Templates()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Name == "foretop.findings@mappings" {
			walk("", decode[struct {
				Template struct{ Mappings json.RawMessage }
			}](t, one.Body).Template.Mappings)
		}
	}
	if len(out) < 100 {
		t.Fatalf("only %d fields are mapped", len(out))
	}
	return out
}

func TestTheSavedSearchShowsFieldsThatExist(t *testing.T) {
	types := fieldTypes(t)
	for _, name := range decode[[]string](t, of(t, "search").Attributes["columns"]) {
		if types[name] == "" {
			t.Errorf("the column %s is not mapped", name)
		}
	}
	for _, sort := range decode[[][]string](t, of(t, "search").Attributes["sort"]) {
		if types[sort[0]] != "date" {
			t.Errorf("sorted by %s, which is no date", sort[0])
		}
	}
}

func TestNothingLeadsOutOfKibana(t *testing.T) {
	if bytes.Contains(kibana.SavedObjects, []byte("://")) {
		t.Error("there is an address in the file")
	}
}
