//go:build integration

package kafka

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/pipeline"
	sink "github.com/foretop/foretop/sinks/kafka"
	source "github.com/foretop/foretop/sources/kafka"
)

// body is a document of some size that no compression makes much smaller.
func body(id string, size int) []byte {
	noise := make([]byte, size/2)
	for i := range noise {
		noise[i] = byte(rand.N(256))
	}
	return fmt.Appendf(nil, `{"id":%q,"text":"%s"}`, id, hex.EncodeToString(noise))
}

func TestSinkAgainstARealBroker(t *testing.T) {
	address, topic := plaintext(t), unique(t, "findings")
	createTopic(t, address, topic, 3, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "30000"})
	wrote := 0
	for _, compression := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			s := newSink(t, secured(t, "scram-sha-512", map[string]string{"TOPIC": topic, "COMPRESSION": compression}), sink.Options{})
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			var docs []pipeline.Document
			for i := range 300 {
				docs = append(docs, pipeline.Document{ID: compression + strconv.Itoa(i), Body: body(compression+strconv.Itoa(i), 2000)})
			}
			docs = append(docs, pipeline.Document{ID: "large", Body: body("large", 80_000)})
			results, err := s.Write(t.Context(), docs)
			if err != nil {
				t.Fatal(err)
			}
			for i, err := range results[:300] {
				if err != nil {
					t.Fatalf("document %d: %v", i, err)
				}
			}
			wrote += 300
			if err := results[300]; pipeline.ClassOf(err) != pipeline.Reject || !contains(err, "larger than the topic takes") {
				t.Errorf("the large document: %v", err)
			}
		})
	}
	r := read(t, newSource(t, secured(t, "plain", map[string]string{"TOPICS": topic, "GROUP": topic}), source.Options{}), false)
	eventually(t, "every document can be read", func() bool { return r.count() == wrote })

	missing := newSink(t, map[string]string{"BROKERS": address, "TOPIC": unique(t, "missing")}, sink.Options{})
	if err := missing.Check(t.Context()); pipeline.ClassOf(err) != pipeline.Fatal || !contains(err, "does not exist on the brokers") {
		t.Errorf("a missing topic: %v", err)
	}
	refused := newSink(t, secured(t, "plain", map[string]string{"TOPIC": topic, "SASL_PASSWORD": "not-this"}), sink.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := refused.Check(ctx); pipeline.ClassOf(err) != pipeline.Fatal || !contains(err, "refused the login") || contains(err, "not-this") {
		t.Errorf("a wrong password: %v", err)
	}
}
