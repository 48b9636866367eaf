//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
)

const (
	clinicTopic = "audit-doctor"
	clinicGroup = "doctor-service"
)

// clinic is the program and what it examines: a topic with the recorded story, and a group that has read a part of it.
type clinic struct {
	foretop string
	admin   *kafka.Client
	story   [][]byte
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{foretop: buildBinary(t, "./cmd/foretop"), admin: &kafka.Client{Addr: kafka.TCP(server(t, "FORETOP_TEST_KAFKA"))}}
	c.story = grownStory(t)
	c.story = c.story[:len(c.story)/promiseCopies]
	eventually(t, time.Minute, func(ctx context.Context) error {
		r, err := c.admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: clinicTopic, NumPartitions: 3, ReplicationFactor: 1}}})
		if err == nil {
			err = r.Errors[clinicTopic]
		}
		return err
	})
	t.Cleanup(func() {
		if _, err := c.admin.DeleteTopics(context.Background(), &kafka.DeleteTopicsRequest{Topics: []string{clinicTopic}}); err != nil { // the test's own context has ended
			t.Error(err)
		}
	})
	messages := make([]kafka.Message, len(c.story))
	for i, event := range c.story {
		messages[i] = kafka.Message{Value: event}
	}
	w := &kafka.Writer{Addr: c.admin.Addr, Topic: clinicTopic, Balancer: &kafka.RoundRobin{}, RequiredAcks: kafka.RequireAll, BatchTimeout: 20 * time.Millisecond, MaxAttempts: 20}
	defer w.Close()
	if err := w.WriteMessages(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
	commits := map[string][]kafka.OffsetCommit{clinicTopic: {{Partition: 0, Offset: 7}, {Partition: 1, Offset: 8}}}
	eventually(t, time.Minute, func(ctx context.Context) error {
		r, err := c.admin.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: clinicGroup, GenerationID: -1, Topics: commits})
		if err == nil {
			err = r.Topics[clinicTopic][0].Error
		}
		return err
	})
	return c
}

// traces are what others could notice of an examination: the positions and members of the group, all groups there
// are, and the ends of the topic.
func (c *clinic) traces(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	offsets, err := c.admin.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: clinicGroup, Topics: map[string][]int{clinicTopic: {0, 1, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range offsets.Topics[clinicTopic] {
		fmt.Fprintln(&out, "committed", p.Partition, p.CommittedOffset)
	}
	described, err := c.admin.DescribeGroups(t.Context(), &kafka.DescribeGroupsRequest{GroupIDs: []string{clinicGroup}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, described.Groups[0].GroupState, len(described.Groups[0].Members))
	groups, err := c.admin.ListGroups(t.Context(), &kafka.ListGroupsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups {
		if strings.HasPrefix(g.GroupID, "doctor") || strings.HasPrefix(g.GroupID, "foretop-doctor") {
			fmt.Fprintln(&out, "group", g.GroupID)
		}
	}
	for p := range 3 {
		ends, err := c.admin.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{clinicTopic: {kafka.LastOffsetOf(p)}}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, "end", p, ends.Topics[clinicTopic][0].LastOffset)
	}
	return out.String()
}

// settings are those of a service that reads the topic and writes to addresses, with changes.
func (c *clinic) settings(t *testing.T, changes map[string]string) []string {
	t.Helper()
	env := map[string]string{
		"FORETOP_KAFKA_BROKERS": server(t, "FORETOP_TEST_KAFKA"), "FORETOP_KAFKA_TOPICS": clinicTopic, "FORETOP_KAFKA_GROUP": clinicGroup,
		"FORETOP_CLUSTER_NAME": "doctor", "FORETOP_STATE_DIR": filepath.Join(t.TempDir(), "state"),
	}
	maps.Copy(env, changes)
	return environment(env)
}

// run runs the program to its end and returns its exit code with all that it printed.
func (c *clinic) run(t *testing.T, env []string, args ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.foretop, args...)
	cmd.Env = env
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), printed.String()
}

// examined runs the doctor and fails the test unless it ends with the code and says every part. Blanks and line
// breaks count alike.
func (c *clinic) examined(t *testing.T, env []string, code int, parts ...string) {
	t.Helper()
	got, out := c.run(t, env, "doctor", "--timeout", "15s")
	if got != code {
		t.Errorf("exit code %d, want %d\n%s", got, code, out)
	}
	flat := strings.Join(strings.Fields(out), " ")
	for _, part := range parts {
		if !strings.Contains(flat, part) {
			t.Errorf("%q is missing in\n%s", part, out)
		}
	}
	for _, secret := range []string{"hunter2", "app-secret", "elastic-secret"} {
		if strings.Contains(out, secret) {
			t.Errorf("a secret is shown:\n%s", out)
		}
	}
	for _, setting := range env {
		if dir, ok := strings.CutPrefix(setting, "FORETOP_STATE_DIR="); ok {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s was made", dir)
			}
		}
	}
}

