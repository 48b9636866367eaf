package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/offsets"
)

func TestDefaults(t *testing.T) {
	cfg := loaded(t, "FORETOP_KAFKA_BROKERS=a:9092,b:9092", "FORETOP_KAFKA_TOPICS=audit")
	if cfg.Start != StartEarliest || cfg.Group != "foretop" || cfg.SessionTimeout != 30*time.Second || cfg.RebalanceTimeout != time.Minute ||
		cfg.HeartbeatInterval != 3*time.Second || cfg.FetchMaxWait != 500*time.Millisecond || cfg.BatchRecords != 500 ||
		cfg.BatchBytes != 1<<20 || cfg.BatchDelay != 200*time.Millisecond || cfg.MaxUnsettled != 10_000 || cfg.CommitInterval != time.Second {
		t.Errorf("%+v", cfg)
	}
	if cfg.drainLimit() != 15*time.Second || cfg.startOffset() != kafka.FirstOffset || cfg.isolation() != kafka.ReadUncommitted {
		t.Errorf("drain %s, start %d", cfg.drainLimit(), cfg.startOffset())
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for setting, want := range map[string]string{
		"TOPICS=a b":                   `TOPICS: "a b" is no name that Kafka allows`,
		"TOPICS=":                      "set TOPICS or TOPICS_REGEXP, one of the two",
		"TOPICS_REGEXP=audit":          "set TOPICS or TOPICS_REGEXP, one of the two",
		"START=middle":                 `START knows no "middle": write earliest or latest`,
		"ISOLATION=strict":             `ISOLATION knows no "strict": write read_committed or read_uncommitted`,
		"HEARTBEAT_INTERVAL=20s":       "HEARTBEAT_INTERVAL must be at most a third of SESSION_TIMEOUT",
		"DRAIN_TIMEOUT=28s":            "DRAIN_TIMEOUT must be at most 27s",
		"DRAIN_TIMEOUT=-1s":            "DRAIN_TIMEOUT must not be negative",
		"REBALANCE_TIMEOUT=0s":         "REBALANCE_TIMEOUT must be between",
		"COMMIT_INTERVAL=0s":           "COMMIT_INTERVAL must be between",
		"FETCH_MAX_WAIT=1ms":           "FETCH_MAX_WAIT must be between",
		"FETCH_MIN_BYTES=8MiB":         "FETCH_MIN_BYTES must be between 1 and FETCH_MAX_BYTES",
		"FETCH_MAX_BYTES=1GiB":         "FETCH_MAX_BYTES must be at most 128MiB",
		"MAX_RECORD_BYTES=10":          "MAX_RECORD_BYTES must be between",
		"BATCH_RECORDS=0":              "BATCH_RECORDS must be between",
		"BATCH_BYTES=0":                "BATCH_BYTES must be more than 0",
		"BATCH_DELAY=2h":               "BATCH_DELAY must be between",
		"MAX_UNSETTLED=100":            "MAX_UNSETTLED must be at least BATCH_RECORDS",
		"BROKERS=nowhere":              `BROKERS: "nowhere" is no host:port`,
		"SASL_MECHANISM=gssapi":        `SASL_MECHANISM knows no "gssapi"`,
		"TLS_CA_FILE=/etc/ca.pem":      "TLS_CA_FILE has no effect without TLS=true",
		"SASL_USER=me":                 "SASL_USER and SASL_PASSWORD have no effect without SASL_MECHANISM",
		"TLS_INSECURE_SKIP_VERIFY=yes": "TLS_INSECURE_SKIP_VERIFY",
	} {
		t.Run(setting, func(t *testing.T) {
			environ := map[string]string{"BROKERS": "a:9092", "TOPICS": "audit"}
			name, value, _ := strings.Cut(setting, "=")
			environ[name] = value
			var list []string
			for k, v := range environ {
				list = append(list, "FORETOP_KAFKA_"+k+"="+v)
			}
			l := config.NewLoader(list)
			l.Fill("FORETOP_KAFKA", &Config{})
			if err := l.Finish(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

func TestABadPatternIsNamed(t *testing.T) {
	cfg := loaded(t, "FORETOP_KAFKA_BROKERS=a:9092", "FORETOP_KAFKA_TOPICS_REGEXP=audit-.*")
	cfg.TopicsRegexp = "audit("
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "TOPICS_REGEXP: ") {
		t.Errorf("error %v", err)
	}
}

func TestEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var members []kafka.GroupMember
		reads := make(map[string]bool)
		for i := range rapid.IntRange(1, 6).Draw(t, "members") {
			topics := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 4, rapid.ID).Draw(t, "topics")
			members = append(members, kafka.GroupMember{ID: fmt.Sprintf("m%d", i), Topics: topics})
			for _, name := range topics {
				reads[name] = true
			}
		}
		var partitions []kafka.Partition
		want := 0
		for _, name := range []string{"a", "b", "c", "d"} {
			for id := range rapid.IntRange(0, 5).Draw(t, "partitions") {
				partitions = append(partitions, kafka.Partition{Topic: name, ID: id})
				if reads[name] {
					want++
				}
			}
		}
		shares := evenly{}.AssignGroups(rapid.Permutation(members).Draw(t, "order"), rapid.Permutation(partitions).Draw(t, "listing"))
		if diff := cmp.Diff(shares, evenly{}.AssignGroups(members, partitions)); diff != "" {
			t.Fatalf("the assignment depends on the order of the answer:\n%s", diff)
		}
		given := make(map[string]string)
		size := make(map[string]int)
		for id, topics := range shares {
			m := members[slices.IndexFunc(members, func(m kafka.GroupMember) bool { return m.ID == id })]
			for topic, ids := range topics {
				for _, p := range ids {
					key := fmt.Sprint(topic, p)
					if given[key] != "" || !slices.Contains(m.Topics, topic) {
						t.Fatalf("%s went to %s and %s", key, given[key], id)
					}
					given[key] = id
					size[id]++
				}
			}
		}
		if len(given) != want {
			t.Fatalf("%d partitions given, want %d", len(given), want)
		}
		if all := slices.IndexFunc(members, func(m kafka.GroupMember) bool { return len(m.Topics) < 4 }) < 0; all {
			for _, m := range members {
				if d := size[m.ID] - want/len(members); d < 0 || d > 1 {
					t.Fatalf("%s has %d of %d partitions among %d members", m.ID, size[m.ID], want, len(members))
				}
			}
		}
	})
}

func TestWindowAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type part struct {
			next    int64
			records int
			tok     offsets.Token
			settled bool
		}
		limit := rapid.IntRange(1, 50).Draw(t, "limit")
		w := newWindow(1000, limit)
		full, cancel := context.WithCancel(context.Background())
		cancel() // an add that would block returns at once
		var parts []part
		next := int64(1000)
		behind := func() (ready int64, records, entries int) {
			ready = 1000
			i := 0
			for ; i < len(parts) && parts[i].settled; i++ {
				ready = parts[i].next
			}
			for entries = len(parts) - i; i < len(parts); i++ {
				records += parts[i].records
			}
			return ready, records, entries
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			var open []int
			for i, p := range parts {
				if !p.settled {
					open = append(open, i)
				}
			}
			if len(open) == 0 || rapid.Bool().Draw(t, "add") {
				n := rapid.IntRange(0, limit).Draw(t, "records")
				_, held, entries := behind()
				tok, err := w.add(full, next+int64(n)+1, n, time.Time{})
				if fits := (held == 0 || held+n <= limit) && entries < 2*limit; fits != (err == nil) {
					t.Fatalf("adding %d records to %d of %d: %v", n, held, limit, err)
				}
				if err == nil {
					next += int64(n) + 1
					parts = append(parts, part{next: next, records: n, tok: tok})
				}
			} else {
				i := rapid.SampledFrom(open).Draw(t, "settle")
				parts[i].settled = true
				w.settle(parts[i].tok, true)
			}
			ready, records, _ := behind()
			if got, _ := w.behind(); w.ready() != ready || got != records {
				t.Fatalf("ready %d with %d records behind, want %d and %d", w.ready(), got, ready, records)
			}
		}
	})
}

func TestAnAddThatDoesNotFitWaitsForTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(0, 10)
		first, _ := w.add(t.Context(), 5, 5, time.Time{})
		second, _ := w.add(t.Context(), 10, 5, time.Time{})
		added := make(chan struct{})
		go func() {
			defer close(added)
			if _, err := w.add(t.Context(), 15, 5, time.Time{}); err != nil {
				t.Error(err)
			}
		}()
		w.settle(second, true)
		synctest.Wait()
		select {
		case <-added:
			t.Error("room was made by a batch behind an unsettled one")
		default:
		}
		w.settle(first, true)
		<-added
	})
}
