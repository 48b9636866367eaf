package bench

import (
	"bytes"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foretop/foretop/integration/bench/traffic"
)

// Events of each file: enough that none fits into a processor's cache, few enough for a machine with 2 GB.
const (
	metadataEvents = 60_000
	bodiesEvents   = 20_000
	largeEvents    = 5_000
)

// kind is one kind of traffic, made once, when the first row asks for it.
type kind struct {
	name     string
	generate func(events int) (*traffic.File, error)
	file     func() (*traffic.File, error)
}

var kinds = []kind{
	newKind("metadata", traffic.Metadata, metadataEvents),
	newKind("bodies", traffic.Bodies, bodiesEvents),
	newKind("large", traffic.Generated, largeEvents),
}

func newKind(name string, generate func(int) (*traffic.File, error), events int) kind {
	return kind{name, generate, sync.OnceValues(func() (*traffic.File, error) { return generate(events) })}
}

// eachFile runs one row as a sub-benchmark for each kind of traffic.
func eachFile(b *testing.B, row func(*testing.B, *traffic.File)) {
	b.Helper()
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) { row(b, load(b, k)) })
	}
}

func load(tb testing.TB, k kind) *traffic.File {
	f, err := k.file()
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// warmLines are worked on before the clock starts, so that buffers have grown and memos are filled: once round every recording.
const warmLines = 5_000

func warm(f *traffic.File) [][]byte { return f.Lines[:min(warmLines, len(f.Lines))] }

// perEvent times work on the file's lines in turn; one operation is one event.
func perEvent(b *testing.B, f *traffic.File, work func(line []byte)) {
	b.Helper()
	for _, line := range warm(f) {
		work(line)
	}
	next := 0
	m := start(b)
	for b.Loop() {
		work(f.Lines[next])
		if next++; next == len(f.Lines) {
			next = 0
		}
	}
	m.report(b, f, b.N)
}

// meter is one row's clock: the processor time of this process, its collector and all its threads included.
type meter struct {
	cpu    time.Duration
	allocs uint64
}

func start(b *testing.B) meter {
	b.Helper()
	b.ReportAllocs()
	return meter{allocs: allocations(), cpu: cpuTime(b)}
}

// allocations counts those of the process. The row's own are told with a fraction, which allocs/op has not: an event in a
// hundred that allocates is no rounding error.
func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// report says what the events cost. Megabytes are those of the file's own lines, whatever form the row read them in.
func (m meter) report(b *testing.B, f *traffic.File, events int) {
	b.Helper()
	seconds := (cpuTime(b) - m.cpu).Seconds()
	allocs := allocations() - m.allocs
	if seconds <= 0 {
		return // too short to be measured: the benchmark goes on with more operations
	}
	whole, rest := events/len(f.Lines), events%len(f.Lines)
	size := int64(whole) * f.Bytes
	for _, line := range f.Lines[:rest] {
		size += int64(len(line)) + 1
	}
	b.ReportMetric(seconds*1e9/float64(events), "cpu-ns/event")
	b.ReportMetric(float64(events)/seconds, "events/cpu-s")
	b.ReportMetric(float64(size)/1e6/seconds, "MB/cpu-s")
	b.ReportMetric(float64(size)/float64(events), "B/event")
	b.ReportMetric(float64(allocs)/float64(events), "allocs/event")
}

// cpuTime is the processor time that this process has used so far, user and system.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ndjson is the file as one text.
func ndjson(tb testing.TB, f *traffic.File) []byte {
	tb.Helper()
	var text bytes.Buffer
	text.Grow(int(f.Bytes))
	if _, err := f.WriteTo(&text); err != nil {
		tb.Fatal(err)
	}
	return text.Bytes()
}