func TestTheDoctorTellsAWorkingInstallationFromABrokenOne(t *testing.T) {
	c := newClinic(t)
	fresh := &promise{dir: t.TempDir()} // an Elasticsearch that nothing was ever installed in
	fresh.start(t, "elasticsearch")
	t.Cleanup(func() { fresh.stop(t, "elasticsearch") })
	search := map[string]string{"FORETOP_ELASTICSEARCH_ADDRESSES": fresh.search}
	before := c.traces(t)

	c.examined(t, c.settings(t, search), 1,
		"✓ topic audit-doctor: 3 partitions", "✓ server", "✓ login: the server asks for none", "✗ templates: there is no index template logs-foretop.findings → foretop setup elasticsearch")
	if code, out := c.run(t, c.settings(t, search), "setup", "elasticsearch"); code != 0 {
		t.Fatalf("setup: exit code %d\n%s", code, out)
	}
	c.examined(t, c.settings(t, search), 0,
		"Source kafka ✓ broker", "✓ sample: 200 events in 200 records; form: native", "✓ cluster: doctor", "✓ audit level: workloads",
		"Sink elasticsearch ✓ server", "Elasticsearch 8.", "✓ templates: logs-foretop.findings is installed", "✓ data stream: logs-foretop.findings-default takes documents",
		"✓ clock: agrees with the server's", "Dead letters (file) ✓ file")
	for name, tt := range map[string]struct {
		changes map[string]string
		code    int
		parts   []string
	}{
		"a topic that is missing": {map[string]string{"FORETOP_KAFKA_TOPICS": "audit-doctor-none"}, 1, []string{"✗ topic audit-doctor-none: it does not exist", "✓ templates"}},
		"a broker that is away":   {map[string]string{"FORETOP_KAFKA_BROKERS": "127.0.0.1:1"}, 1, []string{"✗ broker 127.0.0.1:1", "✓ templates"}},
		"a wrong password": {map[string]string{
			"FORETOP_KAFKA_BROKERS": server(t, "FORETOP_TEST_KAFKA_SASL"), "FORETOP_KAFKA_TLS": "true", "FORETOP_KAFKA_TLS_CA_FILE": server(t, "FORETOP_TEST_KAFKA_CA"),
			"FORETOP_KAFKA_SASL_MECHANISM": "plain", "FORETOP_KAFKA_SASL_USER": "app", "FORETOP_KAFKA_SASL_PASSWORD": "hunter2",
		}, 1, []string{"✗ broker", "→"}},
		"a sink topic that is read": {map[string]string{
			"FORETOP_SINKS": "elasticsearch,kafka", "FORETOP_SINK_KAFKA_BROKERS": server(t, "FORETOP_TEST_KAFKA"), "FORETOP_SINK_KAFKA_TOPIC": clinicTopic,
		}, 1, []string{"✗ routes: source kafka reads the topic audit-doctor", "Sink kafka ✓ brokers", "✓ topic audit-doctor: 3 partitions"}},
		"no cluster": {map[string]string{"FORETOP_CLUSTER_NAME": ""}, 0, []string{"! cluster: 200 of 200 events do not say which cluster they are from"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.changes["FORETOP_ELASTICSEARCH_ADDRESSES"] = fresh.search
			c.examined(t, c.settings(t, tt.changes), tt.code, tt.parts...)
		})
	}
	if diff := cmp.Diff(before, c.traces(t)); diff != "" {
		t.Errorf("the examination left traces: %s", diff)
	}
	var count struct{ Count int }
	response, err := http.Get(fresh.search + "/_all/_count?expand_wildcards=all")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&count); err != nil || count.Count != 0 {
		t.Errorf("%d documents were written (%v)", count.Count, err)
	}
}

