package decode

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/event"
)

var auditStream = map[string]string{
	MetaLogGroup: "/aws/eks/prod/cluster", MetaLogStream: "kube-apiserver-audit-0123456789abcdef0123456789abcdef",
	MetaAccount: "111122223333", MetaRegion: "cn-north-1",
}

// with is meta with one key changed; an empty value drops it.
func with(meta map[string]string, key, value string) map[string]string {
	out := maps.Clone(meta)
	if out[key] = value; value == "" {
		delete(out, key)
	}
	return out
}

func TestBareMessagesOfALogGroup(t *testing.T) {
	cluster := event.Cluster{ID: "arn:aws-cn:eks:cn-north-1:111122223333:cluster/prod", Name: "prod"}
	named := event.Cluster{ID: "prod", Name: "prod"}
	for _, c := range []struct {
		name     string
		meta     map[string]string
		options  Options
		want     string
		cluster  event.Cluster
		provider string
	}{
		{"an audit stream", auditStream, Options{}, "event e1", cluster, "eks"},
		{"no account", with(auditStream, MetaAccount, ""), Options{}, "event e1", named, "eks"},
		{"no stream", with(auditStream, MetaLogStream, ""), Options{}, "event e1", cluster, "eks"},
		{"the API server's own stream", with(auditStream, MetaLogStream, "kube-apiserver-0123456789abcdef"), Options{}, "skipped other_category", event.Cluster{}, ""},
		{"the authenticator's stream", with(auditStream, MetaLogStream, "authenticator-0123"), Options{}, "skipped other_category", event.Cluster{}, ""},
		{"a region from the settings", with(auditStream, MetaRegion, ""), Options{Cloud: event.Cloud{Region: "cn-north-1"}}, "event e1", cluster, "eks"},
		{"a fixed cluster", auditStream, Options{Cluster: event.Cluster{Name: "mine"}}, "event e1", event.Cluster{ID: "mine", Name: "mine"}, "eks"},
		{"a log group of the user's own", with(auditStream, MetaLogGroup, "/my/audit"), Options{}, "event e1", event.Cluster{ID: "unknown", Name: "unknown"}, ""},
	} {
		items := decode(t, New(c.options), event1, c.meta)
		if len(items) != 1 || summary(items[0]) != c.want {
			t.Errorf("%s: %+v", c.name, items)
			continue
		}
		env := items[0].Envelope
		if env.Cluster != c.cluster || env.Provider != c.provider {
			t.Errorf("%s: %+v", c.name, env)
		}
		if c.provider != "" && (env.Format != FormatEKS || env.Cloud.Provider != "aws" || env.Cloud.Region != "cn-north-1") {
			t.Errorf("%s: %+v", c.name, env)
		}
	}
}

func TestCutMessagesOfALogGroupAreJudgedOnTheirPrefix(t *testing.T) {
	cut := strings.Replace(event1, `"requestReceivedTimestamp"`, `"requestObject":{"spec":{"a":"bb`, 1)
	cut = cut[:strings.Index(cut, "bb")+2] + "[Truncated...]"
	subscription := `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/prod/cluster","logStream":"kube-apiserver-audit-1","logEvents":[{"id":"1","timestamp":1772619320151,"message":` + quote(cut) + `},{"id":"2","timestamp":1,"message":` + quote(event2) + `}]}`
	zipped := gzipped([]byte(subscription))
	packed := base64.StdEncoding.EncodeToString(zipped)
	for name, c := range map[string]struct {
		body string
		meta map[string]string
		also bool
	}{
		"a bare message":                  {cut, auditStream, false},
		"a subscription's payload":        {subscription, nil, true},
		"a Kinesis record":                {string(zipped), nil, true},
		"a Lambda event":                  {`{"awslogs":{"data":"` + packed + `"}}`, nil, true},
		"Firehose, two gzip members":      {string(zipped) + string(gzipped([]byte(strings.ReplaceAll(subscription, `"CONTROL`, `"DATA`)))), nil, true},
		"Firehose, compressed once more":  {string(gzipped([]byte(string(zipped)))), nil, true},
		"Firehose to an HTTP endpoint":    {`{"requestId":"r","timestamp":1,"records":[{"data":"` + packed + `"}]}`, nil, true},
		"Firehose to a Lambda function":   {`{"invocationId":"i","deliveryStreamArn":"a","region":"r","records":[{"recordId":"1","approximateArrivalTimestamp":1,"data":"` + packed + `"}]}`, nil, true},
		"Kinesis to a Lambda function":    {`{"Records":[{"kinesis":{"partitionKey":"p","sequenceNumber":"1","data":"` + packed + `"},"eventSource":"aws:kinesis","eventID":"e"}]}`, nil, true},
		"Firehose, decompressed":          {subscription + subscription, nil, true},
		"Firehose, one a line":            {subscription + "\n" + subscription + "\n", nil, true},
		"an export":                       {"2026-03-04T10:15:20.151Z " + cut, nil, false},
		"an export with a line behind it": {"2026-03-04T10:15:20.151Z " + cut + "\n2026-03-04T10:15:20.151Z " + event2, nil, true},
		"messages alone":                  {cut + "\n" + event2 + "\n", nil, true},
		"FilterLogEvents":                 {`{"events":[{"logStreamName":"kube-apiserver-audit-1","timestamp":1,"message":` + quote(cut) + `,"ingestionTime":2,"eventId":"3"},{"logStreamName":"kube-apiserver-audit-1","timestamp":1,"message":` + quote(event2) + `,"ingestionTime":2,"eventId":"4"}]}`, nil, true},
		"GetLogEvents":                    {`{"events":[{"timestamp":1,"message":` + quote(cut) + `,"ingestionTime":2},{"timestamp":1,"message":` + quote(event2) + `,"ingestionTime":2}],"nextForwardToken":"f/1"}`, nil, true},
	} {
		var ids []string
		for _, it := range decode(t, New(Options{}), c.body, c.meta) {
			if it.Kind != Event {
				if it.Class != ClassDuplicate {
					t.Errorf("%s: %s", name, summary(it))
				}
				continue
			}
			ids = append(ids, summary(it))
		}
		want := "cut e1"
		if c.also {
			want += " event e2"
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestAProjectIsOnlyAFallback(t *testing.T) {
	meta := map[string]string{MetaProject: "logs"}
	one := entry("io.k8s.core.v1.pods.get", "core/v1/pods", "", "")
	for body, want := range map[string]string{
		one: "p projects/p/locations/europe-west1-b/clusters/c",
		strings.Replace(one, `,"project_id":"p"`, "", 1): "logs projects/logs/locations/europe-west1-b/clusters/c",
	} {
		env := decode(t, New(Options{}), body, meta)[0].Envelope
		if got := env.Cloud.ProjectID + " " + env.Cluster.ID; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
