//go:build integration

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/integration/bench/traffic"
)

const terminate = syscall.SIGTERM

// server is the address of a test server. Without it the benchmark fails: one that skips itself measures nothing.
func server(b *testing.B, variable string) string {
	b.Helper()
	address := os.Getenv(variable)
	if address == "" {
		b.Fatalf("%s is not set: run the benchmark through integration/services/run", variable)
	}
	return address
}

func elasticsearch(b *testing.B) string {
	b.Helper()
	return server(b, "FORETOP_TEST_ELASTICSEARCH")
}

// topic is one partition of events, one a message, uncompressed.
type topic struct {
	name, broker     string
	events, findings int
	bytes            int64 // as NDJSON
	client           *kafka.Client
}

// Events of each topic: seconds of work for the service, so that its start is a small share, and quickly produced.
var topicEvents = []struct {
	generate func(int) (*traffic.File, error)
	events   int
}{{traffic.Metadata, 250_000}, {traffic.Bodies, 80_000}}

// eachTopic runs one row as a sub-benchmark for each kind of traffic.
func eachTopic(b *testing.B, row func(*testing.B, *topic)) {
	b.Helper()
	for _, k := range topicEvents {
		f, err := k.generate(k.events)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(f.Name, func(b *testing.B) { row(b, topicOf(b, f)) })
	}
}

// topicOf is the topic with a file's events. It is named after them, and produced if the broker does not have it: both
// rows and all rounds share it.
func topicOf(b *testing.B, f *traffic.File) *topic {
	b.Helper()
	sum := fnv.New64a()
	if _, err := f.WriteTo(sum); err != nil {
		b.Fatal(err)
	}
	t := &topic{
		name: fmt.Sprintf("bench-%s-%x", f.Name, sum.Sum64()), broker: server(b, "FORETOP_TEST_KAFKA"),
		events: len(f.Lines), bytes: f.Bytes, findings: findingsOf(b, f),
	}
	t.client = &kafka.Client{Addr: kafka.TCP(t.broker), Transport: &kafka.Transport{}, Timeout: 10 * time.Second}
	switch end, err := t.end(b.Context()); {
	case err == nil && end == int64(t.events):
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		if err := t.produce(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	default:
		b.Fatal(errors.Join(fmt.Errorf("topic %s holds %d of %d messages", t.name, end, t.events), err))
	}
	return t
}

// end is the number of messages, of which none is ever removed.
func (t *topic) end(ctx context.Context) (int64, error) {
	r, err := t.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{t.name: {kafka.LastOffsetOf(0)}}})
	if err != nil {
		return 0, err
	}
	p := r.Topics[t.name][0]
	return p.LastOffset, p.Error
}

// committed is the saved position of a group, -1 if there is none.
func (t *topic) committed(ctx context.Context, group string) (int64, error) {
	r, err := t.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{t.name: {0}}})
	if err != nil {
		return 0, err
	}
	if r.Error != nil {
		return 0, r.Error // the broker still looks for the group's coordinator
	}
	p := r.Topics[t.name][0]
	return p.CommittedOffset, p.Error
}

func (t *topic) produce(ctx context.Context, f *traffic.File) error {
	r, err := t.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: t.name, NumPartitions: 1, ReplicationFactor: 1}}})
	if err = errors.Join(err, r.Errors[t.name]); err != nil {
		return err
	}
	w := &kafka.Writer{
		Addr: t.client.Addr, Topic: t.name, Transport: &kafka.Transport{}, RequiredAcks: kafka.RequireOne,
		BatchSize: 1000, BatchBytes: 900 << 10, BatchTimeout: 5 * time.Millisecond, MaxAttempts: 20,
	}
	const step = 4000
	messages := make([]kafka.Message, 0, step)
	for i, line := range f.Lines {
		messages = append(messages, kafka.Message{Value: line})
		if len(messages) == step || i == len(f.Lines)-1 {
			if err := w.WriteMessages(ctx, messages...); err != nil {
				return errors.Join(err, w.Close())
			}
			messages = messages[:0]
		}
	}
	return w.Close()
}

// cpuOf is the processor time that a running process has used so far, user and system.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may hold anything
	var user, system int64
	var skip string
	if _, err := fmt.Sscan(rest, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &user, &system); err != nil {
		return 0, err
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go runs on under Linux
	return time.Duration(user+system) * tick, nil
}

// eventually repeats check until it returns nil, and fails with its last error after the time given.
func eventually(b *testing.B, within, pause time.Duration, check func(ctx context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), within)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			b.Fatalf("not within %s: %v", within, err)
		case <-time.After(pause):
		}
	}
}

func freePort(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(ctx context.Context, url string) ([]byte, error) { return call(ctx, http.MethodGet, url) }

func call(ctx context.Context, method, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %s", method, url, response.Status, tail(string(body)))
	}
	return body, err
}

// countDocuments is the number of documents in a data stream.
func countDocuments(ctx context.Context, address, stream string) (int64, error) {
	if _, err := call(ctx, http.MethodPost, address+"/"+stream+"/_refresh"); err != nil {
		return 0, err
	}
	body, err := get(ctx, address+"/"+stream+"/_count")
	if err != nil {
		return 0, err
	}
	var answer struct{ Count int64 }
	err = json.Unmarshal(body, &answer)
	return answer.Count, err
}

// dropStreams removes the data streams of a namespace.
func dropStreams(b *testing.B, namespace string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the benchmark's own context has ended
	defer cancel()
	if _, err := call(ctx, http.MethodDelete, elasticsearch(b)+"/_data_stream/logs-foretop.*-"+namespace); err != nil {
		b.Error(err)
	}
}
