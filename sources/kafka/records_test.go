package kafka

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// kafka-go's Reader delivers markers and aborted records under either isolation.
func TestTransactions(t *testing.T) {
	for _, tt := range []struct {
		isolation string
		want      []string
	}{
		{ReadUncommitted, []string{"a0", "a1", "b0", "b1", "c0", "c1", "open"}},
		{ReadCommitted, []string{"a0", "a1", "c0", "c1"}},
	} {
		t.Run(tt.isolation, func(t *testing.T) {
			c := newAudit(t, 1, 0)
			cl := producer(t, c.ListenAddrs(), kgo.TransactionalID("t"))
			for _, txn := range []struct {
				name   string
				commit kgo.TransactionEndTry
			}{{"a", kgo.TryCommit}, {"b", kgo.TryAbort}, {"c", kgo.TryCommit}} {
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				for i := range 2 {
					if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "audit", Value: fmt.Appendf(nil, "%s%d", txn.name, i)}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				if err := cl.EndTransaction(t.Context(), txn.commit); err != nil {
					t.Fatal(err)
				}
			}
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "audit", Value: []byte("open")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			cfg := settings(t, c.ListenAddrs(), "audit")
			cfg.Isolation = tt.isolation
			r := prometheus.NewRegistry()
			one := start(t, newSource(t, cfg, Options{Registerer: r}), accept)
			one.until("the last record comes", func() bool { return one.seen[tt.want[len(tt.want)-1]] > 0 })
			eventually(t, "positions pass the markers too, so that no lag is left", func() bool {
				return metric(t, r, "foretop_source_lag_records") == 0 && committed(c, "foretop", "audit", 0) > 8
			})
			one.stop()
			var got []string
			for _, b := range one.batches() {
				for _, rec := range b.Records {
					got = append(got, string(rec.Body))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestACompactedTopicIsReadToItsEnd(t *testing.T) {
	c := newCluster(t)
	policy := "compact"
	if err := c.CreateTopic("audit", 1, map[string]string{"cleanup.policy": policy, "min.cleanable.dirty.ratio": "0", "segment.bytes": "200"}); err != nil {
		t.Fatal(err)
	}
	cl := producer(t, c.ListenAddrs())
	for round := range 3 {
		for i := range 20 {
			rec := &kgo.Record{Topic: "audit", Key: fmt.Appendf(nil, "k%d", i), Value: body(100*round + i)}
			if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Compact()
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.FetchMaxBytes = 1
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, cfg, Options{Registerer: r}), accept)
	one.records(200, 20)
	eventually(t, "everything is committed", func() bool { return committed(c, "foretop", "audit", 0) == 60 })
	one.stop()
	if n := one.count(); n >= 60 {
		t.Errorf("%d records: the test did not compact", n)
	}
	if n := metric(t, r, "foretop_source_gap_records_total"); n != 0 {
		t.Errorf("compaction counted as a loss of %v records", n)
	}
}

func TestWhatRecordsSayBesideTheirBody(t *testing.T) {
	for _, tt := range []struct {
		name string
		need []string
		want []map[string]string
	}{
		{"only the topic", nil, []map[string]string{{"topic": "audit"}, {"topic": "audit", "tombstone": "true"}, {"topic": "audit"}}},
		{"key and a header", []string{"key", "header.cluster"}, []map[string]string{
			{"topic": "audit", "key": "k", "header.cluster": "prod"}, {"topic": "audit", "key": "k", "tombstone": "true"}, {"topic": "audit"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newAudit(t, 1, 0)
			cl := producer(t, c.ListenAddrs())
			headers := []kgo.RecordHeader{{Key: "cluster", Value: []byte("prod")}, {Key: "other", Value: []byte("x")}}
			at := time.UnixMilli(1_700_000_000_123)
			if err := cl.ProduceSync(t.Context(),
				&kgo.Record{Topic: "audit", Key: []byte("k"), Value: []byte("one"), Headers: headers, Timestamp: at},
				&kgo.Record{Topic: "audit", Key: []byte("k")},
				&kgo.Record{Topic: "audit", Value: []byte{}},
			).FirstErr(); err != nil {
				t.Fatal(err)
			}
			one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{NeedMeta: tt.need}), accept)
			one.until("three records", func() bool { return records(one.got) == 3 })
			one.stop()
			var got []map[string]string
			var positions []string
			for _, b := range one.batches() {
				for _, rec := range b.Records {
					got, positions = append(got, rec.Meta), append(positions, rec.Pos)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("meta (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"0", "1", "2"}, positions); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
			first := one.batches()[0]
			if first.Stream != "kafka/audit/0" || !first.Records[0].Time.Equal(at) {
				t.Errorf("stream %s, time %s", first.Stream, first.Records[0].Time)
			}
		})
	}
}

func records(batches []*pipeline.Batch) int {
	n := 0
	for _, b := range batches {
		n += len(b.Records)
	}
	return n
}

func TestBatchesAreBoundedByRecordsBytesAndTime(t *testing.T) {
	c := newAudit(t, 1, 100)
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.BatchRecords = 30
	one := start(t, newSource(t, cfg, Options{}), accept)
	one.records(0, 100)
	one.stop()
	for i, b := range one.batches() {
		if n := len(b.Records); n > 30 || i < 3 && n != 30 {
			t.Errorf("batch %d has %d records", i, n)
		}
	}
	cfg.Group, cfg.BatchRecords, cfg.BatchBytes = "other", 500, 100
	two := start(t, newSource(t, cfg, Options{}), accept)
	two.records(0, 100)
	two.stop()
	for i, b := range two.batches() {
		if n := b.Bytes(); n >= 100+int64(len(body(99))) {
			t.Errorf("batch %d has %d bytes", i, n)
		}
	}
	cfg.Group, cfg.BatchDelay = "third", 2*time.Second
	cfg.BatchBytes = 1 << 20
	began := time.Now()
	three := start(t, newSource(t, cfg, Options{}), accept)
	three.records(0, 100)
	if took := time.Since(began); took < cfg.BatchDelay || took > cfg.BatchDelay+5*time.Second {
		t.Errorf("an unfilled batch came after %s", took)
	}
	three.stop()
}

// serve answers fetches of the topic with what answer returns for an offset, if that is anything.
func serve(t *testing.T, set func(int16, func(kmsg.Request) (kmsg.Response, error, bool)), keep func(), answer func(offset int64) (batches []byte, end int64)) {
	t.Helper()
	set(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		keep()
		asked := req.(*kmsg.FetchRequest)
		batches, end := answer(asked.Topics[0].Partitions[0].FetchOffset)
		if batches == nil {
			return nil, nil, false
		}
		res := asked.ResponseKind().(*kmsg.FetchResponse)
		part := kmsg.NewFetchResponseTopicPartition()
		part.HighWatermark, part.LastStableOffset, part.RecordBatches = end, end, batches
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.Partitions = asked.Topics[0].Topic, append(topic.Partitions, part)
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
}

func TestADamagedBatchIsHandedOnAsOneRecordAndReadingGoesOn(t *testing.T) {
	c := newAudit(t, 1, 30)
	damaged := encodeBatch(10, compress.None, 0, testRecord{value: []byte("ten")}, testRecord{offset: 9, value: []byte("nineteen")})
	damaged[70] ^= 0xff
	behind := encodeBatch(20, compress.None, 0, testRecord{value: []byte("twenty")}, testRecord{offset: 9, value: []byte("twenty-nine")})
	fetches := 0
	serve(t, c.ControlKey, c.KeepControl, func(offset int64) ([]byte, int64) {
		switch {
		case offset < 10:
			return encodeBatch(0, compress.None, 0, testRecord{offset: 9, value: []byte("nine")}), 30
		case offset < 20:
			fetches++
			return append(bytes.Clone(damaged), behind...), 30
		case offset < 30:
			return behind, 30
		}
		return nil, 0
	})
	var l sourcetest.Log
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Logger: l.Logger(), Registerer: r}), accept)
	one.until("what is behind comes", func() bool { return one.seen["twenty-nine"] > 0 })
	eventually(t, "the position passes it", func() bool { return committed(c, "foretop", "audit", 0) == 30 })
	one.stop()
	if one.seen[string(damaged)] != 1 || one.seen["nine"] != 1 || one.seen["twenty"] != 1 {
		t.Errorf("seen: %v", one.seen)
	}
	if fetches != 3 {
		t.Errorf("the damaged batch was fetched %d times, want 3", fetches)
	}
	for _, b := range one.batches() {
		for _, rec := range b.Records {
			if string(rec.Body) == string(damaged) && (rec.Pos != "10" || rec.Meta["undecodable"] != "true") {
				t.Errorf("position %s, meta %v", rec.Pos, rec.Meta)
			}
		}
	}
	if n := metric(t, r, "foretop_source_damaged_batches_total"); n != 1 {
		t.Errorf("%v damaged batches counted", n)
	}
	if !strings.Contains(l.String(), "from=10 to=19") {
		t.Errorf("log:\n%s", l.String())
	}
}

func TestABatchOfAnUnknownFormatIsNeverPassed(t *testing.T) {
	c := newAudit(t, 1, 10)
	raw := encodeBatch(0, compress.None, 0, testRecord{offset: 9, value: []byte("nine")})
	raw[magicAt] = 3
	fetches := 0
	serve(t, c.ControlKey, c.KeepControl, func(int64) ([]byte, int64) {
		fetches++
		return raw, 10
	})
	var l sourcetest.Log
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Logger: l.Logger()}), accept)
	time.Sleep(2 * time.Second)
	one.stop()
	if one.count() != 0 || committed(c, "foretop", "audit", 0) > 0 {
		t.Errorf("passed to %d with %v", committed(c, "foretop", "audit", 0), one.seen)
	}
	if fetches < 3 || fetches > 20 {
		t.Errorf("%d fetches in two seconds", fetches)
	}
	if !strings.Contains(l.String(), "unknown format 3: a newer version of Foretop may read it") {
		t.Errorf("log:\n%s", l.String())
	}
}

func TestAnAnswerWithoutAnythingNewIsNotAskedForInALoop(t *testing.T) {
	c := newAudit(t, 1, 10)
	old := encodeBatch(0, compress.None, 0, testRecord{offset: 4, value: []byte("four")})
	fetches := 0
	serve(t, c.ControlKey, c.KeepControl, func(int64) ([]byte, int64) {
		fetches++
		return old, 10
	})
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{}), accept)
	time.Sleep(2 * time.Second)
	one.stop()
	if one.seen["four"] != 1 || fetches > 30 {
		t.Errorf("%d fetches in two seconds, seen %v", fetches, one.seen)
	}
}

func TestDamageOnTheWayIsReadAgain(t *testing.T) {
	c := newAudit(t, 1, 10)
	good := encodeBatch(0, compress.None, 0, testRecord{value: []byte("zero")}, testRecord{offset: 9, value: []byte("nine")})
	fetches := 0
	serve(t, c.ControlKey, c.KeepControl, func(offset int64) ([]byte, int64) {
		if offset >= 10 {
			return nil, 0
		}
		if fetches++; fetches < 3 {
			bad := bytes.Clone(good)
			bad[80] ^= 1
			return bad, 10
		}
		return good, 10
	})
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, settings(t, c.ListenAddrs(), "audit"), Options{Registerer: r}), accept)
	one.until("the batch comes", func() bool { return one.seen["nine"] == 1 })
	one.stop()
	if one.count() != 2 || metric(t, r, "foretop_source_damaged_batches_total") != 0 {
		t.Errorf("seen: %v", one.seen)
	}
}

