package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Probe implements pipeline.Prober. It looks at the topic and its settings. Whether the credentials may write
// shows with the first document only: Kafka has no way to ask.
func (s *Sink) Probe(ctx context.Context, _ int, report func(pipeline.Check)) []pipeline.Record {
	brokers := "brokers " + strings.Join(s.cfg.Brokers, ", ")
	res, err := s.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{s.cfg.Topic}})
	if err != nil {
		cure, what := kafkaconn.Cure(kafkaconn.Advise(err))
		if cure == "" {
			cure = "start the brokers, open the way to them, or correct BROKERS"
			if kafkaconn.Refused(err) {
				cure = "correct the credentials or the TLS settings"
			}
		}
		report(pipeline.Check{Name: brokers, State: pipeline.CheckFailed, Detail: what.Error(), Fix: cure})
		return nil
	}
	report(pipeline.Check{Name: brokers, Detail: fmt.Sprintf("%d in the cluster", len(res.Brokers))})
	if minimum, ok := s.probeSettings(ctx, report); s.probeTopic(&res.Topics[0], minimum, report) && !ok {
		report(pipeline.Check{
			Name: "topic settings", State: pipeline.CheckWarning, Detail: "the brokers do not show them to these credentials",
			Fix: "grant DescribeConfigs on the topic, or compare its max.message.bytes with MAX_MESSAGE_BYTES by hand",
		})
	}
	return nil
}

// probeTopic says whether all partitions of the topic could be written to, with at least minimum replicas in
// sync.
func (s *Sink) probeTopic(topic *kafka.Topic, minimum int, report func(pipeline.Check)) bool {
	c := pipeline.Check{Name: "topic " + s.cfg.Topic, State: pipeline.CheckFailed}
	defer func() { report(c) }()
	if topic.Error != nil {
		c.Detail, c.Fix = s.classify(topic.Error).Error(), "create the topic, or correct TOPIC"
		if kafkaconn.Refused(topic.Error) {
			c.Fix = "grant Describe and Write on the topic"
		}
		return false
	}
	var leaderless, short []string
	for _, p := range topic.Partitions {
		id := strconv.Itoa(p.ID)
		switch {
		case p.Error != nil && p.Leader.Host == "":
			leaderless = append(leaderless, id)
		case len(p.Isr) < minimum:
			short = append(short, id)
		}
	}
	slices.Sort(leaderless)
	slices.Sort(short)
	switch {
	case len(leaderless) > 0:
		c.Detail, c.Fix = "partitions without a leader: "+strings.Join(leaderless, ", "), "start the brokers that hold them"
	case len(short) > 0:
		c.Detail = fmt.Sprintf("partitions with less than min.insync.replicas=%d replicas in sync: %s", minimum, strings.Join(short, ", "))
		c.Fix = "start the brokers that hold their other replicas"
	default:
		c.State, c.Detail = pipeline.CheckOK, fmt.Sprintf("%d partitions; whether these credentials may write shows with the first document", len(topic.Partitions))
	}
	return true
}

// probeSettings compares the topic's settings with ours. It gives the least number of replicas in sync; ok is
// false where the settings are not shown.
func (s *Sink) probeSettings(ctx context.Context, report func(pipeline.Check)) (minimum int, ok bool) {
	res, err := s.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: s.cfg.Topic, ConfigNames: []string{"max.message.bytes", "min.insync.replicas"},
	}}})
	if err != nil || len(res.Resources) != 1 || res.Resources[0].Error != nil {
		return 0, false
	}
	for _, entry := range res.Resources[0].ConfigEntries {
		value, err := strconv.ParseInt(entry.ConfigValue, 10, 64)
		if err != nil {
			continue
		}
		switch entry.ConfigName {
		case "min.insync.replicas":
			minimum, ok = int(value), true
		case "max.message.bytes":
			ok = true
			if value < int64(s.cfg.MaxMessageBytes) {
				report(pipeline.Check{
					Name: "topic settings", State: pipeline.CheckWarning,
					Detail: fmt.Sprintf("max.message.bytes of the topic is %d, and documents of up to %d bytes are sent: larger ones will be refused", value, int64(s.cfg.MaxMessageBytes)),
					Fix:    fmt.Sprintf("raise max.message.bytes to %d, or lower MAX_MESSAGE_BYTES", int64(s.cfg.MaxMessageBytes)+4096),
				})
			}
		}
	}
	return minimum, ok
}

var _ pipeline.Prober = (*Sink)(nil)
