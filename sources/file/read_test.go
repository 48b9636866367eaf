package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestReadingOnceKeepsTheRulesOfSources(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		path := filepath.Join(t.TempDir(), "audit.log")
		write(t, path, nil)
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source {
				return newSource(t, Config{Paths: []string{path}, DrainTimeout: time.Second}, Options{})
			},
			Put: func(t *testing.T, bodies ...[]byte) {
				for _, b := range bodies {
					appendTo(t, path, string(b)+"\n")
				}
			},
			DrainLimit: time.Second, Finite: true, Volatile: true, Records: 1200,
		}
	})
}

func TestContentIsReadWhateverItIsPackedIn(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"plain", []byte(lines(0, 3)), numbers(0, 3)},
		{"plain without a line break at the end", []byte(`{"n":0}`), `{"n":0}`},
		{"empty", nil, ""},
		{"gzip", gz(lines(0, 3)), numbers(0, 3)},
		{"gzip of several members, cut in the middle of a line", append(gz("{\"n\":0}\n{\"n"), gz("\":1}\n")...), numbers(0, 2)},
		{"zstd", zst(lines(0, 3)), numbers(0, 3)},
		{"zstd of several frames", append(zst(lines(0, 2)), zst(lines(2, 1))...), numbers(0, 3)},
		{"gzip in gzip", gz(string(gz(lines(0, 3)))), numbers(0, 3)},
		{"zstd in gzip", gz(string(zst(lines(0, 3)))), numbers(0, 3)},
		{"shorter than a magic number", []byte("{}"), "{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "no-telling-name")
			write(t, path, tt.data)
			to, s := read(t, Config{Paths: []string{path}})
			if got := to.take(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if bad := s.Unreadable(); len(bad) > 0 {
				t.Errorf("unreadable: %v", bad)
			}
		})
	}
}

