package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/pipeline"
)

func queued(t *testing.T) Config {
	t.Helper()
	cfg := plain()
	cfg.QueueDir = filepath.Join(t.TempDir(), "queue")
	return cfg
}

// segments are the files of a queue.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// crashed is a copy of a queue's directory at this moment, as another process would find it after a crash.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, f := range segments(t, dir) {
		text, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, filepath.Base(f)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestAnOutageOfTheSinkDoesNotReachTheAPIServer(t *testing.T) {
	c := newConsumer()
	c.block = true
	s := serve(t, queued(t), c.emit)
	for i := range 20 {
		if a := s.post(list(fmt.Sprint(i))); a.StatusCode != http.StatusOK {
			t.Fatalf("%d %q", a.StatusCode, a.text)
		}
	}
	if held := s.source.held.Load(); held != 0 {
		t.Errorf("%d bytes are held in memory", held)
	}
}

func TestWhatWasAnsweredIsJudgedAfterACrashAndWhatWasSettledGoes(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	cfg := queued(t)
	s := serve(t, cfg, c.emit)
	var want []string
	for i := range 10 {
		want = append(want, list(fmt.Sprint(i)))
		if a := s.post(want[i]); a.StatusCode != http.StatusOK {
			t.Fatalf("%d %q", a.StatusCode, a.text)
		}
	}
	copied := crashed(t, cfg.QueueDir)
	next := newConsumer()
	after := plain()
	after.QueueDir = copied
	n := serve(t, after, next.emit)
	eventually(t, "all is judged", func() bool { return len(next.got()) == 10 })
	if diff := cmp.Diff(want, next.got()); diff != "" {
		t.Error(diff)
	}
	first, second := c.await(t, 1).Records[0], next.await(t, 1).Records[0]
	if first.Pos != second.Pos || !first.Time.Equal(second.Time) {
		t.Errorf("the record is called %s at %s, and %s at %s after the crash", first.Pos, first.Time, second.Pos, second.Time)
	}
	eventually(t, "what is settled is removed", func() bool { return len(segments(t, copied)) == 0 })
	if bytes := n.source.queue.bytes(); bytes != 0 {
		t.Errorf("%d bytes are counted in an empty queue", bytes)
	}
	c.mu.Lock()
	for _, b := range c.batches {
		b.Done(nil)
	}
	c.mu.Unlock()
	s.stop()
	if left := segments(t, cfg.QueueDir); len(left) > 0 {
		t.Errorf("left at the end: %q", left)
	}
}

