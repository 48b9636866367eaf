package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

// checkup runs the doctor and returns what it printed.
func checkup(t *testing.T, ctx context.Context, o DoctorOptions) (code int, out string, err error) { //nolint:revive // t comes first
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o.Stdout = f
	if o.Output == "" {
		o.Output = OutputText
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Sample == 0 {
		o.Sample = 100
	}
	code, err = Doctor(ctx, o)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, readErr := io.ReadAll(f)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return code, string(text), err
}

// contains fails the test unless every part is in text, whose line breaks count as blanks.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ")
	for _, part := range parts {
		if !strings.Contains(flat, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// installed is an Elasticsearch after setup.
func installed(t *testing.T) *estest.Server {
	t.Helper()
	server := estest.New(t)
	if err := elasticsearch.Setup(t.Context(), elasticsearch.Config{Addresses: []string{server.URL}}, elasticsearch.SetupOptions{}); err != nil {
		t.Fatal(err)
	}
	return server
}

// freshEvent is an event of now, with what changes of workloads carry.
func freshEvent(id, verb, resource, level, more string) pipeline.Record {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	return pipeline.Record{Body: fmt.Appendf(nil, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":%q,"auditID":%q,"stage":"ResponseComplete",`+
		`"requestURI":"/api/v1/namespaces/default/%s","verb":%q,"user":{"username":"alice"},"sourceIPs":["192.0.2.7"],`+
		`"objectRef":{"resource":%q,"namespace":"default","apiVersion":"v1"},"responseStatus":{"code":200}%s,`+
		`"requestReceivedTimestamp":%q,"stageTimestamp":%q}`, level, id, resource, verb, resource, more, now, now)}
}

const podObject = `,"requestObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"x"}]}}`

// healthy is an installation that works.
func healthy(t *testing.T, more ...string) (*tape, []string) {
	t.Helper()
	held := &tape{records: []pipeline.Record{
		freshEvent(firstID, "list", "secrets", "Metadata", ""), freshEvent(secondID, "create", "pods", "RequestResponse", podObject),
	}}
	withTape(t, map[string]*tape{"a": held})
	environ := append([]string{
		"FORETOP_TAPE_LABEL=a", "FORETOP_CLUSTER_NAME=blue", "FORETOP_STATE_DIR=" + filepath.Join(t.TempDir(), "state"),
		"FORETOP_ELASTICSEARCH_ADDRESSES=" + installed(t).URL,
	}, more...)
	if slices.Contains(more, "FORETOP_SINKS=ndjson") {
		environ = slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "FORETOP_ELASTICSEARCH_") })
	}
	return held, environ
}

func TestTheDoctorFindsAWorkingInstallationWellAndLeavesItAlone(t *testing.T) {
	_, environ := healthy(t)
	server := estest.New(t)
	if err := elasticsearch.Setup(t.Context(), elasticsearch.Config{Addresses: []string{server.URL}}, elasticsearch.SetupOptions{}); err != nil {
		t.Fatal(err)
	}
	before := len(server.Requests(""))
	environ = append(environ, "FORETOP_ELASTICSEARCH_ADDRESSES="+server.URL, "FORETOP_DEAD_LETTERS=elasticsearch")
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ, Strict: true})
	if err != nil || code != ExitOK {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	contains(t, out, "Configuration ✓ settings", "Source tape ✓ sample: 2 events in 2 records; form: native", "✓ cluster: blue",
		"workloads RequestResponse; secrets Metadata; 1 of 1 changes of workloads and RBAC carry the object",
		"Sink elasticsearch ✓ server", "Elasticsearch 8.19.21", "✓ templates: logs-foretop.findings is installed", "✓ data stream",
		"Dead letters (elasticsearch)", "logs-foretop.deadletters is installed", "All is well.")
	for _, r := range server.Requests("")[before:] {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("%s %s is no reading", r.Method, r.Path)
		}
	}
	for _, setting := range environ {
		if dir, ok := strings.CutPrefix(setting, "FORETOP_STATE_DIR="); ok {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s was made", dir)
			}
		}
	}
}

