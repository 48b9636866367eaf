package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/foretop/foretop/sources/sourcetest"
)

func TestRecordsDeletedBeforeTheyWereReadAreCountedAndNamed(t *testing.T) {
	c := newAudit(t, 1, 100)
	cfg := settings(t, c.ListenAddrs(), "audit")
	one := start(t, newSource(t, cfg, Options{}), accept)
	one.records(0, 100)
	one.stop()
	produce(t, producer(t, c.ListenAddrs()), "audit", 0, 100, 50)
	if err := c.DeleteRecords("audit", 0, 130); err != nil {
		t.Fatal(err)
	}

	var l sourcetest.Log
	r := prometheus.NewRegistry()
	two := start(t, newSource(t, cfg, Options{Logger: l.Logger(), Registerer: r}), accept)
	two.records(130, 20)
	if two.count() != 20 {
		t.Errorf("%d records, want the 20 that are left", two.count())
	}
	eventually(t, "the new position is saved", func() bool { return committed(c, "foretop", "audit", 0) == 150 })
	two.stop()
	if n := metric(t, r, "foretop_source_gap_records_total"); n != 30 {
		t.Errorf("%v records counted as lost, want 30", n)
	}
	if got := l.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "topic=audit partition=0 from=100 to=130 records=30") {
		t.Errorf("log:\n%s", got)
	}
}

func TestAGapIsNotCountedAgainAfterARestart(t *testing.T) {
	c := newAudit(t, 1, 100)
	cfg := settings(t, c.ListenAddrs(), "audit")
	one := start(t, newSource(t, cfg, Options{}), hold)
	one.records(0, 100)
	cfg.DrainTimeout = 100 * time.Millisecond
	one.stop() // nothing settled: the saved position is 0
	if err := c.DeleteRecords("audit", 0, 100); err != nil {
		t.Fatal(err)
	}
	for want := range 2 {
		r := prometheus.NewRegistry()
		src := newSource(t, cfg, Options{Registerer: r})
		next := start(t, src, accept)
		if want == 0 {
			eventually(t, "the end is saved, although no record came", func() bool { return committed(c, "foretop", "audit", 0) == 100 })
		} else {
			eventually(t, "the partition is read", func() bool { return len(src.assigned()) == 1 })
			time.Sleep(300 * time.Millisecond)
		}
		next.stop()
		if n := metric(t, r, "foretop_source_gap_records_total"); n != float64(100-100*want) {
			t.Errorf("run %d: %v records counted as lost", want, n)
		}
	}
}

// kafka-go's Reader jumps here without a word.
func TestRecordsDeletedInTheMiddleOfReadingAreCounted(t *testing.T) {
	c := newAudit(t, 1, 100)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.BatchRecords, cfg.MaxUnsettled = 10, 10
	cfg.FetchMinBytes, cfg.FetchMaxBytes = 1, 1 // one batch an answer
	r := prometheus.NewRegistry()
	cl := producer(t, c.ListenAddrs())
	for i := range 5 {
		produce(t, cl, "audit", 0, 100+10*i, 10)
	}
	one := start(t, newSource(t, cfg, Options{Registerer: r}), hold)
	one.records(0, 10)
	if err := c.DeleteRecords("audit", 0, 130); err != nil {
		t.Fatal(err)
	}
	one.setFate(accept)
	for _, b := range one.batches() {
		b.Done(nil)
	}
	one.records(130, 20)
	eventually(t, "everything is committed", func() bool { return committed(c, "foretop", "audit", 0) == 150 })
	one.stop()
	lost := 150 - one.count()
	if n := metric(t, r, "foretop_source_gap_records_total"); n != float64(lost) || lost == 0 {
		t.Errorf("%v records counted as lost, want the %d that did not come", n, lost)
	}
}

func TestAGapDoesNotOvertakeWhatIsUnsettled(t *testing.T) {
	c := newAudit(t, 1, 10)
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Registerer: r}), hold)
	one.records(0, 10)
	speak := silence(c, kmsg.Fetch)
	time.Sleep(300 * time.Millisecond) // the fetch before it has been answered
	cl := producer(t, c.ListenAddrs())
	produce(t, cl, "audit", 0, 10, 20)
	if err := c.DeleteRecords("audit", 0, 30); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, "audit", 0, 30, 5)
	speak()
	one.records(30, 5)
	if n := metric(t, r, "foretop_source_gap_records_total"); n != 20 {
		t.Errorf("%v records counted as lost, want 20", n)
	}
	time.Sleep(200 * time.Millisecond)
	if at := committed(c, "foretop", "audit", 0); at > 0 {
		t.Errorf("committed at %d although nothing is settled", at)
	}
	for _, b := range one.batches() {
		b.Done(nil)
	}
	eventually(t, "everything is committed", func() bool { return committed(c, "foretop", "audit", 0) == 35 })
	one.stop()
}

