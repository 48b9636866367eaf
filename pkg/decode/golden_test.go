package decode

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/event"
)

var update = flag.Bool("update", false, "write the golden files")

func TestRecordedFormsDecodeAsReviewed(t *testing.T) {
	files, err := filepath.Glob("testdata/[a-z]*/*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") || strings.Contains(file, "/fuzz/") {
			continue
		}
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			var out bytes.Buffer
			d := New(Options{})
			for i, record := range recordsOf(t, file) {
				n := 0
				d.Decode(record, nil, func(it *Item) {
					checkItem(t, it, record)
					n++
					fmt.Fprintf(&out, "%d.%d %s\n", i+1, n, describe(t, it))
				})
			}
			golden := file + ".golden"
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// recordsOf cuts a file as its source would: files of the log backend by the Framer, messages by line,
// bodies not at all.
func recordsOf(t *testing.T, file string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var records [][]byte
	switch {
	case strings.Contains(file, "/native/"):
		for _, f := range frames(t, bytes.NewReader(b), 1<<20) {
			records = append(records, f.Bytes)
		}
	case strings.HasSuffix(file, ".jsonl") || strings.HasSuffix(file, ".log"):
		records = bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	default:
		records = [][]byte{b}
	}
	return records
}

// describe is an item in one line.
func describe(t *testing.T, it *Item) string {
	t.Helper()
	switch it.Kind {
	case Skipped:
		return "skipped " + it.Class
	case Broken:
		return "broken " + it.Class + ": " + it.Detail
	}
	e, err := event.Parse(it.Canonical)
	if err != nil {
		t.Fatal(err)
	}
	var line strings.Builder
	line.WriteString("event")
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&line, " %s=%s", name, value)
		}
	}
	env := &it.Envelope
	add("id", e.AuditID)
	add("stage", e.Stage)
	add("level", e.Level)
	add("verb", e.Verb)
	if r := e.ObjectRef; r != nil {
		add("resource", strings.Trim(r.Resource+"."+r.APIGroup, "."))
		add("subresource", r.Subresource)
		add("namespace", r.Namespace)
		add("name", r.Name)
	}
	add("uri", e.RequestURI)
	add("user", e.User.Username)
	if e.ImpersonatedUser != nil {
		add("as", e.ImpersonatedUser.Username)
	}
	add("ips", strings.Join(e.SourceIPs, ","))
	if e.ResponseStatus != nil {
		add("code", fmt.Sprint(e.ResponseStatus.Code))
	}
	add("outcome", e.Outcome())
	add("decision", e.Decision())
	if e.DryRun() {
		add("dryRun", "true")
	}
	add("time", e.StageTimestamp.UTC().Format("2006-01-02T15:04:05.999999999Z"))
	add("format", env.Format)
	add("provider", env.Provider)
	add("cluster", env.Cluster.Name)
	if env.Cluster.ID != env.Cluster.Name {
		add("clusterID", env.Cluster.ID)
	}
	add("account", env.Cloud.AccountID+env.Cloud.ProjectID)
	add("region", env.Cloud.Region)
	if !env.Time.IsZero() {
		add("shipped", env.Time.Format("2006-01-02T15:04:05.999999999Z07:00"))
	}
	add("inferred", strings.Join(env.Inferred, ","))
	add("missing", strings.Replace(strings.Join(env.Missing, ","), strings.Join(gkeMissing, ","), "gke", 1))
	if env.Truncated {
		add("truncated", "true")
	}
	if env.BodiesRemoved {
		add("bodiesRemoved", "true")
	}
	return line.String()
}
