//go:build integration

package kafka

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/foretop/foretop/pkg/pipeline"
	source "github.com/foretop/foretop/sources/kafka"
)

// reader runs a source in this process and settles everything at once, unless hold is set.
type reader struct {
	t      *testing.T
	src    *source.Source
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu   sync.Mutex
	seen map[string]int
	held []*pipeline.Batch
	hold bool
}

func read(t *testing.T, src *source.Source, hold bool) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{t: t, src: src, cancel: cancel, ended: make(chan struct{}), seen: make(map[string]int), hold: hold}
	go func() {
		defer close(r.ended)
		r.err = src.Run(ctx, r.emit)
	}()
	t.Cleanup(r.stop)
	return r
}

func (r *reader) emit(_ context.Context, b *pipeline.Batch) error {
	r.mu.Lock()
	for _, rec := range b.Records {
		r.seen[string(rec.Body)]++
	}
	hold := r.hold
	if hold {
		r.held = append(r.held, b)
	}
	r.mu.Unlock()
	if !hold {
		b.Done(nil)
	}
	return nil
}

func (r *reader) stop() {
	r.cancel()
	select {
	case <-r.ended:
	case <-time.After(time.Minute):
		r.t.Error("Run has not ended")
	}
	if r.err != nil {
		r.t.Errorf("Run: %v", r.err)
	}
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *reader) settle() {
	r.mu.Lock()
	held := r.held
	r.held, r.hold = nil, false
	r.mu.Unlock()
	for _, b := range held {
		b.Done(nil)
	}
}

func TestEveryCompressionOfARealProducerIsRead(t *testing.T) {
	address, topic := plaintext(t), unique(t, "compressions")
	createTopic(t, address, topic, 2)
	filler := strings.Repeat(" kubernetes", 100)
	n := 0
	for _, c := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		var values [][]byte
		for range 500 {
			values = append(values, []byte(fmt.Sprint(n, filler)))
			n++
		}
		produce(t, address, topic, c, values...)
	}
	r := read(t, newSource(t, map[string]string{"BROKERS": address, "TOPICS": topic, "GROUP": topic}, source.Options{}), false)
	eventually(t, "every record comes", func() bool { return r.count() == n })
	eventually(t, "every position is saved", func() bool { return committed(t, address, topic, topic, 2) == int64(n) })
}

func TestTLSAndSASL(t *testing.T) {
	address, topic := plaintext(t), unique(t, "secured")
	createTopic(t, address, topic, 1)
	produce(t, address, topic, 0, numbers(0, 100)...)
	for _, mechanism := range []string{"plain", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			group := topic + mechanism
			r := read(t, newSource(t, secured(t, mechanism, map[string]string{"TOPICS": topic, "GROUP": group}), source.Options{}), false)
			eventually(t, "every record comes", func() bool { return r.count() == 100 })
			eventually(t, "the position is saved", func() bool { return committed(t, address, group, topic, 1) == 100 })
		})
	}
	t.Run("the login of Event Hubs", func(t *testing.T) {
		r := read(t, newSource(t, secured(t, "plain", map[string]string{
			"TOPICS": topic, "GROUP": topic + "hub", "SASL_USER": "$ConnectionString", "SASL_PASSWORD": variable(t, "FORETOP_TEST_EVENTHUBS_CONNECTION"),
		}), source.Options{}), false)
		eventually(t, "every record comes", func() bool { return r.count() == 100 })
	})
}

