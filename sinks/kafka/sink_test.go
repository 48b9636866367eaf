package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes are the goroutines of the broker of a test, which ends after it.
var fakes = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).run"),
	goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*broker).listen"),
}

func newCluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "findings")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// settings is the default configuration, read as the program reads it.
func settings(t *testing.T, c *kfake.Cluster) Config {
	t.Helper()
	var cfg Config
	l := config.NewLoader([]string{"FORETOP_KAFKA_SINK_BROKERS=" + strings.Join(c.ListenAddrs(), ","), "FORETOP_KAFKA_SINK_TOPIC=findings"})
	l.Fill("FORETOP_KAFKA_SINK", &cfg)
	if err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func newSink(t *testing.T, cfg Config, o Options) *Sink {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// stored reads the whole topic.
func stored(t *testing.T, c *kfake.Cluster) []pipeline.Document {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("findings"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	left := int64(0)
	for _, p := range c.PartitionInfos("findings") {
		left += p.HighWatermark
	}
	var docs []pipeline.Document
	for int64(len(docs)) < left {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { docs = append(docs, pipeline.Document{ID: string(r.Key), Body: r.Value}) })
	}
	return docs
}

func TestConformance(t *testing.T) {
	for _, compression := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Harness {
				c := newCluster(t)
				cfg := settings(t, c)
				cfg.Compression = compression
				fail := func(err *kerr.Error) func(t *testing.T) func() {
					return func(*testing.T) func() {
						return c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "findings", Err: err, Count: -1}).Remove
					}
				}
				return sinktest.Harness{
					Sink:   newSink(t, cfg, Options{}),
					Stored: func(t *testing.T) []pipeline.Document { return stored(t, c) },
					Down:   fail(kerr.NotEnoughReplicas),
					Denied: fail(kerr.TopicAuthorizationFailed),
					Poison: func(*testing.T) pipeline.Document {
						return pipeline.Document{ID: "poison", Body: fmt.Appendf(nil, `{"text":"%s"}`, strings.Repeat("x", int(cfg.MaxMessageBytes)))}
					},
					LeakOptions: fakes,
				}
			})
		})
	}
}

func document(id string, size int) pipeline.Document {
	return pipeline.Document{ID: id, Body: fmt.Appendf(nil, `{"id":%q,"text":"%s"}`, id, strings.Repeat("x", size))}
}

func write(t *testing.T, s *Sink, docs ...pipeline.Document) []error {
	t.Helper()
	results, err := s.Write(t.Context(), docs)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	return results
}

func ids(docs []pipeline.Document) []string {
	var out []string
	for _, d := range docs {
		out = append(out, d.ID)
	}
	slices.Sort(out)
	return out
}

func TestOnlyTheDocumentThatTheBrokerFindsTooLargeIsRejected(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "findings"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000"}))
	s := newSink(t, settings(t, c), Options{})
	var docs []pipeline.Document
	for i := range 12 {
		docs = append(docs, document(fmt.Sprintf("small-%02d", i), 5000)) // three fit into a request
	}
	docs = append(docs, document("large", 30_000))
	results := write(t, s, docs...)
	for i, err := range results {
		if large := docs[i].ID == "large"; large != (pipeline.ClassOf(err) == pipeline.Reject && err != nil) || !large && err != nil {
			t.Errorf("%s: %v", docs[i].ID, err)
		}
	}
	if err := results[len(docs)-1]; !strings.Contains(err.Error(), "raise max.message.bytes of the topic") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(ids(docs[:12]), ids(stored(t, c))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestADeadLetterThatIsTooLargeIsStoredWithoutItsBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		broker string // its limit
		size   int
	}{{"for the setting", "5000000", 2_000_000}, {"for the broker", "20000", 30_000}} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": tt.broker}))
			r := prometheus.NewRegistry()
			s := newSink(t, settings(t, c), Options{DeadLetters: true, Registerer: r})
			letter := pipeline.DeadLetter{
				Origin: pipeline.Origin{Source: "kafka", Stream: "kafka/audit/0", Pos: "17"}, Class: "not_json", Detail: "no JSON",
				SHA256: strings.Repeat("a", 64), Length: tt.size, Time: time.Unix(1_700_000_000, 0).UTC(), Body: bytes.Repeat([]byte("x"), tt.size),
			}
			doc := pipeline.EncodeDeadLetter(letter)
			if err := write(t, s, doc)[0]; err != nil {
				t.Fatal(err)
			}
			got := stored(t, c)
			if len(got) != 1 || got[0].ID != doc.ID {
				t.Fatalf("stored %v", ids(got))
			}
			back, err := pipeline.DecodeDeadLetter(got[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			if len(back.Body) != 0 || back.SHA256 != letter.SHA256 || back.Length != tt.size || back.Origin.Pos != "17" || !strings.Contains(back.Detail, "no JSON; the body was too large") {
				t.Errorf("%+v", back)
			}
			if n := testutil.ToFloat64(s.shrunk); n != 1 {
				t.Errorf("%v counted", n)
			}
		})
	}
}

