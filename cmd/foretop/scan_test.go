package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanExitCodes(t *testing.T) {
	dir, own := t.TempDir(), rules(t)
	quiet := write(t, filepath.Join(dir, "quiet.log"), lines(audit(1, "list", "alice")))
	low := write(t, filepath.Join(dir, "low.log"), lines(audit(1, "get", "alice")))
	high := write(t, filepath.Join(dir, "high.log"), lines(audit(1, "delete", "alice"), audit(2, "get", "alice")))
	junk := write(t, filepath.Join(dir, "junk.log"), `{"kind":"Event","apiVersion":"audit.k8s.io/v1",,,`+"\n"+lines(audit(1, "get", "alice")))
	bad := filepath.Dir(write(t, filepath.Join(t.TempDir(), "bad.yml"), fmt.Sprintf(rule, "get", 1, "extreme")))
	missing := filepath.Join(dir, "missing.log")
	base := []string{"scan", "--no-builtin", "--rules", own}
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"nothing found":                          {append(base, quiet), 0},
		"found, and nobody asked to fail":        {append(base, high), 0},
		"found below the level to fail on":       {append(base, low, "--fail-on", "high"), 0},
		"found at the level to fail on":          {append(base, high, "--fail-on", "high"), 2},
		"found above the level to fail on":       {append(base, high, "--fail-on", "medium"), 2},
		"a path does not exist":                  {append(base, quiet, missing), 3},
		"unreadable comes before found":          {append(base, high, missing, "--fail-on", "high"), 3},
		"junk is counted, not an error":          {append(base, junk), 0},
		"junk does not hide what stands behind":  {append(base, junk, "--fail-on", "low"), 2},
		"an unknown flag":                        {append(base, quiet, "--colour"), 1},
		"an unknown output":                      {append(base, quiet, "--output", "xml"), 1},
		"an unknown level":                       {append(base, quiet, "--fail-on", "severe"), 1},
		"a level to fail on that is left out":    {append(base, quiet, "--fail-on", "low", "--min-level", "high"), 1},
		"unordered where there is no order":      {append(base, quiet, "--unordered"), 1},
		"an invalid rule":                        {append(base, quiet, "--rules", bad), 1},
		"an invalid rule that is to be skipped":  {append(base, quiet, "--rules", bad, "--skip-invalid-rules"), 0},
		"a rule directory that does not exist":   {append(base, quiet, "--rules", missing), 1},
		"placeholders that do not exist":         {append(base, quiet, "--placeholders", missing), 1},
		"a report that cannot be written":        {append(base, quiet, "--report", filepath.Join(missing, "r.html")), 1},
		"dead letters that cannot be written":    {append(base, quiet, "--dead-letter", filepath.Join(missing, "d.ndjson")), 1},
		"a whole directory":                      {append(base, filepath.Dir(write(t, filepath.Join(dir, "whole", "a.log"), lines(audit(1, "get", "alice"))))), 0},
		"a compressed file that is cut short":    {append(base, cutGzip(t, lines(audit(1, "get", "alice")))), 3},
		"a form of compression that is not read": {append(base, write(t, filepath.Join(dir, "x.xz"), "\xfd7zXZ\x00rest of it")), 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := foretop(t, nil, nil, tc.args...).want(t, tc.want)
			if tc.want == 1 && (!strings.HasPrefix(r.stderr, "foretop: ") || strings.Contains(r.stderr, "goroutine")) {
				t.Errorf("no message that helps: %q", r.stderr)
			}
		})
	}
}

func cutGzip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "cut.log.gz"), b.String()[:b.Len()-12])
}

func TestScanSaysThatItSkippedInvalidRules(t *testing.T) {
	own := rules(t)
	write(t, filepath.Join(own, "bad.yml"), fmt.Sprintf(rule, "list", 3, "extreme"))
	r := foretop(t, []byte(lines(audit(1, "get", "alice"))), nil, "scan", "--no-builtin", "--rules", own, "--skip-invalid-rules").want(t, 0)
	holds(t, r.stderr, "invalid and skipped: 1")
	holds(t, r.stdout, "get was used", "2 rules")
}

