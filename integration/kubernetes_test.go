package integration

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

const manifests = "../deployments/kubernetes/base"

// The parts of the Kubernetes API that the manifests use. A field that is misspelt, or stands in the wrong place, is
// unknown here and fails the test; one that is new to the manifests has to be added.
type (
	labels   map[string]string
	metadata struct {
		Name, Namespace string
		Labels          labels
		Annotations     labels
	}
	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Data       map[string]string `yaml:",omitempty"`
		Spec       yaml.Node
		// ServiceAccount and Secret keep theirs beside the metadata.
		AutomountServiceAccountToken *bool             `yaml:"automountServiceAccountToken"`
		Type                         string            `yaml:",omitempty"`
		StringData                   map[string]string `yaml:"stringData"`
		// Role and RoleBinding too.
		Rules []struct {
			APIGroups        []string `yaml:"apiGroups"`
			Resources, Verbs []string
			ResourceNames    []string `yaml:"resourceNames"`
		}
		RoleRef struct {
			APIGroup   string `yaml:"apiGroup"`
			Kind, Name string
		} `yaml:"roleRef"`
		Subjects []struct{ Kind, Name, Namespace string }
	}
	selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}
	deployment struct {
		Replicas int
		Selector selector
		Strategy struct {
			Type          string
			RollingUpdate struct {
				MaxSurge       int `yaml:"maxSurge"`
				MaxUnavailable int `yaml:"maxUnavailable"`
			} `yaml:"rollingUpdate"`
		}
		Template struct {
			Metadata metadata
			Spec     pod
		}
	}
	pod struct {
		ServiceAccountName            string `yaml:"serviceAccountName"`
		AutomountServiceAccountToken  *bool  `yaml:"automountServiceAccountToken"`
		EnableServiceLinks            *bool  `yaml:"enableServiceLinks"`
		TerminationGracePeriodSeconds int    `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			RunAsUser      int                   `yaml:"runAsUser"`
			RunAsGroup     int                   `yaml:"runAsGroup"`
			FSGroup        int                   `yaml:"fsGroup"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		TopologySpreadConstraints []struct {
			MaxSkew           int      `yaml:"maxSkew"`
			TopologyKey       string   `yaml:"topologyKey"`
			WhenUnsatisfiable string   `yaml:"whenUnsatisfiable"`
			LabelSelector     selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Containers []container
		Volumes    []volume
	}
	container struct {
		Name, Image string
		Args        []string
		EnvFrom     []struct {
			ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
		} `yaml:"envFrom"`
		Env   []struct{ Name, Value string }
		Ports []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		Readiness       probe `yaml:"readinessProbe"`
		Liveness        probe `yaml:"livenessProbe"`
		Resources       struct{ Requests, Limits map[string]string }
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	probe struct {
		HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds    int                         `yaml:"periodSeconds"`
		TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
		FailureThreshold int                         `yaml:"failureThreshold"`
	}
	volume struct {
		Name     string
		EmptyDir struct {
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
		Secret struct {
			SecretName  string `yaml:"secretName"`
			DefaultMode int    `yaml:"defaultMode"`
		}
	}
	disruptionBudget struct {
		MaxUnavailable int `yaml:"maxUnavailable"`
		Selector       selector
	}
	networkPolicy struct {
		PodSelector selector `yaml:"podSelector"`
		PolicyTypes []string `yaml:"policyTypes"`
		Ingress     []struct {
			From  []peer
			Ports []port
		}
		Egress []struct {
			To    []peer
			Ports []port
		}
	}
	peer struct {
		NamespaceSelector selector              `yaml:"namespaceSelector"`
		IPBlock           struct{ CIDR string } `yaml:"ipBlock"`
	}
	port struct {
		Protocol string
		Port     int
	}
)

// strict decodes YAML into v and refuses what v does not know.
func strict(t *testing.T, name string, data []byte, v any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		t.Fatalf("%s holds more than one document", name)
	}
}

func spec(t *testing.T, o object, v any) {
	t.Helper()
	data, err := yaml.Marshal(&o.Spec)
	if err != nil {
		t.Fatal(err)
	}
	strict(t, o.Kind+" "+o.Metadata.Name, data, v)
}

// read returns the objects by kind, and checks that kustomization.yaml names all but the example.
func readManifests(t *testing.T) map[string]object {
	t.Helper()
	var kustomization struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Resources  []string
	}
	files, err := filepath.Glob(manifests + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	objects, listed := map[string]object{}, []string{"kustomization.yaml", "secret.example.yaml"}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "kustomization.yaml" {
			strict(t, file, data, &kustomization)
			continue
		}
		var o object
		strict(t, file, data, &o)
		if o.Metadata.Labels["app.kubernetes.io/name"] != "foretop" {
			t.Errorf("%s lacks the label app.kubernetes.io/name", file)
		}
		if o.Kind != "Namespace" && o.Metadata.Namespace != "foretop" {
			t.Errorf("%s is not in the namespace foretop", file)
		}
		objects[o.Kind] = o
	}
	for _, file := range files {
		if base := filepath.Base(file); !slices.Contains(slices.Concat(listed, kustomization.Resources), base) {
			t.Errorf("kustomization.yaml does not name %s", base)
		}
	}
	for _, name := range kustomization.Resources {
		if _, err := os.Stat(filepath.Join(manifests, name)); err != nil {
			t.Errorf("kustomization.yaml names %s: %v", name, err)
		}
	}
	return objects
}

