//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// gke is two clusters in two projects whose audit logs go to a topic each.
type gke struct {
	foretop, search, pubsub, admin string
	projects                       []string
	topics                         []*pubsub.Publisher
	published                      map[string]bool // ids
	want                           []string        // ids of findings
}

// TestEveryFindingOfTwoGKEClustersIsStoredOnceThoughTheProcessIsKilled kills the process while messages of both
// subscriptions are in work; their leases run out, and its successor gets them again.
func TestEveryFindingOfTwoGKEClustersIsStoredOnceThoughTheProcessIsKilled(t *testing.T) {
	g := newGKE(t)
	entries := g.entries(t)
	g.want = g.scanned(t, entries)
	half := len(entries) / 4 * 2 // even, since every second entry is of the same cluster

	first := g.service(t, "first")
	g.publish(t, entries[:half])
	eventually(t, time.Minute, func(ctx context.Context) error {
		acked, err := first.metric(ctx, "foretop_pubsub_messages_total", `outcome="acked"`)
		if err != nil {
			return err
		}
		open, err := first.metric(ctx, "foretop_pubsub_outstanding_messages", "")
		if err == nil && (acked < 50 || open < 10) {
			err = fmt.Errorf("%.0f messages are acknowledged, %.0f in work", acked, open)
		}
		return err
	})
	first.kill(t)
	second := g.service(t, "second")
	g.publish(t, entries[half:])
	g.allAcknowledged(t, second)
	g.exactlyOnce(t)
	second.balance(t)
}

func newGKE(t *testing.T) *gke {
	t.Helper()
	g := &gke{
		foretop: buildBinary(t, "./cmd/foretop"), search: server(t, "FORETOP_TEST_ELASTICSEARCH"),
		pubsub: server(t, "FORETOP_TEST_PUBSUB"), admin: server(t, "FORETOP_TEST_PUBSUB_ADMIN"), published: map[string]bool{},
	}
	start(t, "setup", environment(map[string]string{"FORETOP_ELASTICSEARCH_ADDRESSES": g.search}), g.foretop, "setup", "elasticsearch").succeed(t, time.Minute)
	t.Setenv("PUBSUB_EMULATOR_HOST", g.pubsub)
	for i := range 2 {
		project := fmt.Sprintf("gke-%d-%d", i, time.Now().UnixNano())
		client, err := pubsub.NewClient(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		topic := "projects/" + project + "/topics/audit"
		if _, err := client.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic}); err != nil {
			t.Fatal(err)
		}
		_, err = client.SubscriptionAdminClient.CreateSubscription(t.Context(), &pubsubpb.Subscription{
			Name: "projects/" + project + "/subscriptions/foretop", Topic: topic, AckDeadlineSeconds: 10,
		})
		if err != nil {
			t.Fatal(err)
		}
		g.projects, g.topics = append(g.projects, project), append(g.topics, client.Publisher(topic))
	}
	return g
}

func (g *gke) service(t *testing.T, name string) *service {
	t.Helper()
	var subscriptions []string
	for _, p := range g.projects {
		subscriptions = append(subscriptions, "projects/"+p+"/subscriptions/foretop")
	}
	s := &service{admin: freePort(t), state: t.TempDir()}
	s.process = start(t, name, environment(map[string]string{
		"PUBSUB_EMULATOR_HOST": g.pubsub, "FORETOP_PUBSUB_SUBSCRIPTIONS": strings.Join(subscriptions, ","),
		"FORETOP_PUBSUB_STREAMS": "4", "FORETOP_PUBSUB_LEASE": "10s",
		"FORETOP_ELASTICSEARCH_ADDRESSES": g.search,
		"FORETOP_ADMIN_ADDRESS":           s.admin, "FORETOP_STATE_DIR": s.state, "FORETOP_LOG_FORMAT": "json",
	}), g.foretop, "run")
	return s
}

// entries are the recorded story as Cloud Logging would have written it, every second event from each cluster.
func (g *gke) entries(t *testing.T) [][]byte {
	t.Helper()
	all := grownStory(t)
	var entries [][]byte
	for i, e := range all[:len(all)/promiseCopies] {
		entries = append(entries, logEntry(t, e, g.projects[i%2]))
	}
	return entries
}

// audit is what a Cloud Audit entry tells of an event.
type audit struct {
	AuditID, Verb, RequestURI, UserAgent, StageTimestamp string
	User                                                 struct{ Username string }
	SourceIPs                                            []string
	Annotations                                          map[string]string
	RequestObject, ResponseObject                        map[string]any
	ResponseStatus                                       struct{ Code int }
	ObjectRef                                            struct{ Resource, Namespace, Name, APIGroup, APIVersion, Subresource string }
}

