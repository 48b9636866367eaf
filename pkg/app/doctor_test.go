package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
