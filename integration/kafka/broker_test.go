//go:build integration

// Package kafka tests the Kafka source and sink against a real Kafka.
package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/config"
	sink "github.com/foretop/foretop/sinks/kafka"
	source "github.com/foretop/foretop/sources/kafka"
)

// variable is a setting that integration/services/run gives to tests.
func variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run the tests through integration/services/run", name)
	}
	return value
}

// plaintext is the address of the broker that all tests share. Tests keep to topics and groups of their own.
func plaintext(t testing.TB) string {
	t.Helper()
	return variable(t, "FORETOP_TEST_KAFKA")
}

// unique makes a name that no other test and no earlier run uses.
func unique(t testing.TB, what string) string {
	t.Helper()
	return fmt.Sprintf("%s-%d", what, time.Now().UnixNano())
}

func client(address string) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(address), Timeout: 20 * time.Second}
}

// createTopic makes a topic and waits until it has leaders.
func createTopic(t testing.TB, address, topic string, partitions int, settings ...kafka.ConfigEntry) {
	t.Helper()
	c := client(address)
	transport := &kafka.Transport{MetadataTTL: 200 * time.Millisecond}
	c.Transport = transport
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: settings,
	}}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic has leaders", func() bool {
		m, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil || m.Topics[0].Error != nil || len(m.Topics[0].Partitions) != partitions {
			return false
		}
		for _, p := range m.Topics[0].Partitions {
			if p.Error != nil || p.Leader.Host == "" {
				return false
			}
		}
		return true
	})
}

// produce writes values round robin over the partitions of a topic.
func produce(t testing.TB, address, topic string, compression kafka.Compression, values ...[]byte) {
	t.Helper()
	transport := &kafka.Transport{} // the default one remembers for a while that a new topic does not exist
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{
		Transport: transport, Addr: kafka.TCP(address), Topic: topic, Balancer: &kafka.RoundRobin{}, BatchSize: 500, BatchTimeout: 10 * time.Millisecond,
		RequiredAcks: kafka.RequireAll, Compression: compression, BatchBytes: 900 << 10,
	}
	defer w.Close()
	messages := make([]kafka.Message, len(values))
	for i, v := range values {
		messages[i].Value = v
	}
	if err := w.WriteMessages(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
}

// numbers are the values first to first+n-1.
func numbers(first, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "%d", first+i)
	}
	return out
}

// committed sums the saved positions of a group over the partitions of a topic.
func committed(t testing.TB, address, group, topic string, partitions int) int64 {
	t.Helper()
	var ids []int
	for p := range partitions {
		ids = append(ids, p)
	}
	res, err := client(address).OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: ids}})
	if err != nil {
		t.Logf("positions of %s: %v", group, err)
		return -1
	}
	sum := int64(0)
	for _, p := range res.Topics[topic] {
		sum += max(0, p.CommittedOffset)
	}
	return sum
}

// fill reads a configuration as the program does.
func fill[T any](t testing.TB, prefix string, pairs map[string]string) T {
	t.Helper()
	var cfg T
	var environ []string
	for name, value := range pairs {
		environ = append(environ, prefix+"_"+name+"="+value)
	}
	l := config.NewLoader(environ)
	l.Fill(prefix, &cfg)
	if err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func newSource(t testing.TB, pairs map[string]string, o source.Options) *source.Source {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := source.New(fill[source.Config](t, "FORETOP_KAFKA", pairs), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSink(t testing.TB, pairs map[string]string, o sink.Options) *sink.Sink {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := sink.New(fill[sink.Config](t, "FORETOP_KAFKA_SINK", pairs), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// secured are the settings for the listener with TLS and SASL.
func secured(t testing.TB, mechanism string, more map[string]string) map[string]string {
	t.Helper()
	pairs := map[string]string{
		"BROKERS": variable(t, "FORETOP_TEST_KAFKA_SASL"), "TLS": "true", "TLS_CA_FILE": variable(t, "FORETOP_TEST_KAFKA_CA"),
		"SASL_MECHANISM": mechanism, "SASL_USER": variable(t, "FORETOP_TEST_KAFKA_USER"), "SASL_PASSWORD": variable(t, "FORETOP_TEST_KAFKA_PASSWORD"),
	}
	maps.Copy(pairs, more)
	return pairs
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
