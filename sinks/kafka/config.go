// Package kafka writes documents to a Kafka topic: findings for others to read, or dead letters.
//
// The key of a message is the document's id, so that a topic with compaction keeps each document once, and a
// reader can tell repetitions: a write whose answer was lost is done again. Messages are acknowledged by all
// replicas in sync.
//
// Requests go through kafka-go's Client, not its Writer. That one gives all documents of a request the fate of
// the worst, waits for more documents before it sends any, retries in the background, and goes on reading
// documents after a call whose context has ended.
package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/kafkaconn"
)

// Config is what the environment says about a Kafka sink.
type Config struct {
	kafkaconn.Config

	Topic           string        `envconfig:"TOPIC" required:"true" desc:"topic to write to; it has to exist"`
	Compression     string        `envconfig:"COMPRESSION" default:"none" desc:"compression of messages: none, gzip, snappy, lz4 or zstd"`
	MaxMessageBytes config.Bytes  `envconfig:"MAX_MESSAGE_BYTES" default:"1000KiB" desc:"largest document to send; not more than max.message.bytes of the topic, whose default is a little above"`
	WriteTimeout    time.Duration `envconfig:"WRITE_TIMEOUT" default:"30s" desc:"time limit for one write, until all replicas in sync have it"`
	InFlight        int           `envconfig:"IN_FLIGHT" default:"4" desc:"writes at a time"`
}

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

var compressions = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// Validate says everything that is wrong, by the names of the settings.
func (c *Config) Validate() error {
	problems := []error{c.Config.Validate()}
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject(!topicName.MatchString(c.Topic), "TOPIC: %q is no name that Kafka allows", c.Topic)
	_, known := compressions[c.Compression]
	reject(!known, "COMPRESSION knows no %q: write none, gzip, snappy, lz4 or zstd", c.Compression)
	reject(c.MaxMessageBytes < 10<<10 || c.MaxMessageBytes > 1<<30, "MAX_MESSAGE_BYTES must be between 10KiB and 1GiB")
	reject(c.WriteTimeout < time.Second || c.WriteTimeout > time.Hour, "WRITE_TIMEOUT must be between 1s and 1h")
	reject(c.InFlight < 1 || c.InFlight > 64, "IN_FLIGHT must be between 1 and 64")
	return errors.Join(problems...)
}
