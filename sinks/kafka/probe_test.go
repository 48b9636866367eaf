package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
)

func probed(t *testing.T, cfg Config) string {
	t.Helper()
	s := newSink(t, cfg, Options{})
	var lines []string
	if records := s.Probe(t.Context(), 10, func(c pipeline.Check) {
		lines = append(lines, fmt.Sprintf("%s %s: %s -> %s", c.State, c.Name, c.Detail, c.Fix))
	}); records != nil {
		t.Error("a sink has records")
	}
	return strings.Join(lines, "\n")
}

func TestAProbeSaysWhetherTheTopicCouldBeWrittenTo(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, c *kfake.Cluster, cfg *Config)
		want    []string
	}{
		"all is well": {func(*testing.T, *kfake.Cluster, *Config) {}, []string{"ok brokers", "1 in the cluster", "ok topic findings: 3 partitions"}},
		"no such topic": {func(_ *testing.T, _ *kfake.Cluster, cfg *Config) { cfg.Topic = "none" },
			[]string{"failed topic none: ", "does not exist", "-> create the topic, or correct TOPIC"}},
		"no right to see the topic": {func(_ *testing.T, c *kfake.Cluster, _ *Config) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "findings", Err: kerr.TopicAuthorizationFailed, Count: -1})
		}, []string{"failed topic findings", "-> grant Describe and Write on the topic"}},
		"no right to see its settings": {func(_ *testing.T, c *kfake.Cluster, _ *Config) {
			c.ControlKey(kmsg.DescribeConfigs.Int16(), func(q kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				answer := q.ResponseKind().(*kmsg.DescribeConfigsResponse)
				for _, r := range q.(*kmsg.DescribeConfigsRequest).Resources {
					one := kmsg.NewDescribeConfigsResponseResource()
					one.ResourceType, one.ResourceName, one.ErrorCode = r.ResourceType, r.ResourceName, kerr.TopicAuthorizationFailed.Code
					answer.Resources = append(answer.Resources, one)
				}
				return answer, nil, true
			})
		}, []string{"ok topic findings", "warning topic settings: the brokers do not show them"}},
		"documents larger than the topic takes": {func(_ *testing.T, _ *kfake.Cluster, cfg *Config) { cfg.MaxMessageBytes = config.Bytes(64 << 20) },
			[]string{"warning topic settings: max.message.bytes of the topic is", "-> raise max.message.bytes to 67112960"}},
		"no broker": {func(_ *testing.T, _ *kfake.Cluster, cfg *Config) { cfg.Brokers = []string{"127.0.0.1:1"} },
			[]string{"failed brokers 127.0.0.1:1: ", "refused", "-> start the brokers"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			cfg := settings(t, c)
			tt.prepare(t, c, &cfg)
			got := probed(t, cfg)
			for _, part := range tt.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q is missing in:\n%s", part, got)
				}
			}
			if len(stored(t, c)) != 0 {
				t.Error("something was written")
			}
		})
	}
}
