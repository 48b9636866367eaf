package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

func TestAKilledReaderIsSucceededByOneThatReadsTheRest(t *testing.T) {
	s := newService(t)
	store := newStore(t)
	cfg := settings(t, testGroup)
	cfg.DrainTimeout = 10 * time.Millisecond
	first, _ := newSource(t, cfg, Options{Store: store})
	r := read(t, first)
	at := time.Now()
	s.put(testGroup, auditStream, "settled", at, at)
	r.all("settled")
	r.sweptPast(at)
	r.mu.Lock()
	r.hold = true // from here on nothing is settled, as in a process that is killed
	r.mu.Unlock()
	s.happen("in flight")
	r.all("in flight")
	r.stop()
	s.happen("meanwhile")

	second, log := newSource(t, cfg, Options{Store: store})
	next := read(t, second)
	next.all("in flight", "meanwhile")
	if !strings.Contains(log.String(), "goes on at the saved position") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	if next.count("settled") > 0 {
		t.Error("what lies before the position was read again")
	}
}

func TestAfterDaysTheNewestComesFirstAndTheBacklogInBoundedStretches(t *testing.T) {
	s := newService(t)
	store := newStore(t)
	cfg := settings(t, testGroup)
	cfg.SweepInterval = time.Minute
	cfg.CallsPerSecond = 400
	src, _ := newSource(t, cfg, Options{Store: store})
	now := time.Now()
	var backlog []string
	for i := range 60 {
		body := fmt.Sprint("old", i)
		backlog = append(backlog, body)
		at := now.Add(-71*time.Hour + time.Duration(i)*time.Hour)
		s.put(testGroup, auditStream, body, at, at)
	}
	saved(t, store, src, position{Version: positionVersion, Group: testGroup, Until: now.Add(-72 * time.Hour)})
	r := read(t, src)
	s.happen("fresh")
	r.all("fresh")
	if r.count(backlog[59]) > 0 {
		t.Error("the backlog was read before the newest event")
	}
	r.all(backlog...)
	r.once(backlog...)
	last := int64(0)
	for _, c := range s.calls("FilterLogEvents") {
		if c.in.EndTime-c.in.StartTime > maxStretch.Milliseconds() {
			t.Fatalf("a stretch of %s", time.Duration(c.in.EndTime-c.in.StartTime)*time.Millisecond)
		}
		if c.in.EndTime > now.Add(-time.Minute).UnixMilli() {
			continue // the fast pass
		}
		if last != 0 && c.in.StartTime > last {
			t.Fatalf("nothing was read of %s before %d", time.Duration(c.in.StartTime-last)*time.Millisecond, c.in.StartTime)
		}
		last = c.in.EndTime
	}
}