func TestScanReadsWhatIsPipedIntoIt(t *testing.T) {
	own := rules(t)
	in := []byte(lines(audit(1, "delete", "alice")))
	for _, args := range [][]string{{"scan"}, {"scan", "-"}} {
		r := foretop(t, in, nil, append(args, "--no-builtin", "--rules", own)...).want(t, 0)
		holds(t, r.stdout, "delete was used", "alice", "1 judged by 2 rules")
		if r.stderr != "" {
			t.Errorf("stderr, which is no terminal, has %q", r.stderr)
		}
	}
	r := foretop(t, nil, nil, "scan").want(t, 1)
	holds(t, r.stderr, "nothing to read", "--help")
}

func TestScanReadsCompressedFilesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(lines(audit(1, "get", "alice")))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a", "one.log.gz"), b.String())
	write(t, filepath.Join(dir, "b", "two.log"), lines(audit(2, "get", "bob")))
	r := foretop(t, nil, nil, "scan", "--no-builtin", "--rules", rules(t), "--output", "ndjson", dir).want(t, 0)
	if n := strings.Count(r.stdout, "\n"); n != 2 {
		t.Errorf("%d findings, want 2", n)
	}
}

// document is a finding as it is printed.
type document = map[string]any

func documents(t *testing.T, text string) []document {
	t.Helper()
	var out []document
	for line := range strings.Lines(text) {
		var d document
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		out = append(out, d)
	}
	return out
}

func field(d document, path string) any {
	var v any = d
	for part := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

func TestScanPrintsFindingsOrderedByTimeAndID(t *testing.T) {
	var events []string
	for n := range 3000 {
		events = append(events, audit(n/2, []string{"get", "delete"}[n%2], fmt.Sprintf("user-%d", n)))
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	events = append(events, events[:10]...) // delivered twice
	in := []byte(lines(events...))
	own := rules(t)
	args := []string{"scan", "--no-builtin", "--rules", own, "--output", "ndjson"}
	first := foretop(t, in, nil, args...).want(t, 0).stdout
	docs := documents(t, first)
	if len(docs) != 3000 {
		t.Fatalf("%d findings, want 3000", len(docs))
	}
	keys := make([]string, len(docs))
	for i, d := range docs {
		keys[i] = fmt.Sprint(field(d, "@timestamp"), field(d, "event.id"))
	}
	if !slices.IsSorted(keys) {
		t.Error("not ordered by time and id")
	}
	streamed := documents(t, foretop(t, in, nil, append(args, "--unordered")...).want(t, 0).stdout)
	if diff := cmp.Diff(byID(docs), byID(streamed)); diff != "" {
		t.Errorf("--unordered prints other findings: %.2000s", diff)
	}
}

// byID gives findings by id, without what differs from one delivery to the next.
func byID(docs []document) map[string]document {
	out := make(map[string]document)
	for _, d := range docs {
		event := d["event"].(document)
		for _, name := range []string{"created", "ingested", "provider"} {
			delete(event, name)
		}
		delete(d["foretop"].(document), "source")
		out[event["id"].(string)] = d
	}
	return out
}

func TestScanWritesCSV(t *testing.T) {
	in := lines(audit(2, "delete", "=cmd()"), audit(1, "get", "a,\"b\"\nc"))
	r := foretop(t, []byte(in), nil, "scan", "--no-builtin", "--rules", rules(t), "--output", "csv").want(t, 0)
	rows, err := csv.NewReader(strings.NewReader(r.stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0][0] != "time" || rows[1][3] != "get was used" || rows[2][3] != "delete was used" {
		t.Errorf("%q", rows)
	}
}

func TestScanWritesAReportForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	in := []byte(lines(audit(1, "delete", "<script>alert(1)</script>")))
	foretop(t, in, nil, "scan", "--no-builtin", "--rules", rules(t), "--report", path).want(t, 0)
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	onStdout := foretop(t, in, nil, "scan", "--no-builtin", "--rules", rules(t), "--output", "html").want(t, 0).stdout
	for _, text := range []string{string(page), onStdout} {
		holds(t, text, "delete was used", "&lt;script&gt;")
		if strings.Contains(text, "<script>alert") {
			t.Error("the report runs what an event says")
		}
	}
}

func TestScanKeepsDeadLettersWithoutTheirSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	in := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":{"stringData":{"pw":"hunter2hunter2"}},,` + "\n"
	r := foretop(t, []byte(in), nil, "scan", "--no-builtin", "--rules", rules(t), "--dead-letter", path).want(t, 0)
	holds(t, r.stdout, "Malformed", path)
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, string(kept), `"class":"not_json"`, `"sha256":`)
	if strings.Contains(string(kept), "hunter2") {
		t.Errorf("the secret is kept: %s", kept)
	}
	quiet := foretop(t, []byte(in), nil, "scan", "--no-builtin", "--rules", rules(t), "--output", "ndjson").want(t, 0)
	holds(t, quiet.stderr, "1 items could not be judged")
}

