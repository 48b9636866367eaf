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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
)

// eks are two clusters whose recorded events lie in an emulation of CloudWatch Logs, and a foretop that reads them.
type eks struct {
	*promise
	client  *cloudwatchlogs.Client
	url     string
	state   string
	events  [][]byte
	want    []string  // findings of both clusters, as findingKey has them, sorted
	streams [2]string // of each log group
}

const eksNamespace = "eks"

var eksClusters = [2]string{"prod", "stage"}

// TestEveryFindingOfTwoEKSClustersIsStoredOnceAcrossAKill reads with the short settings of a first user.
func TestEveryFindingOfTwoEKSClustersIsStoredOnceAcrossAKill(t *testing.T) {
	e := newEKS(t)
	third := len(e.events) / 3
	now := time.Now()
	e.put(t, e.events[:third], now.Add(-30*time.Minute)) // a backlog within the hour that a first start reads
	first := e.service(t, "first")
	eventually(t, time.Minute, func(ctx context.Context) error {
		if n, err := first.metric(ctx, "foretop_items_inflight", ""); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("%.0f items in flight", n), err)
		}
		return nil
	})
	first.kill(t)
	e.put(t, e.events[third:2*third], time.Now()) // while nobody reads

	second := e.service(t, "second")
	e.put(t, e.events[2*third:len(e.events)-20], time.Now())
	e.put(t, e.events[len(e.events)-20:], time.Now().Add(-15*time.Second)) // late: behind what the fast pass has read
	last := time.Now()
	e.caughtUp(t, second, last)
	if got := e.stored(t); !slices.Equal(got, e.want) {
		t.Errorf("%d findings are stored, %d of them different; want %d", len(got), len(slices.Compact(slices.Clone(got))), len(e.want))
	}
	if n, err := second.metric(t.Context(), "foretop_cloudwatch_other_streams_total", ""); err != nil || n == 0 {
		t.Errorf("the emulation gave no events of other streams (%v, %v): then nothing was tested", n, err)
	}
	second.balance(t)
	if dead, err := os.ReadFile(filepath.Join(e.state, "dead-letters.ndjson")); err != nil && !errors.Is(err, os.ErrNotExist) || len(dead) > 0 {
		t.Errorf("there are dead letters: %s %v", dead[:min(len(dead), 500)], err)
	}
}

func newEKS(t *testing.T) *eks {
	t.Helper()
	e := &eks{
		promise: &promise{dir: t.TempDir(), foretop: buildBinary(t, "./cmd/foretop"), search: server(t, "FORETOP_TEST_ELASTICSEARCH")},
		url:     server(t, "FORETOP_TEST_CLOUDWATCH"), state: t.TempDir(), events: recordedStory(t),
		streams: [2]string{"kube-apiserver-audit-0123456789abcdef0123456789abcdef", "kube-apiserver-audit-fedcba9876543210fedcba9876543210"},
	}
	e.client = cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(e.url),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	start(t, "setup", environment(map[string]string{"FORETOP_ELASTICSEARCH_ADDRESSES": e.search, "FORETOP_NAMESPACE": eksNamespace}),
		e.foretop, "setup", "elasticsearch").succeed(t, time.Minute)
	for _, cluster := range eksClusters {
		group := aws.String(groupOf(cluster))
		_, err := e.client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
		accept(t, err)
		for _, stream := range append(e.streams[:], "kube-apiserver-0123456789abcdef0123456789abcdef") {
			_, err := e.client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: aws.String(stream)})
			accept(t, err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err := e.client.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group})
			accept(t, err)
		})
		e.store(t, cluster, "kube-apiserver-0123456789abcdef0123456789abcdef", [][]byte{[]byte("I1122 10:15:20.151 httplog.go:132] no audit event")}, time.Now())
	}
	e.want = e.scannedEnvelopes(t)
	t.Logf("%d events in each of two clusters, %d findings", len(e.events), len(e.want))
	return e
}

