package decode

import (
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

func TestClusterIsNamedByConfigurationThenByTheForm(t *testing.T) {
	merged := func(member string) string { return "{" + member + "," + event1[1:] }
	viaq := merged(`"k8s_audit_level":"Metadata","openshift":{"cluster_id":"ocp-7"}`)
	subscription := `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/prod/cluster","logStream":"kube-apiserver-audit-0","logEvents":[{"id":"1","timestamp":1772619320151,"message":` + quote(event1) + `}]}`
	for _, c := range []struct {
		name, body string
		fixed      event.Cluster
		mapping    []string
		meta       map[string]string
		region     string
		want       event.Cluster
	}{
		{name: "nothing says", body: event1, want: event.Cluster{ID: "unknown", Name: "unknown"}},
		{name: "a fixed name", body: viaq, fixed: event.Cluster{Name: "prod"}, mapping: []string{"key"}, meta: map[string]string{"key": "k"}, want: event.Cluster{ID: "prod", Name: "prod"}},
		{name: "a fixed id and name", body: event1, fixed: event.Cluster{ID: "7", Name: "prod"}, want: event.Cluster{ID: "7", Name: "prod"}},
		{name: "the cluster that the sender proved to be, before everything", body: viaq, fixed: event.Cluster{ID: "7", Name: "prod"}, mapping: []string{"key"}, meta: map[string]string{"key": "k", MetaClusterName: "edge", MetaClusterID: "9"}, want: event.Cluster{ID: "9", Name: "edge"}},
		{name: "the sender's name alone is its id too", body: viaq, meta: map[string]string{MetaClusterName: "edge"}, want: event.Cluster{ID: "edge", Name: "edge"}},
		{name: "the topic's capture group", body: event1, mapping: []string{`topic:^audit-(.+)$`}, meta: map[string]string{"topic": "audit-eu-1"}, want: event.Cluster{ID: "eu-1", Name: "eu-1"}},
		{name: "the topic without a group", body: event1, mapping: []string{`topic:[a-z]+\d`}, meta: map[string]string{"topic": "audit.eu1"}, want: event.Cluster{ID: "eu1", Name: "eu1"}},
		{name: "a topic that does not match, then the key", body: event1, mapping: []string{`topic:^x-(.+)$`, "key"}, meta: map[string]string{"topic": "audit", "key": "k1"}, want: event.Cluster{ID: "k1", Name: "k1"}},
		{name: "a header", body: event1, mapping: []string{"header:cluster"}, meta: map[string]string{"header.cluster": "h1"}, want: event.Cluster{ID: "h1", Name: "h1"}},
		{name: "a header with control characters", body: event1, mapping: []string{"header:cluster"}, meta: map[string]string{"header.cluster": "h\n1"}, want: event.Cluster{ID: "unknown", Name: "unknown"}},
		{name: "a key beside the event", body: merged(`"cluster":"edge"`), mapping: []string{"envelope:cluster"}, want: event.Cluster{ID: "edge", Name: "edge"}},
		{name: "a nested key", body: `{"kubernetes":{"cluster":{"name":"edge"}},"log":` + quote(event1) + `}`, mapping: []string{"envelope:kubernetes.cluster.name"}, want: event.Cluster{ID: "edge", Name: "edge"}},
		{name: "a dotted key", body: `{"kubernetes.cluster":{"name":"edge"},"log":` + event1 + `}`, mapping: []string{"envelope:kubernetes.cluster.name"}, want: event.Cluster{ID: "edge", Name: "edge"}},
		{name: "beside the event in the same object", body: `{"kubernetes":{"cluster":{"name":"edge"},"audit":` + event1 + `}}`, mapping: []string{"envelope:kubernetes.cluster.name"}, want: event.Cluster{ID: "edge", Name: "edge"}},
		{name: "the outer shipper before the inner", body: `{"cluster":"outer","log":` + quote(`{"cluster":"inner","log":`+event1+`}`) + `}`, mapping: []string{"envelope:cluster"}, want: event.Cluster{ID: "outer", Name: "outer"}},
		{name: "a number", body: merged(`"cluster":7`), mapping: []string{"envelope:cluster"}, want: event.Cluster{ID: "7", Name: "7"}},
		{name: "a label of a Loki stream", body: `{"streams":[{"stream":{"cluster":"loki"},"values":[["1",` + quote(event1) + `]]}]}`, mapping: []string{"envelope:stream.cluster"}, want: event.Cluster{ID: "loki", Name: "loki"}},
		{name: "never a key inside the event", body: `{"json":` + strings.Replace(event1, `"verb"`, `"cluster":"forged","verb"`, 1) + `}`, mapping: []string{"envelope:json.cluster"}, want: event.Cluster{ID: "unknown", Name: "unknown"}},
		{name: "OpenShift's id", body: viaq, want: event.Cluster{ID: "ocp-7", Name: "ocp-7"}},
		{name: "ECS orchestrator", body: `{"orchestrator":{"cluster":{"id":"9","name":"ecs"}},"message":` + quote(event1) + `}`, want: event.Cluster{ID: "9", Name: "ecs"}},
		{name: "the log group", body: subscription, want: event.Cluster{ID: "prod", Name: "prod"}},
		{name: "the log group and a region", body: subscription, region: "eu-west-1", want: event.Cluster{ID: "arn:aws:eks:eu-west-1:111122223333:cluster/prod", Name: "prod"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mapping, err := ParseMapping(c.mapping...)
			if err != nil {
				t.Fatal(err)
			}
			d := New(Options{Cluster: c.fixed, ClusterFrom: mapping, Cloud: event.Cloud{Region: c.region}})
			for range 2 { // names are cached
				items := decode(t, d, c.body, c.meta)
				if len(items) != 1 || items[0].Kind != Event {
					t.Fatalf("%+v", items)
				}
				if got := items[0].Envelope.Cluster; got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			}
		})
	}
}

func TestAWrongMappingSaysWhatIsWrong(t *testing.T) {
	for spec, want := range map[string]string{
		"topic:(":                 "pattern",
		"topic:":                  "want topic:<regexp>",
		"body:x":                  "want topic:<regexp>",
		"":                        "want topic:<regexp>",
		"key:x":                   "want topic:<regexp>",
		"envelope:annotations.x":  "part of the audit event",
		"envelope:user":           "part of the audit event",
		"envelope:requestObject.": "part of the audit event",
	} {
		_, err := ParseMapping(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", spec, err, want)
		}
	}
}
