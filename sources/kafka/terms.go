package kafka

import (
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
)

// Terms are the words in which errors and checks speak to the person who reads them, since not everything that
// speaks Kafka's protocol is known to its users as Kafka.
type Terms struct {
	Topic, Topics string // what a topic is called, and the setting that names topics: "topic", "TOPICS"
	Create        string // what to do about a missing topic
	TopicRight    string // what the login needs to read a topic, as a sentence
	GroupRight    string // what the login needs to use the group
	Empty         string // what to do about topics without records
}

// kafkaTerms are the default.
var kafkaTerms = Terms{
	Topic: "topic", Topics: "TOPICS", Create: "create it or fix TOPICS",
	TopicRight: "the user needs the rights Describe and Read on it",
	GroupRight: "the user needs the right Read on the consumer group",
	Empty:      "if audit logs should be there, look at what ships them",
}

// rightOnTopic says what is missing to read a topic; another error stays as it is.
func (t *Terms) rightOnTopic(err error, topic string) error {
	return fmt.Errorf("%s %s: %w: %s", t.Topic, topic, err, t.TopicRight)
}

// explainJoin adds the cure to errors of the group that have one.
func (s *Source) explainJoin(err error) error {
	cfg := &s.cfg
	switch {
	case errors.Is(err, kafka.InvalidSessionTimeout):
		return fmt.Errorf("%w: the brokers do not allow SESSION_TIMEOUT=%s (group.min.session.timeout.ms and group.max.session.timeout.ms)", err, cfg.SessionTimeout)
	case errors.Is(err, kafka.InconsistentGroupProtocol):
		return fmt.Errorf("%w: something else than Foretop uses the consumer group %s; set GROUP to a name of its own", err, cfg.Group)
	case errors.Is(err, kafka.GroupAuthorizationFailed):
		return fmt.Errorf("%w: %s %s", err, s.terms.GroupRight, cfg.Group)
	case errors.Is(err, kafka.TopicAuthorizationFailed):
		return s.terms.rightOnTopic(err, fmt.Sprint(cfg.Topics))
	}
	return kafkaconn.Advise(err)
}
