//go:build integration

package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	promiseTopic      = "audit-promise"
	promisePartitions = 4
	promiseCopies     = 10 // of the story's two thousand events
	promiseJunk       = 40 // records that are no events
)

// promise is a broker and an Elasticsearch of its own, which the test restarts, and the processes under test.
type promise struct {
	dir, foretop  string
	topic, stream string // what is read, and the data stream of the findings
	kafka, search string // addresses
	records       [][]byte
	want          []string // event ids that a scan of the same events gives, sorted
}

// TestEveryFindingIsStoredOnceWhateverHappens kills one of two processes, restarts the broker and Elasticsearch and
// rolls the data stream over while recorded events arrive, and replays everything at the end.
func TestEveryFindingIsStoredOnceWhateverHappens(t *testing.T) {
	p := newPromise(t)
	third := len(p.records) / 3
	first, second := p.service(t, "first", "foretop"), p.service(t, "second", "foretop")
	p.produce(t, p.records[:third])
	p.stores(t, 1)

	p.stop(t, "elasticsearch")
	p.produce(t, p.records[third:2*third])
	victim := p.unsettled(t, first, second)
	victim.kill(t)
	p.stop(t, "kafka")
	p.start(t, "kafka")
	p.start(t, "elasticsearch")
	p.post(t, "/logs-foretop.findings-default/_rollover", "")
	successor := p.service(t, "successor", "foretop")
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		if n, err := successor.metric(ctx, "foretop_source_partitions", ""); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("it has %.0f partitions", n), err)
		}
		return nil
	})
	p.produce(t, p.records[2*third:])

	services := slices.DeleteFunc([]*service{first, second, successor}, func(s *service) bool { return s == victim })
	p.caughtUp(t, "foretop", services)
	p.exactlyOnce(t)
	for _, s := range services {
		s.balance(t)
	}

	replay := p.service(t, "replay", "replay")
	p.caughtUp(t, "replay", []*service{replay})
	p.exactlyOnce(t)
	replay.balance(t)
	if n := replay.deadLetters(t); n != promiseJunk {
		t.Errorf("%d dead letters of a whole replay, want %d", n, promiseJunk)
	}
	p.aggregates(t)
}

func newPromise(t *testing.T) *promise {
	t.Helper()
	p := &promise{dir: t.TempDir(), topic: promiseTopic, stream: "logs-foretop.findings-default", foretop: buildBinary(t, "./cmd/foretop")}
	p.start(t, "kafka")
	p.start(t, "elasticsearch")
	t.Cleanup(func() { p.stop(t, "elasticsearch"); p.stop(t, "kafka") })
	start(t, "setup", environment(map[string]string{"FORETOP_ELASTICSEARCH_ADDRESSES": p.search}), p.foretop, "setup", "elasticsearch").succeed(t, time.Minute)
	admin := &kafka.Client{Addr: kafka.TCP(p.kafka)}
	eventually(t, time.Minute, func(ctx context.Context) error {
		r, err := admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: promiseTopic, NumPartitions: promisePartitions, ReplicationFactor: 1}}})
		if err == nil {
			err = r.Errors[promiseTopic]
		}
		return err
	})
	events := grownStory(t)
	p.records = inShippersForms(t, events)
	p.want = p.scanned(t, "promise", events)
	t.Logf("%d events in %d records, %d findings", len(events), len(p.records), len(p.want))
	return p
}

var setting = regexp.MustCompile(`(?m)^export (\w+)='?([^'\n]*)'?$`)

// start starts a server, or starts it again with its data and its address.
func (p *promise) start(t *testing.T, name string) {
	t.Helper()
	start(t, name, environment(nil), "services/"+name, "start", filepath.Join(p.dir, name)).succeed(t, 4*time.Minute)
	out := start(t, name, environment(nil), "services/"+name, "env", filepath.Join(p.dir, name)).succeed(t, time.Minute)
	for _, m := range setting.FindAllStringSubmatch(out, -1) {
		switch m[1] {
		case "FORETOP_TEST_KAFKA":
			p.kafka = m[2]
		case "FORETOP_TEST_ELASTICSEARCH":
			p.search = m[2]
		}
	}
}