// logEntry writes an event as GKE does. https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging
func logEntry(t *testing.T, event []byte, project string) []byte {
	t.Helper()
	var a audit
	if err := json.Unmarshal(event, &a); err != nil {
		t.Fatal(err)
	}
	codes := map[int]int{400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13}
	log := "data_access"
	if slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, a.Verb) {
		log = "activity"
	}
	method, resource := a.names()
	payload := map[string]any{
		"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": method, "resourceName": resource,
		"authenticationInfo": map[string]any{"principalEmail": a.User.Username}, "status": map[string]any{"code": codes[a.ResponseStatus.Code]},
		"requestMetadata": map[string]any{"callerIp": strings.Join(a.SourceIPs[:min(1, len(a.SourceIPs))], ""), "callerSuppliedUserAgent": a.UserAgent},
	}
	for name, object := range map[string]map[string]any{"request": a.RequestObject, "response": a.ResponseObject} {
		if object != nil {
			object["@type"] = fmt.Sprint(object["apiVersion"], ".", object["kind"])
			payload[name] = object
		}
	}
	entry, err := json.Marshal(map[string]any{
		"insertId": a.AuditID, "logName": "projects/" + project + "/logs/cloudaudit.googleapis.com%2F" + log,
		"operation": map[string]any{"id": a.AuditID, "producer": "k8s.io", "first": true, "last": true},
		"resource": map[string]any{"type": "k8s_cluster", "labels": map[string]string{
			"cluster_name": "blue", "location": "europe-west1", "project_id": project,
		}},
		"labels": a.Annotations, "timestamp": a.StageTimestamp, "receiveTimestamp": a.StageTimestamp, "protoPayload": payload,
	})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// names are methodName and resourceName.
func (a *audit) names() (method, resource string) {
	ref := a.ObjectRef
	if ref.Resource == "" {
		path, _, _ := strings.Cut(a.RequestURI, "?")
		return "io.k8s." + a.Verb, strings.TrimPrefix(path, "/")
	}
	group := ref.APIGroup
	if group == "" {
		group = "core"
	}
	path := []string{group, ref.APIVersion}
	if ref.Namespace != "" && ref.Resource != "namespaces" {
		path = append(path, "namespaces", ref.Namespace)
	}
	parts := []string{"io.k8s", strings.TrimSuffix(group, ".k8s.io"), ref.APIVersion, ref.Resource}
	path = append(path, ref.Resource)
	if ref.Name != "" {
		path = append(path, ref.Name)
	}
	if ref.Subresource != "" {
		path, parts = append(path, ref.Subresource), append(parts, ref.Subresource)
	}
	return strings.Join(append(parts, a.Verb), "."), strings.Join(path, "/")
}

// scanned are the ids of the findings that `foretop scan` prints for the entries, sorted.
func (g *gke) scanned(t *testing.T, entries [][]byte) []string {
	t.Helper()
	var text strings.Builder
	for _, e := range entries {
		text.Write(append(e, '\n'))
	}
	file := filepath.Join(t.TempDir(), "entries.ndjson")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out := start(t, "scan", environment(nil), g.foretop, "scan", "--output", "ndjson", file).succeed(t, 2*time.Minute)
	var ids []string
	for line := range strings.Lines(out) {
		var f struct{ Event struct{ ID string } }
		if json.Unmarshal([]byte(line), &f) == nil && f.Event.ID != "" {
			ids = append(ids, f.Event.ID)
		}
	}
	slices.Sort(ids)
	t.Logf("%d entries, %d findings", len(entries), len(ids))
	if len(ids) < 20 {
		t.Fatalf("the scan printed %d findings: too few to tell anything", len(ids))
	}
	return ids
}

// publish sends each entry to the topic of its cluster.
func (g *gke) publish(t *testing.T, entries [][]byte) {
	t.Helper()
	results := make([]*pubsub.PublishResult, len(entries))
	for i, e := range entries {
		results[i] = g.topics[i%2].Publish(t.Context(), &pubsub.Message{Data: e})
	}
	for _, r := range results {
		id, err := r.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g.published[id] = true
	}
}

// allAcknowledged waits until no message is left, and checks that some were delivered again.
func (g *gke) allAcknowledged(t *testing.T, s *service) {
	t.Helper()
	again := 0
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		s.running(t)
		page, err := get(ctx, "http://"+g.admin+"/messages")
		if err != nil {
			return err
		}
		var all []struct {
			ID               string
			Deliveries, Acks int
		}
		if err := json.Unmarshal([]byte(page), &all); err != nil {
			return err
		}
		left, seen := 0, 0
		again = 0
		for _, m := range all {
			if !g.published[m.ID] {
				continue
			}
			seen++
			if m.Acks != 1 {
				left++
			}
			if m.Deliveries > 1 {
				again++
			}
		}
		if left > 0 || seen != len(g.published) {
			return fmt.Errorf("%d of %d messages are not acknowledged", left, seen)
		}
		return nil
	})
	t.Logf("%d of %d messages were delivered again", again, len(g.published))
	if again == 0 {
		t.Error("no message was delivered again: the kill proved nothing")
	}
}

// exactlyOnce compares what is stored of the two projects with what the scan printed.
func (g *gke) exactlyOnce(t *testing.T) {
	t.Helper()
	p := &promise{search: g.search}
	p.post(t, "/logs-foretop.findings-default/_refresh", "")
	query, err := json.Marshal(map[string]any{
		"size": 10000, "_source": []string{"event.id"}, "query": map[string]any{"terms": map[string]any{"cloud.project.id": g.projects}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Hits struct {
			Hits []struct {
				Source struct{ Event struct{ ID string } } `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal(p.post(t, "/logs-foretop.findings-default/_search", string(query)), &answer); err != nil {
		t.Fatal(err)
	}
	stored := map[string]int{}
	for _, h := range answer.Hits.Hits {
		stored[h.Source.Event.ID]++
	}
	var problems []error
	for _, id := range g.want {
		if stored[id] != 1 {
			problems = append(problems, fmt.Errorf("finding %s is stored %d times", id, stored[id]))
		}
		delete(stored, id)
	}
	for id := range maps.Keys(stored) {
		problems = append(problems, fmt.Errorf("finding %s is stored, and the scan does not know it", id))
	}
	if err := errors.Join(problems...); err != nil {
		t.Error(err)
	}
}