func TestABatchLargerThanTheAnswerShouldBeIsRead(t *testing.T) {
	c := newAudit(t, 1, 0)
	cl := producer(t, c.ListenAddrs())
	big := bytes.Repeat([]byte("k"), 500_000)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "audit", Value: big}, &kgo.Record{Topic: "audit", Value: []byte("next")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.FetchMaxBytes, cfg.MaxRecordBytes = 1024, 100_000
	r := prometheus.NewRegistry()
	one := start(t, newSource(t, cfg, Options{Registerer: r}), accept)
	one.until("both records come", func() bool { return one.seen["next"] == 1 && one.seen[string(big[:100_000])] == 1 })
	one.stop()
	if n := metric(t, r, "foretop_source_cut_records_total"); n != 1 {
		t.Errorf("%v records counted as cut, want 1", n)
	}
	for _, b := range one.got {
		for _, rec := range b.Records {
			want := ""
			if len(rec.Body) == 100_000 {
				want = "500000"
			}
			if got := rec.Meta[pipeline.MetaOversize]; got != want {
				t.Errorf("a record of %d bytes says that it had %q, want %q", len(rec.Body), got, want)
			}
		}
	}
}

func TestAnAnswerCutBeforeItsFirstBatchEndsIsAskedForLarger(t *testing.T) {
	c := newAudit(t, 1, 10)
	whole := encodeBatch(0, compress.None, 0, testRecord{offset: 9, value: bytes.Repeat([]byte("x"), 3000)})
	c.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := req.(*kmsg.FetchRequest)
		if p := asked.Topics[0].Partitions[0]; p.FetchOffset < 10 {
			res := asked.ResponseKind().(*kmsg.FetchResponse)
			part := kmsg.NewFetchResponseTopicPartition()
			part.HighWatermark, part.RecordBatches = 10, whole[:min(len(whole), int(p.PartitionMaxBytes))]
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.Partitions = "audit", append(topic.Partitions, part)
			res.Topics = append(res.Topics, topic)
			return res, nil, true
		}
		return nil, nil, false
	})
	cfg := settings(t, c.ListenAddrs(), "audit")
	cfg.FetchMaxBytes = 1024
	one := start(t, newSource(t, cfg, Options{}), accept)
	one.until("the record comes", func() bool { return len(one.seen) == 1 })
	one.stop()
}
