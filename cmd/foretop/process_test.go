package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that goes on while the test does.
type process struct {
	*exec.Cmd
	stderr *lockedBuffer
	done   chan struct{}
}

// start runs the program with nothing of the environment but env. It is killed when the test ends.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	p := &process{Cmd: exec.CommandContext(ctx, binary, args...), stderr: &lockedBuffer{}, done: make(chan struct{})}
	p.Env = append([]string{"TMPDIR=" + os.TempDir(), "PATH=/nonexistent"}, env...)
	p.Stdout, p.Stderr = &lockedBuffer{}, p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.Wait() // the state says how it ended
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

func (p *process) interrupt(t *testing.T) { p.signal(t, syscall.SIGINT) }
func (p *process) terminate(t *testing.T) { p.signal(t, syscall.SIGTERM) }

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait gives the exit code, -1 after a signal.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	<-p.done
	return p.ProcessState.ExitCode()
}

// until waits for a condition that another process brings about.
func until(t *testing.T, what string, p *process, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit / 2)
	for !ok() {
		select {
		case <-tick.C:
		case <-p.done:
			if !ok() {
				t.Fatalf("the program ended before %s\n%s", what, p.stderr.String())
			}
		case <-deadline:
			t.Fatalf("waited in vain for %s\n%s", what, p.stderr.String())
		}
	}
}

// lockedBuffer can be read while a program writes it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fifo is a pipe with a name, whose reader waits for more until it is closed.
type fifo struct {
	path string
	file *os.File
}

func newFIFO(t *testing.T) *fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) // both ends, so that opening does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &fifo{path, file}
}

func (f *fifo) write(t *testing.T, text string) {
	t.Helper()
	if _, err := f.file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// logged finds the value of a key in the log line with a message.
func logged(p *process, message, key string) string {
	for line := range strings.Lines(p.stderr.String()) {
		if !strings.Contains(line, `"msg":"`+message) {
			continue
		}
		if _, rest, ok := strings.Cut(line, `"`+key+`":"`); ok {
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}
