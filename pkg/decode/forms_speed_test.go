package decode

import (
	"strings"
	"testing"
)

// What the resource of the record before said must not be said of another one.
func TestRecordsOfSeveralClustersInTurn(t *testing.T) {
	one := entry("io.k8s.core.v1.pods.get", "core/v1/namespaces/a/pods/p", "", "")
	two := strings.Replace(one, `"cluster_name":"c"`, `"cluster_name":"d"`, 1)
	none := strings.Replace(one, `"project_id":"p"`, `"x":"p"`, 1)
	const id = "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/"
	azure := func(name string) string {
		return `{"category":"kube-audit","resourceId":"` + id + name + `","properties":{"log":` + string(appendQuoted(nil, []byte(nativeEvent+"\n"))) + `}}`
	}
	confused := strings.Replace(one, `{"type":"k8s_cluster","labels":{"cluster_name":"c","location":"europe-west1-b","project_id":"p"}}`, `"`+id+`A"`, 1)
	d := New(Options{})
	for range 3 {
		for _, c := range []struct{ body, project, want string }{
			{one, "", "projects/p/locations/europe-west1-b/clusters/c"},
			{two, "", "projects/p/locations/europe-west1-b/clusters/d"},
			{none, "q", "projects/q/locations/europe-west1-b/clusters/c"},
			{none, "r", "projects/r/locations/europe-west1-b/clusters/c"},
			{none, "", "c"},
			{azure("A"), "", strings.ToLower(id) + "a"},
			{azure("B"), "", strings.ToLower(id) + "b"},
			{confused, "", "unknown"},
			{azure("A"), "", strings.ToLower(id) + "a"},
		} {
			items := decode(t, d, c.body, map[string]string{MetaProject: c.project})
			if len(items) != 1 || items[0].Kind != Event || items[0].Envelope.Cluster.ID != c.want {
				t.Fatalf("want %s: %+v", c.want, items)
			}
		}
	}
}

func TestFormsDoNotAllocate(t *testing.T) {
	text := string(appendQuoted(nil, []byte(bodyEvent+"\n")))
	for name, body := range map[string]string{
		"aks":       `{"records":[{"category":"kube-audit","resourceId":"/SUBSCRIPTIONS/S/MANAGEDCLUSTERS/A","time":"2026-03-04T10:15:20Z","properties":{"log":` + text + `}}]}`,
		"eks":       `{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/prod/cluster","logStream":"kube-apiserver-audit-1","logEvents":[{"id":"1","timestamp":1772619320151,"message":` + text + `}]}`,
		"eventlist": `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + bodyEvent + `,` + nativeEvent + `]}`,
		"gke":       entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/a/pods/p", `"request":{"@type":"core.k8s.io/v1.Pod","kind":"Pod","spec":{"hostPID":true}},"status":{},`, `"labels":{"authorization.k8s.io/decision":"allow"},`),
		"key":       `{"@timestamp":"2026-03-04T10:15:20Z","kubernetes":{"pod":"p"},"message":` + text + `}`,
		"loki":      `{"streams":[{"stream":{"job":"audit"},"values":[["1772619320151432187",` + text + `]]}]}`,
		"otlp":      `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1772619320151432187","body":{"stringValue":` + text + `}}]}]}]}`,
	} {
		d, record, events := New(Options{}), []byte(body), 0
		emit := func(it *Item) {
			if it.Kind == Event {
				events++
			}
		}
		allocs := testing.AllocsPerRun(50, func() { d.Decode(record, nil, emit) })
		if events == 0 || allocs != 0 {
			t.Errorf("%s: %v allocations a record, %d events", name, allocs, events)
		}
	}
}
