package app

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/pipeline"
)

// tapeConfig is the configuration of a tape.
type tapeConfig struct {
	Label string `envconfig:"LABEL" required:"true" desc:"what stands on it"`
}

// tape is a source that holds records. It behaves like those of services: it ends when it is asked for its
// past, and else goes on until it is told to end.
type tape struct {
	records    []pipeline.Record
	unreadable []error
	err        error // how Run ends
	hangs      chan<- struct{}
	history    *pipeline.History
	probe      func(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record
}

func (s *tape) Run(ctx context.Context, emit pipeline.Emit) error {
	for i := range s.records {
		settled := make(chan error, 1)
		b := pipeline.NewBatch(context.Background(), "tape/0", s.records[i:i+1:i+1], func(err error) { settled <- err })
		if err := emit(ctx, b); err != nil {
			return nil //nolint:nilerr // the pipeline is ending
		}
		if err := <-settled; err != nil {
			return err
		}
	}
	if s.hangs != nil {
		close(s.hangs)
		<-ctx.Done()
	}
	return s.err
}

func (s *tape) Unreadable() []error { return s.unreadable }

func (s *tape) Probe(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record {
	if s.probe == nil {
		return s.records[:min(limit, len(s.records))]
	}
	return s.probe(ctx, limit, report)
}

// withTape makes the type tape known to the wiring for the time of a test, as tape1 and so on.
func withTape(t *testing.T, tapes map[string]*tape) {
	t.Helper()
	known := sourceTypes
	t.Cleanup(func() { sourceTypes = known })
	sourceTypes = append(append([]sourceType(nil), known...), sourceType{
		kind:   "tape",
		config: func() any { return &tapeConfig{} },
		open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
			source := tapes[s.Adapter.(*tapeConfig).Label]
			if source == nil {
				return nil, errors.New("there is no such tape")
			}
			source.history = o.history
			return source, nil
		},
	})
}

// scanPast runs a scan of a source and returns what it printed.
func scanPast(t *testing.T, ctx context.Context, o ScanOptions) (code int, stdout, stderr string, err error) { //nolint:revive // t comes first
	t.Helper()
	dir := t.TempDir()
	files := make([]*os.File, 2)
	for i, name := range []string{"stdout", "stderr"} {
		if files[i], err = os.Create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}
	o.Stdout, o.Stderr, o.Stdin = files[0], files[1], strings.NewReader("")
	if o.Output == "" {
		o.Output = OutputNDJSON
	}
	if o.MinLevel == "" {
		o.MinLevel = "low"
	}
	o.Rules.NoBuiltin = true
	code, err = Scan(ctx, o)
	var texts [2]string
	for i, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return code, texts[0], texts[1], err
}

// listRule is a directory with one rule, which is true for list.
func listRule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yml"), []byte(ruleText("A", "list", "high")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const firstID, secondID = "00000000-0000-4000-9000-000000000001", "00000000-0000-4000-9000-000000000002"

func heldEvents() []pipeline.Record {
	return records(auditEvent(firstID, "list", "ResponseComplete"), `{"kind":"Event","apiVersion":"audit.k8s.io/v1",,`, auditEvent(secondID, "list", "ResponseComplete"))
}

func TestTheSettingsOfTheServiceHoldForThePastOfASource(t *testing.T) {
	held := &tape{records: heldEvents()}
	withTape(t, map[string]*tape{"a": held})
	environ := []string{
		"FORETOP_SOURCES=prod,other", "FORETOP_SOURCE_PROD_TYPE=tape", "FORETOP_SOURCE_PROD_LABEL=a", "FORETOP_SOURCE_PROD_CLUSTER_NAME=blue",
		"FORETOP_SOURCE_OTHER_TYPE=file", // its own settings are missing, and nobody asks for them
		"FORETOP_RULES=" + listRule(t), "FORETOP_LABELS=team:x", "FORETOP_NAMESPACE=n", "FORETOP_SINKS=elasticsearch", "FORETOP_SINK_KAFKA_TOPIC=t",
	}
	for _, name := range []string{"prod", "tape"} { // by its name, and as the only one of its type
		code, stdout, stderr, err := scanPast(t, t.Context(), ScanOptions{Source: name, Since: "2h", Environ: environ})
		if err != nil || code != ExitOK {
			t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
		}
		if n := strings.Count(stdout, "\n"); n != 2 {
			t.Errorf("%d findings, want 2\n%s", n, stdout)
		}
		for _, part := range []string{`"name":"blue"`, `"team":"x"`, `"namespace":"n"`, `"name":"prod"`, `"provider":"tape"`} {
			if !strings.Contains(stdout, part) {
				t.Errorf("%s is missing in %.2000s", part, stdout)
			}
		}
		if got := held.history.Until.Sub(held.history.Since); got != 2*time.Hour {
			t.Errorf("%s were asked for", got)
		}
		if !strings.Contains(stderr, "1 items could not be judged") {
			t.Errorf("nothing is said of the junk: %q", stderr)
		}
	}
}

func TestWhatASourceCouldNotReadIsToldAndChangesTheExitCode(t *testing.T) {
	for name, source := range map[string]*tape{
		"one part is missing":      {records: heldEvents(), unreadable: []error{errors.New("partition 3 of audit: the broker is away")}},
		"reading ends with a wall": {records: heldEvents(), err: errors.New("partition 3 of audit: the broker is away")},
	} {
		t.Run(name, func(t *testing.T) {
			withTape(t, map[string]*tape{"a": source})
			for _, output := range []string{OutputNDJSON, OutputTable, OutputCSV, OutputHTML} {
				code, stdout, stderr, err := scanPast(t, t.Context(), ScanOptions{
					Source: "tape", Environ: []string{"FORETOP_TAPE_LABEL=a"}, Rules: RuleFlags{Paths: []string{listRule(t)}}, Output: output, FailOn: "high",
				})
				if err != nil || code != ExitUnreadable {
					t.Errorf("%s: exit code %d, %v", output, code, err)
				}
				if !strings.Contains(stdout, "alice") || !strings.Contains(stdout+stderr, "the broker is away") {
					t.Errorf("%s: the findings or the reason are missing\n%.2000s\n%s", output, stdout, stderr)
				}
			}
		})
	}
}

func TestAnInterruptedScanReportsWhatItFound(t *testing.T) {
	hangs := make(chan struct{})
	withTape(t, map[string]*tape{"a": {records: heldEvents(), hangs: hangs}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-hangs; cancel() }()
	code, stdout, stderr, err := scanPast(t, ctx, ScanOptions{
		Source: "tape", Environ: []string{"FORETOP_TAPE_LABEL=a"}, Rules: RuleFlags{Paths: []string{listRule(t)}},
	})
	if !errors.Is(err, errInterrupted) || code != ExitError {
		t.Errorf("exit code %d, %v", code, err)
	}
	if n := strings.Count(stdout, "\n"); n != 2 {
		t.Errorf("%d findings, want 2", n)
	}
	if !strings.Contains(stderr, "interrupted") {
		t.Errorf("stderr: %q", stderr)
	}
}

func TestWhatCannotBeScannedIsRefusedWithTheReason(t *testing.T) {
	withTape(t, map[string]*tape{"a": {}})
	for name, tt := range map[string]struct {
		o    ScanOptions
		want string
	}{
		"paths beside it":        {ScanOptions{Source: "tape", Paths: []string{"x"}}, "exclude each other"},
		"since without it":       {ScanOptions{Paths: []string{"x"}, Since: "1h"}, "go with --source"},
		"files":                  {ScanOptions{Source: "file"}, "foretop scan PATH"},
		"files by a name":        {ScanOptions{Source: "f", Environ: []string{"FORETOP_SOURCES=f", "FORETOP_SOURCE_F_TYPE=file", "FORETOP_SOURCE_F_PATHS=/x"}}, "foretop scan PATH"},
		"an unknown name":        {ScanOptions{Source: "prod"}, `no source is called "prod"`},
		"another name":           {ScanOptions{Source: "prod", Environ: []string{"FORETOP_TAPE_LABEL=a"}}, "name one of tape"},
		"two of a type":          {ScanOptions{Source: "tape", Environ: []string{"FORETOP_SOURCES=x,y", "FORETOP_SOURCE_X_TYPE=tape", "FORETOP_SOURCE_Y_TYPE=tape"}}, "name one of x, y"},
		"a setting is missing":   {ScanOptions{Source: "tape"}, "FORETOP_TAPE_LABEL is required"},
		"an unknown variable":    {ScanOptions{Source: "tape", Environ: []string{"FORETOP_TAPE_LABEL=a", "FORETOP_TAPE_LABLE=a"}}, "did you mean FORETOP_TAPE_LABEL"},
		"no such tape":           {ScanOptions{Source: "tape", Environ: []string{"FORETOP_TAPE_LABEL=b"}}, "no such tape"},
		"a time in the future":   {ScanOptions{Source: "tape", Until: "2999-01-01"}, "lies in the future"},
		"an end before it began": {ScanOptions{Source: "tape", Since: "1h", Until: "2h"}, "not before --until"},
		"no time":                {ScanOptions{Source: "tape", Since: "yesterday"}, "write how long ago"},
		"a negative time":        {ScanOptions{Source: "tape", Since: "-1h"}, "write how long ago"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.Rules.Paths = []string{listRule(t)}
			code, _, _, err := scanPast(t, t.Context(), tt.o)
			if err == nil || code != ExitError || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("exit code %d, %v, want %q", code, err, tt.want)
			}
		})
	}
}