func TestRefusalsOfARealBrokerEndTheRunWithTheirCause(t *testing.T) {
	for name, tt := range map[string]struct {
		pairs map[string]string
		want  string
	}{
		"wrong password, plain": {secured(t, "plain", map[string]string{"SASL_PASSWORD": "not-this"}), `it refused the login of "app" by PLAIN: check SASL_USER and SASL_PASSWORD`},
		"wrong password, scram": {secured(t, "scram-sha-512", map[string]string{"SASL_PASSWORD": "not-this"}), `it refused the login of "app" by SCRAM-SHA-512`},
		"mechanism not offered": {secured(t, "scram-sha-256", nil), "it offers no SASL mechanism SCRAM-SHA-256 but OAUTHBEARER, PLAIN, SCRAM-SHA-512: change SASL_MECHANISM"},
		"unknown authority":     {secured(t, "plain", map[string]string{"TLS_CA_FILE": ""}), "set TLS_CA_FILE to the CA that signed its certificate"},
		"another name":          {secured(t, "plain", map[string]string{"TLS_SERVER_NAME": "kafka.example"}), "set TLS_SERVER_NAME to a name in its certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.pairs["TOPICS"] = "any"
			src := newSource(t, tt.pairs, source.Options{})
			err := src.Run(t.Context(), func(context.Context, *pipeline.Batch) error { return nil })
			if !contains(err, tt.want) || contains(err, "not-this") {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// A broker says nothing about these, so they may be passing trouble as well.
func TestATLSMixUpIsNamedInTheHealth(t *testing.T) {
	for name, tt := range map[string]struct {
		pairs map[string]string
		want  string
	}{
		"TLS on a plaintext port": {secured(t, "plain", map[string]string{"BROKERS": plaintext(t)}), "if it speaks no TLS on this port, use its TLS port or set TLS=false"},
		"plaintext on a TLS port": {map[string]string{
			"BROKERS": variable(t, "FORETOP_TEST_KAFKA_SASL"), "SASL_MECHANISM": "plain", "SASL_USER": "app", "SASL_PASSWORD": "x",
		}, "broker appears to be expecting TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.pairs["TOPICS"] = "any"
			src := newSource(t, tt.pairs, source.Options{})
			read(t, src, false)
			eventually(t, "health names it", func() bool { return contains(src.Health(), tt.want) })
		})
	}
}

// Markers of transactions are no records, and under read_committed the records of aborted ones are none.
func TestTransactionsOfARealBroker(t *testing.T) {
	address, topic := plaintext(t), unique(t, "transactions")
	createTopic(t, address, topic, 1)
	producer, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for i := range 20 {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 10 {
			if err := producer.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprintf("%v-%d-%d", i%3 > 0, i, j))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(t.Context(), kgo.TransactionEndTry(i%3 > 0)); err != nil {
			t.Fatal(err)
		}
	}
	for isolation, want := range map[string]int{"read_committed": 130, "read_uncommitted": 200} {
		t.Run(isolation, func(t *testing.T) {
			metrics := prometheus.NewRegistry()
			r := read(t, newSource(t, map[string]string{"BROKERS": address, "TOPICS": topic, "GROUP": topic + isolation, "ISOLATION": isolation},
				source.Options{Registerer: metrics}), false)
			eventually(t, "the position passes the last marker", func() bool { return committed(t, address, topic+isolation, topic, 1) == 220 })
			if r.count() != want {
				t.Errorf("%d records, want %d", r.count(), want)
			}
			for text := range maps.Keys(r.seen) {
				if !strings.HasPrefix(text, "true-") && (isolation == "read_committed" || !strings.HasPrefix(text, "false-")) {
					t.Errorf("delivered %q", text)
				}
			}
			eventually(t, "no lag is left", func() bool { return gauge(t, metrics, "foretop_source_lag_records") == 0 })
		})
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestRecordsThatARealBrokerDeletedAreCounted(t *testing.T) {
	address, topic := plaintext(t), unique(t, "deleted")
	createTopic(t, address, topic, 1)
	pairs := map[string]string{"BROKERS": address, "TOPICS": topic, "GROUP": topic}
	produce(t, address, topic, 0, numbers(0, 10)...)
	first := read(t, newSource(t, pairs, source.Options{}), false)
	eventually(t, "the position is saved", func() bool { return committed(t, address, topic, topic, 1) == 10 })
	first.stop()
	produce(t, address, topic, 0, numbers(10, 90)...)
	deleteRecords(t, address, topic, 60)
	metrics := prometheus.NewRegistry()
	second := read(t, newSource(t, pairs, source.Options{Registerer: metrics}), false)
	eventually(t, "the rest comes", func() bool { return second.count() == 40 })
	if n := gauge(t, metrics, "foretop_source_gap_records_total"); n != 50 {
		t.Errorf("%v records counted as lost, want 50", n)
	}
}

func TestATopicThatWasMadeAnewIsReadFromItsBeginning(t *testing.T) {
	address, topic := plaintext(t), unique(t, "anew")
	createTopic(t, address, topic, 1)
	produce(t, address, topic, 0, numbers(0, 200)...)
	r := read(t, newSource(t, map[string]string{"BROKERS": address, "TOPICS": topic, "GROUP": topic}, source.Options{}), false)
	eventually(t, "the position is saved", func() bool { return committed(t, address, topic, topic, 1) == 200 })
	if _, err := client(address).DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	createTopic(t, address, topic, 1)
	produce(t, address, topic, 0, numbers(1000, 50)...)
	eventually(t, "the new records come", func() bool { return r.count() == 250 })
	eventually(t, "the position is that of the new topic", func() bool { return committed(t, address, topic, topic, 1) == 50 })
}

func TestARealCoordinatorKeepsAMemberThatCommitsWhileItDrains(t *testing.T) {
	address, topic := plaintext(t), unique(t, "drain")
	createTopic(t, address, topic, 2)
	produce(t, address, topic, 0, numbers(0, 200)...)
	pairs := map[string]string{
		"BROKERS": address, "TOPICS": topic, "GROUP": topic, // 6s is the shortest session that brokers allow by default
		"SESSION_TIMEOUT": "6s", "HEARTBEAT_INTERVAL": "500ms", "REBALANCE_TIMEOUT": "30s", "DRAIN_TIMEOUT": "5500ms",
	}
	first := read(t, newSource(t, pairs, source.Options{}), true)
	eventually(t, "the first member has every record", func() bool { return first.count() == 200 })
	second := read(t, newSource(t, pairs, source.Options{}), false)
	time.Sleep(4 * time.Second)
	first.settle()
	produce(t, address, topic, 0, numbers(1000, 100)...)
	eventually(t, "every new record comes", func() bool { return first.count()+second.count() == 300 })
	eventually(t, "everything is saved", func() bool { return committed(t, address, topic, topic, 2) == 300 })
	if second.count() == 0 || second.count() > 100 {
		t.Errorf("the second member got %d records, want only new ones", second.count())
	}
	for text, n := range first.seen {
		if n > 1 || second.seen[text] > 0 {
			t.Errorf("delivered twice: %s", text)
		}
	}
}

func TestLargeBatchesOfARealProducer(t *testing.T) {
	address, topic := plaintext(t), unique(t, "large")
	createTopic(t, address, topic, 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "20000000"})
	producer, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(15<<20),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	big := bytes.Repeat([]byte("x"), 10<<20)
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Value: big}, kgo.StringRecord("behind")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := read(t, newSource(t, map[string]string{"BROKERS": address, "TOPICS": topic, "GROUP": topic, "FETCH_MAX_BYTES": "1MiB"}, source.Options{}), false)
	eventually(t, "both records come", func() bool { return r.count() == 2 })
	if got := slices.Sorted(maps.Keys(r.seen)); got[0] != "behind" || got[1] != string(big) {
		t.Error("a record arrived changed")
	}
}

func deleteRecords(t *testing.T, address, topic string, before int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	deleteBefore(t, cl, topic, before)
}
