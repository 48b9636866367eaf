package bench

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/foretop/foretop/integration/bench/ruleset"
	"github.com/foretop/foretop/integration/bench/traffic"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
)

// worker decodes and judges as one worker of the product does, up to the verdict.
type worker struct {
	decoder *decode.Decoder
	judge   *engine.Judge
	verdict engine.Verdict
	emit    func(*decode.Item)

	records, events, matches int
}

func newWorker(tb testing.TB, rules func() (*engine.Set, error)) *worker {
	tb.Helper()
	set, err := rules()
	if err != nil {
		tb.Fatal(err)
	}
	w := &worker{decoder: decode.New(decode.Options{}), judge: set.NewJudge()}
	w.emit = w.item
	return w
}

func (w *worker) record(body []byte) {
	w.records++
	w.decoder.Decode(body, nil, w.emit)
}

func (w *worker) item(it *decode.Item) {
	if it.Kind != decode.Event {
		return
	}
	w.events++
	w.judge.JudgeAt(it.Index, it.Root, &it.Envelope, &w.verdict)
	w.matches += len(w.verdict.Matches)
}

// check fails a row that did not do its work.
func (w *worker) check(tb testing.TB) {
	tb.Helper()
	if w.events != w.records {
		tb.Fatalf("%d records gave %d events", w.records, w.events)
	}
}

const (
	twoWorkers = 2
	// batchLines are handed over at once: some hundred, as sources do.
	batchLines = 256
)

// BenchmarkEngineTwoWorkers has two goroutines decode and judge batches from one channel. Its processor time per event is to
// be held against that of one worker; how much less time passes depends on whether both processors are free, which
// BenchmarkSpin tells.
func BenchmarkEngineTwoWorkers(b *testing.B) {
	eachFile(b, func(b *testing.B, f *traffic.File) {
		b.Helper()
		b.Run("shipped", func(b *testing.B) { benchmarkWorkers(b, f) })
	})
}

func benchmarkWorkers(b *testing.B, f *traffic.File) {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(twoWorkers))
	workers := make([]*worker, twoWorkers)
	batches := make(chan [][]byte, twoWorkers)
	var done sync.WaitGroup
	for i := range workers {
		workers[i] = newWorker(b, ruleset.Shipped)
		for _, line := range warm(f) {
			workers[i].record(line)
		}
		workers[i].records, workers[i].events = 0, 0
		done.Go(func() {
			for batch := range batches {
				for _, line := range batch {
					workers[i].record(line)
				}
			}
		})
	}
	m, began, next, end := start(b), time.Now(), 0, 0
	for b.Loop() {
		if end++; end-next == batchLines || end == len(f.Lines) {
			batches <- f.Lines[next:end]
			next, end = end%len(f.Lines), end%len(f.Lines)
		}
	}
	batches <- f.Lines[next:end]
	close(batches)
	done.Wait()
	wall := time.Since(began)
	m.report(b, f, b.N)
	b.ReportMetric(float64(wall.Nanoseconds())/float64(b.N), "ns/op") // with what was still under way when the loop ended
	events := 0
	for _, w := range workers {
		w.check(b)
		events += w.events
	}
	if events != b.N {
		b.Fatalf("%d of %d events were judged", events, b.N)
	}
}

// BenchmarkSpin is the calibration: the same arithmetic on one processor, and on two at once, by the clock. Where two take
// longer than one, the machine is crowded, and so are the rows.
func BenchmarkSpin(b *testing.B) {
	for goroutines, name := range []string{1: "one", twoWorkers: "both"} {
		if name == "" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(goroutines))
			sums := make([]uint64, goroutines)
			for b.Loop() {
				var done sync.WaitGroup
				for i := range sums {
					done.Go(func() { sums[i] = spin(sums[i] + uint64(i) + 1) })
				}
				done.Wait()
			}
			for _, sum := range sums {
				if sum == 0 {
					b.Fatal("a processor did not work")
				}
			}
		})
	}
}

// spin takes about ten milliseconds and touches no memory.
func spin(x uint64) uint64 {
	for range 1 << 23 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