func TestATopicMadeAnewIsReadFromTheConfiguredStart(t *testing.T) {
	for _, tt := range []struct {
		start string
		want  int // records of the new topic that come
	}{{StartEarliest, 6}, {StartLatest, 1}} {
		t.Run(tt.start, func(t *testing.T) {
			c := newAudit(t, 1, 100)
			cfg := settings(t, c.ListenAddrs(), "audit")
			one := start(t, newSource(t, cfg, Options{}), accept)
			one.records(0, 100)
			one.stop()
			recreate(t, c.DeleteTopic, c.CreateTopic)
			cl := producer(t, c.ListenAddrs())
			produce(t, cl, "audit", 0, 1000, 5)
			// Some brokers forget the positions of a deleted topic, others keep them. This is the worse case.
			commitAt(t, c.ListenAddrs(), "audit", 100)

			cfg.Start = tt.start
			var l sourcetest.Log
			r := prometheus.NewRegistry()
			two := start(t, newSource(t, cfg, Options{Logger: l.Logger(), Registerer: r}), accept)
			eventually(t, "the reset is noticed", func() bool { return metric(t, r, "foretop_source_position_resets_total") == 1 })
			eventually(t, "the new position is saved", func() bool { return committed(c, "foretop", "audit", 0) == 5 })
			produce(t, cl, "audit", 0, 1005, 1)
			two.records(1005, 1)
			if two.count() != tt.want {
				t.Errorf("%d records of the new topic, want %d", two.count(), tt.want)
			}
			eventually(t, "positions go on in the new topic", func() bool { return committed(c, "foretop", "audit", 0) == 6 })
			two.stop()
			if !strings.Contains(l.String(), "saved=100 end=5 start="+tt.start) {
				t.Errorf("log:\n%s", l.String())
			}
		})
	}
}

func TestATopicMadeAnewWhileItIsReadIsReadAgain(t *testing.T) {
	c := newAudit(t, 1, 100)
	r := prometheus.NewRegistry()
	src := newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Registerer: r})
	one := start(t, src, accept)
	one.records(0, 100)
	recreate(t, c.DeleteTopic, c.CreateTopic)
	produce(t, producer(t, c.ListenAddrs()), "audit", 0, 1000, 5)
	one.records(1000, 5)
	eventually(t, "positions go on in the new topic", func() bool { return committed(c, "foretop", "audit", 0) == 5 })
	eventually(t, "all is well again", func() bool { return src.Health() == nil })
	one.stop()
}

func recreate(t *testing.T, remove func(string) error, create func(string, int32, map[string]string) error) {
	t.Helper()
	if err := remove("audit"); err != nil {
		t.Fatal(err)
	}
	if err := create("audit", 1, nil); err != nil {
		t.Fatal(err)
	}
}

func TestStartLatestSkipsWhatIsThereOnceAndSaysSo(t *testing.T) {
	c := newAudit(t, 1, 100)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.Start = StartLatest
	var l sourcetest.Log
	one := start(t, newSource(t, cfg, Options{Logger: l.Logger()}), accept)
	eventually(t, "the start is saved at once, so that a crash cannot skip more", func() bool {
		return committed(c, "foretop", "audit", 0) == 100
	})
	one.stop()
	if !strings.Contains(l.String(), "records=100 from=0 to=100") {
		t.Errorf("log:\n%s", l.String())
	}
	produce(t, producer(t, c.ListenAddrs()), "audit", 0, 100, 10)
	two := start(t, newSource(t, cfg, Options{}), accept)
	two.records(100, 10)
	if two.count() != 10 {
		t.Errorf("%d records, want the 10 new ones", two.count())
	}
	two.stop()
}

func TestLagIsMeasuredFromWhatIsHandled(t *testing.T) {
	c := newAudit(t, 1, 100)
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Name: "prod", Registerer: r}), hold)
	one.records(0, 100)
	eventually(t, "the lag is 100", func() bool { return metric(t, r, "foretop_source_lag_records") == 100 })
	for _, b := range one.batches() {
		b.Done(nil)
	}
	eventually(t, "the lag is 0", func() bool { return metric(t, r, "foretop_source_lag_records") == 0 })
	want := `
		# HELP foretop_source_lag_records Records of a partition that are not handled yet.
		# TYPE foretop_source_lag_records gauge
		foretop_source_lag_records{source="prod",stream="kafka/audit/0"} 0
		# HELP foretop_source_lag_seconds Age of the oldest record of a partition that was read and is not handled yet, or of the last one read while more is there.
		# TYPE foretop_source_lag_seconds gauge
		foretop_source_lag_seconds{source="prod",stream="kafka/audit/0"} 0
	`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "foretop_source_lag_records", "foretop_source_lag_seconds"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	one.stop()
	if n := metric(t, r, "foretop_source_partitions"); n != 0 {
		t.Errorf("%v partitions after the end", n)
	}
}

func TestTwoSourcesShareARegistry(t *testing.T) {
	r := prometheus.NewRegistry()
	for i := range 2 {
		newSource(t, settings(t, []string{"127.0.0.1:1"}, "audit"), Options{Name: fmt.Sprintf("kafka%d", i), Registerer: r})
	}
	if _, err := New(settings(t, []string{"127.0.0.1:1"}, "audit"), Options{Name: "kafka1", Registerer: r}); err == nil {
		t.Error("two sources of one name share a registry")
	}
}