func TestTheDoctorTellsMachinesTheSame(t *testing.T) {
	held, environ := healthy(t)
	held.records = append(held.records, records(`{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`)...)
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ, Output: OutputJSON})
	if err != nil || code != ExitOK {
		t.Errorf("exit code %d, %v", code, err)
	}
	var got struct {
		OK               bool
		Failed, Warnings int
		Parts            []struct {
			Kind, Name, Type string
			Checks           []struct{ Name, State, Detail, Fix string }
			Sample           *report.RecordSample
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !got.OK || got.Failed != 0 || got.Warnings != 1 {
		t.Errorf("%+v", got)
	}
	var kinds []string
	for _, p := range got.Parts {
		kinds = append(kinds, p.Kind)
		if p.Kind != partSource {
			continue
		}
		if s := p.Sample; s == nil || s.Events != 2 || s.Broken["truncated"]+s.Broken["not_json"] != 1 || s.Clusters["blue"] != 2 || s.WithBody != 1 {
			t.Errorf("sample %+v", p.Sample)
		}
		if !slices.ContainsFunc(p.Checks, func(c struct{ Name, State, Detail, Fix string }) bool { return c.State == "warning" && c.Fix != "" }) {
			t.Errorf("no warning about the junk: %+v", p.Checks)
		}
	}
	if want := []string{partConfiguration, partRules, partSource, partSink, partDeadLetters}; !slices.Equal(kinds, want) {
		t.Errorf("parts %v, want %v", kinds, want)
	}
}

func TestWarningsFailOnlyWhereAskedFor(t *testing.T) {
	held, environ := healthy(t)
	held.records = nil
	for strict, want := range map[bool]int{false: ExitOK, true: ExitError} {
		code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ, Strict: strict})
		if err != nil || code != want {
			t.Errorf("strict %v: exit code %d, %v\n%s", strict, code, err, out)
		}
		contains(t, out, "! sample: no records to look at", "Nothing failed, warnings: 1")
	}
}

func TestTheDoctorReadsSettingsAsTheServiceDoes(t *testing.T) {
	_, environ := healthy(t, "FORETOP_ELASTICSEARCH_PASSWROD=hunter2", "FORETOP_MIN_LEVEL=loud")
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
	if err != nil || code != ExitError {
		t.Errorf("exit code %d, %v", code, err)
	}
	contains(t, out, "did you mean FORETOP_ELASTICSEARCH_PASSWORD?", `MIN_LEVEL knows no "loud"`, "sources and sinks: not looked at")
	if _, runErr := LoadConfig(environ); runErr == nil {
		t.Error("the service takes what the doctor refuses")
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is shown")
	}
}

func TestAProbeThatHangsOrPanicsDoesNotKeepTheOthers(t *testing.T) {
	held, environ := healthy(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, tt := range map[string]struct {
		probe func(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record
		want  string
	}{
		"one that ignores its context": {func(_ context.Context, _ int, report func(pipeline.Check)) []pipeline.Record {
			report(pipeline.Check{Name: "first step"})
			<-release
			report(pipeline.Check{Name: "too late"})
			return nil
		}, "✓ first step ✗ time limit"},
		"one that ends in time": {func(ctx context.Context, _ int, report func(pipeline.Check)) []pipeline.Record {
			<-ctx.Done()
			report(pipeline.Check{Name: "second step", State: pipeline.CheckFailed, Detail: "no answer"})
			return nil
		}, "✗ second step: no answer ✗ time limit"},
		"one that panics": {func(context.Context, int, func(pipeline.Check)) []pipeline.Record { panic("secret text") }, "✗ examination: it panicked (string)"},
	} {
		t.Run(name, func(t *testing.T) {
			held.probe = tt.probe
			code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ, Timeout: 300 * time.Millisecond})
			if err != nil || code != ExitError {
				t.Errorf("exit code %d, %v", code, err)
			}
			contains(t, out, tt.want, "✓ templates")
			if strings.Contains(out, "secret text") || strings.Contains(out, "too late") {
				t.Errorf("it shows too much:\n%s", out)
			}
		})
	}
}

