package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/integration/bench/traffic"
)

// A scan's start counts, so its file holds the traffic as often as it takes to make the start a small share of the
// whole; but it is no larger than maxScanBytes. startup-% says what share it was.
const (
	maxStartup   = 0.025
	maxScanBytes = 3e9
)

// BenchmarkScan is `foretop scan` with one worker as a process, its start included.
func BenchmarkScan(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		benchmarkScan(b, f, 1)
	})
}

// BenchmarkScanTwoWorkers is the same with two workers: what sharing the work out costs.
func BenchmarkScanTwoWorkers(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		benchmarkScan(b, f, 2)
	})
}

func benchmarkScan(b *testing.B, f *traffic.File, workers int) {
	b.Helper()
	s := newScan(b, f, workers)
	startup := s.startup(b)
	want := findingsOf(b, f)
	once, _ := s.run(b, s.path)
	if work := once.cpu - startup; work > 0 {
		s.grow(b, f, int(math.Ceil(startup.Seconds()*(1/maxStartup-1)/work.Seconds())))
	}
	measure(b, s.events, s.bytes, func() usage {
		u, found := s.run(b, s.path)
		if found != (scanned{events: s.events, findings: want}) {
			b.Fatalf("a scan of %d events with %d findings says %+v", s.events, want, found)
		}
		u.startup = startup
		return u
	})
}

// scan is one command line and the file that it reads, which is removed with the benchmark.
type scan struct {
	binary, path string
	workers      int
	events       int
	bytes        int64
}

// newScan writes the traffic once.
func newScan(b *testing.B, f *traffic.File, workers int) *scan {
	b.Helper()
	s := &scan{binary: build(b, "cmd/foretop"), path: filepath.Join(b.TempDir(), f.Name+".ndjson"), workers: workers}
	s.grow(b, f, 1)
	return s
}

// grow writes the traffic to the file until it is there so often, or the file is as large as it may be.
func (s *scan) grow(b *testing.B, f *traffic.File, times int) {
	b.Helper()
	file, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	text := ndjson(b, f)
	for s.events < times*len(f.Lines) && s.bytes+f.Bytes <= maxScanBytes {
		n, err := file.Write(text)
		if err != nil {
			b.Fatal(err)
		}
		s.bytes += int64(n)
		s.events += len(f.Lines)
	}
}

// startup is the processor time of a scan that finds nothing to read: the least of three, since noise only adds.
func (s *scan) startup(b *testing.B) time.Duration {
	b.Helper()
	empty := filepath.Join(b.TempDir(), "empty.ndjson")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	least := time.Hour
	for range 3 {
		u, _ := s.run(b, empty)
		least = min(least, u.cpu)
	}
	return least
}

// scanned is what a scan says of itself.
type scanned struct{ events, findings int }

// run scans one file. It fails unless the exit code is 0.
func (s *scan) run(b *testing.B, path string) (usage, scanned) {
	b.Helper()
	var out bytes.Buffer
	c := exec.CommandContext(b.Context(), s.binary, "scan", "--min-level", minLevel, "--workers", strconv.Itoa(s.workers), path)
	c.Stdout, c.Stderr, c.Env = &out, &out, []string{"TMPDIR=" + b.TempDir()}
	began := time.Now()
	if err := c.Run(); err != nil {
		b.Fatalf("%v: %v\n%s", c, err, tail(out.String()))
	}
	u := usage{cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime(), wall: time.Since(began)}
	u.rss = int64(number(b, out.String(), peakMemory)) << 20
	return u, scanned{number(b, out.String(), eventsJudged), number(b, out.String(), findingsFound)}
}

// What a scan's table says at its end.
var (
	eventsJudged  = regexp.MustCompile(`(?m)^Events +([\d,]+) judged by `)
	findingsFound = regexp.MustCompile(`(?m)^(?:Findings +([\d,]+) \(|(No findings))`)
	peakMemory    = regexp.MustCompile(`peak memory (\d+) MiB`)
)

// number is what stands in the table at a place, 0 where it says that there is none.
func number(b *testing.B, table string, at *regexp.Regexp) int {
	b.Helper()
	m := at.FindStringSubmatch(table)
	if m == nil {
		b.Fatalf("the scan does not say %s:\n%s", at, tail(table))
	}
	if m[1] == "" {
		return 0
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// usage is what processes cost.
type usage struct {
	cpu, wall time.Duration // user and system; from start to end
	startup   time.Duration // the part of cpu that is the start
	rss       int64         // the most memory that one held, in bytes
}

func (u *usage) add(v usage) {
	u.cpu += v.cpu
	u.wall += v.wall
	u.startup += v.startup
	u.rss = max(u.rss, v.rss)
}

// measure runs processes over so many events each until they have had b.N, one operation being one event, and says what
// an event cost. bytes are those of the events as native NDJSON.
func measure(b *testing.B, events int, bytes int64, run func() usage) {
	b.Helper()
	var total usage
	done, size := 0, int64(0)
	b.ResetTimer()
	for done < b.N {
		total.add(run())
		done += events
		size += bytes
	}
	b.StopTimer()
	seconds, wall := total.cpu.Seconds(), total.wall.Seconds()
	if seconds == 0 {
		b.Fatal("the processes used no processor time")
	}
	b.ReportMetric(1e9*wall/float64(done), "ns/op") // the testing package divides by b.N, which is a lower bound here
	b.ReportMetric(1e9*seconds/float64(done), "cpu-ns/event")
	b.ReportMetric(float64(done)/seconds, "events/cpu-s")
	b.ReportMetric(float64(size)/1e6/seconds, "MB/cpu-s")
	b.ReportMetric(float64(size)/float64(done), "B/event")
	b.ReportMetric(1e9*wall/float64(done), "wall-ns/event")
	b.ReportMetric(float64(total.rss)/(1<<20), "rss-MiB")
	b.ReportMetric(100*total.startup.Seconds()/seconds, "startup-%")
}

// peakRSS is the most memory that a running process has held so far, in bytes. The peak that the kernel reports with
// the process's end is of no use: it begins with that of the process which started it.
func peakRSS(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the system does not say how much memory a process has held")
}

// root is the product's module, as seen from here.
const root = "../.."

var built sync.Map // by package: func() (string, error)

// build compiles a package of the product's module, or of this one where it begins with ./, as releases are built, and
// gives the file. It is compiled once in each run, into the folder of build results.
func build(b *testing.B, pkg string) string {
	b.Helper()
	once, _ := built.LoadOrStore(pkg, sync.OnceValues(func() (string, error) { return compile(pkg) }))
	file, err := once.(func() (string, error))()
	if err != nil {
		b.Fatal(err)
	}
	return file
}

func compile(pkg string) (string, error) {
	file, err := filepath.Abs(filepath.Join(root, "dist", "bench", filepath.Base(pkg)))
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-o", file, "./"+filepath.Clean(pkg))
	if !strings.HasPrefix(pkg, "./") {
		c.Dir = root
	}
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", c, err, out)
	}
	return file, nil
}

// tail is the end of an output, for messages.
func tail(text string) string {
	const most = 4000
	return text[max(0, len(text)-most):]
}
