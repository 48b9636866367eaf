package app

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

func TestTheDoctorNamesWhatIsWrongWithSinksAndRules(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rules := t.TempDir()
	filter := "title: Old exception\nid: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a12\nlogsource: {product: kubernetes, service: audit}\n" +
		"filter:\n  rules: any\n  sel: {verb: x}\n  condition: not sel\nx-foretop: {owner: me, reason: because, expires: %s}\n"
	for name, text := range map[string]string{
		"old.yml":  fmt.Sprintf(filter, "2020-01-01"),
		"soon.yml": strings.NewReplacer("Old", "Ending", "2a12", "2a13").Replace(fmt.Sprintf(filter, time.Now().Add(72*time.Hour).Format(time.DateOnly))),
	} {
		if err := os.WriteFile(filepath.Join(rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "a.yml"), []byte(strings.Replace(ruleText("A", "list", "high"), "condition: sel", "condition: other", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		environ []string
		code    int
		want    []string
	}{
		"no templates":         {[]string{"FORETOP_ELASTICSEARCH_ADDRESSES=" + estest.New(t).URL}, ExitError, []string{"✗ templates: there is no index template logs-foretop.findings → foretop setup elasticsearch"}},
		"no server":            {[]string{"FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1"}, ExitError, []string{"✗ server http://127.0.0.1:1", "refused", "→ start the server"}},
		"no place for letters": {[]string{"FORETOP_DEAD_LETTERS_PATH=" + file + "/x"}, ExitError, []string{"Dead letters (file) ✗ file", "not a directory"}},
		"standard output only": {[]string{"FORETOP_SINKS=ndjson"}, ExitOK, []string{"! routes: findings go to the standard output only"}},
		"one file for both":    {[]string{"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + file, "FORETOP_DEAD_LETTERS_PATH=" + file}, ExitError, []string{"✗ routes: findings and dead letters go to the same file"}},
		"exceptions that end":  {[]string{"FORETOP_RULES=" + rules}, ExitOK, []string{"! exceptions: 1 have expired", "Old exception", "! exceptions: 1 expire within 14 days: Ending exception"}},
		"rules with faults":    {[]string{"FORETOP_RULES=" + bad}, ExitError, []string{"✗ rule: " + bad}},
		"no GeoIP file":        {[]string{"FORETOP_GEOIP_CITY=" + dir + "/none"}, ExitError, []string{"✗ geoip: ", "→ correct FORETOP_GEOIP_CITY"}},
		"rules that are away":  {[]string{"FORETOP_RULES=" + bad + "/none"}, ExitError, []string{"✗ rules: ", "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, environ := healthy(t, tt.environ...)
			code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
			if err != nil || code != tt.code {
				t.Errorf("exit code %d, want %d, %v", code, tt.code, err)
			}
			contains(t, out, tt.want...)
		})
	}
}

func TestAWebhookIsWellWithoutRecords(t *testing.T) {
	environ := []string{
		"FORETOP_WEBHOOK_ADDRESS=127.0.0.1:0", "FORETOP_WEBHOOK_TOKEN=0123456789abcdef0123456789abcdef-hunter2", "FORETOP_CLUSTER_NAME=blue", "FORETOP_STATE_DIR=" + t.TempDir(),
		"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + filepath.Join(t.TempDir(), "f"),
	}
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
	if err != nil || code != ExitOK {
		t.Errorf("exit code %d, %v", code, err)
	}
	contains(t, out, "Source webhook ✓ address", "✓ senders")
	if strings.Contains(out, "no records") || strings.Contains(out, "hunter2") {
		t.Errorf("it says too much:\n%s", out)
	}
}

func TestPositionsInAConfigMapNeedAPod(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(log, append(freshEvent(firstID, "list", "secrets", "Metadata", "").Body, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: []string{
		"FORETOP_FILE_PATHS=" + log, "FORETOP_FILE_FOLLOW=true", "FORETOP_CLUSTER_NAME=blue", "FORETOP_CHECKPOINTS=configmap:foretop",
		"FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=-", "FORETOP_STATE_DIR=" + t.TempDir(),
	}})
	if err != nil || code != ExitError {
		t.Errorf("exit code %d, %v", code, err)
	}
	contains(t, out, "State ✗ positions in configmap:foretop: ", "need a pod")
}

func TestTheDoctorReadsFilesAndWritesNone(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	log := filepath.Join(dir, "logs", "audit.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, append(freshEvent(firstID, "list", "secrets", "Metadata", "").Body, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	listing := func() (all []string) {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			all = append(all, fmt.Sprint(path, info.Size(), info.ModTime()))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := listing()
	environ := []string{
		"FORETOP_FILE_PATHS=" + filepath.Dir(log) + "," + filepath.Join(dir, "later*"), "FORETOP_FILE_FOLLOW=true", "FORETOP_CLUSTER_NAME=blue",
		"FORETOP_STATE_DIR=" + state, "FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + filepath.Join(dir, "findings.ndjson"),
	}
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
	if err != nil || code != ExitOK {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	contains(t, out, "1 file, 1 KiB", "later*: nothing is there yet", "✓ sample: 1 events", "State ✓ directory "+state, "findings.ndjson: can be written")
	if after := listing(); !slices.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
	code, out, _ = checkup(t, t.Context(), DoctorOptions{Environ: append(environ, "FORETOP_NDJSON_PATH="+filepath.Join(dir, "logs", "findings.ndjson"))})
	if code != ExitError {
		t.Errorf("exit code %d", code)
	}
	contains(t, out, "✗ routes: source file reads the file that FORETOP_NDJSON_PATH go to")
}

func TestTheDoctorSeesTopicsThatAreReadAgainAndWritesNoMessage(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "audit", "findings", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	broker := cluster.ListenAddrs()[0]
	environ := []string{
		"FORETOP_KAFKA_BROKERS=" + broker, "FORETOP_KAFKA_TOPICS_REGEXP=.*", "FORETOP_CLUSTER_NAME=blue", "FORETOP_STATE_DIR=" + t.TempDir(),
		"FORETOP_SINKS=kafka", "FORETOP_SINK_KAFKA_BROKERS=" + broker, "FORETOP_SINK_KAFKA_TOPIC=findings", "FORETOP_DEAD_LETTERS=kafka", "FORETOP_DEAD_LETTERS_TOPIC=dead",
	}
	code, out, err := checkup(t, t.Context(), DoctorOptions{Environ: environ})
	if err != nil || code != ExitError {
		t.Errorf("exit code %d, %v", code, err)
	}
	contains(t, out, "source kafka reads the topic findings that FORETOP_SINK_KAFKA_TOPIC names", "reads the topic dead", "✓ topic findings: 2 partitions", "✓ topic dead: 2 partitions")
	for _, topic := range []string{"audit", "findings", "dead"} {
		for _, p := range cluster.PartitionInfos(topic) {
			if p.HighWatermark != 0 {
				t.Errorf("%s has a message", topic)
			}
		}
	}
}
