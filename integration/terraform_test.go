package integration

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const modules = "../deployments/terraform"

func names(text string, pattern string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestTheModulesGiveSettingsThatExistAndDocumentTheirInputs(t *testing.T) {
	dirs, err := filepath.Glob(modules + "/*/versions.tf")
	if err != nil || len(dirs) < 4 {
		t.Fatalf("%v, %v", dirs, err)
	}
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		outputs := readFile(t, dir+"/outputs.tf")
		settings := names(outputs, `(FORETOP_[A-Z_]+)\s+=`)
		if len(settings) == 0 {
			t.Errorf("%s gives no settings", dir)
		}
		for _, name := range settings {
			knownVariable(t, dir, name)
		}
		inputs := names(readFile(t, dir+"/variables.tf"), `variable "([a-z_]+)"`)
		used, page := readFile(t, dir+"/main.tf"), readFile(t, dir+"/README.md")
		for _, name := range inputs {
			if !strings.Contains(used, "var."+name) {
				t.Errorf("%s: nothing uses the input %s", dir, name)
			}
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("%s/README.md does not explain the input %s", dir, name)
			}
		}
		for _, name := range names(used+outputs, `var\.([a-z_]+)`) {
			if !slices.Contains(inputs, name) {
				t.Errorf("%s uses var.%s, which is no input", dir, name)
			}
		}
	}
}

// TestTheGuidesCallTheModulesAsTheyAre checks the arguments and outputs that the guides name.
func TestTheGuidesCallTheModulesAsTheyAre(t *testing.T) {
	call := regexp.MustCompile(`(?ms)^module "foretop" \{\n(.*?)^\}`)
	for _, cloud := range []string{"eks", "gke", "aks"} {
		page, dir := readFile(t, "../docs/guides/"+cloud+".md"), filepath.Join(modules, cloud)
		m := call.FindStringSubmatch(page)
		if m == nil || !strings.Contains(m[1], `"./deployments/terraform/`+cloud+`"`) {
			t.Fatalf("the guide for %s calls no module", cloud)
		}
		inputs := names(readFile(t, dir+"/variables.tf"), `variable "([a-z_]+)"`)
		for _, name := range names(m[1], `(?m)^  ([a-z_]+)\s+=`) {
			if name != "source" && !slices.Contains(inputs, name) {
				t.Errorf("the guide for %s gives %s, which is no input", cloud, name)
			}
		}
		outputs := names(readFile(t, dir+"/outputs.tf"), `output "([a-z_]+)"`)
		for _, name := range names(page, `module\.foretop\.([a-z_]+)`) {
			if !slices.Contains(outputs, name) {
				t.Errorf("the guide for %s reads %s, which is no output", cloud, name)
			}
		}
	}
}

// TestTheGuideForEKSGrantsWhatTheModuleGrants compares the policy by hand with the one of the module.
func TestTheGuideForEKSGrantsWhatTheModuleGrants(t *testing.T) {
	page := readFile(t, "../docs/guides/eks.md")
	document := regexp.MustCompile(`(?ms)^cat > read.json <<EOF\n(.*?)^EOF`).FindStringSubmatch(page)
	if document == nil || !json.Valid([]byte(document[1])) {
		t.Fatal("the guide has no policy, or one that is no JSON")
	}
	const action = `"((?:logs|sts):[A-Za-z]+)"`
	guide, module := names(document[1], action), names(readFile(t, modules+"/eks/main.tf"), action)
	// Other accounts and the trust policy are the module's own.
	module = slices.DeleteFunc(module, func(a string) bool { return strings.HasPrefix(a, "sts:") })
	if !slices.Equal(guide, module) {
		t.Errorf("the guide allows %v, the module %v", guide, module)
	}
}
