package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// topics knows which topics there are to read, and how many partitions they have. kafka-go has a watcher of
// its own, which is not used: it asks brokers to create what is missing, and while a topic is missing it
// ends generation after generation without a pause.
type topics struct {
	src     *Source
	pattern *regexp.Regexp
	// known are the partitions of the topics that are read.
	known map[string]int
	// gone counts the looks in a row in which a known topic was missing.
	gone int
}

// topicsKey is the health entry for missing topics, brokersKey the one for brokers that do not answer.
const (
	topicsKey  = "topics"
	brokersKey = "brokers"
)

// goneLooks is how many looks have to agree that a topic is gone: brokers that start know none.
const goneLooks = 2

func newTopics(s *Source) (*topics, error) {
	pattern, err := s.cfg.topicsPattern()
	return &topics{src: s, pattern: pattern}, err
}

// await waits until there is a topic to read, and returns those there are. It returns an error after the
// brokers refused us several times in a row, and when ctx ends.
func (t *topics) await(ctx context.Context) ([]string, error) {
	s := t.src
	refused := 0
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		found, err := t.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			err = kafkaconn.Advise(err)
			s.health.Note(brokersKey, err, true)
			s.throttle.Log(slog.LevelError, brokersKey, "the Kafka brokers cannot be used, trying again", "source", s.name, "error", err)
			if !kafkaconn.Refused(err) {
				refused = 0
			} else if refused++; refused >= s.tuning.refusals {
				return nil, err
			}
			s.transport.CloseIdleConnections() // it keeps an error as long as metadata
		default:
			s.health.Clear(brokersKey)
			if len(found) > 0 {
				t.known, t.gone = found, 0
				return slices.Sorted(maps.Keys(found)), nil
			}
		}
		if !pipeline.Sleep(ctx, min(pause, s.tuning.watch)) {
			return nil, ctx.Err()
		}
	}
}

// changed tells whether there is something else to read than what await found: other partitions, or even
// others topics.
func (t *topics) changed(ctx context.Context) (changed, others bool) {
	found, err := t.look(ctx)
	if err != nil {
		return false, false // reading fails as well then, and reports it
	}
	missing := false
	for name := range t.known {
		if _, ok := found[name]; !ok {
			missing = true
		}
	}
	if t.gone++; !missing {
		t.gone = 0
	} else if t.gone < goneLooks {
		return false, false
	}
	if maps.Equal(found, t.known) {
		return false, false
	}
	others = !slices.Equal(slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(t.known)))
	t.known = found
	return true, others
}

// look asks for the topics to read that exist, and complains about those that do not.
func (t *topics) look(ctx context.Context) (map[string]int, error) {
	seen, err := t.ask(ctx)
	if err != nil {
		return nil, err
	}
	t.complain(seen)
	return seen.found, nil
}

// sight is what the brokers say about the topics to read.
type sight struct {
	found               map[string]int   // topics and their partitions
	missing, leaderless []string         // topics that are not there, or not now
	refused             map[string]error // topics that the login may not see
}

// ask asks for the topics to read.
func (t *topics) ask(ctx context.Context) (*sight, error) {
	s := t.src
	ctx, cancel := context.WithTimeout(ctx, s.tuning.patience)
	defer cancel()
	client := kafka.Client{Addr: s.conn.Addr(), Transport: s.transport}
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: s.cfg.Topics})
	if err != nil {
		return nil, err
	}
	seen := &sight{found: make(map[string]int), refused: make(map[string]error)}
	for _, topic := range res.Topics {
		switch {
		case t.pattern != nil && (topic.Internal || !t.pattern.MatchString(topic.Name)):
		case topic.Error == nil && len(topic.Partitions) > 0:
			seen.found[topic.Name] = len(topic.Partitions)
		case errors.Is(topic.Error, kafka.UnknownTopicOrPartition):
			seen.missing = append(seen.missing, topic.Name)
		case kafkaconn.Refused(topic.Error):
			seen.refused[topic.Name] = s.terms.rightOnTopic(topic.Error, topic.Name)
		case t.known[topic.Name] > 0: // for now without a leader, say
			seen.found[topic.Name] = t.known[topic.Name]
		default:
			seen.leaderless = append(seen.leaderless, topic.Name)
		}
	}
	return seen, nil
}

// trouble is what is wrong with the topics, nil if nothing is.
func (t *topics) trouble(seen *sight) error {
	terms := &t.src.terms
	switch {
	case len(seen.refused) > 0:
		return seen.refused[slices.Min(slices.Collect(maps.Keys(seen.refused)))]
	case len(seen.missing) > 0:
		return fmt.Errorf("%s %s does not exist on the brokers; %s", terms.Topic, strings.Join(seen.missing, ", "), terms.Create)
	case len(seen.leaderless) > 0:
		return fmt.Errorf("%s %s cannot be read: its partitions have no leader", terms.Topic, strings.Join(seen.leaderless, ", "))
	case len(seen.found) == 0:
		return fmt.Errorf("no topic on the brokers matches TOPICS_REGEXP %s", t.src.cfg.TopicsRegexp)
	}
	return nil
}

func (t *topics) complain(seen *sight) {
	s := t.src
	err := t.trouble(seen)
	if err == nil {
		s.health.Clear(topicsKey)
		return
	}
	s.health.Note(topicsKey, err, true)
	s.throttle.Log(slog.LevelError, topicsKey, s.terms.Topic+"s cannot be read, trying again", "source", s.name, "error", err)
}
