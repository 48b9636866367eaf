package detections

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// baselineCase is what the test below reads of a test file.
type baselineCase struct {
	Name   string
	Base   string
	Set    map[string]any
	Filter string
}

// Every exception of filters/ is bound to namespace, kind, name and account or author, to the registry and the repository
// of images, and, where it speaks of a whole pod, to all of its containers: each case in which one is at work must match
// as soon as one of these differs.
func TestBaselinesEndWhereADetailDiffers(t *testing.T) {
	tests, err := sigma.ReadTests(FS, "filters")
	if err != nil || len(tests) == 0 {
		t.Fatalf("%d test files: %v", len(tests), err)
	}
	c := collection(t)
	for _, f := range tests {
		var file struct {
			Rule  string
			Cases []baselineCase
		}
		if err := yaml.Unmarshal(f.Data, &file); err != nil {
			t.Fatal(err)
		}
		rule := c.Rules[slices.IndexFunc(c.Rules, func(r *sigma.Rule) bool { return r.Name == file.Rule })]
		set, _ := engine.Compile(&sigma.Collection{Rules: []*sigma.Rule{rule}, Filters: c.FiltersFor(rule)}, engine.Options{})
		for _, b := range file.Cases {
			if matches(t, set, b, nil) {
				t.Errorf("%s: %s: the exception is not at work", f.Name, b.Name)
			}
			for name, change := range details(b, rule.Logsource.Category != "container") {
				if !matches(t, set, b, change) {
					t.Errorf("%s: %s: still excepted with %s", f.Name, b.Name, name)
				}
			}
		}
	}
}

const podSpec = "/requestObject/spec/template/spec/"

// details are the changes that must end an exception, by name. wholePod is true for rules that judge a pod or its
// volumes.
func details(b baselineCase, wholePod bool) map[string]map[string]any {
	all := map[string]map[string]any{
		"another namespace": {"/objectRef/namespace": "elsewhere"},
		"another kind":      {"/objectRef/resource": "deployments", "/requestObject/kind": "Deployment"},
	}
	if _, byProvider := b.Set["/user"]; byProvider {
		all["another author"] = map[string]any{"/user": map[string]any{"username": "mallory"}}
	} else {
		all["another name"] = map[string]any{"/requestObject/metadata/name": "another"}
		all["another account"] = map[string]any{podSpec + "serviceAccountName": "another"}
	}
	spec := b.Set[strings.TrimSuffix(podSpec, "/")].(map[string]any)
	hosts, repositories := map[string]any{}, map[string]any{}
	for _, list := range []string{"containers", "initContainers"} {
		containers, _ := spec[list].([]any)
		for i, c := range containers {
			image := c.(map[string]any)["image"].(string)
			registry, rest, _ := strings.Cut(image, "/")
			name := fmt.Sprintf("%s%s/%d/image", podSpec, list, i)
			hosts[name] = registry + ".example.net/" + rest
			end := strings.IndexAny(rest, ":@")
			repositories[name] = registry + "/" + rest[:end] + "-x" + rest[end:]
		}
	}
	all["images of another registry"] = hosts
	_, byProvider := b.Set["/user"]
	if !byProvider {
		all["images of other repositories"] = repositories
	}
	if wholePod && !byProvider {
		for name := range hosts {
			all["another registry at "+name] = map[string]any{name: hosts[name]}
			all["another repository at "+name] = map[string]any{name: repositories[name]}
		}
		containers := spec["containers"].([]any)
		all["one container more"] = map[string]any{podSpec + "containers/" + strconv.Itoa(len(containers)): containers[0]}
	}
	return all
}

func matches(t *testing.T, set *engine.Set, b baselineCase, change map[string]any) bool {
	t.Helper()
	data, err := fs.ReadFile(FS, path.Join("testdata", b.Base+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for _, changes := range []map[string]any{b.Set, change} {
		for _, pointer := range slices.Sorted(maps.Keys(changes)) {
			doc = put(doc, strings.Split(pointer, "/")[1:], changes[pointer])
		}
	}
	canonical, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var v engine.Verdict
	set.NewJudge().Judge(canonical, &event.Envelope{Format: "native"}, &v)
	return len(v.Matches) > 0
}

// put sets what a JSON pointer's tokens lead to, on copies, and returns the new document.
func put(at any, tokens []string, value any) any {
	if len(tokens) == 0 {
		return value
	}
	switch at := at.(type) {
	case []any:
		i, _ := strconv.Atoi(tokens[0])
		list := slices.Clone(at)
		if i == len(list) {
			list = append(list, nil)
		}
		list[i] = put(list[i], tokens[1:], value)
		return list
	case map[string]any:
		object := maps.Clone(at)
		object[tokens[0]] = put(at[tokens[0]], tokens[1:], value)
		return object
	}
	return map[string]any{tokens[0]: put(nil, tokens[1:], value)}
}
