package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/event"
)

// sinkEnv is what every configuration here needs beside its sources.
var sinkEnv = []string{"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=-"}

func TestSourcesAreFoundByTheirVariables(t *testing.T) {
	type source struct{ Name, Type, Prefix string }
	for name, tc := range map[string]struct {
		environ []string
		want    []source
	}{
		"the only type with a variable": {
			[]string{"FORETOP_FILE_PATHS=/a"}, []source{{"file", "file", "FORETOP_FILE"}},
		},
		"a Service called foretop-kafka makes no source": {
			[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_KAFKA_SERVICE_HOST=10.0.0.1", "FORETOP_KAFKA_PORT=tcp://10.0.0.1:9092"}, []source{{"file", "file", "FORETOP_FILE"}},
		},
		"names that are types": {
			[]string{"FORETOP_SOURCES=file,kafka", "FORETOP_FILE_PATHS=/a", "FORETOP_KAFKA_BROKERS=a:1", "FORETOP_KAFKA_TOPICS=t"},
			[]source{{"file", "file", "FORETOP_FILE"}, {"kafka", "kafka", "FORETOP_KAFKA"}},
		},
		"names of their own": {
			[]string{"FORETOP_SOURCES=prod,aks-1", "FORETOP_SOURCE_PROD_TYPE=file", "FORETOP_SOURCE_PROD_PATHS=/a", "FORETOP_SOURCE_AKS_1_TYPE=kafka", "FORETOP_SOURCE_AKS_1_BROKERS=a:1", "FORETOP_SOURCE_AKS_1_TOPICS=t"},
			[]source{{"prod", "file", "FORETOP_SOURCE_PROD"}, {"aks-1", "kafka", "FORETOP_SOURCE_AKS_1"}},
		},
		"a name that is a type, with a type of its own": {
			[]string{"FORETOP_SOURCES=kafka", "FORETOP_SOURCE_KAFKA_TYPE=file", "FORETOP_SOURCE_KAFKA_PATHS=/a"}, []source{{"kafka", "file", "FORETOP_SOURCE_KAFKA"}},
		},
		"one source with a name": {
			[]string{"FORETOP_SOURCES=prod", "FORETOP_SOURCE_PROD_TYPE=file", "FORETOP_SOURCE_PROD_PATHS=/a"}, []source{{"prod", "file", "FORETOP_SOURCE_PROD"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := LoadConfig(append(tc.environ, sinkEnv...))
			if err != nil {
				t.Fatal(err)
			}
			var got []source
			for _, s := range c.Sources {
				got = append(got, source{s.Name, s.Type, s.Prefix})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrongConfigurationsSayWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		environ []string
		want    []string
	}{
		"no source":                       {nil, []string{"no source is configured: set for example FORETOP_KAFKA_BROKERS and FORETOP_KAFKA_TOPICS, or FORETOP_FILE_PATHS"}},
		"two sources without names":       {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_KAFKA_BROKERS=a:1"}, []string{"write FORETOP_SOURCES=file,kafka to use them all"}},
		"a name without a type":           {[]string{"FORETOP_SOURCES=prod"}, []string{"FORETOP_SOURCE_PROD_TYPE is required: type of the source"}},
		"a type that is none":             {[]string{"FORETOP_SOURCES=prod", "FORETOP_SOURCE_PROD_TYPE=kafkaa"}, []string{`FORETOP_SOURCE_PROD_TYPE knows no "kafkaa": write one of file, kafka`}},
		"the short form of another":       {[]string{"FORETOP_SOURCES=prod", "FORETOP_SOURCE_PROD_TYPE=file", "FORETOP_SOURCE_PROD_PATHS=/a", "FORETOP_FILE_FOLLOW=true"}, []string{"FORETOP_FILE_FOLLOW has no effect: FORETOP_SOURCES names no file"}},
		"names that make one prefix":      {[]string{"FORETOP_SOURCES=a,a-type", "FORETOP_SOURCE_A_TYPE=file", "FORETOP_SOURCE_A_PATHS=/a", "FORETOP_SOURCE_A_TYPE_TYPE=file", "FORETOP_SOURCE_A_TYPE_PATHS=/a"}, nil},
		"a wrong setting of a source":     {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_FILE_START=middle"}, []string{"FORETOP_FILE_*: "}},
		"a cluster id without its name":   {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_FILE_CLUSTER_ID=arn"}, []string{"FORETOP_FILE_*: CLUSTER_ID needs a CLUSTER_NAME beside it"}},
		"a cluster named and mapped":      {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_FILE_CLUSTER_NAME=a", "FORETOP_FILE_CLUSTER_FROM=key"}, []string{"CLUSTER_NAME and CLUSTER_FROM exclude each other"}},
		"a mapping that is none":          {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_FILE_CLUSTER_FROM=subject"}, []string{"FORETOP_FILE_*: CLUSTER_FROM: "}},
		"a sink that is not asked for":    {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_ELASTICSEARCH_ADDRESSES=http://a:1"}, []string{"FORETOP_ELASTICSEARCH_ADDRESSES has no effect: neither FORETOP_SINKS nor FORETOP_DEAD_LETTERS names elasticsearch"}},
		"dead letters without their sink": {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_DEAD_LETTERS=elasticsearch"}, []string{"FORETOP_ELASTICSEARCH_ADDRESSES is required"}},
		"one topic for two things":        {[]string{"FORETOP_FILE_PATHS=/a", "FORETOP_SINKS=kafka", "FORETOP_SINK_KAFKA_BROKERS=a:1", "FORETOP_SINK_KAFKA_TOPIC=t", "FORETOP_DEAD_LETTERS=kafka", "FORETOP_DEAD_LETTERS_TOPIC=t"}, []string{"need topics of their own"}},
		"a typing error in a source":      {[]string{"FORETOP_FILE_PATH=/a"}, []string{"FORETOP_FILE_PATH is no setting", "no source is configured"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadConfig(append(sinkEnv[:2:2], tc.environ...))
			if tc.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in:\n%s", part, err)
				}
			}
		})
	}
}

func TestTheClusterIsTheSourcesElseTheServices(t *testing.T) {
	for name, tc := range map[string]struct {
		environ []string
		want    event.Cluster
	}{
		"nothing":                         {nil, event.Cluster{}},
		"of the service":                  {[]string{"FORETOP_CLUSTER_NAME=prod"}, event.Cluster{ID: "prod", Name: "prod"}},
		"of the service with id":          {[]string{"FORETOP_CLUSTER_NAME=prod", "FORETOP_CLUSTER_ID=arn"}, event.Cluster{ID: "arn", Name: "prod"}},
		"of the source":                   {[]string{"FORETOP_CLUSTER_NAME=prod", "FORETOP_CLUSTER_ID=arn", "FORETOP_FILE_CLUSTER_NAME=own"}, event.Cluster{ID: "own", Name: "own"}},
		"a mapping wins over the service": {[]string{"FORETOP_CLUSTER_NAME=prod", "FORETOP_FILE_CLUSTER_FROM=key"}, event.Cluster{}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := LoadConfig(append(append(tc.environ, "FORETOP_FILE_PATHS=/a"), sinkEnv...))
			if err != nil {
				t.Fatal(err)
			}
			o, err := c.decodeOptions(&c.Sources[0])
			if err != nil {
				t.Fatal(err)
			}
			if o.Cluster != tc.want {
				t.Errorf("%+v, want %+v", o.Cluster, tc.want)
			}
		})
	}
}

func TestDeadLettersAloneNeedOneTopic(t *testing.T) {
	c, err := LoadConfig(append([]string{
		"FORETOP_FILE_PATHS=/a", "FORETOP_DEAD_LETTERS=kafka", "FORETOP_DEAD_LETTERS_TOPIC=dead", "FORETOP_SINK_KAFKA_BROKERS=a:1",
	}, sinkEnv...))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kafka.Topic != "dead" {
		t.Errorf("topic %q", c.Kafka.Topic)
	}
}

func TestAMappingSaysWhatItNeedsOfTheTransport(t *testing.T) {
	got := metaOf("header:cluster key topic:^audit-(.+)$ envelope:meta.cluster")
	if diff := cmp.Diff([]string{"header.cluster", "key"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsFromFilesCanRotate(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, map[string]string{"key": "id:secret\n"})
	environ := []string{"FORETOP_FILE_PATHS=/a", "FORETOP_ELASTICSEARCH_ADDRESSES=http://a:1", "FORETOP_ELASTICSEARCH_API_KEY_FILE=" + dir + "/key", "FORETOP_NAMESPACE=eu"}
	c, err := LoadConfig(environ)
	if err != nil {
		t.Fatal(err)
	}
	if c.Elasticsearch.APIKeyFile != dir+"/key" || c.Elasticsearch.APIKey.Reveal() != "id:secret" || c.Elasticsearch.Namespace != "eu" {
		t.Errorf("run: %+v", c.Elasticsearch)
	}
	setup, err := LoadSetupConfig(environ, "elasticsearch")
	if err != nil {
		t.Fatal(err)
	}
	if setup.Elasticsearch.APIKeyFile != dir+"/key" || setup.Elasticsearch.Namespace != "eu" {
		t.Errorf("setup: %+v", setup.Elasticsearch)
	}
}

func TestEveryVariableIsDescribedOnceAndClear(t *testing.T) {
	seen := make(map[string]string)
	for _, s := range Reference() {
		for _, v := range s.Variables {
			if before, twice := seen[v.Name]; twice {
				t.Errorf("%s is in %q and in %q", v.Name, before, s.Title)
			}
			seen[v.Name] = s.Title
			if v.Meaning == "" || !strings.HasPrefix(v.Name, config.Prefix+"_") {
				t.Errorf("%s: %q", v.Name, v.Meaning)
			}
		}
	}
	for name := range seen {
		if base, ok := strings.CutSuffix(name, "_FILE"); ok && seen[base] != "" {
			t.Errorf("%s is a setting and the file of another", name)
		}
	}
}
