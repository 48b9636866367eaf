package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/pipeline"
)

// message is a document on its way. Its bytes are its own: a request that was given up may go on reading them.
type message struct {
	index      int // of the document
	key, value []byte
	shrunk     bool
}

// overhead is what a record batch adds to a message, generously.
const overhead = 256

// maxMessages bounds one request.
const maxMessages = 10_000

func (m *message) size() int { return len(m.key) + len(m.value) + overhead }

var errTooLarge = errors.New("the document is larger than the topic takes: raise max.message.bytes of the topic, and MAX_MESSAGE_BYTES with it")

// message copies a document. One that does not fit is shrunk if it may be, else rejected.
func (s *Sink) message(index int, doc *pipeline.Document) (message, error) {
	m := message{index: index, key: []byte(doc.ID), value: bytes.Clone(doc.Body)}
	if m.size() <= int(s.cfg.MaxMessageBytes) || s.shrink(&m) {
		return m, nil
	}
	return m, s.tooLarge(&m)
}

func (s *Sink) tooLarge(m *message) error {
	return pipeline.Rejected(fmt.Errorf("kafka sink, topic %s: %w (%d bytes)", s.cfg.Topic, errTooLarge, len(m.value)))
}

// shrink takes the body out of a dead letter, and reports whether that helped.
func (s *Sink) shrink(m *message) bool {
	if !s.shrinks || m.shrunk {
		return false
	}
	letter, err := pipeline.DecodeDeadLetter(m.value)
	if err != nil {
		return false
	}
	letter.Body = nil
	letter.Detail += "; the body was too large for the Kafka topic of the dead letters and is left out"
	before := len(m.value)
	m.value, m.shrunk = pipeline.EncodeDeadLetter(letter).Body, true
	if m.size() > int(s.cfg.MaxMessageBytes) {
		return false
	}
	s.shrunk.Inc()
	s.throttle.Log(slog.LevelWarn, "shrunk", "a dead letter is too large for its topic and is stored without its body",
		"topic", s.cfg.Topic, "bytes", before, "stream", letter.Origin.Stream, "pos", letter.Origin.Pos)
	return true
}

// send writes messages to a partition and puts their fates into results, which are nil so far.
func (s *Sink) send(ctx context.Context, partition int, messages []message, results []error) {
	for len(messages) > 0 {
		n, size := 0, 0
		for n < len(messages) && n < maxMessages && (n == 0 || size+messages[n].size() <= int(s.cfg.MaxMessageBytes)) {
			size += messages[n].size()
			n++
		}
		s.produce(ctx, partition, messages[:n], results)
		messages = messages[n:]
	}
}

// produce does one request. The broker takes or refuses its messages as a whole; where it is not the whole
// that is at fault, the messages that are get their verdict and the others another request.
func (s *Sink) produce(ctx context.Context, partition int, messages []message, results []error) {
	records := make([]kafka.Record, len(messages))
	for i, m := range messages {
		records[i] = kafka.Record{Key: kafka.NewBytes(m.key), Value: kafka.NewBytes(m.value)}
	}
	res, err := s.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: s.cfg.Topic, Partition: partition, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(records...), Compression: compressions[s.cfg.Compression],
	})
	if err == nil {
		err = res.Error
	}
	switch {
	case err == nil:
	case errors.Is(err, kafka.MessageSizeTooLarge), errors.Is(err, kafka.RecordListTooLarge):
		s.halve(ctx, partition, messages, results)
	case errors.Is(err, kafka.InvalidRecord):
		s.sift(ctx, partition, messages, results, err, res)
	default:
		for _, m := range messages {
			results[m.index] = s.classify(err)
		}
	}
}

// halve sends messages that were too large together in smaller requests.
func (s *Sink) halve(ctx context.Context, partition int, messages []message, results []error) {
	if len(messages) > 1 {
		middle := len(messages) / 2
		s.produce(ctx, partition, messages[:middle], results)
		s.produce(ctx, partition, messages[middle:], results)
		return
	}
	if m := &messages[0]; s.shrink(m) {
		s.produce(ctx, partition, messages, results)
	} else {
		results[m.index] = s.tooLarge(m)
	}
}

// sift rejects the messages that the broker names, and sends the others again without them.
func (s *Sink) sift(ctx context.Context, partition int, messages []message, results []error, err error, res *kafka.ProduceResponse) {
	var others []message
	for i, m := range messages {
		cause, named := res.RecordErrors[i]
		if !named && len(messages) > 1 {
			others = append(others, m)
			continue
		}
		if cause == nil {
			cause = err
		}
		results[m.index] = pipeline.Rejected(fmt.Errorf("kafka sink, topic %s: the broker refuses the message: %w", s.cfg.Topic, cause))
	}
	switch {
	case len(others) == 0:
	case len(others) == len(messages): // it names none
		s.halve(ctx, partition, messages, results)
	default:
		s.produce(ctx, partition, others, results)
	}
}
