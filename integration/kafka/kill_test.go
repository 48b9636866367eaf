//go:build integration

package kafka

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// member is a process that reads as one member of a group.
type member struct {
	t   *testing.T
	cmd *exec.Cmd

	mu    sync.Mutex
	seen  map[string]int // settled records
	last  time.Time      // of the last line
	ended chan struct{}
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "consumer")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./consumer").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func run(t *testing.T, program string, settings ...string) *member {
	t.Helper()
	m := &member{t: t, cmd: exec.Command(program), seen: make(map[string]int), ended: make(chan struct{})}
	m.cmd.Env, m.cmd.Stderr = settings, os.Stderr
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.ended)
		lines := bufio.NewReaderSize(out, 1<<20)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return // a line that a kill cut was not settled
			}
			m.mu.Lock()
			m.last = time.Now()
			for text := range strings.FieldsSeq(line) {
				m.seen[text]++
			}
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { m.end(syscall.SIGKILL) })
	return m
}

func (m *member) end(signal os.Signal) error {
	_ = m.cmd.Process.Signal(signal) // it may have ended
	<-m.ended
	return m.cmd.Wait()
}

func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}

// TestNothingIsLostWhenAMemberIsKilled kills one of two members in the middle of 100,000 records, lets a third
// one join and leave, and expects every record with one of them, and positions that nobody's records are behind.
func TestNothingIsLostWhenAMemberIsKilled(t *testing.T) {
	const total, partitions = 100_000, 4
	address, topic := plaintext(t), unique(t, "kill")
	program := build(t)
	createTopic(t, address, topic, partitions)
	settings := []string{
		"FORETOP_KAFKA_BROKERS=" + address, "FORETOP_KAFKA_TOPICS=" + topic, "FORETOP_KAFKA_GROUP=" + topic, "SETTLE_AFTER=200ms",
		"FORETOP_KAFKA_SESSION_TIMEOUT=6s", "FORETOP_KAFKA_HEARTBEAT_INTERVAL=1s", "FORETOP_KAFKA_MAX_UNSETTLED=1000", "FORETOP_KAFKA_BATCH_RECORDS=100",
	}
	first, second := run(t, program, settings...), run(t, program, settings...)
	produce(t, address, topic, kafka.Snappy, numbers(0, total/2)...)
	eventually(t, "both members are at work", func() bool { return first.count() > total/20 && second.count() > total/20 })

	killed := time.Now()
	_ = first.end(syscall.SIGKILL)
	before := second.count()
	eventually(t, "the survivor has all partitions", func() bool { return second.count() > before && members(t, address, topic) == 1 })
	t.Logf("partitions taken over %s after the kill", time.Since(killed).Round(10*time.Millisecond))
	third := run(t, program, settings...)
	eventually(t, "the third member has joined", func() bool { return members(t, address, topic) == 2 })
	produce(t, address, topic, kafka.Snappy, numbers(total/2, total/2)...)
	eventually(t, "the third member is at work", func() bool { return third.count() > 1000 })
	asked := time.Now()
	if err := third.end(syscall.SIGTERM); err != nil {
		t.Errorf("the third member: %v", err)
	}
	t.Logf("a member ended %s after SIGTERM", time.Since(asked).Round(10*time.Millisecond))
	eventually(t, "every position is saved", func() bool { return committed(t, address, topic, topic, partitions) == total })
	if err := second.end(syscall.SIGTERM); err != nil {
		t.Errorf("the second member: %v", err)
	}
	missing, again := 0, 0
	for i := range total {
		text := strconv.Itoa(i)
		switch n := first.seen[text] + second.seen[text] + third.seen[text]; {
		case n == 0:
			missing++
		case n > 1:
			again++
		}
	}
	t.Logf("%d records: %d lost, %d delivered more than once; by member %d, %d, %d",
		total, missing, again, len(first.seen), len(second.seen), len(third.seen))
	if missing > 0 {
		t.Errorf("%d records are lost", missing)
	}
	if limit := partitions * 2 * 1000; again > limit {
		t.Errorf("%d records came again, more than the %d that may have been unsettled", again, limit)
	}
}

// members is the number of members of a group that has shared out its partitions, 0 while it has not.
func members(t *testing.T, address, group string) int {
	t.Helper()
	res, err := client(address).DescribeGroups(t.Context(), &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil || len(res.Groups) != 1 || res.Groups[0].GroupState != "Stable" {
		return 0
	}
	return len(res.Groups[0].Members)
}
