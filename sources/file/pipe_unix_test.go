//go:build unix

package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestNamedPipesAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("to the end", func(t *testing.T) {
		go func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			f.Write(gz(lines(0, 3)))
			f.Close()
		}()
		to, _ := read(t, Config{Paths: []string{path}})
		if got := to.take(); got != numbers(0, 3) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("until the context ends", func(t *testing.T) {
		writer, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		fmt.Fprint(writer, lines(0, 1))
		ctx, cancel := context.WithCancel(t.Context())
		to, s := newSink(), newSource(t, Config{Paths: []string{path}}, Options{})
		done := make(chan error)
		go func() { done <- s.Run(ctx, to.emit) }()
		<-to.changed
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
