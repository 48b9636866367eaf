package ndjson

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestAProbeOfAFileMakesNone(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		Stdout:                         "lines go there",
		filepath.Join(dir, "new", "f"): "can be written",
		dir:                            "is a directory",
	} {
		var got pipeline.Check
		Config{Path: path}.Probe(t.Context(), 1, func(c pipeline.Check) { got = c })
		if !strings.Contains(got.Detail, want) || (got.State == pipeline.CheckFailed) != (got.Fix != "") {
			t.Errorf("%s: %+v, want %s", path, got, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%d entries (%v)", len(entries), err)
	}
}
