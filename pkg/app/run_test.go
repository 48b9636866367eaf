package app

import (
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// makeService makes the service of a configuration and ends it with the test. It does not run.
func makeService(t *testing.T, environ ...string) *service {
	t.Helper()
	cfg, err := LoadConfig(append(environ, "FORETOP_STATE_DIR="+t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSeveralAdaptersOfEveryTypeWorkSideBySide(t *testing.T) {
	dir := t.TempDir()
	common := []string{
		"FORETOP_SOURCES=k1,k2,f1,f2",
		"FORETOP_SOURCE_K1_TYPE=kafka", "FORETOP_SOURCE_K1_BROKERS=127.0.0.1:1", "FORETOP_SOURCE_K1_TOPICS=a", "FORETOP_SOURCE_K1_CLUSTER_FROM=header:cluster",
		"FORETOP_SOURCE_K2_TYPE=kafka", "FORETOP_SOURCE_K2_BROKERS=127.0.0.1:1", "FORETOP_SOURCE_K2_TOPICS=a",
		"FORETOP_SOURCE_F1_TYPE=file", "FORETOP_SOURCE_F1_PATHS=" + dir, "FORETOP_SOURCE_F1_FOLLOW=true",
		"FORETOP_SOURCE_F2_TYPE=file", "FORETOP_SOURCE_F2_PATHS=" + dir, "FORETOP_SOURCE_F2_FOLLOW=true",
		"FORETOP_SINKS=elasticsearch,kafka,ndjson",
		"FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "FORETOP_SINK_KAFKA_BROKERS=127.0.0.1:1", "FORETOP_SINK_KAFKA_TOPIC=findings",
		"FORETOP_NDJSON_PATH=" + filepath.Join(dir, "out.ndjson"),
	}
	for dead, extra := range map[string][]string{"file": nil, "kafka": {"FORETOP_DEAD_LETTERS_TOPIC=dead"}, "elasticsearch": nil} {
		t.Run("dead letters in "+dead, func(t *testing.T) {
			s := makeService(t, slices.Concat(common, extra, []string{"FORETOP_DEAD_LETTERS=" + dead})...)
			var names []string
			for _, c := range s.components() {
				names = append(names, c.Kind+" "+c.Name)
			}
			want := []string{
				"source k1", "source k2", "source f1", "source f2", "sink elasticsearch", "sink kafka", "sink ndjson", "sink dead-letters", "rules rules",
			}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMetricsHaveProperNames(t *testing.T) {
	s := makeService(t, "FORETOP_FILE_PATHS="+t.TempDir(), "FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1")
	problems, err := testutil.GatherAndLint(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "foretop_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestAWriterThatHangsDoesNotKeepTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := make(chan struct{})
		defer close(hanging)
		set := &sinkSet{closers: []io.Closer{closeFunc(func() error {
			<-hanging
			return nil
		})}}
		if err := set.close(); err == nil || !strings.Contains(err.Error(), "did not close") {
			t.Errorf("got %v", err)
		}
	})
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }
