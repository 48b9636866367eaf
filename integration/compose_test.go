//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// demo runs the services of docker-compose.yml as processes of this machine: each command, environment block and health
// check as it stands in the file, with the addresses of containers replaced by local ones.
type demo struct {
	services map[string]composeService
	foretop  string
	replay   string
	local    *strings.Replacer
	kibana   *kibana
	state    string
	admin    string
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{services: composeServices(t), kibana: newKibana(t), state: t.TempDir(), admin: freePort(t)}
	inside, outside, controller := freePort(t), freePort(t), freePort(t)
	elastic := server(t, "FORETOP_TEST_ELASTICSEARCH")
	d.local = strings.NewReplacer(
		"kafka:19092", inside, "localhost:19092", inside, "INSIDE://:19092", "INSIDE://"+inside,
		"OUTSIDE://:9092", "OUTSIDE://"+outside, "OUTSIDE://localhost:9092", "OUTSIDE://"+outside,
		"CONTROLLER://:9093", "CONTROLLER://"+controller, "1@localhost:9093", "1@"+controller,
		"http://elasticsearch:9200", elastic, "http://localhost:9200", elastic,
		"http://kibana:5601", d.kibana.URL, "http://localhost:5601", d.kibana.URL,
		"/story.ndjson.gz", storyFile,
	)
	d.foretop, d.replay = buildBinary(t, "./cmd/foretop"), buildBinary(t, "./integration/replay")
	return d
}

// command is what the container of a service would run, as a command line of this machine.
func (d *demo) command(t *testing.T, name string) []string {
	t.Helper()
	s := d.services[name]
	line := slices.Clone(s.Command)
	for i := range line {
		line[i] = d.local.Replace(line[i])
	}
	switch {
	case s.Image == "foretop:demo":
		return append([]string{d.foretop}, line...)
	case s.Image == "foretop-replay:demo":
		return append([]string{d.replay}, line...)
	default:
		return d.tool(t, line)
	}
}

// tool maps a program of the Kafka and Elasticsearch images to this machine's.
func (d *demo) tool(t *testing.T, line []string) []string {
	t.Helper()
	classes := map[string]string{
		"/opt/kafka/bin/kafka-topics.sh":              "org.apache.kafka.tools.TopicCommand",
		"/opt/kafka/bin/kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand",
	}
	if class := classes[line[0]]; class != "" {
		return slices.Concat([]string{"services/kafka", "tool", class}, line[1:])
	}
	if line[0] != "curl" {
		t.Fatalf("the compose file runs %s, and this test does not know what that is here", line[0])
	}
	return line
}

func (d *demo) environment(name string) []string {
	env := map[string]string{}
	for key, value := range d.services[name].Environment {
		env[key] = d.local.Replace(value)
	}
	if d.services[name].Image == "foretop:demo" {
		// What the image and its volume give: the admin address of the Dockerfile and the state folder.
		env["FORETOP_ADMIN_ADDRESS"], env["FORETOP_STATE_DIR"] = d.admin, d.state
	}
	return environment(env)
}

func (d *demo) run(t *testing.T, name string, within time.Duration) string {
	t.Helper()
	return start(t, name, d.environment(name), d.command(t, name)...).succeed(t, within)
}

// healthy waits until the service's own health check succeeds.
func (d *demo) healthy(t *testing.T, name string) {
	t.Helper()
	check := d.services[name].Healthcheck.Test
	if len(check) < 2 || check[0] != "CMD" {
		t.Fatalf("%s has no health check of the form [CMD, ...]", name)
	}
	line := slices.Clone(check[1:])
	for i := range line {
		line[i] = d.local.Replace(line[i])
	}
	line = d.tool(t, line)
	eventually(t, time.Minute, func(ctx context.Context) error {
		check := exec.CommandContext(ctx, line[0], line[1:]...)
		check.Env = environment(nil)
		return check.Run()
	})
}

// broker starts Kafka with the settings of the compose file, as the image would write them to its properties file: each
// variable KAFKA_A_B is the property a.b.
func (d *demo) broker(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	var properties strings.Builder
	fmt.Fprintf(&properties, "log.dirs=%s\n", filepath.Join(dir, "log"))
	for _, name := range slices.Sorted(maps.Keys(d.services["kafka"].Environment)) {
		property := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "KAFKA_")), "_", ".")
		fmt.Fprintf(&properties, "%s=%s\n", property, d.local.Replace(d.services["kafka"].Environment[name]))
	}
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(properties.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "format", environment(nil), "services/kafka", "tool", "kafka.tools.StorageTool", "format",
		"--cluster-id", "Zm9yZXRvcC1kZW1vLTAwMA", "--config", file).succeed(t, time.Minute)
	start(t, "kafka", environment(nil), "services/kafka", "tool", "kafka.Kafka", file)
}