func TestAMissingTopicIsForAHuman(t *testing.T) {
	c := newCluster(t)
	cfg := settings(t, c)
	cfg.Topic = "missing"
	s := newSink(t, cfg, Options{})
	_, err := s.Write(t.Context(), []pipeline.Document{document("a", 1)})
	if err == nil || pipeline.ClassOf(err) != pipeline.Fatal || err.Error() != "kafka sink: topic missing does not exist on the brokers; create it or fix TOPIC" {
		t.Errorf("error %v", err)
	}
	if got := s.Health(); got == nil || got.Error() != err.Error() {
		t.Errorf("health %v", got)
	}
	if err := c.CreateTopic("missing", 1, nil); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err := s.Check(t.Context()); err == nil {
			break
		} else if time.Now().After(limit) {
			t.Fatalf("the topic exists: %v", err)
		}
	}
	if err := s.Health(); err != nil {
		t.Errorf("health %v", err)
	}
}

func TestRefusedCredentialsAreFatal(t *testing.T) {
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "writer", "right"))
	cfg := settings(t, c)
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "scram-sha-512", "writer", "wrong"
	s := newSink(t, cfg, Options{})
	if err := s.Check(t.Context()); pipeline.ClassOf(err) != pipeline.Fatal || !strings.Contains(err.Error(), `refused the login of "writer"`) {
		t.Errorf("error %v", err)
	}
	cfg.SASLPassword = "right"
	if err := newSink(t, cfg, Options{}).Check(t.Context()); err != nil {
		t.Errorf("with the right password: %v", err)
	}
}

func TestAnOutageIsToBeRetried(t *testing.T) {
	c := newCluster(t)
	s := newSink(t, settings(t, c), Options{})
	write(t, s, document("a", 1))
	c.Close()
	_, err := s.Write(t.Context(), []pipeline.Document{document("b", 1)})
	if err == nil || pipeline.ClassOf(err) != pipeline.Retry {
		t.Errorf("class %v: %v", pipeline.ClassOf(err), err)
	}
	if err := s.Health(); err != nil {
		t.Errorf("an outage is the pipeline's to report, and health is %v", err)
	}
}

