package file

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsOfFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ".")
		registry := prometheus.NewPedanticRegistry()
		appendTo(t, w.path("a.log"), lines(0, 2))
		w.registry = registry
		w.start()
		time.Sleep(2 * time.Second)
		w.rename("a.log", "b.log")
		time.Sleep(2 * time.Second)
		w.copyTruncate("b.log", "c.log")
		time.Sleep(5 * time.Second)
		want := `
# HELP foretop_file_open Followed files that are held open.
# TYPE foretop_file_open gauge
foretop_file_open{source="test"} 2
# HELP foretop_file_rotations_total Followed files that were renamed.
# TYPE foretop_file_rotations_total counter
foretop_file_rotations_total{source="test"} 1
# HELP foretop_file_truncations_total Followed files that were cut and are read from their beginning again.
# TYPE foretop_file_truncations_total counter
foretop_file_truncations_total{source="test"} 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "foretop_file_open",
			"foretop_file_rotations_total", "foretop_file_truncations_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Error(err, problems)
		}
		if _, err := New(w.cfg, Options{Name: "other", Registerer: registry}); err != nil {
			t.Errorf("a second source on the registry: %v", err)
		}
		if _, err := New(w.cfg, Options{Name: "test", Registerer: registry}); err == nil {
			t.Error("two sources of one name would be counted as one, and were allowed")
		}
		w.stop()
	})
}
