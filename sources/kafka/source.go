package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Options are what a Source takes beside its configuration.
type Options struct {
	// Name of the source in logs and metrics; "kafka" by default.
	Name string
	// NeedMeta names what records must say beside their body: "key", "header.<name>". The topic is always
	// there. Each record then has a map of its own, which costs.
	NeedMeta []string
	// Terms are the words of errors and checks; Kafka's own by default.
	Terms *Terms
	// History, if not nil, makes a source that reads what the brokers hold, outside of any group, and ends.
	History *pipeline.History
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Records are never logged.
	Logger *slog.Logger
}

// Source reads topics as a member of a consumer group, or what they hold of a time. It implements
// pipeline.Source, pipeline.HealthReporter and pipeline.Prober. Run may be called once.
type Source struct {
	cfg      Config
	name     string
	needMeta []string
	terms    Terms
	history  *pipeline.History
	log      *slog.Logger
	throttle *pipeline.Throttle
	metrics  *metrics
	health   pipeline.Troubles
	tuning   tuning

	conn      *kafkaconn.Connector
	sockets   *sockets
	transport *kafka.Transport
	topics    *topics

	mu         sync.Mutex
	partitions []*partition
	forgotten  time.Time // when forgetLeaders did something last
}

// tuning are times and counts that only tests change.
type tuning struct {
	patience       time.Duration // for an answer of a broker, beyond what it was told to wait
	watch          time.Duration // between two looks at ends, stalls and topics
	redelivery     time.Duration // before a batch that was given back is read again, at first
	beyondAnswers  int           // before a position beyond the end is believed
	beyondPause    time.Duration
	damageAttempts int           // before a batch counts as unreadable
	rejoin         time.Duration // after an error of the group
	refusals       int           // in a row before Run gives up
	leave          time.Duration // to leave the group
}

var defaultTuning = tuning{
	patience: 30 * time.Second, watch: 10 * time.Second, redelivery: time.Second,
	beyondAnswers: 3, beyondPause: time.Second, damageAttempts: 3,
	rejoin: 2 * time.Second, refusals: 4, leave: 5 * time.Second,
}

// metadataAge bounds how long new topics and partitions go unnoticed beside tuning.watch. A leader that moved is
// looked up at once.
const metadataAge = 5 * time.Second

// New makes a source. It reads the files that cfg names, and connects to nothing.
func New(cfg Config, o Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "kafka"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Terms == nil {
		o.Terms = &kafkaTerms
	}
	conn, err := kafkaconn.New(cfg.Config, o.Logger)
	if err != nil {
		return nil, err
	}
	s := &Source{
		cfg: cfg, name: o.Name, needMeta: o.NeedMeta, terms: *o.Terms, history: o.History, log: o.Logger, throttle: pipeline.NewThrottle(o.Logger),
		tuning: defaultTuning, conn: conn, sockets: newSockets(conn.Dial),
		// Only topics that are named need their metadata; a pattern needs all of them.
		transport: conn.Transport(metadataAge, cfg.Topics...),
	}
	s.transport.Dial = s.sockets.dial
	if s.topics, err = newTopics(s); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s)
	if err := s.metrics.register(o.Registerer, o.Name); err != nil {
		return nil, fmt.Errorf("kafka source %s: %w", o.Name, err)
	}
	return s, nil
}

// Run implements pipeline.Source. It returns an error when the brokers refuse credentials, permissions or
// settings several times in a row; reading history, also when the topics cannot be found out about.
func (s *Source) Run(ctx context.Context, emit pipeline.Emit) error {
	defer s.sockets.shut()
	defer s.transport.CloseIdleConnections()
	if s.history != nil {
		if err := s.readHistory(ctx, *s.history, emit); err != nil && ctx.Err() == nil {
			return fmt.Errorf("kafka source %s: %w", s.name, err)
		}
		return nil
	}
	for {
		names, err := s.topics.await(ctx)
		if err == nil {
			err = s.consume(ctx, names, emit)
		}
		if ctx.Err() != nil {
			return nil // what an ending Run runs into is no error
		}
		if err != nil {
			return fmt.Errorf("kafka source %s: %w", s.name, err)
		}
	}
}

// forgetLeaders makes the next request ask for metadata, at most twice a second. What is under way goes on.
func (s *Source) forgetLeaders() {
	s.mu.Lock()
	soon := time.Since(s.forgotten) < 500*time.Millisecond
	if !soon {
		s.forgotten = time.Now()
	}
	s.mu.Unlock()
	if !soon {
		s.transport.CloseIdleConnections()
	}
}

// Health is nil while all is well, and else what is wrong.
func (s *Source) Health() error { return s.health.Err(time.Now()) }

func (s *Source) setAssigned(partitions []*partition) {
	s.mu.Lock()
	for _, p := range s.partitions {
		s.health.Clear(p.stream)
	}
	s.partitions = partitions
	s.mu.Unlock()
}

func (s *Source) assigned() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions
}

var (
	_ pipeline.Source         = (*Source)(nil)
	_ pipeline.HealthReporter = (*Source)(nil)
	_ pipeline.Prober         = (*Source)(nil)
)
