package file

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// world is a directory of logs, a store, and a source that follows. Tests that use it run in a synctest
// bubble, so that its seconds pass at once.
type world struct {
	t      *testing.T
	dir    string
	cfg    Config
	store  *fragileStore
	to     *sink
	src    *Source
	cancel context.CancelFunc
	done   chan error

	registry prometheus.Registerer
}

// newWorld follows paths, which are relative to its directory.
func newWorld(t *testing.T, paths ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), to: newSink()}
	for _, p := range paths {
		w.cfg.Paths = append(w.cfg.Paths, filepath.Join(w.dir, p))
	}
	w.cfg.Follow = true
	file, err := checkpoint.OpenFile(filepath.Join(t.TempDir(), "positions.json"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	w.store = &fragileStore{Store: file}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel, w.done = cancel, make(chan error, 1)
	w.src = newSource(w.t, w.cfg, Options{Name: "test", Store: w.store, Registerer: w.registry})
	go func() { w.done <- w.src.Run(ctx, w.to.emit) }()
}

func (w *world) stop() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Fatalf("Run: %v", err)
	}
}

// expect lets some seconds pass and compares what arrived meanwhile.
func (w *world) expect(after time.Duration, want string) {
	w.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := w.to.take(); got != want {
		w.t.Fatalf("after %s got %q, want %q", after, got, want)
	}
}

// sorted is for files that are read at a time, in whichever order.
func sorted(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) content(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// copyTruncate is what logrotate's option of this name does.
func (w *world) copyTruncate(from, to string) {
	w.t.Helper()
	write(w.t, w.path(to), []byte(w.content(from)))
	if err := os.Truncate(w.path(from), 0); err != nil {
		w.t.Fatal(err)
	}
}

// compress is what logrotate does later.
func (w *world) compress(name string) {
	w.t.Helper()
	write(w.t, w.path(name+".gz"), gz(w.content(name)))
	if err := os.Remove(w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

// fragileStore may refuse to save, or lose what it is told, as after a crash.
type fragileStore struct {
	checkpoint.Store
	mu      sync.Mutex
	refuse  bool
	crashed atomic.Bool
}

func (s *fragileStore) setRefuse(on bool) {
	s.mu.Lock()
	s.refuse = on
	s.mu.Unlock()
}

func (s *fragileStore) Put(ctx context.Context, key string, value []byte) error {
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	switch {
	case refuse:
		return errors.New("read-only file system")
	case s.crashed.Load():
		return nil
	}
	return s.Store.Put(ctx, key, value)
}

func (s *fragileStore) Delete(ctx context.Context, key string) error {
	if s.crashed.Load() {
		return nil
	}
	return s.Store.Delete(ctx, key)
}

func TestFollowingKeepsTheRulesOfSources(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		dir := t.TempDir()
		path := filepath.Join(dir, "audit.log")
		write(t, path, nil)
		store, err := checkpoint.OpenFile(filepath.Join(t.TempDir(), "positions.json"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source {
				c := Config{Paths: []string{path}, Follow: true, Poll: 10 * time.Millisecond, DrainTimeout: time.Second}
				return newSource(t, c, Options{Name: "test", Store: store})
			},
			Put: func(t *testing.T, bodies ...[]byte) {
				for _, b := range bodies {
					appendTo(t, path, string(b)+"\n")
				}
			},
			DrainLimit: time.Second, SaveInterval: saveInterval, Records: 1200,
		}
	})
}

func TestAFileIsReadAsItGrowsAndAnUnfinishedLineWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		appendTo(t, w.path("audit.log"), lines(0, 3))
		w.start()
		w.expect(time.Second, numbers(0, 3))
		appendTo(t, w.path("audit.log"), lines(3, 1)+`{"n":`)
		w.expect(time.Second, numbers(3, 1))
		w.expect(5*time.Minute, "")
		appendTo(t, w.path("audit.log"), "4}\n"+lines(5, 1))
		w.expect(2*time.Second, numbers(4, 2))
		w.stop()
	})
}

func TestAnUnfinishedLineIsJudgedWhenItsEndWillNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		appendTo(t, w.path("audit.log"), `{"n":0`)
		w.start()
		w.expect(lineGrace-time.Second, "")
		w.expect(5*time.Second, `{"n":0`)
		appendTo(t, w.path("audit.log"), "\n"+lines(1, 1))
		w.expect(2*time.Second, numbers(1, 1))
		w.stop()
	})
}

func TestFilesThatAppearAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "late.log", "*.json", "sub")
		w.start()
		time.Sleep(time.Second)
		if err := w.src.Health(); err == nil || !strings.Contains(err.Error(), "no file matches") || !strings.Contains(err.Error(), "2 paths more") {
			t.Errorf("health: %v", err)
		}
		appendTo(t, w.path("late.log"), lines(0, 1))
		w.expect(2*time.Second, numbers(0, 1))
		appendTo(t, w.path("a.json"), lines(1, 1))
		write(t, w.path("sub/deeper/x"), []byte(lines(2, 1)))
		time.Sleep(2 * time.Second)
		if got := sorted(w.to.take()); got != numbers(1, 2) {
			t.Errorf("got %q", got)
		}
		if err := w.src.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		w.stop()
	})
}

func TestARestartGoesOnAfterTheSettledPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		w.cfg.DrainTimeout = time.Second
		appendTo(t, w.path("audit.log"), lines(0, 1200))
		batches := 0
		w.to.hold = func(*pipeline.Batch) bool { batches++; return batches == 2 }
		w.start()
		w.expect(3*time.Second, numbers(0, 1200))
		w.stop()
		w.to.hold = nil
		w.start()
		w.expect(2*time.Second, numbers(500, 700))
		w.stop()
		w.start()
		appendTo(t, w.path("audit.log"), lines(1200, 1))
		w.expect(2*time.Second, numbers(1200, 1))
		w.stop()
	})
}

func TestABatchThatIsGivenBackIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		appendTo(t, w.path("audit.log"), lines(0, 600))
		w.to.hold = func(*pipeline.Batch) bool { return true }
		w.start()
		w.expect(time.Second, numbers(0, 600))
		w.to.mu.Lock()
		w.to.hold = nil
		held := w.to.held
		w.to.mu.Unlock()
		held[0].Done(nil)
		held[1].Done(errors.New("given back"))
		w.expect(3*time.Second, numbers(500, 100))
		w.stop()
	})
}

func TestStartAtTheEndSkipsWhatIsThereOnceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ".")
		w.cfg.Start = End
		appendTo(t, w.path("audit.log"), lines(0, 3)+`{"n":3`)
		write(t, w.path("old.gz"), gz(lines(50, 3)))
		w.start()
		w.expect(10*time.Second, "")
		appendTo(t, w.path("audit.log"), "}\n")
		w.expect(2*time.Second, numbers(3, 1))
		w.stop()
		appendTo(t, w.path("audit.log"), lines(4, 1))
		appendTo(t, w.path("new.log"), lines(10, 1))
		w.start()
		time.Sleep(10 * time.Second)
		if got := sorted(w.to.take()); got != sorted(numbers(4, 1)+" "+numbers(10, 1)) {
			t.Errorf("got %q", got)
		}
		if n := w.src.follow.skipped.Load(); n != 0 {
			t.Errorf("the second start skipped %d bytes", n)
		}
		w.stop()
	})
}

func TestARestartBeforeTheFirstRecordDoesNotSkipAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		w.cfg.Start = End
		appendTo(t, w.path("audit.log"), lines(0, 3))
		w.start()
		w.expect(2*time.Second, "")
		w.stop()
		appendTo(t, w.path("audit.log"), lines(3, 1))
		w.start()
		w.expect(2*time.Second, numbers(3, 1))
		w.stop()
	})
}

func TestMoreFilesThanMayBeOpenTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ".")
		w.cfg.MaxOpen = 2
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			write(t, w.path(name), []byte(lines(i, 1)))
		}
		w.start()
		time.Sleep(5 * time.Minute)
		if got := strings.Fields(w.to.take()); len(got) != 5 {
			t.Errorf("got %q", got)
		}
		if n := w.src.follow.open.Load(); n != 0 {
			t.Errorf("%d quiet files are open", n)
		}
		appendTo(t, w.path("c"), lines(9, 1))
		w.expect(2*time.Second, numbers(9, 1))
		w.stop()
	})
}

func TestAStoreThatFailsShowsAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		w.store.setRefuse(true)
		appendTo(t, w.path("audit.log"), lines(0, 2))
		w.start()
		w.expect(5*time.Second, numbers(0, 2))
		if err := w.src.Health(); err == nil || !strings.Contains(err.Error(), "cannot be saved: read-only") {
			t.Errorf("health: %v", err)
		}
		w.store.setRefuse(false)
		w.expect(5*time.Second, "")
		if err := w.src.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		w.stop()
		w.start()
		w.expect(5*time.Second, "")
		w.stop()
	})
}

func TestAPipelineThatStoppedEndsFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		appendTo(t, w.path("audit.log"), lines(0, 2))
		s := newSource(t, w.cfg, Options{Name: "test", Store: w.store})
		err := s.Run(t.Context(), func(context.Context, *pipeline.Batch) error { return pipeline.ErrStopped })
		if !errors.Is(err, pipeline.ErrStopped) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestWhatIsNoFileIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Paths = []string{os.DevNull}
		w.start()
		time.Sleep(time.Second)
		if err := w.src.Health(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("health: %v", err)
		}
		w.stop()
	})
}

func TestPositionsOfFilesThatAreGoneAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ".")
		appendTo(t, w.path("a.log"), lines(0, 2))
		appendTo(t, w.path("b.log"), lines(2, 2))
		w.start()
		time.Sleep(5 * time.Second)
		if err := os.Remove(w.path("a.log")); err != nil {
			t.Fatal(err)
		}
		count := func() int {
			keys, err := w.store.Keys(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			return len(keys)
		}
		if n := count(); n != 2 {
			t.Errorf("%d positions", n)
		}
		time.Sleep(forgetAfter + time.Hour)
		if n := count(); n != 1 {
			t.Errorf("%d positions after days", n)
		}
		w.stop()
	})
}