// saved puts a position into the store as a former run would have.
func saved(t *testing.T, store checkpoint.Store, src *Source, p position) {
	t.Helper()
	text := fmt.Sprintf(`{"version":%d,"log_group":%q,"until":%q}`, p.Version, p.Group, p.Until.UTC().Format(time.RFC3339Nano))
	if err := store.Put(t.Context(), src.newGroup(&src.targets[0], 0).key(), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestStartSaysWhereAFirstStartBegins(t *testing.T) {
	tests := map[string][]string{
		"now":      nil,
		"30m":      {"minutes"},
		"24h":      {"minutes", "hours"},
		"earliest": {"minutes", "hours", "days"},
	}
	for start, want := range tests {
		t.Run(start, func(t *testing.T) {
			s := newService(t)
			now := time.Now()
			for body, age := range map[string]time.Duration{"minutes": 20 * time.Minute, "hours": 5 * time.Hour, "days": 9 * 24 * time.Hour} {
				s.put(testGroup, auditStream, body, now.Add(-age), now.Add(-age))
			}
			cfg := settings(t, testGroup)
			cfg.Start, cfg.SweepInterval = start, 200*time.Millisecond
			r, log, _ := open(t, cfg)
			r.eventually("reading begins", func() bool { return strings.Contains(log.String(), "reading begins") })
			at := time.Now()
			s.put(testGroup, auditStream, "new", at, at)
			r.all("new")
			r.sweptPast(at)
			r.once(append(want, "new")...)
			r.mu.Lock()
			if len(r.seen) != len(want)+1 {
				t.Errorf("%d different events were read, want %d", len(r.seen), len(want)+1)
			}
			r.mu.Unlock()
			if !strings.Contains(log.String(), "reading begins") || !strings.Contains(log.String(), "start="+start) {
				t.Errorf("the log does not say where reading begins:\n%s", log)
			}
		})
	}
}

func TestAPositionThatCannotBeMeantIsPutAsideAndReported(t *testing.T) {
	future := time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
	tests := map[string]struct{ text, says string }{
		"garbage":       {"\x1b[31mgarbage", "not what this program writes"},
		"more behind":   {`{"version":1,"log_group":"` + testGroup + `","until":"2026-01-02T03:04:05Z"}{}`, "there is more behind it"},
		"newer":         {`{"version":2,"log_group":"` + testGroup + `","until":"2026-01-02T03:04:05Z"}`, "version is 2"},
		"another group": {`{"version":1,"log_group":"/aws/eks/x/cluster","until":"2026-01-02T03:04:05Z"}`, "belongs to"},
		"future":        {`{"version":1,"log_group":"` + testGroup + `","until":"` + future + `"}`, "in the future"},
		"no time":       {`{"version":1,"log_group":"` + testGroup + `"}`, "before there were such logs"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			store := newStore(t)
			src, log := newSource(t, settings(t, testGroup), Options{Store: store})
			if err := store.Put(t.Context(), src.newGroup(&src.targets[0], 0).key(), []byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			r := read(t, src)
			at := time.Now()
			s.put(testGroup, auditStream, "e", at, at)
			r.all("e")
			r.sweptPast(at)
			if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, tt.says) {
				t.Errorf("the log does not say %q:\n%s", tt.says, text)
			}
			keys, err := store.Keys(t.Context(), "cloudwatch-refused")
			if err != nil || len(keys) != 1 {
				t.Fatalf("kept aside: %q, %v", keys, err)
			}
			if kept, err := store.Get(t.Context(), keys[0]); err != nil || string(kept) != tt.text {
				t.Errorf("kept aside: %q, %v", kept, err)
			}
		})
	}
}

// failingStore refuses to save.
type failingStore struct {
	checkpoint.Store
}

func (f failingStore) Put(_ context.Context, _ string, _ []byte) error {
	return errors.New("disk full")
}

func TestPositionsThatCannotBeSavedShowInHealthAndReadingGoesOn(t *testing.T) {
	s := newService(t)
	src, log := newSource(t, settings(t, testGroup), Options{Store: failingStore{newStore(t)}})
	r := read(t, src)
	r.eventually("the log says it", func() bool { return strings.Contains(log.String(), "disk full") })
	s.happen("e")
	r.all("e")
	if err := src.health.Err(time.Now().Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Health is %v", err)
	}
}

func TestRegionsAndAccountsAreReadByTheirRolesAndToldApart(t *testing.T) {
	s := newService(t)
	const other = "us-east-1"
	s.group(other, testGroup)
	cfg := settings(t, testGroup, "arn:aws:logs:us-east-1:999988887777:log-group:"+testGroup+":*")
	file := writeFile(t, `
log_groups:
  - name: /aws/eks/third/cluster
    region: us-east-1
    role_arn: arn:aws:iam::111122223333:role/reader
    external_id: shared
    cluster_name: third
    cluster_id: arn:aws:eks:us-east-1:111122223333:cluster/third
`)
	cfg.GroupsFile = file
	s.group(other, "/aws/eks/third/cluster")
	r, _, _ := open(t, cfg)
	now := time.Now()
	s.put(testRegion+"/"+testGroup, auditStream, "one", now, now)
	s.put(other+"/"+testGroup, auditStream, "two", now, now)
	s.put(other+"//aws/eks/third/cluster", auditStream, "three", now, now)
	r.all("one", "two", "three")
	want := map[string]struct {
		stream string
		meta   map[string]string
	}{
		"one": {"eu-central-1//aws/eks/prod/cluster", map[string]string{decode.MetaAccount: testAccount, decode.MetaRegion: testRegion, decode.MetaLogGroup: testGroup, decode.MetaLogStream: auditStream}},
		"two": {"999988887777/us-east-1//aws/eks/prod/cluster", map[string]string{decode.MetaAccount: "999988887777", decode.MetaRegion: other, decode.MetaLogGroup: testGroup, decode.MetaLogStream: auditStream}},
		"three": {"111122223333/us-east-1//aws/eks/third/cluster", map[string]string{
			decode.MetaAccount: "111122223333", decode.MetaRegion: other, decode.MetaLogGroup: "/aws/eks/third/cluster", decode.MetaLogStream: auditStream,
			decode.MetaClusterName: "third", decode.MetaClusterID: "arn:aws:eks:us-east-1:111122223333:cluster/third",
		}},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, record := range r.records {
		w := want[string(record.Body)]
		if r.streams[i] != w.stream {
			t.Errorf("%s has stream %s, want %s", record.Body, r.streams[i], w.stream)
		}
		if fmt.Sprint(record.Meta) != fmt.Sprint(w.meta) {
			t.Errorf("%s has %v, want %v", record.Body, record.Meta, w.meta)
		}
		if len(record.Pos) != 56 || record.Time.UnixMilli() != now.UnixMilli() {
			t.Errorf("%s has position %q and time %s", record.Body, record.Pos, record.Time)
		}
	}
	assumed := s.calls("AssumeRole")
	if len(assumed) == 0 || assumed[0].externalID != "shared" {
		t.Errorf("the role was not assumed with its external id: %v", assumed)
	}
}

func TestARoleThatCannotBeAssumedIsNamed(t *testing.T) {
	s := newService(t)
	s.fault = func(r *request) *apiError {
		if r.op == "AssumeRole" {
			return &apiError{403, "AccessDenied", "not authorized to perform: sts:AssumeRole"}
		}
		return nil
	}
	cfg := settings(t, testGroup)
	cfg.RoleARN = "arn:aws:iam::111122223333:role/reader"
	r, _, _ := open(t, cfg)
	r.unwell("arn:aws:iam::111122223333:role/reader", "trust policy", "sts:AssumeRole")
}

func TestAPrefixFindsLogGroupsAndNewOnesWhileRunning(t *testing.T) {
	s := newService(t)
	s.group(testRegion, "/aws/eks/prod/flow-logs")
	cfg := settings(t)
	cfg.LogGroupPrefix, cfg.Start = "/aws/eks/", "now"
	r, log, _ := open(t, cfg)
	r.eventually("the first is read", func() bool { return len(s.calls("FilterLogEvents")) > 0 })
	s.happen("of the first")
	r.all("of the first")

	born := time.Now()
	const young = "/aws/eks/young/cluster"
	s.mu.Lock()
	s.groups[testRegion+"/"+young] = &fakeGroup{region: testRegion, name: young, class: "STANDARD", created: born}
	s.mu.Unlock()
	s.put(young, auditStream, "its first event", born.Add(time.Millisecond), born)
	r.all("its first event") // although START=now
	for _, c := range s.calls("FilterLogEvents") {
		if c.in.LogGroupName == "/aws/eks/prod/flow-logs" {
			t.Fatal("a log group that is no cluster's was read")
		}
	}

	s.mu.Lock()
	delete(s.groups, testRegion+"/"+young)
	s.mu.Unlock()
	r.eventually("its reading ends", func() bool { return len(r.src.running()) == 1 })
	r.well()
	if !strings.Contains(log.String(), "a log group is gone") {
		t.Errorf("the log does not say so:\n%s", log)
	}
}

func TestWithoutAWayToSTSTheAccountComesFromTheLogGroup(t *testing.T) {
	s := newService(t)
	s.fault = func(r *request) *apiError {
		if r.op == "GetCallerIdentity" {
			return &apiError{503, "ServiceUnavailable", ""}
		}
		return nil
	}
	src, _ := newSource(t, settings(t, testGroup), Options{Store: newStore(t)})
	src.tuning.identify = 100 * time.Millisecond
	r := read(t, src)
	s.happen("e")
	r.all("e")
	if got := r.records[0].Meta[decode.MetaAccount]; got != testAccount {
		t.Errorf("the account is %q", got)
	}
}

func TestWhatTheServiceCutIsDeliveredAsItIs(t *testing.T) {
	s := newService(t)
	r, _, _ := open(t, settings(t, testGroup))
	const cut = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a[Truncated...]`
	s.happen(cut)
	r.all(cut)
}

func TestHistoryEndsByItselfAndMovesNoPosition(t *testing.T) {
	s := newService(t)
	now := time.Now()
	for body, age := range map[string]time.Duration{"before": 5 * time.Hour, "inside": 2 * time.Hour, "inside too": 90 * time.Minute, "after": time.Minute} {
		s.put(testGroup, auditStream, body, now.Add(-age), now.Add(-age))
	}
	src, _ := newSource(t, settings(t, testGroup), Options{History: &pipeline.History{Since: now.Add(-3 * time.Hour), Until: now.Add(-time.Hour)}})
	r := read(t, src)
	r.end()
	r.once("inside", "inside too")
	if len(r.seen) != 2 {
		t.Errorf("delivered: %v", r.seen)
	}
}

func TestHistoryThatMayNotBeReadEndsWithTheReason(t *testing.T) {
	s := newService(t)
	s.fault = func(r *request) *apiError {
		if r.op == "FilterLogEvents" {
			return denied()
		}
		return nil
	}
	src, _ := newSource(t, settings(t, testGroup), Options{History: &pipeline.History{Since: time.Now().Add(-time.Hour), Until: time.Now()}})
	if err := src.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "logs:FilterLogEvents") {
		t.Errorf("Run returned %v", err)
	}
}

func TestWhatRetentionDeletedBeforeItWasReadIsCounted(t *testing.T) {
	s := newService(t)
	s.groups[testRegion+"/"+testGroup].retention = 3
	store, registry := newStore(t), prometheus.NewRegistry()
	cfg := settings(t, testGroup)
	cfg.SweepInterval = time.Hour
	src, log := newSource(t, cfg, Options{Store: store, Registerer: registry})
	saved(t, store, src, position{Version: positionVersion, Group: testGroup, Until: time.Now().Add(-5 * 24 * time.Hour)})
	r := read(t, src)
	s.happen("e")
	r.all("e")
	if got := metric(t, registry, "gap_seconds_total") - 2*24*3600; got < -60 || got > 60 {
		t.Errorf("the gap is off by %.0f s", got)
	}
	if !strings.Contains(log.String(), "retention has deleted events") || !strings.Contains(log.String(), "span=48h0m") {
		t.Errorf("the log does not say so:\n%s", log)
	}
}

func TestHistoryOfAPrefixReadsEachLogGroupAndEnds(t *testing.T) {
	s := newService(t)
	s.group(testRegion, "/aws/eks/b/cluster")
	at := time.Now().Add(-30 * time.Minute)
	s.put(testGroup, auditStream, "a", at, at)
	s.put("/aws/eks/b/cluster", auditStream, "b", at, at)
	cfg := settings(t)
	cfg.LogGroupPrefix = "/aws/eks/"
	src, _ := newSource(t, cfg, Options{History: &pipeline.History{Since: at.Add(-time.Minute), Until: time.Now()}})
	r := read(t, src)
	r.end()
	r.once("a", "b")
}

func TestWithoutSTSTheAccountStaysWhatItWasBefore(t *testing.T) {
	s := newService(t)
	s.fault = func(r *request) *apiError {
		if r.op == "GetCallerIdentity" || r.op == "DescribeLogGroups" {
			return denied()
		}
		return nil
	}
	store := newStore(t)
	src, _ := newSource(t, settings(t, testGroup), Options{Store: store})
	text := fmt.Sprintf(`{"version":1,"log_group":%q,"account":"999988887777","until":%q}`, testGroup, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	if err := store.Put(t.Context(), src.newGroup(&src.targets[0], 0).key(), []byte(text)); err != nil {
		t.Fatal(err)
	}
	r := read(t, src)
	s.happen("e")
	r.all("e")
	if got := r.records[0].Meta[decode.MetaAccount]; got != "999988887777" {
		t.Errorf("the account is %q", got)
	}
}
