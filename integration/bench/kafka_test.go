//go:build integration

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkKafkaReader is a bare kafka-go Reader as a process that reads a topic from its beginning to its end and
// counts.
func BenchmarkKafkaReader(b *testing.B) {
	eachTopic(b, func(b *testing.B, t *topic) {
		b.Helper()
		reader := build(b, "./barereader")
		measure(b, t.events, t.bytes, func() usage {
			c := exec.CommandContext(b.Context(), reader, t.broker, t.name, strconv.Itoa(t.events))
			began := time.Now()
			out, err := c.Output()
			if err != nil {
				b.Fatalf("%v: %v", c, err)
			}
			read, rss := barely(b, out)
			if want := t.bytes - int64(t.events); read != want { // messages have no newlines
				b.Fatalf("the reader saw %d of %d bytes", read, want)
			}
			return usage{cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime(), wall: time.Since(began), rss: rss}
		})
	})
}

// BenchmarkKafkaToElasticsearch is `foretop run` as a process from the beginning of the same topic until everything in
// it is judged, every finding stored and every position saved. Its start counts, and so do its metrics and its end.
func BenchmarkKafkaToElasticsearch(b *testing.B) {
	eachTopic(b, func(b *testing.B, t *topic) {
		b.Helper()
		measure(b, t.events, t.bytes, func() usage {
			s := newService(b, t)
			startup := s.begin(b)
			s.settled(b)
			u := s.end(b)
			u.startup = startup
			s.stored(b)
			if u.rss > memoryLimit {
				b.Fatalf("the service held %d MiB, of %d that a budget of %d allows", u.rss>>20, memoryLimit>>20, budget>>20)
			}
			return u
		})
	})
}

// What the service may hold: the default of FORETOP_BUDGET, and what the program itself needs.
const (
	budget      = 64 << 20
	memoryLimit = budget + 100<<20
)

var (
	readBytes = regexp.MustCompile(`(?m)^bytes (\d+)$`)
	readPeak  = regexp.MustCompile(`(?m)^peak (\d+) kB$`)
)

// barely is what the bare reader prints.
func barely(b *testing.B, out []byte) (size, rss int64) {
	b.Helper()
	for at, to := range map[*regexp.Regexp]*int64{readBytes: &size, readPeak: &rss} {
		m := at.FindSubmatch(out)
		if m == nil {
			b.Fatalf("the reader does not say %s:\n%s", at, out)
		}
		n, err := strconv.ParseInt(string(m[1]), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		*to = n
	}
	return size, rss << 10
}

// service is one `foretop run`.
type service struct {
	*exec.Cmd
	topic     *topic
	log       *bytes.Buffer
	admin     string
	group     string
	namespace string // of its own data stream
	began     time.Time
}

// newService sets up a data stream of its own for one run.
func newService(b *testing.B, t *topic) *service {
	b.Helper()
	foretop, name := build(b, "cmd/foretop"), fmt.Sprintf("bench_%x", time.Now().UnixNano())
	s := &service{topic: t, log: new(bytes.Buffer), admin: freePort(b), group: name, namespace: name}
	b.Cleanup(func() { dropStreams(b, s.namespace) })
	sink := []string{"FORETOP_ELASTICSEARCH_ADDRESSES=" + elasticsearch(b), "FORETOP_NAMESPACE=" + s.namespace}
	setup := exec.CommandContext(b.Context(), foretop, "setup", "elasticsearch")
	setup.Env = sink
	if out, err := setup.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", setup, err, out)
	}
	s.Cmd = exec.CommandContext(b.Context(), foretop, "run")
	s.Stdout, s.Stderr = s.log, s.log
	s.Env = append(sink, "FORETOP_KAFKA_BROKERS="+t.broker, "FORETOP_KAFKA_TOPICS="+t.name, "FORETOP_KAFKA_GROUP="+s.group,
		"FORETOP_CLUSTER_NAME=bench", "FORETOP_MIN_LEVEL="+minLevel, "FORETOP_ADMIN_ADDRESS="+s.admin, "FORETOP_STATE_DIR="+b.TempDir(), "FORETOP_LOG_FORMAT=json")
	return s
}

// begin starts the service, and gives the processor time it had used when it first answered.
func (s *service) begin(b *testing.B) time.Duration {
	b.Helper()
	s.began = time.Now()
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	var used time.Duration
	eventually(b, 30*time.Second, 5*time.Millisecond, func(ctx context.Context) error {
		if _, err := get(ctx, "http://"+s.admin+"/metrics"); err != nil {
			return err
		}
		var err error
		used, err = cpuOf(s.Process.Pid)
		return err
	})
	return used
}

// settled waits until the group's saved position is the end of the topic: then everything is judged and stored.
func (s *service) settled(b *testing.B) {
	b.Helper()
	eventually(b, 2*time.Minute, 20*time.Millisecond, func(ctx context.Context) error {
		at, err := s.topic.committed(ctx, s.group)
		if err == nil && at != int64(s.topic.events) {
			err = fmt.Errorf("%d of %d messages are settled", at, s.topic.events)
		}
		return err
	})
}

// end ends the service in order, and gives what it cost. Wall is the time until then.
func (s *service) end(b *testing.B) usage {
	b.Helper()
	u := usage{wall: time.Since(s.began)}
	var err error
	if u.rss, err = peakRSS(s.Process.Pid); err != nil {
		b.Fatal(err)
	}
	if err := s.Process.Signal(terminate); err != nil {
		b.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		b.Fatalf("%v: %v\n%s", s.Cmd, err, tail(s.log.String()))
	}
	u.cpu = s.ProcessState.UserTime() + s.ProcessState.SystemTime()
	evaluated := fmt.Sprintf(`"evaluated":%d,`, s.topic.events)
	if !strings.Contains(s.log.String(), evaluated) {
		b.Fatalf("the service does not say %s:\n%s", evaluated, tail(s.log.String()))
	}
	return u
}

// stored checks that every finding is in Elasticsearch, once.
func (s *service) stored(b *testing.B) {
	b.Helper()
	n, err := countDocuments(b.Context(), elasticsearch(b), "logs-foretop.findings-"+s.namespace)
	if want := int64(s.topic.findings); err != nil || n != want {
		b.Fatal(errors.Join(fmt.Errorf("%d findings are stored, want %d", n, want), err))
	}
}
