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

// Config is what the environment says about one Kafka source.
type Config struct {
	kafkaconn.Config

	Topics       []string `envconfig:"TOPICS" desc:"topics to read, separated by commas"`
	TopicsRegexp string   `envconfig:"TOPICS_REGEXP" desc:"instead of TOPICS: a regular expression that the whole name of a topic must match; new topics are found while running"`
	Group        string   `envconfig:"GROUP" default:"foretop" desc:"consumer group; the replicas of one installation share one, and nothing else may use it"`
	Start        string   `envconfig:"START" default:"earliest" desc:"where to begin in a partition without a saved position: earliest, or latest to skip what is there already"`
	Isolation    string   `envconfig:"ISOLATION" default:"read_uncommitted" desc:"read_uncommitted delivers every record; read_committed waits for open transactions and leaves out the records of aborted ones"`

	Limits
}

// Limits are the times and sizes of a consumer, whatever its brokers are called.
type Limits struct {
	SessionTimeout    time.Duration `envconfig:"SESSION_TIMEOUT" default:"30s" desc:"time after which the brokers give the partitions of a silent replica to the others"`
	RebalanceTimeout  time.Duration `envconfig:"REBALANCE_TIMEOUT" default:"60s" desc:"time that the brokers wait for all replicas when partitions are shared out anew"`
	HeartbeatInterval time.Duration `envconfig:"HEARTBEAT_INTERVAL" default:"3s" desc:"time between two signs of life to the brokers; at most a third of SESSION_TIMEOUT"`
	DrainTimeout      time.Duration `envconfig:"DRAIN_TIMEOUT" desc:"time to finish what was read of a partition before it is given up; default is half of the smaller of SESSION_TIMEOUT and REBALANCE_TIMEOUT"`
	CommitInterval    time.Duration `envconfig:"COMMIT_INTERVAL" default:"1s" desc:"time between two savings of positions"`

	FetchMaxWait   time.Duration `envconfig:"FETCH_MAX_WAIT" default:"500ms" desc:"time that a broker may wait for FETCH_MIN_BYTES"`
	FetchMinBytes  config.Bytes  `envconfig:"FETCH_MIN_BYTES" default:"1B" desc:"size that an answer of a broker should have at least"`
	FetchMaxBytes  config.Bytes  `envconfig:"FETCH_MAX_BYTES" default:"4MiB" desc:"size that an answer of a broker should have at most; each partition holds one answer in memory"`
	MaxRecordBytes config.Bytes  `envconfig:"MAX_RECORD_BYTES" default:"16MiB" desc:"records are cut at this size, after decompression"`

	BatchRecords int           `envconfig:"BATCH_RECORDS" default:"500" desc:"records that are handed on together, at most"`
	BatchBytes   config.Bytes  `envconfig:"BATCH_BYTES" default:"1MiB" desc:"size of records that are handed on together, at most, unless one alone is larger"`
	BatchDelay   time.Duration `envconfig:"BATCH_DELAY" default:"200ms" desc:"time that a record may wait for others to be handed on with"`
	MaxUnsettled int           `envconfig:"MAX_UNSETTLED" default:"10000" desc:"records of one partition that may be read beyond the saved position; they are read again after a crash"`
	StallTimeout time.Duration `envconfig:"STALL_TIMEOUT" default:"60s" desc:"time without progress in a partition with records to read after which its connections are made anew"`
}

// Values of Start.
const (
	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// Values of Isolation.
const (
	ReadCommitted   = "read_committed"
	ReadUncommitted = "read_uncommitted"
)

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Validate says everything that is wrong, by the names of the settings.
func (c *Config) Validate() error {
	problems := []error{c.Config.Validate()}
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject((len(c.Topics) == 0) == (c.TopicsRegexp == ""), "set TOPICS or TOPICS_REGEXP, one of the two")
	for _, t := range c.Topics {
		reject(!topicName.MatchString(t), "TOPICS: %q is no name that Kafka allows", t)
	}
	if _, err := c.topicsPattern(); err != nil {
		reject(true, "TOPICS_REGEXP: %w", err)
	}
	reject(c.Group == "", "GROUP is empty")
	reject(c.Start != StartEarliest && c.Start != StartLatest, "START knows no %q: write earliest or latest", c.Start)
	reject(c.Isolation != ReadCommitted && c.Isolation != ReadUncommitted,
		"ISOLATION knows no %q: write read_committed or read_uncommitted", c.Isolation)
	return errors.Join(append(problems, c.Limits.Validate())...)
}

// Validate says everything that is wrong, by the names of the settings.
func (c *Limits) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	c.validateTimes(reject)
	c.validateSizes(reject)
	return errors.Join(problems...)
}