func TestThePodIsConfined(t *testing.T) {
	objects := readManifests(t)
	var d deployment
	spec(t, objects["Deployment"], &d)
	p := d.Template.Spec
	if len(p.Containers) != 1 {
		t.Fatalf("the pod has %d containers, want 1", len(p.Containers))
	}
	c := p.Containers[0]
	isFalse := func(b *bool) bool { return b != nil && !*b }
	for want, ok := range map[string]bool{
		"no Service variables":               isFalse(p.EnableServiceLinks),
		"no token in the pod":                isFalse(p.AutomountServiceAccountToken),
		"no token for the account":           isFalse(objects["ServiceAccount"].AutomountServiceAccountToken),
		"an account of its own":              p.ServiceAccountName == objects["ServiceAccount"].Metadata.Name,
		"the image's user":                   p.SecurityContext.RunAsNonRoot && p.SecurityContext.RunAsUser == imageUser && p.SecurityContext.FSGroup == imageUser,
		"the runtime's system call filter":   p.SecurityContext.SeccompProfile.Type == "RuntimeDefault",
		"no new privileges":                  isFalse(c.SecurityContext.AllowPrivilegeEscalation),
		"a read-only root file system":       c.SecurityContext.ReadOnlyRootFilesystem,
		"no capability":                      slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}),
		"a memory limit":                     c.Resources.Limits["memory"] != "",
		"a pod that leaves before one joins": d.Strategy.RollingUpdate.MaxSurge == 0 && d.Strategy.RollingUpdate.MaxUnavailable == 1,
	} {
		if !ok {
			t.Errorf("the deployment lacks %s", want)
		}
	}
}

func TestTheManifestsFitEachOther(t *testing.T) {
	objects := readManifests(t)
	var (
		d      deployment
		budget disruptionBudget
		policy networkPolicy
	)
	spec(t, objects["Deployment"], &d)
	spec(t, objects["PodDisruptionBudget"], &budget)
	spec(t, objects["NetworkPolicy"], &policy)
	for name, s := range map[string]selector{
		"the deployment": d.Selector, "the disruption budget": budget.Selector, "the network policy": policy.PodSelector,
		"the spread": d.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
	} {
		if !maps.Equal(s.MatchLabels, d.Template.Metadata.Labels) {
			t.Errorf("%s selects %v, and the pods have %v", name, s.MatchLabels, d.Template.Metadata.Labels)
		}
	}
	c := d.Template.Spec.Containers[0]
	admin := policy.Ingress[0].Ports[0].Port
	if c.Ports[0].Name != "admin" || c.Ports[0].ContainerPort != admin {
		t.Errorf("the network policy opens %d, and the container's port is %v", admin, c.Ports[0])
	}
	for path, p := range map[string]probe{"/readyz": c.Readiness, "/healthz": c.Liveness} {
		if p.HTTPGet.Path != path || p.HTTPGet.Port != "admin" {
			t.Errorf("a probe asks for %s on %s, want %s on admin", p.HTTPGet.Path, p.HTTPGet.Port, path)
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(d.Template.Spec.Volumes, func(v volume) bool { return v.Name == m.Name }) {
			t.Errorf("%s is mounted and is no volume", m.Name)
		}
	}
	if got := c.EnvFrom[0].ConfigMapRef.Name; got != objects["ConfigMap"].Metadata.Name {
		t.Errorf("the container reads the config map %s", got)
	}
	secret := objects["Secret"]
	for _, v := range d.Template.Spec.Volumes {
		if v.Secret.SecretName != "" && v.Secret.SecretName != secret.Metadata.Name {
			t.Errorf("the volume %s holds the secret %s, and the example makes %s", v.Name, v.Secret.SecretName, secret.Metadata.Name)
		}
	}
	for _, e := range c.Env {
		if base := filepath.Base(e.Value); filepath.Dir(e.Value) == "/etc/foretop/secrets" && secret.StringData[base] == "" {
			t.Errorf("%s is read from %s, which the secret of the example does not have", e.Name, base)
		}
	}
}

func TestTheManifestsSetOnlyVariablesThatExist(t *testing.T) {
	objects := readManifests(t)
	var d deployment
	spec(t, objects["Deployment"], &d)
	for name := range objects["ConfigMap"].Data {
		knownVariable(t, "configmap.yaml", name)
	}
	for _, e := range d.Template.Spec.Containers[0].Env {
		knownVariable(t, "deployment.yaml", e.Name)
	}
}