func TestAnInterruptedCheckupSaysSo(t *testing.T) {
	held, environ := healthy(t)
	ctx, cancel := context.WithCancel(t.Context())
	held.probe = func(ctx context.Context, _ int, _ func(pipeline.Check)) []pipeline.Record {
		cancel()
		<-ctx.Done()
		return nil
	}
	code, _, err := checkup(t, ctx, DoctorOptions{Environ: environ})
	if code != ExitError || err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestWhatTheDoctorSeesInASample(t *testing.T) {
	fields := func(n int, verb, resource, level string) (all []pipeline.Record) {
		for i := range n {
			all = append(all, freshEvent(fmt.Sprintf("00000000-0000-4000-9000-%012d", i), verb, resource, level, ""))
		}
		return all
	}
	old := records(auditEvent(firstID, "list", "ResponseComplete"))
	old[0].Body = []byte(strings.ReplaceAll(string(old[0].Body), "2026-11-20", "2020-11-20"))
	future := records(auditEvent(firstID, "list", "ResponseComplete"))
	future[0].Body = []byte(strings.ReplaceAll(string(future[0].Body), "2026-11-20", "2096-11-20"))
	needs := t.TempDir()
	text := ruleText("Needs the object", "create", "high") + "name: needs-the-object\nfalsepositives: [None known]\ntags: [attack.t1611]\n" +
		"x-foretop: {reason: made, respond: look, needs: {level: Request, providers: {eks: \"yes\", gke: \"no\", aks: \"yes\"}}}\n"
	if err := os.WriteFile(filepath.Join(needs, "a.yml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		records []pipeline.Record
		environ []string
		code    int
		want    []string
	}{
		"something else":         {records(`{"hello":1}`, `{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`), nil, ExitError, []string{"✗ sample: no audit event in 2 records (", "→ see that this is where audit logs arrive"}},
		"no cluster":             {fields(1, "list", "secrets", "Metadata"), []string{"FORETOP_CLUSTER_NAME="}, ExitOK, []string{"! cluster: 1 of 1 events do not say", "FORETOP_TAPE_CLUSTER_NAME, or FORETOP_TAPE_CLUSTER_FROM"}},
		"metadata only":          {fields(3, "create", "pods", "Metadata"), nil, ExitOK, []string{"! audit level: workloads Metadata; 0 of 3 changes"}},
		"rules that cannot fire": {fields(3, "create", "pods", "Metadata"), []string{"FORETOP_NO_BUILTIN=true", "FORETOP_RULES=" + needs}, ExitOK, []string{"! rules: 1 of 1 can never fire here, by this sample: needs audit level Request, this data has at most Metadata: Needs the object"}},
		"old events":             {old, nil, ExitOK, []string{"! newest event: of the sample is from 2020-11-20"}},
		"events of the future":   {future, nil, ExitOK, []string{"! newest event: is", "ahead of the clock here"}},
		"a hostile cluster name": {fields(1, "list", "secrets", "Metadata"), []string{"FORETOP_CLUSTER_NAME=a\x1b[31mb"}, ExitOK, []string{`✓ cluster: a\x1b[31mb`, "no change of workloads or RBAC is in the sample"}},
	} {
		t.Run(name, func(t *testing.T) {
			held, environ := healthy(t, tt.environ...)
			held.records = tt.records
			code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
			if err != nil || code != tt.code {
				t.Errorf("exit code %d, want %d, %v", code, tt.code, err)
			}
			contains(t, out, tt.want...)
		})
	}
}

func TestTheDoctorNamesWhatIsWrongWithSinksAndRules(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rules := t.TempDir()
	filter := "title: Old exception\nid: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a12\nlogsource: {product: kubernetes, service: audit}\n" +
		"filter:\n  rules: any\n  sel: {verb: x}\n  condition: not sel\nx-foretop: {owner: me, reason: because, expires: %s}\n"
	for name, text := range map[string]string{
		"old.yml":  fmt.Sprintf(filter, "2020-01-01"),
		"soon.yml": strings.NewReplacer("Old", "Ending", "2a12", "2a13").Replace(fmt.Sprintf(filter, time.Now().Add(72*time.Hour).Format(time.DateOnly))),
	} {
		if err := os.WriteFile(filepath.Join(rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "a.yml"), []byte(strings.Replace(ruleText("A", "list", "high"), "condition: sel", "condition: other", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		environ []string
		code    int
		want    []string
	}{
		"no templates":         {[]string{"FORETOP_ELASTICSEARCH_ADDRESSES=" + estest.New(t).URL}, ExitError, []string{"✗ templates: there is no index template logs-foretop.findings → foretop setup elasticsearch"}},
		"no server":            {[]string{"FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1"}, ExitError, []string{"✗ server http://127.0.0.1:1", "refused", "→ start the server"}},
		"no place for letters": {[]string{"FORETOP_DEAD_LETTERS_PATH=" + file + "/x"}, ExitError, []string{"Dead letters (file) ✗ file", "not a directory"}},
		"standard output only": {[]string{"FORETOP_SINKS=ndjson"}, ExitOK, []string{"! routes: findings go to the standard output only"}},
		"one file for both":    {[]string{"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + file, "FORETOP_DEAD_LETTERS_PATH=" + file}, ExitError, []string{"✗ routes: findings and dead letters go to the same file"}},
		"exceptions that end":  {[]string{"FORETOP_RULES=" + rules}, ExitOK, []string{"! exceptions: 1 have expired", "Old exception", "! exceptions: 1 expire within 14 days: Ending exception"}},
		"rules with faults":    {[]string{"FORETOP_RULES=" + bad}, ExitError, []string{"✗ rule: " + bad}},
		"rules that are away":  {[]string{"FORETOP_RULES=" + bad + "/none"}, ExitError, []string{"✗ rules: ", "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, environ := healthy(t, tt.environ...)
			code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
			if err != nil || code != tt.code {
				t.Errorf("exit code %d, want %d, %v", code, tt.code, err)
			}
			contains(t, out, tt.want...)
		})
	}
}

func TestTheDoctorReadsFilesAndWritesNone(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	log := filepath.Join(dir, "logs", "audit.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, append(freshEvent(firstID, "list", "secrets", "Metadata", "").Body, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	listing := func() (all []string) {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			all = append(all, fmt.Sprint(path, info.Size(), info.ModTime()))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := listing()
	environ := []string{
		"FORETOP_FILE_PATHS=" + filepath.Dir(log) + "," + filepath.Join(dir, "later*"), "FORETOP_FILE_FOLLOW=true", "FORETOP_CLUSTER_NAME=blue",
		"FORETOP_STATE_DIR=" + state, "FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + filepath.Join(dir, "findings.ndjson"),
	}
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
	if err != nil || code != ExitOK {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	contains(t, out, "1 file, 1 KiB", "later*: nothing is there yet", "✓ sample: 1 events", "State ✓ directory "+state, "findings.ndjson: can be written")
	if after := listing(); !slices.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
	code, out, _ = checkup(t, t.Context(), DoctorOptions{Environ: append(environ, "FORETOP_NDJSON_PATH="+filepath.Join(dir, "logs", "findings.ndjson"))})
	if code != ExitError {
		t.Errorf("exit code %d", code)
	}
	contains(t, out, "✗ routes: source file reads the file that FORETOP_NDJSON_PATH go to")
}

func TestTheDoctorSeesTopicsThatAreReadAgainAndWritesNoMessage(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "audit", "findings", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	broker := cluster.ListenAddrs()[0]
	environ := []string{
		"FORETOP_KAFKA_BROKERS=" + broker, "FORETOP_KAFKA_TOPICS_REGEXP=.*", "FORETOP_CLUSTER_NAME=blue", "FORETOP_STATE_DIR=" + t.TempDir(),
		"FORETOP_SINKS=kafka", "FORETOP_SINK_KAFKA_BROKERS=" + broker, "FORETOP_SINK_KAFKA_TOPIC=findings", "FORETOP_DEAD_LETTERS=kafka", "FORETOP_DEAD_LETTERS_TOPIC=dead",
	}
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
	if err != nil || code != ExitError {
		t.Errorf("exit code %d, %v", code, err)
	}
	contains(t, out, "source kafka reads the topic findings that FORETOP_SINK_KAFKA_TOPIC names", "reads the topic dead", "✓ topic findings: 2 partitions", "✓ topic dead: 2 partitions")
	for _, topic := range []string{"audit", "findings", "dead"} {
		for _, p := range cluster.PartitionInfos(topic) {
			if p.HighWatermark != 0 {
				t.Errorf("%s has a message", topic)
			}
		}
	}
}