func TestAPartitionThatFailsFailsOnlyItsDocuments(t *testing.T) {
	c := newCluster(t)
	s := newSink(t, settings(t, c), Options{})
	var docs []pipeline.Document
	for i := range 60 {
		docs = append(docs, document(fmt.Sprint(i), 10))
	}
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "findings", Partitions: []int32{1}, Err: kerr.NotLeaderForPartition, Count: 1})
	var again []pipeline.Document
	for i, err := range write(t, s, docs...) {
		if err != nil {
			again = append(again, docs[i])
			if pipeline.ClassOf(err) != pipeline.Retry {
				t.Errorf("document %d: %v", i, err)
			}
		}
	}
	if fault.Hits() != 1 || len(again) == 0 || len(again) == len(docs) {
		t.Fatalf("%d of %d documents failed", len(again), len(docs))
	}
	for _, err := range write(t, s, again...) {
		if err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(ids(docs), ids(stored(t, c))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestARecordThatTheBrokerNamesIsRejectedAlone(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "findings"))
	refuse := func(index int32, named bool) {
		c.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			res := req.ResponseKind().(*kmsg.ProduceResponse)
			part := kmsg.NewProduceResponseTopicPartition()
			part.ErrorCode = kerr.InvalidRecord.Code
			if named {
				bad := kmsg.NewProduceResponseTopicPartitionErrorRecord()
				bad.RelativeOffset, bad.ErrorMessage = index, new("no key")
				part.ErrorRecords = append(part.ErrorRecords, bad)
			}
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.Partitions = "findings", append(topic.Partitions, part)
			res.Topics = append(res.Topics, topic)
			return res, nil, true
		})
	}
	refuse(1, true)
	s := newSink(t, settings(t, c), Options{})
	results := write(t, s, document("a", 1), document("b", 1), document("c", 1))
	if results[0] != nil || results[2] != nil || results[1] == nil || pipeline.ClassOf(results[1]) != pipeline.Reject || !strings.Contains(results[1].Error(), "no key") {
		t.Errorf("named: %v", results)
	}
	refuse(0, false) // the pair
	refuse(0, false) // its first half
	results = write(t, s, document("d", 1), document("e", 1))
	if results[0] == nil || pipeline.ClassOf(results[0]) != pipeline.Reject || results[1] != nil {
		t.Errorf("not named: %v", results)
	}
	if diff := cmp.Diff([]string{"a", "c", "e"}, ids(stored(t, c))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestDocumentsAreAcknowledgedByAllReplicas(t *testing.T) {
	c := newCluster(t)
	var acks int16
	c.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		acks = req.(*kmsg.ProduceRequest).Acks
		return nil, nil, false
	})
	write(t, newSink(t, settings(t, c), Options{}), document("a", 1))
	if acks != -1 {
		t.Errorf("acks %d, want -1", acks)
	}
}

func TestOneIDIsAlwaysInOnePartition(t *testing.T) {
	c := newCluster(t)
	s := newSink(t, settings(t, c), Options{})
	for range 5 {
		write(t, s, document("the-same", 1))
	}
	full := 0
	for _, p := range c.PartitionInfos("findings") {
		if p.HighWatermark > 0 {
			full++
		}
	}
	if full != 1 {
		t.Errorf("one id in %d partitions", full)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	c := newCluster(t)
	for want, change := range map[string]func(*Config){
		`TOPIC: "a b" is no name`:               func(c *Config) { c.Topic = "a b" },
		`COMPRESSION knows no "rar"`:            func(c *Config) { c.Compression = "rar" },
		"MAX_MESSAGE_BYTES must be between":     func(c *Config) { c.MaxMessageBytes = 1 },
		"WRITE_TIMEOUT must be between":         func(c *Config) { c.WriteTimeout = 0 },
		"IN_FLIGHT must be between":             func(c *Config) { c.InFlight = 0 },
		"BROKERS is empty":                      func(c *Config) { c.Brokers = nil },
		"SASL_MECHANISM needs SASL_USER and SA": func(c *Config) { c.SASLMechanism = "plain" },
	} {
		cfg := settings(t, c)
		change(&cfg)
		if _, err := New(cfg, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestErrorsDoNotHoldDocuments(t *testing.T) {
	c := newCluster(t)
	cfg := settings(t, c)
	s := newSink(t, cfg, Options{})
	secret := pipeline.Document{ID: "a", Body: []byte(`{"token":"` + strings.Repeat("hunter2", int(cfg.MaxMessageBytes)) + `"}`)}
	err := write(t, s, secret)[0]
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
	if !json.Valid(secret.Body) {
		t.Error("the document was changed")
	}
}
