//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildBinary compiles a package of this module without cgo and returns the file.
func buildBinary(t *testing.T, pkg string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), filepath.Base(pkg))
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", file, pkg)
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return file
}

// process is a started program with what it printed.
type process struct {
	*exec.Cmd
	name string
	out  *output
	done chan struct{}
	err  error
}

// output collects what a running process writes while a test reads it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// tail is the end of the output, for messages.
func (o *output) tail() string {
	const most = 4000
	text := o.String()
	return text[max(0, len(text)-most):]
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs a program with exactly env as its environment, in a process group of its own. It is ended with the test.
func start(t *testing.T, name string, env []string, command ...string) *process {
	t.Helper()
	return startIn(t, ".", name, env, command...)
}

// startIn is start in a folder.
func startIn(t *testing.T, dir, name string, env []string, command ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(command[0], command[1:]...), name: name, out: new(output), done: make(chan struct{})}
	p.Dir, p.Env = dir, env
	if p.Env == nil {
		p.Env = []string{}
	}
	p.Stdout, p.Stderr = p.out, p.out
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.Wait()
	}()
	t.Cleanup(func() {
		if err := syscall.Kill(-p.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s could not be ended: %v", name, err)
		}
		<-p.done
		if t.Failed() {
			t.Logf("end of the output of %s:\n%s", name, p.out.tail())
		}
	})
	return p
}

// succeed waits for the process and fails the test unless it ends with exit code 0 in time.
func (p *process) succeed(t *testing.T, within time.Duration) string {
	t.Helper()
	select {
	case <-p.done:
		if p.err != nil {
			t.Fatalf("%s %v: %v\n%s", p.name, p.Args, p.err, p.out.tail())
		}
	case <-time.After(within):
		t.Fatalf("%s %v did not end within %s", p.name, p.Args, within)
	}
	return p.out.String()
}

// running fails the test if the process has ended.
func (p *process) running(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatalf("%s %v ended: %v\n%s", p.name, p.Args, p.err, p.out.tail())
	default:
	}
}

// terminate sends SIGTERM, as a container runtime does, and waits for a clean end.
func (p *process) terminate(t *testing.T, within time.Duration) {
	t.Helper()
	p.running(t)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.succeed(t, within)
}

// eventually repeats check until it returns nil, and fails the test with its last error after the time given.
func eventually(t *testing.T, within time.Duration, check func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", within, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// environment is a list for exec of pairs, on top of the few variables that every program may need.
func environment(pairs map[string]string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	for name, value := range pairs {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// server is the address of a test server. Without it the test fails: an integration test that skips itself tests nothing.
func server(t *testing.T, variable string) string {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		t.Fatalf("%s is not set: run the tests through integration/services/run, as make integration does", variable)
	}
	return address
}
