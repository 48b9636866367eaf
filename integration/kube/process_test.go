//go:build kube

// Package kube tests the webhook source with a real kube-apiserver.
package kube

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

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

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.buf.String()
	return text[max(0, len(text)-4000):]
}

// start runs a program in a process group of its own, which is ended with the test.
func start(t *testing.T, name string, env []string, command ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(command[0], command[1:]...), name: name, out: new(output), done: make(chan struct{})}
	p.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
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
		p.kill()
		if t.Failed() {
			t.Logf("end of the output of %s:\n%s", name, p.out.tail())
		}
	})
	return p
}

// kill ends the process at once, and waits until it has gone.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL) // fails if it has just ended
		<-p.done
	}
}

// succeed waits for the process and fails the test unless it ends with exit code 0.
func (p *process) succeed(t *testing.T, within time.Duration) string {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s did not end within %s", p.name, within)
	}
	if p.err != nil {
		t.Fatalf("%s: %v\n%s", p.name, p.err, p.out.tail())
	}
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return p.out.buf.String()
}

// running fails the test if the process has ended.
func (p *process) running(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatalf("%s ended: %v\n%s", p.name, p.err, p.out.tail())
	default:
	}
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

// freePort is a loopback address that nobody listens on, below the ports that the kernel hands to clients.
func freePort(t *testing.T) string {
	t.Helper()
	for range 200 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// setting is a variable that integration/kube/run sets.
func setting(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run the tests through integration/kube/run, as make kube does", variable)
	}
	return value
}

// buildForetop compiles the program under test.
func buildForetop(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "foretop")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", file, "./cmd/foretop")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pairs(m map[string]string) []string {
	var env []string
	for k, v := range m {
		env = append(env, fmt.Sprintf("%s=%s", k, v))
	}
	return env
}
