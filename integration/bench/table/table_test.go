package main

import (
	"math"
	"strings"
	"testing"
)

// run3 is invented: three rounds of four rows, the second on a machine that was half as fast.
const run3 = `# note: 2 processors
# note: load average at the start 0.10 0.20 0.30
# round 1
goos: linux
cpu: Some Processor
BenchmarkFastjson/metadata-2         	  100	 4000 ns/op	 1000 B/event	 4000 cpu-ns/event	 250000 events/cpu-s	 250 MB/cpu-s	 0 allocs/event
BenchmarkEngine/metadata/shipped-2   	  100	 2500 ns/op	 1000 B/event	 2000 cpu-ns/event	 500000 events/cpu-s	 500 MB/cpu-s	 0.25 allocs/event
BenchmarkEngine/metadata/generated200-2	  100	 2500 ns/op	 1000 B/event	 4000 cpu-ns/event	 250000 events/cpu-s	 250 MB/cpu-s	 0 allocs/event
BenchmarkEngine/metadata/generated1000-2	  100	 9500 ns/op	 1100 B/event	 9000 cpu-ns/event	 111111 events/cpu-s	 111 MB/cpu-s	 0 allocs/event
PASS
# round 2
BenchmarkFastjson/metadata-2         	  100	 8000 ns/op	 1000 B/event	 8000 cpu-ns/event	 125000 events/cpu-s	 125 MB/cpu-s	 0 allocs/event
BenchmarkEngine/metadata/shipped-2   	  100	 5500 ns/op	 1000 B/event	 5000 cpu-ns/event	 200000 events/cpu-s	 200 MB/cpu-s	 0.25 allocs/event
BenchmarkEngine/metadata/generated200-2	  100	 2500 ns/op	 1000 B/event	 8000 cpu-ns/event	 125000 events/cpu-s	 125 MB/cpu-s	 0 allocs/event
BenchmarkEngine/metadata/generated1000-2	  100	 9500 ns/op	 1100 B/event	 16800 cpu-ns/event	 59523 events/cpu-s	 59 MB/cpu-s	 0 allocs/event
PASS
# round 3
BenchmarkFastjson/metadata-2         	  100	 4000 ns/op	 1000 B/event	 4000 cpu-ns/event	 250000 events/cpu-s	 250 MB/cpu-s	 0 allocs/event
BenchmarkEngine/metadata/shipped-2   	  100	 2500 ns/op	 1000 B/event	 2500 cpu-ns/event	 400000 events/cpu-s	 400 MB/cpu-s	 0.25 allocs/event
BenchmarkEngine/metadata/generated200-2	  100	 2500 ns/op	 1000 B/event	 4000 cpu-ns/event	 250000 events/cpu-s	 250 MB/cpu-s	 0 allocs/event
PASS
# note: load average at the end 1.10 0.20 0.30
`

