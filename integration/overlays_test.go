//go:build integration

package integration

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/foretop/foretop/pkg/app"
)

// kustomize is built from source into the cache, once: the program that kubectl apply -k has inside.
var kustomize = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	const version = "v5.8.1"
	file := filepath.Join(cache, "foretop", "bin", "kustomize-"+version)
	out, err := exec.Command("../.ci/tool", "sigs.k8s.io/kustomize/kustomize/v5@"+version, file).CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return file, nil
})

// render is what kubectl apply -k would send, by kind and name.
func render(t *testing.T, dir string) map[string]object {
	t.Helper()
	program, err := kustomize()
	if err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	cmd := exec.Command(program, "build", dir)
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil || problems.Len() > 0 {
		t.Fatalf("%s: %v\n%s", dir, err, problems.String())
	}
	objects := map[string]object{}
	d := yaml.NewDecoder(bytes.NewReader(out))
	d.KnownFields(true)
	for {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		objects[o.Kind+" "+o.Metadata.Name] = o
	}
}

// podEnvironment is what the pod of a rendered deployment runs with, the values of secrets replaced.
func podEnvironment(t *testing.T, objects map[string]object) []string {
	t.Helper()
	var d deployment
	spec(t, objects["Deployment foretop"], &d)
	var environ []string
	for name, value := range objects["ConfigMap foretop"].Data {
		environ = append(environ, name+"="+value)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Template.Spec.Containers[0].Env {
		if strings.HasSuffix(e.Name, "_FILE") {
			e.Value = secret
		}
		environ = append(environ, e.Name+"="+e.Value)
	}
	return environ
}

func TestEveryOverlayIsASettingThatTheServiceAccepts(t *testing.T) {
	overlays, err := filepath.Glob("../deployments/kubernetes/overlays/*")
	if err != nil || len(overlays) < 4 {
		t.Fatalf("%v, %v", overlays, err)
	}
	for _, dir := range overlays {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			objects := render(t, dir)
			if cfg, err := app.LoadConfig(podEnvironment(t, objects)); err != nil || len(cfg.Sources) != 1 {
				t.Errorf("%v", err)
			}
			var d deployment
			spec(t, objects["Deployment foretop"], &d)
			for key, value := range d.Selector.MatchLabels {
				if d.Template.Metadata.Labels[key] != value {
					t.Errorf("the deployment does not select its own pods: %s", key)
				}
			}
			for name := range objects {
				if !slices.Contains([]string{"Namespace", "ServiceAccount", "ConfigMap", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "Role", "RoleBinding"}, strings.Fields(name)[0]) {
					t.Errorf("the overlay makes a %s", name)
				}
			}
		})
	}
}

func ports(t *testing.T, objects map[string]object) []int {
	t.Helper()
	var policy networkPolicy
	spec(t, objects["NetworkPolicy foretop"], &policy)
	var out []int
	for _, e := range policy.Egress {
		for _, p := range e.Ports {
			if len(e.To) == 0 {
				out = append(out, p.Port)
			}
		}
	}
	return out
}

func TestAnOverlayMayReachItsSourceAndElasticsearchAndNothingElse(t *testing.T) {
	for overlay, want := range map[string][]int{
		"kafka": {9200, 9092, 9093}, "eks": {9200, 443}, "gke": {9200, 443}, "aks": {9200, 443, 9093},
	} {
		if got := ports(t, render(t, "../deployments/kubernetes/overlays/"+overlay)); !slices.Equal(got, want) {
			t.Errorf("%s may reach ports %v anywhere, want %v", overlay, got, want)
		}
	}
}

// What CloudWatch Logs needs: one reader, and a Role that is enough for its positions and for nothing else.
func TestTheOverlayOfEKSKeepsPositionsInAConfigMapOfItsOwn(t *testing.T) {
	objects := render(t, "../deployments/kubernetes/overlays/eks")
	var d deployment
	spec(t, objects["Deployment foretop"], &d)
	mounted := d.Template.Spec.AutomountServiceAccountToken
	if d.Replicas != 1 || d.Strategy.Type != "Recreate" || mounted == nil || !*mounted {
		t.Errorf("%d replicas, strategy %s, token %v", d.Replicas, d.Strategy.Type, mounted)
	}
	name, ok := strings.CutPrefix(objects["ConfigMap foretop"].Data["FORETOP_CHECKPOINTS"], "configmap:")
	positions, exists := objects["ConfigMap "+name]
	if !ok || !exists || len(positions.Data) > 0 {
		t.Errorf("the ConfigMap %q of the positions is missing, or not empty", name)
	}
	rules := objects["Role foretop-positions"].Rules
	if len(rules) != 1 || !slices.Equal(rules[0].Resources, []string{"configmaps"}) || !slices.Equal(rules[0].APIGroups, []string{""}) ||
		!slices.Equal(rules[0].ResourceNames, []string{name}) || !slices.Equal(rules[0].Verbs, []string{"get", "patch"}) {
		t.Errorf("the role allows %+v", rules)
	}
	binding := objects["RoleBinding foretop-positions"]
	if binding.RoleRef.Name != "foretop-positions" || len(binding.Subjects) != 1 || binding.Subjects[0].Name != d.Template.Spec.ServiceAccountName {
		t.Errorf("the binding is %+v", binding)
	}
	for _, other := range []string{"kafka", "gke", "aks"} {
		var d deployment
		spec(t, render(t, "../deployments/kubernetes/overlays/"+other)["Deployment foretop"], &d)
		if token := d.Template.Spec.AutomountServiceAccountToken; token == nil || *token {
			t.Errorf("%s has a token that it does not need", other)
		}
	}
}

var (
	heredoc = regexp.MustCompile("(?ms)^cat > deployments/kubernetes/overlays/mine/kustomization.yaml <<EOF\n(.*?)^EOF$")
	holder  = regexp.MustCompile(`\$(\{[A-Z_]+\}|[A-Z_]+)`)
)

// TestTheOverlaysOfTheGuidesAreAccepted renders what the guides tell to write, with values in the place of the shell's
// variables.
func TestTheOverlaysOfTheGuidesAreAccepted(t *testing.T) {
	for _, guide := range []string{"eks", "gke", "aks"} {
		t.Run(guide, func(t *testing.T) {
			m := heredoc.FindStringSubmatch(readFile(t, "../docs/guides/"+guide+".md"))
			if m == nil {
				t.Fatal("the guide writes no overlay")
			}
			tree := t.TempDir()
			if err := os.CopyFS(tree, os.DirFS("../deployments/kubernetes")); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(tree, "overlays", "mine")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			text := holder.ReplaceAllStringFunc(m[1], func(name string) string {
				return "x" + strings.ToLower(strings.ReplaceAll(strings.Trim(name, "${}"), "_", ""))
			})
			text = strings.ReplaceAll(text, "xelasticsearch", "https://elasticsearch.example")
			if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			objects := render(t, dir)
			if _, err := app.LoadConfig(podEnvironment(t, objects)); err != nil {
				t.Error(err)
			}
			example := render(t, "../deployments/kubernetes/overlays/"+guide)
			for _, name := range []string{"ServiceAccount foretop", "ConfigMap foretop"} {
				for key := range example[name].Metadata.Annotations {
					if example[name].Metadata.Annotations[key] == objects[name].Metadata.Annotations[key] {
						t.Errorf("the guide leaves the example's %s of the %s", key, name)
					}
				}
			}
			var d deployment
			spec(t, objects["Deployment foretop"], &d)
			if strings.HasPrefix(d.Template.Spec.Containers[0].Image, "foretop:") {
				t.Error("the guide does not name the image")
			}
		})
	}
}