func (p *promise) stop(t *testing.T, name string) {
	t.Helper()
	start(t, "stop "+name, environment(nil), "services/"+name, "stop", filepath.Join(p.dir, name)).succeed(t, 2*time.Minute)
}

var auditID = regexp.MustCompile(`"auditID":"([0-9a-f]{8})`)

// grownStory is the recorded story several times over, each time under audit ids of its own.
func grownStory(t *testing.T) [][]byte {
	t.Helper()
	f, err := os.Open(storyFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(all), []byte{'\n'})
	grown := make([][]byte, 0, promiseCopies*len(lines))
	for n := range promiseCopies {
		for _, line := range lines {
			grown = append(grown, auditID.ReplaceAll(line, fmt.Appendf(nil, `"auditID":"%02x$1`, n)))
		}
	}
	return grown
}

// inShippersForms wraps the events as shippers do, each form in turn, and puts junk and tombstones between them.
func inShippersForms(t *testing.T, events [][]byte) [][]byte {
	t.Helper()
	object := func(v map[string]any) []byte {
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	forms := []func([]byte) []byte{
		func(e []byte) []byte { return e },
		func(e []byte) []byte {
			return object(map[string]any{"@timestamp": 1772619320.5, "log": string(e) + "\n"})
		},
		func(e []byte) []byte {
			return object(map[string]any{"@timestamp": "2026-03-04T10:15:20.151Z", "message": string(e), "log": map[string]any{"offset": 1}})
		},
		func(e []byte) []byte {
			return object(map[string]any{"message": string(e), "file": "/var/log/a", "source_type": "file"})
		},
		func(e []byte) []byte {
			return object(map[string]any{"message": string(e), "event": map[string]any{"original": string(e)}, "@version": "1"})
		},
		func(e []byte) []byte { return append([]byte("2026-03-04T10:15:20.151Z cp1 "), e...) },
		func(e []byte) []byte {
			return slices.Concat([]byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[`), e, []byte("]}"))
		},
	}
	var records [][]byte
	for i, e := range events {
		records = append(records, forms[i%len(forms)](e))
		if i%(len(events)/promiseJunk) == 0 && i/(len(events)/promiseJunk) < promiseJunk {
			records = append(records, fmt.Appendf(nil, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"%d","level":`, i), nil)
		}
	}
	return records
}

// scanned are the ids of the findings that `foretop scan` prints for the events, sorted.
func (p *promise) scanned(t *testing.T, cluster string, events [][]byte) []string {
	t.Helper()
	file := filepath.Join(p.dir, "events.ndjson")
	if err := os.WriteFile(file, append(bytes.Join(events, []byte{'\n'}), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	out := start(t, "scan", environment(nil), p.foretop, "scan", "--output", "ndjson", "--cluster", cluster, file).succeed(t, 2*time.Minute)
	var ids []string
	for line := range strings.Lines(out) {
		var f struct{ Event struct{ ID string } }
		if json.Unmarshal([]byte(line), &f) == nil && f.Event.ID != "" {
			ids = append(ids, f.Event.ID)
		}
	}
	slices.Sort(ids)
	if len(ids) < 100 || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Fatalf("the scan printed %d findings, some perhaps twice", len(ids))
	}
	return ids
}

func (p *promise) produce(t *testing.T, records [][]byte) {
	t.Helper()
	w := &kafka.Writer{Addr: kafka.TCP(p.kafka), Topic: p.topic, Balancer: &kafka.RoundRobin{}, RequiredAcks: kafka.RequireAll, BatchTimeout: 20 * time.Millisecond, MaxAttempts: 20}
	defer w.Close()
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: []byte(strconv.Itoa(i)), Value: r}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.WriteMessages(ctx, messages...); err != nil {
		t.Fatalf("producing: %v", err)
	}
}

// service is one `foretop run`.
type service struct {
	*process
	admin, state string
}

func (p *promise) service(t *testing.T, name, group string) *service {
	t.Helper()
	s := &service{admin: freePort(t), state: t.TempDir()}
	s.process = start(t, name, environment(map[string]string{
		"FORETOP_KAFKA_BROKERS": p.kafka, "FORETOP_KAFKA_TOPICS": promiseTopic, "FORETOP_KAFKA_GROUP": group,
		"FORETOP_KAFKA_SESSION_TIMEOUT": "10s", "FORETOP_KAFKA_REBALANCE_TIMEOUT": "10s", "FORETOP_KAFKA_HEARTBEAT_INTERVAL": "1s",
		"FORETOP_ELASTICSEARCH_ADDRESSES": p.search, "FORETOP_CLUSTER_NAME": "promise",
		"FORETOP_ADMIN_ADDRESS": s.admin, "FORETOP_STATE_DIR": s.state, "FORETOP_LOG_FORMAT": "json",
	}), p.foretop, "run")
	return s
}

func (s *service) kill(t *testing.T) {
	t.Helper()
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
}

// metric sums the samples of a metric whose labels contain part.
func (s *service) metric(ctx context.Context, name, part string) (float64, error) {
	page, err := get(ctx, "http://"+s.admin+"/metrics")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range strings.Lines(page) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(sample, name+"{") || !strings.Contains(sample, part) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", line, err)
		}
		sum += n
	}
	return sum, nil
}