func parsed(t *testing.T, text string) *results {
	t.Helper()
	r, err := parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func find(t *testing.T, r *results, what string) verdict {
	t.Helper()
	for _, target := range targets(r) {
		if target.what == what {
			return target.judge(r)
		}
	}
	t.Fatalf("no target %q", what)
	return verdict{}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	r := parsed(t, run3)
	for what, want := range map[string]struct {
		ratio, worst, best float64
		rounds             int
		state              string
	}{
		// 4000/2000, 8000/5000 and 4000/2500; the ratio of the medians would be the same only by chance.
		"shipped rules against fastjson":      {1.6, 1.6, 2, 3, "met"},
		"generated200 rules against fastjson": {1, 1, 1, 3, "NOT met"},
		// 9000/4000 and 16800/8000: the third round lacks the row.
		"1,000 rules against 200":        {2.175, 2.25, 2.1, 2, "NOT met"},
		"two workers against one":        {0, 0, 0, 0, "not measured"},
		"shipped rules against CEL":      {0, 0, 0, 0, "not measured"},
		"generated200 rules against CEL": {0, 0, 0, 0, "not measured"},
	} {
		v := find(t, r, what)
		if !near(v.ratio, want.ratio) || !near(v.worst, want.worst) || !near(v.best, want.best) || v.rounds != want.rounds || v.state() != want.state {
			t.Errorf("%s: %v (%v..%v) of %d rounds, %s; want %+v", what, v.ratio, v.worst, v.best, v.rounds, v.state(), want)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestALimitReachedExactlyIsMet(t *testing.T) {
	faster := verdict{target: target{limit: 1.3}, ratio: 1.3, rounds: 1}
	cost := verdict{target: target{limit: 1.1, cost: true}, ratio: 1.1, rounds: 1}
	if faster.state() != "met" || cost.state() != "met" {
		t.Errorf("%s, %s", faster.state(), cost.state())
	}
	faster.ratio, cost.ratio = 1.299, 1.101
	if faster.state() != "NOT met" || cost.state() != "NOT met" {
		t.Errorf("%s, %s", faster.state(), cost.state())
	}
}

func TestEncodingJSONIsToBeBeatenMoreWhereThereAreBodies(t *testing.T) {
	for file, limit := range map[string]float64{"metadata": 12, "bodies": 20, "large": 20} {
		found := 0
		for _, target := range engineTargets(file) {
			if target.base == "EncodingJSON/"+file {
				found++
				if target.limit != limit {
					t.Errorf("%s: %s: %v", file, target.what, target.limit)
				}
			}
		}
		if found != 2 {
			t.Errorf("%s: %d targets", file, found)
		}
	}
}

func TestEnvelopesAndProcesses(t *testing.T) {
	r := parsed(t, `
BenchmarkEnvelope/bodies/native-2	10	1 ns/op	100 cpu-ns/event	1 events/cpu-s
BenchmarkEnvelope/bodies/aks-2	10	1 ns/op	151 cpu-ns/event	1 events/cpu-s
BenchmarkEnvelope/bodies/gke-2	10	1 ns/op	149 cpu-ns/event	1 events/cpu-s
BenchmarkEngine/bodies/shipped-2	10	1 ns/op	80 cpu-ns/event	1 events/cpu-s
BenchmarkEngineTwoWorkers/bodies/shipped-2	10	1 ns/op	84 cpu-ns/event	1 events/cpu-s
BenchmarkScan/bodies	10	1 ns/op	100 cpu-ns/event	1 events/cpu-s
BenchmarkKafkaReader/bodies	10	1 ns/op	60 cpu-ns/event	1 events/cpu-s
BenchmarkKafkaToElasticsearch/bodies	10	1 ns/op	100 cpu-ns/event	1 events/cpu-s
`)
	for what, want := range map[string]string{
		"envelope aks against native":                        "NOT met",
		"envelope gke against native":                        "met",
		"two workers against one":                            "met",
		"scan as a process against the engine (Scan/bodies)": "met",
		"Kafka to Elasticsearch against a bare reader":       "NOT met",
	} {
		if v := find(t, r, what); v.state() != want {
			t.Errorf("%s: %v, %s", what, v.ratio, v.state())
		}
	}
}

func TestWallClock(t *testing.T) {
	var out strings.Builder
	err := run(strings.NewReader(`# round 1
BenchmarkSpin/one-2	10	100 ns/op
BenchmarkSpin/both-2	10	110 ns/op
BenchmarkEngine/bodies/shipped-2	10	400 ns/op	80 cpu-ns/event	1 events/cpu-s
BenchmarkEngineTwoWorkers/bodies/shipped-2	10	220 ns/op	84 cpu-ns/event	1 events/cpu-s
# round 2
BenchmarkSpin/one-2	10	100 ns/op
BenchmarkSpin/both-2	10	190 ns/op
`), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| Spin/both | 150 (190..110) | 1.50x the time (1.90..1.10) |",
		"| EngineTwoWorkers/bodies/shipped | 220 (220..220) | 0.55x the time (0.55..0.55) |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestRoundsWithoutMarks(t *testing.T) {
	r := parsed(t, "BenchmarkA/x 1 5 ns/op\nBenchmarkB/x 1 6 ns/op\nBenchmarkA/x 1 7 ns/op\n")
	if len(r.rounds) != 2 || r.rounds[1]["A/x"][unitWall] != 7 || len(r.values("B/x", unitWall)) != 1 {
		t.Errorf("%v", r.rounds)
	}
}

func TestMarkedRoundsJoinRowsThatWereRunApart(t *testing.T) {
	r := parsed(t, "# round 1\nBenchmarkA/x 1 5 ns/op\n# round 2\nBenchmarkA/x 1 6 ns/op\n# round 1\nBenchmarkB/x 1 7 ns/op\n")
	if len(r.rounds) != 2 || r.rounds[0]["B/x"][unitWall] != 7 || r.rounds[1]["B/x"] != nil {
		t.Errorf("%v", r.rounds)
	}
}

func TestWhatIsNoRow(t *testing.T) {
	r := parsed(t, "BenchmarkA/x\nBenchmarkA/x: some text of a log, of eight words here\nok  \tpackage\t1.2s\nPASS\n")
	if len(r.rows) != 0 {
		t.Errorf("%v", r.rows)
	}
	for _, bad := range []string{
		"BenchmarkA/x 1 5 ns/op 7\n", "BenchmarkA/x 1 five ns/op\n", "# round two\n", "# round 0\n",
		"--- FAIL: BenchmarkA/x\n", "panic: something\n",
	} {
		if _, err := parse(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestRowNames(t *testing.T) {
	for in, want := range map[string]string{
		"BenchmarkA/x-2": "A/x", "BenchmarkA/x": "A/x", "BenchmarkA/fluent-bit-16": "A/fluent-bit", "BenchmarkA/fluent-bit": "A/fluent-bit",
	} {
		if got := rowName(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestMedian(t *testing.T) {
	if m, ok := median([]float64{9, 1, 5}); !ok || m != 5 {
		t.Error(m, ok)
	}
	if m, ok := median([]float64{9, 1, 5, 7}); !ok || m != 6 {
		t.Error(m, ok)
	}
	if _, ok := median(nil); ok {
		t.Error("a median of nothing")
	}
}

func TestTheWholeTable(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader(run3), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Some Processor; 2 processors; load average at the start 0.10 0.20 0.30; load average at the end 1.10 0.20 0.30. 3 rounds;",
		"## metadata (1,000 B an event)",
		"| Fastjson | 250,000 (125,000..250,000) | 250 | 0 |",
		"| Engine/shipped | 400,000 (200,000..500,000) | 400 | 0.25 |",
		"| Engine/generated1000 * | 85,317 (59,523..111,111) | 85 | 0 |",
		"saw another mix of events",
		"| Engine/metadata/shipped | 2,500 (5,500..2,500) | – |",
		"| metadata | shipped rules against fastjson | at least 1.3x as fast | 1.60x (1.60..2.00) | met |",
		"| metadata | two workers against one | at most 1.1x the cost | – | not measured |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := run(strings.NewReader("nothing\n"), &out); err == nil {
		t.Error("nothing to tell, and no error")
	}
}
