package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The parts of docker-compose.yml that say what runs. Whether the file as a whole is valid is the business of
// integration/compose-check, which reads it with the loader that Docker Compose itself uses.
type composeService struct {
	Image       string
	Build       struct{ Dockerfile, Target string }
	Command     []string
	Environment map[string]string
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Volumes     []string
	Ports       []string
}

func composeServices(t *testing.T) map[string]composeService {
	t.Helper()
	data, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]composeService }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

func TestComposeServicesWaitForWhatIsHealthyOrDone(t *testing.T) {
	services := composeServices(t)
	for name, s := range services {
		for on, wait := range s.DependsOn {
			needed, exists := services[on]
			switch {
			case !exists:
				t.Errorf("%s depends on %s, which does not exist", name, on)
			case wait.Condition == "service_healthy" && len(needed.Healthcheck.Test) == 0:
				t.Errorf("%s waits until %s is healthy, which has no health check", name, on)
			case wait.Condition != "service_healthy" && wait.Condition != "service_completed_successfully":
				t.Errorf("%s waits for %s to be %q: started is not ready", name, on, wait.Condition)
			}
		}
	}
}

func TestComposeSetsOnlyVariablesThatExist(t *testing.T) {
	for name, s := range composeServices(t) {
		for variable := range s.Environment {
			knownVariable(t, "the service "+name+" of docker-compose.yml", variable)
		}
	}
}

func TestComposeBuildsStagesOfTheDockerfile(t *testing.T) {
	for name, s := range composeServices(t) {
		if s.Build.Dockerfile == "" {
			continue
		}
		file, err := os.ReadFile("../" + s.Build.Dockerfile)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^FROM .* AS ` + regexp.QuoteMeta(s.Build.Target) + `$`).Match(file) {
			t.Errorf("%s is built from the stage %s, which %s does not have", name, s.Build.Target, s.Build.Dockerfile)
		}
	}
}

func TestTheDemonstrationListensOnLoopbackOnly(t *testing.T) {
	for name, s := range composeServices(t) {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s to everybody, without a password", name, port)
			}
		}
	}
}