// unsettled waits until a process has read records that it has neither settled nor committed, and gives it: to kill
// one without would prove nothing.
func (p *promise) unsettled(t *testing.T, services ...*service) *service {
	t.Helper()
	var victim *service
	eventually(t, time.Minute, func(ctx context.Context) error {
		for _, s := range services {
			open, err := s.metric(ctx, "foretop_unsettled_positions", "")
			if err != nil {
				return err
			}
			inflight, err := s.metric(ctx, "foretop_items_inflight", "")
			if err != nil {
				return err
			}
			if open > 0 && inflight > 0 {
				victim = s
				t.Logf("%s has %.0f positions unsettled when it is killed", s.name, open)
				return nil
			}
		}
		return fmt.Errorf("no process has work in flight")
	})
	return victim
}

// caughtUp waits until the group's committed offsets are the ends of the partitions.
func (p *promise) caughtUp(t *testing.T, group string, services []*service) {
	t.Helper()
	client := &kafka.Client{Addr: kafka.TCP(p.kafka)}
	eventually(t, 3*time.Minute, func(ctx context.Context) error {
		for _, s := range services {
			s.running(t)
		}
		partitions := []int{0, 1, 2, 3}
		var ends []kafka.OffsetRequest
		for _, n := range partitions {
			ends = append(ends, kafka.LastOffsetOf(n))
		}
		offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{p.topic: ends}})
		if err != nil {
			return err
		}
		committed, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{p.topic: partitions}})
		if err != nil {
			return err
		}
		for _, end := range offsets.Topics[p.topic] {
			for _, c := range committed.Topics[p.topic] {
				if c.Partition == end.Partition && c.CommittedOffset != end.LastOffset {
					return fmt.Errorf("partition %d is committed up to %d of %d", c.Partition, c.CommittedOffset, end.LastOffset)
				}
			}
		}
		if len(committed.Topics[p.topic]) != promisePartitions {
			return fmt.Errorf("%d partitions are committed", len(committed.Topics[p.topic]))
		}
		return nil
	})
}