func TestOfSeveralSourcesInShortFormTheNameSaysWhich(t *testing.T) {
	cfg, err := LoadSourceConfig([]string{"FORETOP_KAFKA_BROKERS=a:1", "FORETOP_KAFKA_TOPICS=t", "FORETOP_FILE_PATHS=/x"}, "kafka")
	if err != nil || len(cfg.Sources) != 1 || cfg.Sources[0].Type != "kafka" {
		t.Errorf("%+v, %v", cfg.Sources, err)
	}
}

func TestBoundsOfThePast(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct{ since, until, from, to string }{
		{"", "", "2026-11-21T12:00:00Z", "2026-11-22T12:00:00Z"},
		{"7d", "", "2026-11-15T12:00:00Z", "2026-11-22T12:00:00Z"},
		{"1d12h", "90m", "2026-11-21T00:00:00Z", "2026-11-22T10:30:00Z"},
		{"2026-11-20", "2026-11-21T03:00:00+01:00", "2026-11-20T00:00:00Z", "2026-11-21T02:00:00Z"},
	} {
		h, err := parseHistory(tt.since, tt.until, now)
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if diff := cmp.Diff([]time.Time{at(tt.from), at(tt.to)}, []time.Time{h.Since.UTC(), h.Until.UTC()}); diff != "" {
			t.Errorf("%+v: %s", tt, diff)
		}
	}
}