// Nothing that an event holds may act on the terminal, whichever command prints it.
func TestHostileTextNeverReachesTheTerminal(t *testing.T) {
	hostile := "mallory\x1b]0;owned\x07\x1b[2J\r\u009b31m\u202egnp.exe\u200b"
	event := audit(1, "delete", "USER")
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	event = strings.Replace(event, `"USER"`, string(quoted), 1)
	event = strings.Replace(event, "192.0.2.7", `\u001b[31m`, 1)
	in := []byte(event + "\n\x1b[31mno event\n{\"a\x1b[31m\":1}\n")
	own := rules(t)
	for _, args := range [][]string{
		{"scan", "--no-builtin", "--rules", own},
		{"scan", "--no-builtin", "--rules", own, "--output", "ndjson"},
		{"scan", "--no-builtin", "--rules", own, "--output", "ndjson", "--unordered"},
		{"scan", "--no-builtin", "--rules", own, "--output", "csv"},
		{"scan", "--no-builtin", "--rules", own, "--output", "html"},
		{"decode"},
		{"explain", "--no-builtin", "--rules", own, "--rule", "delete-used"},
	} {
		t.Run(strings.Join(append(args[:1:1], args[1:]...), " "), func(t *testing.T) {
			r := foretop(t, in, nil, args...).want(t, 0)
			holds(t, r.stdout, "mallory")
			for _, bad := range []string{"\x1b", "\x07", "\r", "\u009b", "\u202e", "\u200b"} {
				if strings.Contains(r.stdout+r.stderr, bad) {
					t.Errorf("%q is printed as it is", bad)
				}
			}
		})
	}
}

func TestScanSurvivesJunk(t *testing.T) {
	own := rules(t)
	noise := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	if _, err := random.Read(noise); err != nil {
		t.Fatal(err)
	}
	good := audit(1, "delete", "alice")
	for name, in := range map[string]string{
		"random bytes":            string(noise) + "\n" + good + "\n",
		"deep nesting":            strings.Repeat(`{"a":`, 100_000) + "\n" + good + "\n",
		"deep arrays":             strings.Repeat(`[`, 100_000) + "\n" + good + "\n",
		"a huge line":             `{"kind":"Event","apiVersion":"audit.k8s.io/v1","x":"` + strings.Repeat("y", 20<<20) + `"}` + "\n" + good + "\n",
		"a million keys":          `{"kind":"Event","apiVersion":"audit.k8s.io/v1"` + strings.Repeat(`,"k":1`, 1_000_000) + "}\n" + good + "\n",
		"zero bytes":              strings.Repeat("\x00", 1<<20) + "\n" + good + "\n",
		"no newline at the end":   good,
		"an event that is cut":    audit(2, "get", "bob")[:150] + "\n" + good + "\n",
		"nothing but blank lines": strings.Repeat("\n \t\r\n", 1000) + good,
	} {
		t.Run(name, func(t *testing.T) {
			r := foretop(t, []byte(in), nil, "scan", "--no-builtin", "--rules", own, "--output", "ndjson", "--min-level", "high").want(t, 0)
			if n := strings.Count(r.stdout, "\n"); n != 1 {
				t.Errorf("%d findings, want the one of the event that stands between the junk\nstderr: %s", n, r.stderr)
			}
		})
	}
}

func TestScanTellsWhatItsRulesCannotSee(t *testing.T) {
	r := foretop(t, []byte(lines(audit(1, "list", "alice"))), nil, "scan").want(t, 0)
	holds(t, r.stdout, "Cannot fire", "needs audit level Request", "Left out", "allowed_registries")
}

func TestScanStopsOnASignalAndSaysSo(t *testing.T) {
	fifo := newFIFO(t)
	p := start(t, nil, "scan", "--no-builtin", "--rules", rules(t), fifo.path)
	// More than a pipe holds, so that the program must have begun to read when this returns.
	fifo.write(t, strings.Repeat(lines(audit(1, "get", "alice")), 1000))
	p.interrupt(t)
	if code := p.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	holds(t, p.stderr.String(), "interrupted")
}