func (c *Limits) validateTimes(reject func(bad bool, format string, args ...any)) {
	for name, d := range map[string]time.Duration{
		"SESSION_TIMEOUT": c.SessionTimeout, "REBALANCE_TIMEOUT": c.RebalanceTimeout,
		"HEARTBEAT_INTERVAL": c.HeartbeatInterval, "COMMIT_INTERVAL": c.CommitInterval,
		"STALL_TIMEOUT": c.StallTimeout,
	} {
		reject(d < time.Millisecond || d > 24*time.Hour, "%s must be between 1ms and 24h", name)
	}
	reject(c.HeartbeatInterval > c.SessionTimeout/3, "HEARTBEAT_INTERVAL must be at most a third of SESSION_TIMEOUT")
	reject(c.DrainTimeout < 0, "DRAIN_TIMEOUT must not be negative")
	// No heartbeat is sent while a generation drains, and the coordinator waits for us no longer than this.
	fits := min(c.SessionTimeout, c.RebalanceTimeout) - c.HeartbeatInterval
	reject(c.DrainTimeout > fits, "DRAIN_TIMEOUT must be at most %s: the smaller of SESSION_TIMEOUT and REBALANCE_TIMEOUT, less one HEARTBEAT_INTERVAL", fits)
	reject(c.FetchMaxWait < 10*time.Millisecond || c.FetchMaxWait > time.Minute, "FETCH_MAX_WAIT must be between 10ms and 1m")
	reject(c.BatchDelay < 0 || c.BatchDelay > time.Minute, "BATCH_DELAY must be between 0s and 1m")
}

func (c *Limits) validateSizes(reject func(bad bool, format string, args ...any)) {
	reject(c.FetchMinBytes < 1 || c.FetchMinBytes > c.FetchMaxBytes, "FETCH_MIN_BYTES must be between 1 and FETCH_MAX_BYTES")
	reject(c.FetchMaxBytes > maxResponse/2, "FETCH_MAX_BYTES must be at most %s", config.Bytes(maxResponse/2))
	reject(c.MaxRecordBytes < 1024 || c.MaxRecordBytes > maxResponse, "MAX_RECORD_BYTES must be between 1KiB and %s", config.Bytes(maxResponse))
	reject(c.BatchBytes < 1, "BATCH_BYTES must be more than 0")
	reject(c.BatchRecords < 1 || c.BatchRecords > 100_000, "BATCH_RECORDS must be between 1 and 100000")
	reject(c.MaxUnsettled < c.BatchRecords, "MAX_UNSETTLED must be at least BATCH_RECORDS")
}

// drainLimit is the time that a generation may take to end.
func (c *Limits) drainLimit() time.Duration {
	if c.DrainTimeout > 0 {
		return c.DrainTimeout
	}
	return min(c.SessionTimeout, c.RebalanceTimeout) / 2
}

// topicsPattern matches whole names; nil without TOPICS_REGEXP.
func (c *Config) topicsPattern() (*regexp.Regexp, error) {
	if c.TopicsRegexp == "" {
		return nil, nil
	}
	return regexp.Compile(`^(?:` + c.TopicsRegexp + `)$`)
}

func (c *Config) startOffset() int64 {
	if c.Start == StartLatest {
		return kafka.LastOffset
	}
	return kafka.FirstOffset
}

func (c *Config) isolation() kafka.IsolationLevel {
	if c.Isolation == ReadUncommitted {
		return kafka.ReadUncommitted
	}
	return kafka.ReadCommitted
}