func TestWhatComesBeforeAFaultIsJudged(t *testing.T) {
	many := lines(0, 20_000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 { // so that it does not compress to nothing
		many += fmt.Sprintf("{\"n\":%d,\"r\":\"%x\"}\n", i, rng.Uint64())
	}
	packed := map[string][]byte{"gzip": gz(many), "zstd": zst(many)}
	for name, data := range packed {
		flipped := slices.Clone(data)
		flipped[len(flipped)*3/4] ^= 0xff
		for fault, bytes := range map[string][]byte{"cut": data[:len(data)*3/4], "flipped": flipped} {
			t.Run(name+" "+fault, func(t *testing.T) {
				dir := t.TempDir()
				write(t, filepath.Join(dir, "a"), bytes)
				write(t, filepath.Join(dir, "b"), []byte(`{"after":1}`))
				to, s := read(t, Config{Paths: []string{dir}})
				got := to.take()
				if !strings.HasPrefix(got, numbers(0, 1000)) || !strings.HasSuffix(got, ` {"after":1}`) {
					t.Errorf("read %d bytes, ending in %q", len(got), got[max(0, len(got)-100):])
				}
				bad := s.Unreadable()
				if len(bad) != 1 || !strings.HasPrefix(bad[0].Error(), filepath.Join(dir, "a")+": ") || !strings.Contains(bad[0].Error(), "compressed data is damaged") {
					t.Errorf("unreadable: %v", bad)
				}
			})
		}
	}
}

func TestCompressionsThatAreNotReadAreNamed(t *testing.T) {
	for name, magic := range map[string]string{"xz": "\xfd7zXZ\x00....", "bzip2": "BZh91AY&SY", "zip": "PK\x03\x04...."} {
		path := filepath.Join(t.TempDir(), "f")
		write(t, path, []byte(magic))
		to, s := read(t, Config{Paths: []string{path}})
		if bad := s.Unreadable(); len(bad) != 1 || !strings.Contains(bad[0].Error(), name+" is not read: decompress") || to.take() != "" {
			t.Errorf("%s: %v", name, bad)
		}
	}
}

func TestPathsAreExpanded(t *testing.T) {
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for _, name := range []string{"b.log", "a.log", "sub/c.log", "sub/deeper/d.log", ".hidden", "sub/.git/e.log", "x[1].log"} {
		write(t, at(name), []byte(fmt.Sprintf("{\"f\":%q}\n", name)))
	}
	if err := errors.Join(
		os.Symlink(at("a.log"), at("link.log")), os.Symlink(at("sub"), at("sub", "circle")), os.Link(at("b.log"), at("z.log")),
		os.Symlink(at("gone"), at("sub", "dangling")), os.WriteFile(at("sub", "private"), []byte("{}"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		paths      []string
		want       []string
		unreadable []string
	}{
		{"a directory, by name, each file once, hidden ones not", []string{dir}, []string{"a.log", "b.log", "sub/c.log", "sub/deeper/d.log", "{}", "x[1].log"}, []string{"sub/dangling: no such file or directory"}},
		{"files in the order given", []string{at("sub/c.log"), at("a.log")}, []string{"sub/c.log", "a.log"}, nil},
		{"a pattern", []string{at("*.log")}, []string{"a.log", "b.log", "x[1].log"}, nil},
		{"a pattern without a match", []string{at("*.json")}, nil, []string{"*.json: no file matches the pattern"}},
		{"a file that is named like a pattern", []string{at("x[1].log")}, []string{"x[1].log"}, nil},
		{"a path that is missing, among others", []string{at("a.log"), at("none"), at("b.log")}, []string{"a.log", "b.log"}, []string{"none: no such file or directory"}},
		{"a hidden file that was named", []string{at(".hidden")}, []string{".hidden"}, nil},
		{"one file by several paths", []string{at("a.log"), at("link.log"), dir + "/./a.log", at("a.l*")}, []string{"a.log"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to, s := read(t, Config{Paths: tt.paths})
			var want, bad []string
			for _, name := range tt.want {
				if name != "{}" {
					name = fmt.Sprintf("{\"f\":%q}", name)
				}
				want = append(want, name)
			}
			if diff := cmp.Diff(strings.Join(want, " "), to.take()); diff != "" {
				t.Error(diff)
			}
			for _, e := range s.Unreadable() {
				bad = append(bad, strings.TrimPrefix(e.Error(), dir+"/"))
			}
			if diff := cmp.Diff(tt.unreadable, bad); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPositionsAreBytesInTheDecompressedContent(t *testing.T) {
	text := "{\"n\":1}\n\n{\"nn\":22}\r\n{\n \"n\": 3\n}\n"
	for name, data := range map[string][]byte{"plain": []byte(text), "gzip": gz(text)} {
		path := filepath.Join(t.TempDir(), name)
		write(t, path, data)
		to, _ := read(t, Config{Paths: []string{path}})
		var got []string
		for i, r := range to.records {
			var pos int
			if _, err := fmt.Sscan(r.Pos, &pos); err != nil || text[pos:pos+len(r.Body)] != string(r.Body) {
				t.Errorf("%s: record %q is not at position %q", name, r.Body, r.Pos)
			}
			got = append(got, to.streams[i]+"@"+r.Pos)
		}
		if diff := cmp.Diff([]string{path + "@0", path + "@9", path + "@20"}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestBatchesAreBoundedInRecordsAndBytes(t *testing.T) {
	dir := t.TempDir()
	small, big := filepath.Join(dir, "small"), filepath.Join(dir, "big")
	write(t, small, []byte(lines(0, 1200)))
	write(t, big, []byte(strings.Repeat(`{"x":"`+strings.Repeat("y", 400_000)+"\"}\n", 5)))
	to, _ := read(t, Config{Paths: []string{small, big}})
	if diff := cmp.Diff([]int{500, 500, 200, 2, 2, 1}, to.sizes); diff != "" {
		t.Error(diff)
	}
}

func TestARecordOverTheLimitComesAsItsBeginning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	long := `{"x":"` + strings.Repeat("y", 300_000) + `"}`
	write(t, path, []byte("{\"n\":1}\n"+long+"\n{\"n\":2}\n"))
	to, _ := read(t, Config{Paths: []string{path}, MaxRecord: 100_000})
	if len(to.records) != 3 {
		t.Fatalf("%d records", len(to.records))
	}
	r := to.records[1]
	if r.Meta[pipeline.MetaOversize] != fmt.Sprint(len(long)) || len(r.Body) != 64<<10 || !strings.HasPrefix(long, string(r.Body)) || r.Pos != "8" {
		t.Errorf("meta %v, %d bytes at %s", r.Meta, len(r.Body), r.Pos)
	}
	if to.records[0].Meta != nil || to.records[2].Meta != nil {
		t.Error("records within the limit are marked")
	}
}

func TestProgressAddsUp(t *testing.T) {
	dir := t.TempDir()
	data := gz(lines(0, 100))
	write(t, filepath.Join(dir, "a.gz"), data)
	write(t, filepath.Join(dir, "b"), []byte(lines(0, 100)))
	_, s := read(t, Config{Paths: []string{dir}})
	total := int64(len(data) + len(lines(0, 100)))
	want := Progress{Files: 2, FilesDone: 2, Current: filepath.Join(dir, "b"), Bytes: total, TotalBytes: total, Records: 200}
	if diff := cmp.Diff(want, s.Progress()); diff != "" {
		t.Error(diff)
	}
}

func TestSeveralFilesAreReadAtATimeIfAllowed(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), []byte(lines(100*i, 100)))
	}
	to, s := newSink(), newSource(t, Config{Paths: []string{dir}, Parallel: 4}, Options{})
	meeting := make(chan struct{})
	emit := func(ctx context.Context, b *pipeline.Batch) error {
		select { // two emits have to meet, so one at a time would never end
		case meeting <- struct{}{}:
		case <-meeting:
		case <-time.After(10 * time.Second):
			return errors.New("nobody else emits")
		}
		return to.emit(ctx, b)
	}
	if err := s.Run(t.Context(), emit); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(to.take())
	slices.Sort(got)
	want := strings.Fields(numbers(0, 800))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStandardInputIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		to, s := newSink(), newSource(t, Config{Paths: []string{Stdin}}, Options{Stdin: r})
		done := make(chan error)
		go func() { done <- s.Run(t.Context(), to.emit) }()
		for i := range 3 {
			fmt.Fprint(w, lines(i, 1))
			synctest.Wait()
			if got := to.take(); got != numbers(i, 1) {
				t.Errorf("after line %d: %q", i, got)
			}
		}
		fmt.Fprint(w, `{"n":3}`)
		w.Close()
		if err := <-done; err != nil || to.take() != `{"n":3}` {
			t.Errorf("Run: %v", err)
		}
		if s.Progress().Records != 4 {
			t.Errorf("%+v", s.Progress())
		}
	})
}

func TestStandardInputMayBeCompressed(t *testing.T) {
	s := newSource(t, Config{Paths: []string{Stdin}}, Options{Stdin: strings.NewReader(string(gz(lines(0, 5))))})
	to := newSink()
	if err := s.Run(t.Context(), to.emit); err != nil || to.take() != numbers(0, 5) {
		t.Errorf("Run: %v", err)
	}
}

func TestStandardInputThatFailsIsReported(t *testing.T) {
	r, w := io.Pipe()
	s := newSource(t, Config{Paths: []string{Stdin}}, Options{Stdin: r})
	go func() {
		fmt.Fprint(w, lines(0, 1))
		w.CloseWithError(errors.New("broken"))
	}()
	to := newSink()
	if err := s.Run(t.Context(), to.emit); err != nil || to.take() != numbers(0, 1) {
		t.Errorf("Run: %v", err)
	}
	if bad := s.Unreadable(); len(bad) != 1 || bad[0].Error() != "-: broken" {
		t.Errorf("unreadable: %v", bad)
	}
}

func TestReadingEndsWhenTheContextDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		to, s := newSink(), newSource(t, Config{Paths: []string{Stdin}}, Options{Stdin: r})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, to.emit) }()
		fmt.Fprint(w, lines(0, 1))
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.Close() // else the read of the standard input would hang, as it does in life
	})
}

func TestRecordsGivenBackAreReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, []byte(lines(0, 2000)))
	s := newSource(t, Config{Paths: []string{path}}, Options{})
	err := s.Run(t.Context(), func(_ context.Context, b *pipeline.Batch) error {
		b.Done(errors.New("lost"))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "given back") {
		t.Errorf("Run: %v", err)
	}
	err = newSource(t, Config{Paths: []string{path}}, Options{}).Run(t.Context(), func(context.Context, *pipeline.Batch) error {
		return pipeline.ErrStopped
	})
	if !errors.Is(err, pipeline.ErrStopped) {
		t.Errorf("Run: %v", err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		c    Config
		want string
	}{
		{"no path", Config{}, "PATHS: name at least one"},
		{"an empty path", Config{Paths: []string{"a", ""}}, "leave none empty"},
		{"a broken pattern", Config{Paths: []string{"[a"}}, "no valid pattern"},
		{"following the standard input", Config{Paths: []string{"-"}, Follow: true}, "FOLLOW: the standard input"},
		{"another start", Config{Paths: []string{"a"}, Start: "latest"}, "write beginning or end"},
		{"a tiny limit", Config{Paths: []string{"a"}, MaxRecord: 10}, "less than 1KiB"},
		{"a huge limit", Config{Paths: []string{"a"}, MaxRecord: 1 << 40}, "more than 1GiB"},
	}
	for _, tt := range tests {
		if _, err := New(tt.c, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := New(Config{Paths: []string{"a"}}, Options{Name: strings.Repeat("n", 101)}); err == nil {
		t.Error("a name too long for a key was accepted")
	}
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	line := `{"x":"` + strings.Repeat("y", 1500) + "\"}\n"
	data := []byte(strings.Repeat(line, 20_000))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := New(Config{Paths: []string{path}}, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Run(b.Context(), func(_ context.Context, batch *pipeline.Batch) error { batch.Done(nil); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
