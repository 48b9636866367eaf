package cloudwatch

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/config"
)

func TestSettingsThatCannotWorkAreRefusedByName(t *testing.T) {
	tests := map[string]struct{ setting, says string }{
		"nothing to read":       {"", "LOG_GROUPS, LOG_GROUP_PREFIX or GROUPS_FILE"},
		"no name":               {"LOG_GROUPS=/aws/eks/a b/cluster", "LOG_GROUPS"},
		"ARN of something else": {"LOG_GROUPS=arn:aws:s3:::bucket", "neither the name of a log group nor its ARN"},
		"no role":               {"ROLE_ARN=reader", "no ARN of a role"},
		"id without role":       {"EXTERNAL_ID=x", "EXTERNAL_ID needs a ROLE_ARN"},
		"start":                 {"START=yesterday", `START knows no "yesterday"`},
		"negative start":        {"START=-1h", "START knows no"},
		"lateness":              {"MAX_LATENESS=20s", "MAX_LATENESS must be at least POLL_INTERVAL and POLL_OVERLAP together"},
		"calls":                 {"CALLS_PER_SECOND=0", "CALLS_PER_SECOND"},
		"batch":                 {"BATCH_RECORDS=0", "BATCH_RECORDS"},
		"stream prefix":         {"POLL_INTERVAL=1ms", "POLL_INTERVAL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			environ := []string{"FORETOP_CLOUDWATCH_" + tt.setting}
			if tt.setting != "" && !strings.HasPrefix(tt.setting, "LOG_GROUPS") {
				environ = append(environ, "FORETOP_CLOUDWATCH_LOG_GROUPS="+testGroup)
			}
			if tt.setting == "" {
				environ = nil
			}
			var cfg Config
			l := config.NewLoader(environ)
			l.Fill("FORETOP_CLOUDWATCH", &cfg)
			if err := l.Finish(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error is %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestAFileOfLogGroupsIsReadStrictly(t *testing.T) {
	tests := map[string]struct{ text, says string }{
		"misspelt":         {"log_groups:\n  - name: /a\n    regoin: x\n", "regoin"},
		"empty":            {"", "log_groups is empty"},
		"neither":          {"log_groups:\n  - region: x\n", "log group 1: write name or prefix"},
		"both":             {"log_groups:\n  - {name: /a, prefix: /b}\n", "write name or prefix"},
		"two regions":      {"log_groups:\n  - {name: 'arn:aws:logs:eu-central-1:123456789012:log-group:/a', region: us-east-1}\n", "the ARN says region eu-central-1"},
		"prefix's cluster": {"log_groups:\n  - {prefix: /a, cluster_name: x}\n", "a prefix stands for several clusters"},
		"id without name":  {"log_groups:\n  - {name: /a, cluster_id: x}\n", "cluster_id needs a cluster_name"},
		"external id":      {"log_groups:\n  - {name: /a, external_id: x}\n", "external_id needs a role_arn"},
		"two documents":    {"log_groups:\n  - {name: /a}\n---\nlog_groups: []\n", "one YAML document"},
		"no YAML":          {"log_groups: [", "yaml"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parseGroups([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error is %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestALogGroupNamedTwiceOrWithoutRegionIsRefused(t *testing.T) {
	newService(t)
	if _, err := New(settings(t, testGroup, testGroup), Options{Store: newStore(t)}); err == nil || !strings.Contains(err.Error(), "named twice") {
		t.Errorf("twice: %v", err)
	}
	t.Setenv("AWS_REGION", "")
	if _, err := New(settings(t, testGroup), Options{Store: newStore(t)}); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("no region: %v", err)
	}
	src, err := New(settings(t, "arn:aws-cn:logs:cn-north-1:123456789012:log-group:"+testGroup), Options{Store: newStore(t)})
	if err != nil {
		t.Fatalf("an ARN says its region: %v", err)
	}
	if got := src.targets[0].arn(); got != "arn:aws-cn:logs:cn-north-1:123456789012:log-group:"+testGroup {
		t.Errorf("the ARN is %s", got)
	}
}

func TestALogGroupOfAnotherAccountThanTheRolesIsReadByItsARN(t *testing.T) {
	s := newService(t)
	cfg := settings(t, "arn:aws:logs:eu-central-1:999988887777:log-group:"+testGroup)
	cfg.RoleARN = "arn:aws:iam::111122223333:role/monitoring"
	r, _, _ := open(t, cfg)
	s.happen("e")
	r.all("e")
	for _, c := range s.calls("FilterLogEvents") {
		if c.in.LogGroupName != "" || c.in.LogGroupIdentifier != "arn:aws:logs:eu-central-1:999988887777:log-group:"+testGroup {
			t.Fatalf("read by name %q and identifier %q", c.in.LogGroupName, c.in.LogGroupIdentifier)
		}
	}
}

func TestRememberedIDsStayWithinTheirLimitAndAreForgottenInTime(t *testing.T) {
	var total atomic.Int64
	a, b := newSeen(&total, 1000), newSeen(&total, 1000)
	for i := range int64(5000) {
		if !a.mark(i*seenWidth/100, uint64(i)) {
			t.Fatalf("%d was known", i)
		}
		b.mark(i, uint64(i))
		if n := total.Load(); n > 1001 {
			t.Fatalf("%d ids are remembered", n)
		}
	}
	if !a.has(4999*seenWidth/100, 4999) || a.has(0, 0) {
		t.Error("the newest ids are forgotten, or the oldest are not")
	}
	a.forget(1 << 60)
	b.forget(1 << 60)
	if n := total.Load(); n != 0 || len(a.buckets)+len(b.buckets) != 0 {
		t.Errorf("%d ids are left", n)
	}
	a.mark(999, 1)
	a.mark(-1, 2)
	if a.forget(seenWidth - 1); !a.has(999, 1) || a.has(-1, 2) {
		t.Error("ids at or after the bound are forgotten, or ones before it are not")
	}
}

func TestThePaceHalvesWhenThrottledAndRecovers(t *testing.T) {
	all := limiters{most: 8}
	l := all.of("1", "r")
	if all.of("1", "r") != l || all.of("2", "r") == l {
		t.Fatal("an account and region has not exactly one limiter")
	}
	var got []float64
	for range 6 {
		l.throttled()
		got = append(got, float64(l.pace.Limit()))
	}
	if want := []float64{4, 2, 1, 0.5, 0.5, 0.5}; !slices.Equal(got, want) {
		t.Errorf("the pace went %v, want %v", got, want)
	}
	for range 200 {
		l.accepted()
	}
	if l.pace.Limit() != 8 {
		t.Errorf("the pace is %v after 200 calls went well", l.pace.Limit())
	}
}

func TestGroupsOfOneAccountAndRegionShareThePace(t *testing.T) {
	s := newService(t)
	groups := []string{testGroup}
	for _, name := range []string{"/aws/eks/b/cluster", "/aws/eks/c/cluster", "/aws/eks/d/cluster"} {
		s.group(testRegion, name)
		groups = append(groups, name)
	}
	cfg := settings(t, groups...)
	cfg.CallsPerSecond = 20
	cfg.Start = "now"
	r, _, _ := open(t, cfg)
	r.eventually("calls are made", func() bool { return len(s.calls("FilterLogEvents")) > 4 })
	began, n := time.Now(), len(s.calls("FilterLogEvents"))
	time.Sleep(time.Second)
	if rate := float64(len(s.calls("FilterLogEvents"))-n) / time.Since(began).Seconds(); rate > 25 {
		t.Errorf("%.0f calls a second were made, 20 are allowed", rate)
	}
}

func TestTheOperationsGuideNamesEveryMetric(t *testing.T) {
	guide, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range newMetrics(&Source{}).collectors() {
		c.Describe(descs)
	}
	close(descs)
	n := 0
	for d := range descs {
		n++
		if m := name.FindStringSubmatch(d.String()); !bytes.Contains(guide, []byte("`"+m[1]+"`")) && !bytes.Contains(guide, []byte("`"+m[1]+"{")) {
			t.Errorf("docs/operations.md does not mention %s", m[1])
		}
	}
	if n < 15 {
		t.Errorf("only %d metrics were described", n)
	}
}
