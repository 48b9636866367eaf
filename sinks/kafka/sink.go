package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Sink writes documents to one topic. It implements pipeline.Sink and pipeline.HealthReporter.
type Sink struct {
	cfg       Config
	log       *slog.Logger
	throttle  *pipeline.Throttle
	transport *kafka.Transport
	client    *kafka.Client
	shrinks   bool
	shrunk    prometheus.Counter
	health    atomic.Pointer[error]
}

// Options are what a Sink takes beside its configuration.
type Options struct {
	// DeadLetters says that the documents are dead letters, in the form of pipeline.EncodeDeadLetter. One
	// that is too large for the topic is then stored without its body, which leaves position, reason, hash
	// and length, instead of being refused: a dead letter has nowhere else to go.
	DeadLetters bool
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Documents are never logged.
	Logger *slog.Logger
}

// metadataAge bounds how long a change of leaders goes unnoticed.
const metadataAge = 5 * time.Second

// New makes a sink. It reads the files that cfg names, and connects to nothing: the first Write or Check
// does. Close ends it.
func New(cfg Config, o Options) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	conn, err := kafkaconn.New(cfg.Config, o.Logger)
	if err != nil {
		return nil, err
	}
	s := &Sink{
		cfg: cfg, log: o.Logger, throttle: pipeline.NewThrottle(o.Logger), shrinks: o.DeadLetters,
		transport: conn.Transport(metadataAge, cfg.Topic),
		shrunk: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foretop_kafka_dead_letters_without_body_total", Help: "Dead letters that were stored without their body, which was too large for the topic.",
		}),
	}
	s.client = &kafka.Client{Addr: conn.Addr(), Transport: s.transport}
	if o.Registerer != nil && s.shrinks {
		if err := o.Registerer.Register(s.shrunk); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// MaxInFlight implements pipeline.Sink.
func (s *Sink) MaxInFlight() int { return s.cfg.InFlight }

// Close ends the sink's connections. No Write may be under way.
func (s *Sink) Close(context.Context) error {
	s.transport.CloseIdleConnections()
	return nil
}

// Check says whether documents could be written now: a broker answers, the credentials hold, and the topic
// is there. Its errors are classified as those of Write are.
func (s *Sink) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	_, err := s.partitions(ctx)
	return s.noted(err)
}

// Health is what kept the last Write or Check from succeeding, nil if nothing did or there was none yet.
func (s *Sink) Health() error {
	if p := s.health.Load(); p != nil && pipeline.ClassOf(*p) == pipeline.Fatal {
		return *p
	}
	return nil
}

func (s *Sink) noted(err error) error {
	s.health.Store(&err)
	return err
}

// Write implements pipeline.Sink.
func (s *Sink) Write(ctx context.Context, docs []pipeline.Document) ([]error, error) {
	if len(docs) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	partitions, err := s.partitions(ctx)
	if err != nil {
		return nil, s.noted(err)
	}
	results := make([]error, len(docs))
	shares := make(map[int][]message)
	var murmur kafka.Murmur2Balancer // where Java's producers would put the key
	for i := range docs {
		m, err := s.message(i, &docs[i])
		if err != nil {
			results[i] = err
			continue
		}
		p := murmur.Balance(kafka.Message{Key: m.key}, partitions...)
		shares[p] = append(shares[p], m)
	}
	var sent sync.WaitGroup
	for partition, messages := range shares {
		sent.Go(func() { s.send(ctx, partition, messages, results) })
	}
	sent.Wait()
	if err := nothingThrough(results); err != nil {
		return nil, s.noted(err)
	}
	return results, s.noted(nil)
}

// nothingThrough is the error of a write in which no document has a fate.
func nothingThrough(results []error) error {
	var worst error
	for _, err := range results {
		if err == nil || pipeline.ClassOf(err) == pipeline.Reject {
			return nil
		}
		if worst == nil || pipeline.ClassOf(err) == pipeline.Fatal {
			worst = err
		}
	}
	return worst
}

// partitions lists the partitions of the topic.
func (s *Sink) partitions(ctx context.Context) ([]int, error) {
	res, err := s.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{s.cfg.Topic}})
	if err != nil {
		if ctx.Err() == nil {
			s.transport.CloseIdleConnections() // it keeps an error as long as metadata
		}
		return nil, s.classify(kafkaconn.Advise(err))
	}
	topic := res.Topics[0]
	if topic.Error != nil {
		return nil, s.classify(topic.Error)
	}
	ids := make([]int, len(topic.Partitions))
	for i, p := range topic.Partitions {
		ids[i] = p.ID
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return nil, s.classify(kafka.LeaderNotAvailable)
	}
	return ids, nil
}

// permanent are error codes about the topic that only a human can cure.
var permanent = []kafka.Error{
	kafka.UnknownTopicOrPartition, kafka.InvalidTopic, kafka.UnsupportedForMessageFormat, kafka.InvalidRequiredAcks, kafka.PolicyViolation,
}

// classify says what to do about an error.
func (s *Sink) classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		return pipeline.FatalError(fmt.Errorf("kafka sink: topic %s does not exist on the brokers; create it or fix TOPIC", s.cfg.Topic))
	case kafkaconn.Refused(err), slices.ContainsFunc(permanent, func(code kafka.Error) bool { return errors.Is(err, code) }):
		return pipeline.FatalError(fmt.Errorf("kafka sink, topic %s: %w", s.cfg.Topic, err))
	}
	return fmt.Errorf("kafka sink, topic %s: %w", s.cfg.Topic, err)
}

var (
	_ pipeline.Sink           = (*Sink)(nil)
	_ pipeline.HealthReporter = (*Sink)(nil)
)