func accept(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func groupOf(cluster string) string { return "/aws/eks/" + cluster + "/cluster" }

// recordedStory are the events of the recording.
func recordedStory(t *testing.T) [][]byte {
	t.Helper()
	f, err := os.Open(storyFile)
	accept(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	accept(t, err)
	all, err := io.ReadAll(z)
	accept(t, err)
	return bytes.Split(bytes.TrimSpace(all), []byte{'\n'})
}

// put stores events in both clusters, over both streams. Many have the same millisecond.
func (e *eks) put(t *testing.T, events [][]byte, from time.Time) {
	t.Helper()
	for _, cluster := range eksClusters {
		half := len(events) / 2
		e.store(t, cluster, e.streams[0], events[:half], from)
		e.store(t, cluster, e.streams[1], events[half:], from)
	}
}

func (e *eks) store(t *testing.T, cluster, stream string, events [][]byte, from time.Time) {
	t.Helper()
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(groupOf(cluster)), LogStreamName: aws.String(stream)}
	for i, event := range events {
		in.LogEvents = append(in.LogEvents, types.InputLogEvent{Message: aws.String(string(event)), Timestamp: aws.Int64(from.UnixMilli() + int64(i)/10)})
	}
	out, err := e.client.PutLogEvents(t.Context(), in)
	if api := smithy.APIError(nil); errors.As(err, &api) {
		t.Fatalf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	accept(t, err)
	if out.RejectedLogEventsInfo != nil {
		t.Fatalf("events were rejected: %+v", *out.RejectedLogEventsInfo)
	}
}

// service runs foretop with the state of its predecessor.
func (e *eks) service(t *testing.T, name string) *service {
	t.Helper()
	s := &service{admin: freePort(t), state: e.state}
	s.process = start(t, name, environment(map[string]string{
		"FORETOP_CLOUDWATCH_LOG_GROUPS": groupOf(eksClusters[0]) + "," + groupOf(eksClusters[1]),
		"AWS_REGION":                    "eu-central-1", "AWS_ENDPOINT_URL": e.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"FORETOP_CLOUDWATCH_MAX_LATENESS": "25s", "FORETOP_CLOUDWATCH_POLL_INTERVAL": "1s", "FORETOP_CLOUDWATCH_POLL_OVERLAP": "5s",
		"FORETOP_CLOUDWATCH_SWEEP_INTERVAL": "2s",
		"FORETOP_ELASTICSEARCH_ADDRESSES":   e.search, "FORETOP_NAMESPACE": eksNamespace,
		"FORETOP_ADMIN_ADDRESS": s.admin, "FORETOP_STATE_DIR": s.state, "FORETOP_LOG_FORMAT": "json",
	}), e.foretop, "run")
	return s
}

// caughtUp waits until the saved positions of both clusters are past a time.
func (e *eks) caughtUp(t *testing.T, s *service, past time.Time) {
	t.Helper()
	eventually(t, 3*time.Minute, func(context.Context) error {
		s.running(t)
		data, err := os.ReadFile(filepath.Join(e.state, "positions.json"))
		if err != nil {
			return err
		}
		var file struct{ Values map[string]string }
		if err := json.Unmarshal(data, &file); err != nil {
			return err
		}
		n := 0
		for key, value := range file.Values {
			var p struct{ Until time.Time }
			if err := json.Unmarshal([]byte(value), &p); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			if p.Until.After(past) {
				n++
			}
		}
		if n != len(eksClusters) {
			return fmt.Errorf("%d positions are past %s: %s", n, past, slices.Collect(maps.Values(file.Values)))
		}
		return nil
	})
}

// findingOf is what of a finding does not depend on the way that its event took.
type findingOf struct {
	Rule         struct{ UUID string }
	Kubernetes   struct{ Audit struct{ AuditID any } }
	Orchestrator struct{ Cluster struct{ Name string } }
}

func (f *findingOf) key() string {
	return fmt.Sprint(f.Orchestrator.Cluster.Name, " ", f.Rule.UUID, " ", f.Kubernetes.Audit.AuditID)
}

// scannedEnvelopes are the findings of a scan of the same events as a subscription filter sends them.
func (e *eks) scannedEnvelopes(t *testing.T) []string {
	t.Helper()
	var file bytes.Buffer
	for _, cluster := range eksClusters {
		for i, event := range e.events {
			line, err := json.Marshal(map[string]any{
				"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": groupOf(cluster), "logStream": e.streams[0], "subscriptionFilters": []string{"all"},
				"logEvents": []any{map[string]any{"id": fmt.Sprint(i), "timestamp": time.Now().UnixMilli(), "message": string(event)}},
			})
			accept(t, err)
			file.Write(append(line, '\n'))
		}
	}
	path := filepath.Join(e.dir, "envelopes.ndjson")
	accept(t, os.WriteFile(path, file.Bytes(), 0o600))
	out := start(t, "scan", environment(nil), e.foretop, "scan", "--output", "ndjson", path).succeed(t, 2*time.Minute)
	var keys []string
	for line := range strings.Lines(out) {
		var f findingOf
		if json.Unmarshal([]byte(line), &f) == nil && f.Rule.UUID != "" {
			keys = append(keys, f.key())
		}
	}
	slices.Sort(keys)
	if len(keys) < 50 {
		t.Fatalf("the scan printed %d findings", len(keys))
	}
	return keys
}

// stored are the findings in Elasticsearch, sorted.
func (e *eks) stored(t *testing.T) []string {
	t.Helper()
	stream := "/logs-foretop.findings-" + eksNamespace
	e.post(t, stream+"/_refresh", "")
	var answer struct {
		Hits struct {
			Hits []struct {
				Source findingOf `json:"_source"`
			}
		}
	}
	accept(t, json.Unmarshal(e.post(t, stream+"/_search", `{"size":10000}`), &answer))
	var keys []string
	for i := range answer.Hits.Hits {
		keys = append(keys, answer.Hits.Hits[i].Source.key())
	}
	slices.Sort(keys)
	return keys
}
