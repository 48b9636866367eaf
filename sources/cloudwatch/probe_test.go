package cloudwatch

import (
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// probed runs Probe on a source that never ran.
func probed(t *testing.T, cfg Config, limit int) ([]pipeline.Check, []pipeline.Record) {
	t.Helper()
	store := newStore(t)
	src, _ := newSource(t, cfg, Options{Store: store})
	var checks []pipeline.Check
	sample := src.Probe(t.Context(), limit, func(c pipeline.Check) { checks = append(checks, c) })
	if keys, err := store.Keys(t.Context(), ""); err != nil || len(keys) > 0 {
		t.Errorf("the probe saved %q (%v)", keys, err)
	}
	return checks, sample
}

// finds fails unless a check of that state says all the words.
func finds(t *testing.T, checks []pipeline.Check, state pipeline.CheckState, words ...string) {
	t.Helper()
next:
	for _, c := range checks {
		for _, w := range words {
			if c.State != state || !strings.Contains(c.Name+" "+c.Detail+" "+c.Fix, w) {
				continue next
			}
		}
		return
	}
	t.Errorf("no check of state %d says %q: %+v", state, words, checks)
}

func TestAProbeOfWhatWorksFindsNothingWrongAndReturnsTheNewestEvents(t *testing.T) {
	s := newService(t)
	s.pageSize, s.emptyPages = 2, 1
	now := time.Now()
	for i, body := range []string{"oldest", "older", "newer", "newest"} {
		at := now.Add(time.Duration(i-10) * time.Minute)
		s.put(testGroup, auditStream, body, at, at)
	}
	checks, sample := probed(t, settings(t, testGroup), 3)
	for _, c := range checks {
		if c.State != pipeline.CheckOK || c.Fix != "" {
			t.Errorf("%+v", c)
		}
	}
	finds(t, checks, pipeline.CheckOK, "credentials", testAccount)
	finds(t, checks, pipeline.CheckOK, testGroup, "1 audit streams")
	var bodies []string
	for _, r := range sample {
		bodies = append(bodies, string(r.Body))
	}
	if got := strings.Join(bodies, " "); got != "newest newer older" {
		t.Errorf("the sample is %q", got)
	}
}

func TestAProbeNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, s *service, cfg *Config)
		state  pipeline.CheckState
		words  []string
	}{
		"no such group": {func(_ *testing.T, _ *service, cfg *Config) { cfg.LogGroups = []string{"/aws/eks/x/cluster"} },
			pipeline.CheckFailed, []string{"/aws/eks/x/cluster", "no such log group", "update-cluster-config"}},
		"audit logging off": {func(_ *testing.T, _ *service, _ *Config) {}, pipeline.CheckFailed, []string{"audit logging is off", "aws eks update-cluster-config"}},
		"delivery class": {func(_ *testing.T, s *service, _ *Config) { s.groups[testRegion+"/"+testGroup].class = "DELIVERY" },
			pipeline.CheckFailed, []string{"DELIVERY", "STANDARD"}},
		"infrequent access": {func(_ *testing.T, s *service, _ *Config) {
			s.groups[testRegion+"/"+testGroup].class = "INFREQUENT_ACCESS"
		}, pipeline.CheckWarning, []string{"INFREQUENT_ACCESS", "FilterLogEvents"}},
		"no permission to read": {func(_ *testing.T, s *service, _ *Config) { s.fault = refuse("FilterLogEvents") },
			pipeline.CheckFailed, []string{"logs:FilterLogEvents", "arn:aws:logs:eu-central-1:"}},
		"no permission to describe": {func(_ *testing.T, s *service, _ *Config) { s.fault = refuse("DescribeLogGroups") },
			pipeline.CheckWarning, []string{"logs:DescribeLogGroups"}},
		"no permission to see streams": {func(_ *testing.T, s *service, _ *Config) { s.fault = refuse("DescribeLogStreams") },
			pipeline.CheckWarning, []string{"logs:DescribeLogStreams"}},
		"no credentials": {func(t *testing.T, _ *service, _ *Config) {
			t.Helper()
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		}, pipeline.CheckFailed, []string{"no AWS credentials", "AWS_PROFILE"}},
		"no role": {func(_ *testing.T, s *service, cfg *Config) {
			cfg.RoleARN = "arn:aws:iam::111122223333:role/reader"
			s.fault = refuse("AssumeRole")
		}, pipeline.CheckFailed, []string{"role/reader", "trust policy"}},
		"wrong clock": {func(_ *testing.T, s *service, _ *Config) { s.skew = 200 * time.Second }, pipeline.CheckWarning, []string{"clock", "3m", "behind"}},
		"empty prefix": {func(_ *testing.T, _ *service, cfg *Config) { cfg.LogGroups, cfg.LogGroupPrefix = nil, "/nothing" },
			pipeline.CheckWarning, []string{"/nothing", "there is none"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			cfg := settings(t, testGroup)
			tt.change(t, s, &cfg)
			checks, _ := probed(t, cfg, 3)
			finds(t, checks, tt.state, tt.words...)
		})
	}
}

// refuse denies one operation.
func refuse(op string) func(*request) *apiError {
	return func(r *request) *apiError {
		if r.op == op {
			return denied()
		}
		return nil
	}
}

func TestAProbeWithoutAWaySaysSoAndClaimsNothing(t *testing.T) {
	newService(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	checks, _ := probed(t, settings(t, testGroup), 3)
	finds(t, checks, pipeline.CheckFailed, "reading", "cannot be reached", "network policy")
	for _, c := range checks {
		if c.State == pipeline.CheckOK || strings.Contains(c.Fix, "allow ") {
			t.Errorf("nothing answered, and it says %+v", c)
		}
	}
}

func TestAProbeOfAPrefixExaminesEachLogGroup(t *testing.T) {
	s := newService(t)
	s.group(testRegion, "/aws/eks/off/cluster")
	s.happen("e")
	cfg := settings(t)
	cfg.LogGroupPrefix = "/aws/eks/"
	checks, sample := probed(t, cfg, 3)
	finds(t, checks, pipeline.CheckOK, "/aws/eks/*", "there are 2")
	finds(t, checks, pipeline.CheckFailed, "/aws/eks/off/cluster", "audit logging is off")
	if len(sample) != 1 {
		t.Errorf("%d records in the sample", len(sample))
	}
}