func TestTheDoctorNamesWhatASecuredServerRefuses(t *testing.T) {
	c, s := newClinic(t), newSecured(t)
	const namespace = "doctor"
	if code, out := c.run(t, c.settings(t, map[string]string{
		"FORETOP_NAMESPACE": namespace, "FORETOP_ELASTICSEARCH_ADDRESSES": s.url, "FORETOP_ELASTICSEARCH_CA_FILE": server(t, "FORETOP_TEST_ELASTICSEARCH_CA"),
		"FORETOP_ELASTICSEARCH_API_KEY": s.configWith(t, namespace, setupCluster, setupIndex).APIKey.Reveal(),
	}), "setup", "elasticsearch"); code != 0 {
		t.Fatalf("setup: exit code %d\n%s", code, out)
	}
	key := func(privileges ...string) string { return s.configWith(t, namespace, nil, privileges).APIKey.Reveal() }
	for name, tt := range map[string]struct {
		changes map[string]string
		code    int
		parts   []string
	}{
		"the documented privileges": {map[string]string{"FORETOP_ELASTICSEARCH_API_KEY": key(writeIndex...)}, 0,
			[]string{"✓ login: API key", "✓ privileges: create_doc, auto_configure, read, view_index_metadata on logs-foretop.findings-doctor", "✓ templates", "✓ data stream"}},
		"too few privileges": {map[string]string{"FORETOP_ELASTICSEARCH_API_KEY": key("create_doc", "view_index_metadata")}, 1,
			[]string{"✗ privileges: missing on logs-foretop.findings-doctor: auto_configure, read → grant the user or API key auto_configure, read on logs-foretop.*"}},
		"a wrong password": {map[string]string{"FORETOP_ELASTICSEARCH_USERNAME": "elastic", "FORETOP_ELASTICSEARCH_PASSWORD": "hunter2"}, 1,
			[]string{"✗ login: the server refuses these credentials (HTTP 401) → correct USERNAME and PASSWORD"}},
		"an unknown key": {map[string]string{"FORETOP_ELASTICSEARCH_API_KEY": "aHVudGVyMjpodW50ZXIyaHVudGVyMg=="}, 1, []string{"✗ login", "→ make a new API key"}},
		"an unknown authority": {map[string]string{"FORETOP_ELASTICSEARCH_API_KEY": key(writeIndex...), "FORETOP_ELASTICSEARCH_CA_FILE": ""}, 1,
			[]string{"✗ server", "signed by an authority that is not trusted here"}},
		"the superuser": {map[string]string{"FORETOP_ELASTICSEARCH_USERNAME": server(t, "FORETOP_TEST_ELASTICSEARCH_USER"), "FORETOP_ELASTICSEARCH_PASSWORD": server(t, "FORETOP_TEST_ELASTICSEARCH_PASSWORD")}, 0,
			[]string{"Elasticsearch 8.", "✓ login: user elastic", "✓ clock"}},
	} {
		t.Run(name, func(t *testing.T) {
			settings := map[string]string{"FORETOP_NAMESPACE": namespace, "FORETOP_ELASTICSEARCH_ADDRESSES": s.url, "FORETOP_ELASTICSEARCH_CA_FILE": server(t, "FORETOP_TEST_ELASTICSEARCH_CA")}
			maps.Copy(settings, tt.changes)
			c.examined(t, c.settings(t, settings), tt.code, tt.parts...)
		})
	}
}

func TestWhatATopicHoldsIsFoundAsInAFile(t *testing.T) {
	c := newClinic(t)
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(file, append(bytes.Join(c.story, []byte{'\n'}), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	before := c.traces(t)
	ids := func(env []string, args ...string) (ids []string) {
		t.Helper()
		code, out := c.run(t, env, append([]string{"scan", "--output", "ndjson"}, args...)...)
		if code != 0 {
			t.Errorf("scan %v: exit code %d\n%.2000s", args, code, out)
		}
		for line := range strings.Lines(out) {
			var f struct{ Event struct{ ID string } }
			if json.Unmarshal([]byte(line), &f) == nil && f.Event.ID != "" {
				ids = append(ids, f.Event.ID)
			}
		}
		slices.Sort(ids)
		return ids
	}
	want := ids(environment(nil), "--cluster", "doctor", file)
	if len(want) < 10 {
		t.Fatalf("only %d findings in the file", len(want))
	}
	got := ids(c.settings(t, nil), "--source", "kafka", "--since", "1h")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := ids(c.settings(t, nil), "--source", "kafka", "--since", "3h", "--until", "2h"); len(none) != 0 {
		t.Errorf("%d findings of a time before anything was written", len(none))
	}
	if diff := cmp.Diff(before, c.traces(t)); diff != "" {
		t.Errorf("the scan left traces: %s", diff)
	}
	if code, out := c.run(t, c.settings(t, map[string]string{"FORETOP_KAFKA_TOPICS": "audit-doctor-none"}), "scan", "--source", "kafka"); code != 3 || !strings.Contains(out, "audit-doctor-none") {
		t.Errorf("a topic that is missing: exit code %d\n%s", code, out)
	}
}
