package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

// buildAndRun builds the program once, as users get it.
func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "foretop-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "foretop")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// limit bounds the life of a program that a test starts.
const limit = time.Minute

// result is what a finished program leaves.
type result struct {
	code           int
	stdout, stderr string
}

// foretop runs the program with nothing of the environment but env.
func foretop(t *testing.T, stdin []byte, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, binary, args...)
	c.Env = append([]string{"TMPDIR=" + os.TempDir(), "PATH=/nonexistent"}, env...)
	if stdin != nil {
		c.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("foretop %s did not end within %s", strings.Join(args, " "), limit)
	}
	return result{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want fails the test unless the program ended with a code.
func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\nstderr: %s", r.code, code, r.stderr)
	}
	return r
}

// holds fails the test unless every part is in text.
func holds(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%.3000s", part, text)
		}
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rule is true for a verb.
const rule = `title: %[1]s was used
id: 00000000-0000-4000-8000-00000000000%[2]d
name: %[1]s-used
status: test
logsource: {product: kubernetes, service: audit}
detection:
  sel: {verb: %[1]s}
  condition: sel
level: %[3]s
`

// rules writes a directory with two rules: get is low, delete is high.
func rules(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "get.yml"), fmt.Sprintf(rule, "get", 1, "low"))
	write(t, filepath.Join(dir, "delete.yml"), fmt.Sprintf(rule, "delete", 2, "high"))
	return dir
}

// audit is one event as the API server writes it. n makes it a request of its own.
func audit(n int, verb, user string) string {
	at := time.Date(2026, 11, 20, 3, 12, 44, 0, time.UTC).Add(time.Duration(n) * time.Second).Format("2006-01-02T15:04:05.000000Z")
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"00000000-0000-4000-9000-%012d",`+
		`"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/s%d","verb":%q,"user":{"username":%q},"sourceIPs":["192.0.2.7"],`+
		`"objectRef":{"resource":"secrets","namespace":"shop","name":"s%d","apiVersion":"v1"},"responseStatus":{"code":200},`+
		`"requestReceivedTimestamp":%q,"stageTimestamp":%q}`, n, n, verb, user, n, at, at)
}

func lines(events ...string) string { return strings.Join(events, "\n") + "\n" }
