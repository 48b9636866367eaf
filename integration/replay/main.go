// Command replay produces a recorded audit log to a Kafka topic with the times moved to now, again and again: the log
// generator of docker-compose.yml. The intervals between the events stay as they were recorded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	brokers := flags.String("brokers", "127.0.0.1:9092", "addresses of Kafka brokers, separated by commas")
	topic := flags.String("topic", "kubernetes-audit", "topic to produce to; it has to exist")
	file := flags.String("file", "", "recorded audit log: one audit.k8s.io/v1 event a line, .gz or plain")
	every := flags.Duration("every", 0, "time between two replays; 0s replays once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	story, err := load(*file)
	if err != nil {
		return fmt.Errorf("reading the recording: %w", err)
	}
	writer := &kafka.Writer{
		Addr:         kafka.TCP(strings.Split(*brokers, ",")...),
		Topic:        *topic,
		Balancer:     &kafka.Hash{},
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 50 * time.Millisecond,
	}
	defer writer.Close()
	for {
		if err := produce(ctx, writer, story.endingAt(time.Now())); err != nil {
			return fmt.Errorf("producing to %s on %s: %w", *topic, *brokers, err)
		}
		fmt.Printf("produced %d events to %s\n", len(story), *topic)
		if *every <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(*every):
		}
	}
}

// produce keys each event by its request, so that the stages of one request stay in order on one partition.
func produce(ctx context.Context, writer *kafka.Writer, events []event) error {
	messages := make([]kafka.Message, 0, len(events))
	for _, e := range events {
		body, err := e.encode()
		if err != nil {
			return err
		}
		messages = append(messages, kafka.Message{Key: []byte(e.request), Value: body})
	}
	return writer.WriteMessages(ctx, messages...)
}
