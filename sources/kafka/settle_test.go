package kafka

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestBackPressureIsNoReasonToBeEvicted(t *testing.T) {
	c := newAudit(t, 1, 50)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.SessionTimeout, cfg.StallTimeout, cfg.BatchRecords = 600*time.Millisecond, 300*time.Millisecond, 10
	r := prometheus.NewRegistry()
	src := newSource(t, cfg, Options{Registerer: r})
	gate := make(chan struct{})
	one := start(t, src, accept, gate)
	produce(t, producer(t, c.ListenAddrs()), "audit", 0, 50, 450)
	eventually(t, "the lag shows although nothing is read", func() bool { return metric(t, r, "foretop_source_lag_records") == 500 })
	time.Sleep(4 * cfg.SessionTimeout)
	if n := metric(t, r, "foretop_source_rebalances_total"); n != 1 {
		t.Errorf("%v generations while the pipeline was full, want 1", n)
	}
	if n := metric(t, r, "foretop_source_stalls_total"); n != 0 {
		t.Errorf("a full pipeline counted as %v stalls", n)
	}
	if age := metric(t, r, "foretop_source_lag_seconds"); age < 1 {
		t.Errorf("lag of %v seconds, want the time that the gate was shut", age)
	}
	if n := metric(t, r, "foretop_unsettled_positions"); n != 10 {
		t.Errorf("%v positions unsettled, want the one batch that waits", n)
	}
	if err := src.Health(); err != nil {
		t.Errorf("a full pipeline is reported as trouble: %v", err)
	}
	close(gate)
	one.records(0, 500)
	eventually(t, "the lag is gone", func() bool { return metric(t, r, "foretop_source_lag_records") == 0 })
	one.stop()
}

func TestUnsettledRecordsAreBounded(t *testing.T) {
	c := newAudit(t, 1, 500)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.BatchRecords, cfg.MaxUnsettled = 20, 100
	one := start(t, newSource(t, cfg, Options{}), hold)
	one.records(0, 100)
	time.Sleep(300 * time.Millisecond)
	if n := one.count(); n != 100 {
		t.Errorf("%d records delivered without a settlement, want 100", n)
	}
	batches := one.batches()
	batches[1].Done(nil) // behind the first: replayed after a crash, so it makes no room
	time.Sleep(200 * time.Millisecond)
	if n := one.count(); n != 100 {
		t.Errorf("%d records delivered although the oldest batch is unsettled, want 100", n)
	}
	one.setFate(accept)
	for i, b := range batches {
		if i != 1 {
			b.Done(nil)
		}
	}
	one.records(0, 500)
	one.stop()
}

func TestABatchThatIsGivenBackIsReadAgainInTheSameGeneration(t *testing.T) {
	c := newAudit(t, 1, 60)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.BatchRecords = 10
	r := prometheus.NewRegistry()
	var once sync.Once
	one := start(t, newSource(t, cfg, Options{Registerer: r}), func(b *pipeline.Batch) (bool, error) {
		var err error
		if slices.ContainsFunc(b.Records, func(r pipeline.Record) bool { return string(r.Body) == string(body(25)) }) {
			once.Do(func() { err = errNotHandled })
		}
		return true, err
	})
	one.records(0, 60)
	one.until("the batch comes again", func() bool { return one.seen[string(body(25))] == 2 })
	eventually(t, "everything is committed", func() bool { return committed(c, "foretop", "audit", 0) == 60 })
	if again := one.twice(); slices.Contains(again, string(body(19))) {
		t.Errorf("settled before the failure, and delivered again: %v", again)
	}
	if n := metric(t, r, "foretop_source_rebalances_total"); n != 1 {
		t.Errorf("%v generations, want 1", n)
	}
	one.stop()
}

func TestThePositionNeverPassesABatchThatWasGivenBack(t *testing.T) {
	c := newAudit(t, 1, 60)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.BatchRecords = 10
	one := start(t, newSource(t, cfg, Options{}), func(b *pipeline.Batch) (bool, error) {
		if b.Records[0].Pos == "20" {
			return true, errNotHandled
		}
		return true, nil
	})
	one.until("the batch came again and again", func() bool { return one.seen[string(body(20))] > 3 })
	one.stop()
	if at := committed(c, "foretop", "audit", 0); at != 20 {
		t.Errorf("committed at %d, want 20", at)
	}
}