func TestClustersAndTheirNamesSurviveTheQueue(t *testing.T) {
	cfg, files := severalClusters(t)
	cfg.QueueDir = t.TempDir()
	c := newConsumer()
	s := serve(t, cfg, c.emit)
	s.ca = files.ca
	for _, token := range []string{files.tokens[0], files.tokens[0], files.tokens[1]} {
		if a := do(t, client(t, s.ca, nil), request(t, s.url, token, list("1"))); a.StatusCode != http.StatusOK {
			t.Fatalf("%d %q", a.StatusCode, a.text)
		}
	}
	eventually(t, "all is judged", func() bool { return len(c.got()) == 3 })
	var got []string
	for _, b := range c.batches {
		for _, r := range b.Records {
			got = append(got, b.Stream+" "+r.Meta["cluster.name"]+" "+r.Meta["cluster.id"])
		}
	}
	if diff := cmp.Diff([]string{"prod prod id-1", "prod prod id-1", "dev dev dev"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFullQueuePushesBack(t *testing.T) {
	c := newConsumer()
	c.block = true
	cfg := queued(t)
	cfg.MaxBody, cfg.QueueBytes = 1<<20, 1<<20+2*segmentBytes
	s := serve(t, cfg, c.emit)
	body := strings.Repeat(" ", 1<<20)
	codes := make(map[int]int)
	for range 12 {
		a := s.post(body)
		codes[a.StatusCode]++
		if a.StatusCode == http.StatusTooManyRequests && a.Header.Get("Retry-After") != retryAfter {
			t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
	}
	if codes[200] != 8 || codes[429] != 4 {
		t.Errorf("%v, want 8 taken and 4 pushed back", codes)
	}
	if !strings.Contains(s.log.String(), "the queue is full") {
		t.Error("the log does not say that the queue is full")
	}
	c.mu.Lock()
	c.block = false
	c.mu.Unlock()
	s.stop() // emit was blocked; the next process empties the queue
	n := serve(t, cfg, c.emit)
	eventually(t, "the queue is empty", func() bool { return n.source.queue.bytes() == 0 })
	if a := n.post(body); a.StatusCode != http.StatusOK {
		t.Errorf("%d after the queue was emptied", a.StatusCode)
	}
}

func TestATornTailWasNeverAnsweredAndIsPassedOver(t *testing.T) {
	c := newConsumer()
	c.block = true
	cfg := queued(t)
	s := serve(t, cfg, c.emit)
	for i := range 3 {
		s.post(list(fmt.Sprint(i)))
	}
	whole, err := os.ReadFile(segments(t, cfg.QueueDir)[0])
	if err != nil {
		t.Fatal(err)
	}
	frame := len(whole) / 3
	for name, text := range map[string][]byte{
		"cut in the last body":       whole[:len(whole)-1],
		"cut in the last head":       whole[:2*frame+20],
		"cut in the last prefix":     whole[:2*frame+3],
		"zeros instead of the frame": append(slices.Clone(whole[:2*frame]), make([]byte, frame)...),
	} {
		t.Run(name, func(t *testing.T) {
			after := queued(t)
			if err := os.MkdirAll(after.QueueDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(after.QueueDir, "0000000000000001"+segmentSuffix), text, 0o600); err != nil {
				t.Fatal(err)
			}
			c := newConsumer()
			n := serve(t, after, c.emit)
			eventually(t, "the queue is empty", func() bool { return n.source.queue.bytes() == 0 })
			if diff := cmp.Diff([]string{list("0"), list("1")}, c.got()); diff != "" {
				t.Error(diff)
			}
			if n.source.queue.damaged.Load() != 0 || !strings.Contains(n.log.String(), "not acknowledged") {
				t.Errorf("log: %s", n.log)
			}
		})
	}
}

func TestDamageInTheQueueIsKeptAndSeen(t *testing.T) {
	c := newConsumer()
	c.block = true
	cfg := queued(t)
	s := serve(t, cfg, c.emit)
	for i := range 3 {
		s.post(list(fmt.Sprint(i)))
	}
	dir := crashed(t, cfg.QueueDir)
	file := segments(t, dir)[0]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := len(text) / 3
	text[at+at/2] ^= 1
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	after := plain()
	after.QueueDir = dir
	next := newConsumer()
	n := serve(t, after, next.emit)
	eventually(t, "the queue is empty", func() bool { return n.source.queue.bytes() == 0 })
	if diff := cmp.Diff([]string{list("0"), string(text[at:])}, next.got()); diff != "" {
		t.Error(diff)
	}
	damaged := next.batches[1].Records[0]
	if damaged.Meta[pipeline.MetaUndecodable] == "" || n.source.queue.damaged.Load() != 1 {
		t.Errorf("%v, counted %d", damaged.Meta, n.source.queue.damaged.Load())
	}
}

func TestWhatIsGivenBackIsReadAgainByTheSameProcess(t *testing.T) {
	c := newConsumer()
	given := 0
	c.fate = func(*pipeline.Batch) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if given++; given == 1 {
			return errors.New("given back")
		}
		return nil
	}
	s := serve(t, queued(t), c.emit)
	s.post(list("1"))
	eventually(t, "it comes again", func() bool { return len(c.got()) == 2 })
}

func TestManyPostsShareTheirSyncs(t *testing.T) {
	c := newConsumer()
	s := serve(t, queued(t), c.emit)
	hc := client(t, nil, nil)
	var posting sync.WaitGroup
	for i := range 200 {
		posting.Go(func() {
			if a := do(t, hc, request(t, s.url, secretToken, list(fmt.Sprint(i)))); a.StatusCode != http.StatusOK {
				t.Errorf("%d %q", a.StatusCode, a.text)
			}
		})
	}
	posting.Wait()
	eventually(t, "each is judged", func() bool { return len(c.got()) == 200 })
	seen := make(map[string]bool)
	for _, body := range c.got() {
		seen[body] = true
	}
	if len(seen) != 200 {
		t.Errorf("%d different bodies, want 200", len(seen))
	}
}

func TestADiskThatFailsIsNeverAnsweredWith200(t *testing.T) {
	c := newConsumer()
	cfg := queued(t)
	s := serve(t, cfg, c.emit)
	s.post(list("1"))
	q := s.source.queue
	q.mu.Lock()
	q.segments[0].file.Close() // what is written to it fails from now on
	q.mu.Unlock()
	if a := s.post(list("2")); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	if err := s.source.Health(); err == nil || !strings.Contains(err.Error(), cfg.QueueDir) {
		t.Errorf("health: %v", err)
	}
	if a := s.post(list("2")); a.StatusCode != http.StatusOK {
		t.Errorf("the repetition goes to a new file: %d %q", a.StatusCode, a.text)
	}
	if err := s.source.Health(); err != nil {
		t.Errorf("health after the repetition: %v", err)
	}
	eventually(t, "both are judged", func() bool { return len(c.got()) == 2 })
	q.mu.Lock()
	q.failure, q.failed = errors.New("full"), time.Now().Add(-failureAge)
	q.mu.Unlock()
	if err := s.source.Health(); err != nil {
		t.Errorf("a failure counts although nobody can try again while the source is not ready: %v", err)
	}
}

func TestOneDirectoryIsOneProcesss(t *testing.T) {
	cfg := queued(t)
	serve(t, cfg, newConsumer().emit)
	second, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("Run: %v", err)
	}
	info, err := os.Stat(cfg.QueueDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v, want 0700: the queue holds audit events", info.Mode(), err)
	}
}

func FuzzReadFrame(f *testing.F) {
	frame, err := appendFrame(cluster{"prod", "7"}, time.Unix(1, 2), []byte(list("1")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(frame, list("1")...))
	f.Add(append(append(frame, list("1")...), "FTW1"...))
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := strings.NewReader(string(data))
		pos := int64(0)
		for {
			head, body, length, err := readFrame(r, int64(len(data))-pos)
			if err != nil {
				return
			}
			if length < framePrefix || pos+length > int64(len(data)) {
				t.Fatalf("a frame of %d bytes at %d of %d", length, pos, len(data))
			}
			again, err := appendFrame(cluster{head.Cluster, head.ID}, time.Unix(0, head.Time), body)
			if err != nil || len(again) == 0 {
				t.Fatal(err)
			}
			pos += length
		}
	})
}