// exactlyOnce compares what is stored with what the scan printed.
func (p *promise) exactlyOnce(t *testing.T) {
	t.Helper()
	got := p.ids(t)
	if slices.Equal(got, p.want) {
		return
	}
	count := map[string]int{}
	for _, id := range got {
		count[id]++
	}
	missing, twice := 0, 0
	for _, id := range p.want {
		if count[id] == 0 {
			missing++
		}
	}
	for id := range maps.Keys(count) {
		if count[id] > 1 {
			twice++
		}
	}
	t.Errorf("%d findings are stored, want %d: %d are missing, %d are there more than once", len(got), len(p.want), missing, twice)
}

// ids are the event ids of all documents of the data stream, over all its backing indices, sorted.
func (p *promise) ids(t *testing.T) []string {
	t.Helper()
	p.post(t, "/"+p.stream+"/_refresh", "")
	var ids []string
	after := ""
	for {
		body := p.post(t, "/"+p.stream+"/_search", fmt.Sprintf(`{"size":5000,"_source":["event.id"],"sort":[{"event.id":"asc"},{"_index":"asc"}]%s}`, after))
		var answer struct {
			Hits struct {
				Hits []struct {
					Source struct{ Event struct{ ID string } } `json:"_source"`
					Sort   []any
				}
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		hits := answer.Hits.Hits
		if len(hits) == 0 {
			return ids
		}
		for _, h := range hits {
			ids = append(ids, h.Source.Event.ID)
		}
		last, err := json.Marshal(hits[len(hits)-1].Sort)
		if err != nil {
			t.Fatal(err)
		}
		after = `,"search_after":` + string(last)
	}
}

// stores waits until some findings are stored.
func (p *promise) stores(t *testing.T, least int) {
	t.Helper()
	eventually(t, time.Minute, func(context.Context) error {
		if n := len(p.ids(t)); n < least {
			return fmt.Errorf("%d findings are stored", n)
		}
		return nil
	})
}

func (p *promise) post(t *testing.T, path, body string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.search+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", path, response.Status, answer, err)
	}
	return answer
}

// balance checks the conservation law on a process that has nothing in flight, and ends it cleanly.
func (s *service) balance(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		if n, err := s.metric(ctx, "foretop_records_inflight", ""); err != nil || n != 0 {
			return errors.Join(fmt.Errorf("%.0f records in flight", n), err)
		}
		return nil
	})
	read, err := s.metric(t.Context(), "foretop_records_total", "")
	if err != nil {
		t.Fatal(err)
	}
	settled, err := s.metric(t.Context(), "foretop_records_settled_total", "")
	if err != nil {
		t.Fatal(err)
	}
	returned, err := s.metric(t.Context(), "foretop_records_returned_total", "")
	if err != nil {
		t.Fatal(err)
	}
	if read == 0 || read != settled+returned {
		t.Errorf("%s read %.0f records and settled %.0f, gave back %.0f", s.name, read, settled, returned)
	}
	s.terminate(t, 40*time.Second)
	if strings.Contains(s.out.String(), "the balance is wrong") {
		t.Errorf("%s: the items do not add up:\n%s", s.name, s.out.tail())
	}
}

func (s *service) deadLetters(t *testing.T) int {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(s.state, "dead-letters.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(body, []byte{'\n'})
}

// aggregates checks that the fields of the dashboards can be counted by.
func (p *promise) aggregates(t *testing.T) {
	t.Helper()
	body := p.post(t, "/"+p.stream+"/_search", `{"size":0,"aggs":{
		"rule":{"terms":{"field":"rule.name","size":1000}},"user":{"terms":{"field":"user.name","size":1000}},
		"ip":{"terms":{"field":"source.ip","size":1000}},"time":{"date_histogram":{"field":"@timestamp","fixed_interval":"1m"}}}}`)
	var answer struct {
		Aggregations map[string]struct {
			Buckets []struct {
				Count int `json:"doc_count"`
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rule", "user", "ip", "time"} {
		sum := 0
		for _, b := range answer.Aggregations[name].Buckets {
			sum += b.Count
		}
		if sum != len(p.want) {
			t.Errorf("the aggregation by %s counts %d of %d findings", name, sum, len(p.want))
		}
	}
}