func TestTheComposeFileEndsWithFindingsOnADashboard(t *testing.T) {
	d := newDemo(t)
	want := d.expected(t)
	d.broker(t)
	for _, name := range []string{"kafka", "elasticsearch", "kibana"} {
		d.healthy(t, name)
	}
	d.run(t, "topic", time.Minute)
	d.run(t, "setup-elasticsearch", time.Minute)
	d.run(t, "setup-kibana", time.Minute)
	if got := d.kibana.dashboards(); got == 0 {
		t.Error("no dashboard was imported into Kibana")
	}
	older, err := d.stored(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	service := start(t, "foretop", d.environment("foretop"), d.command(t, "foretop")...)
	generator := start(t, "generator", d.environment("generator"), d.command(t, "generator")...)

	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		service.running(t)
		generator.running(t)
		got, err := d.stored(ctx, older)
		if err == nil && len(got) < len(want) {
			err = fmt.Errorf("%d findings are stored, want %d", len(got), len(want))
		}
		return err
	})
	stored, err := d.stored(t.Context(), older)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Values(stored))); diff != "" {
		t.Errorf("the rules of the stored findings are not those of a scan of the recording (-scan +stored):\n%s", diff)
	}
	d.documented(t)
	service.terminate(t, 30*time.Second)
	generator.terminate(t, 10*time.Second)
}

// expected are the rules of the findings that a scan of the recording gives, sorted.
func (d *demo) expected(t *testing.T) []string {
	t.Helper()
	out := start(t, "foretop scan", environment(map[string]string{"FORETOP_CLUSTER_NAME": "demo"}),
		d.foretop, "scan", "--output", "ndjson", storyFile).succeed(t, time.Minute)
	var rules []string
	for line := range strings.Lines(out) {
		var finding struct{ Rule struct{ Name string } }
		if err := json.Unmarshal([]byte(line), &finding); err != nil {
			continue // the summary on the standard error stream
		}
		rules = append(rules, finding.Rule.Name)
	}
	if len(rules) == 0 {
		t.Fatalf("a scan of %s finds nothing:\n%s", storyFile, out)
	}
	slices.Sort(rules)
	return rules
}

// documented reads the metrics of the running service: it is ready, and the guide says of each what to do.
func (d *demo) documented(t *testing.T) {
	t.Helper()
	var page string
	eventually(t, 30*time.Second, func(ctx context.Context) (err error) {
		if _, err = get(ctx, "http://"+d.admin+"/readyz"); err == nil {
			page, err = get(ctx, "http://"+d.admin+"/metrics")
		}
		return err
	})
	guide := readFile(t, "../docs/operations.md")
	families := regexp.MustCompile(`(?m)^# TYPE (foretop_\w+) `).FindAllStringSubmatch(page, -1)
	if len(families) == 0 {
		t.Error("the service exports no metric of its own")
	}
	for _, f := range families {
		if !strings.Contains(guide, "`"+f[1]+"`") && !strings.Contains(guide, "`"+f[1]+"{") {
			t.Errorf("docs/operations.md does not mention the metric %s", f[1])
		}
	}
}

// get returns the body of an answer with status 200.
func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
	return string(body), err
}

// stored are the rules of the findings in Elasticsearch that the demonstration's cluster has, by the findings' ids, without
// those that are older.
func (d *demo) stored(ctx context.Context, older map[string]string) (map[string]string, error) {
	body, err := get(ctx, d.local.Replace("http://elasticsearch:9200")+
		"/logs-foretop.findings-default/_search?size=10000&q=orchestrator.cluster.name:demo")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Hits struct {
			Hits []struct {
				ID     string                               `json:"_id"`
				Source struct{ Rule struct{ Name string } } `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	rules := map[string]string{}
	for _, h := range answer.Hits.Hits {
		if _, known := older[h.ID]; !known {
			rules[h.ID] = h.Source.Rule.Name
		}
	}
	return rules, nil
}

// kibana stands for the server that no registry of packages has: it records the saved objects that are imported, and
// answers as Kibana does.
type kibana struct {
	*httptest.Server
	mu      sync.Mutex
	objects []savedObject
}

type savedObject struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func newKibana(t *testing.T) *kibana {
	t.Helper()
	k := new(kibana)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"version":{"number":"8.19.21"},"status":{"overall":{"level":"available"}}}`)
	})
	mux.HandleFunc("POST /api/saved_objects/_import", k.imported)
	k.Server = httptest.NewServer(mux)
	t.Cleanup(k.Close)
	return k
}

// imported refuses what Kibana refuses: a request without kbn-xsrf, a file that is not called .ndjson.
func (k *kibana) imported(w http.ResponseWriter, r *http.Request) {
	file, header, err := r.FormFile("file")
	if err != nil || r.Header.Get("kbn-xsrf") == "" || filepath.Ext(header.Filename) != ".ndjson" {
		http.Error(w, `{"statusCode":400,"error":"Bad Request"}`, http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	results := []savedObject{}
	for line := range strings.Lines(string(body)) {
		var object savedObject
		if json.Unmarshal([]byte(line), &object) == nil && object.Type != "" && object.ID != "" {
			results = append(results, object)
		}
	}
	k.mu.Lock()
	k.objects = append(k.objects, results...)
	k.mu.Unlock()
	answer := map[string]any{"success": true, "successCount": len(results), "successResults": results, "warnings": []string{}}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (k *kibana) dashboards() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, object := range k.objects {
		if object.Type == "dashboard" {
			n++
		}
	}
	return n
}
