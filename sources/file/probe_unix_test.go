//go:build unix

package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// probed runs a Probe. The checks come as lines: state, name, detail.
func probed(t *testing.T, c Config, limit int) (checks string, bodies []string) {
	t.Helper()
	s := newSource(t, c, Options{Stdin: strings.NewReader("{}")})
	var lines []string
	for _, r := range s.Probe(t.Context(), limit, func(c pipeline.Check) {
		lines = append(lines, fmt.Sprintf("%s %s: %s", c.State, c.Name, c.Detail))
		if (c.Fix == "") != (c.State == pipeline.CheckOK) {
			t.Errorf("%s: fix %q", c.State, c.Fix)
		}
	}) {
		bodies = append(bodies, string(r.Body))
	}
	return strings.Join(lines, "\n"), bodies
}

// numbered are n events of one line each.
func numbered(from, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"n\":%d}\n", from+i)
	}
	return b.String()
}

func TestAProbeShowsTheNewestRecords(t *testing.T) {
	dir := t.TempDir()
	old, large, packed := filepath.Join(dir, "old"), filepath.Join(dir, "large"), filepath.Join(dir, "packed.gz")
	write(t, old, []byte(numbered(0, 10)))
	write(t, large, []byte(numbered(1_000_000, 200_000)))
	write(t, packed, gz(numbered(100, 10)))
	for i, path := range []string{old, large, packed} {
		at := time.Now().Add(time.Duration(i-5) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		paths []string
		limit int
		want  string
	}{
		{[]string{old}, 3, `{"n":7} {"n":8} {"n":9}`},
		{[]string{old}, 100, strings.Join(strings.Fields(numbered(0, 10)), " ")},
		{[]string{large}, 2, `{"n":1199998} {"n":1199999}`},
		{[]string{packed, old}, 11, strings.Join(strings.Fields(numbered(100, 10)), " ") + ` {"n":9}`},
		{[]string{dir}, 1, `{"n":109}`},
	} {
		checks, bodies := probed(t, Config{Paths: tt.paths}, tt.limit)
		if got := strings.Join(bodies, " "); got != tt.want {
			t.Errorf("%v, limit %d: %s, want %s", tt.paths, tt.limit, got, tt.want)
		}
		if strings.Contains(checks, "failed") || strings.Contains(checks, "warning") {
			t.Errorf("%v: %s", tt.paths, checks)
		}
	}
	if checks, _ := probed(t, Config{Paths: []string{dir}}, 1); !strings.Contains(checks, "ok path "+dir+": 3 files, 2 MiB") {
		t.Error(checks)
	}
}

func TestAProbeDoesNotGiveOutWhatIsBeingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, []byte(numbered(0, 2)+`{"n":2`))
	if _, bodies := probed(t, Config{Paths: []string{path}, Follow: true}, 10); strings.Join(bodies, " ") != `{"n":0} {"n":1}` {
		t.Errorf("records %q", bodies)
	}
}

func TestAProbeSaysWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	broken, zip, closed := filepath.Join(dir, "broken.gz"), filepath.Join(dir, "a.zip"), filepath.Join(dir, "closed")
	write(t, broken, gz(strings.Repeat(numbered(0, 1000), 20))[:200])
	write(t, zip, []byte("PK\x03\x04 and more"))
	write(t, closed, []byte("{}"))
	write(t, filepath.Join(dir, "empty", ".hidden"), nil)
	asNobody(t, dir)
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path   string
		follow bool
		want   string
	}{
		"a missing file":              {dir + "/none", false, "failed path " + dir + "/none: no such file or directory"},
		"a missing file to follow":    {dir + "/none", true, "warning path " + dir + "/none: nothing is there yet"},
		"a pattern without a match":   {dir + "/x*", false, "no file matches the pattern"},
		"a pattern to follow":         {dir + "/x*", true, "warning path"},
		"an empty directory":          {dir + "/empty", false, "warning path " + dir + "/empty: the directory holds no file"},
		"a damaged archive":           {broken, false, "failed file " + broken + ": compressed data is damaged"},
		"a form that is not read":     {zip, false, "failed file " + zip + ": zip is not read: decompress the file first"},
		"a file that we may not read": {closed, true, "failed file " + closed + ": permission denied"},
		"standard input":              {"-", false, "ok standard input: is read when Foretop runs"},
		"a device to follow":          {os.DevNull, true, "failed path " + os.DevNull + ": not a regular file"},
		"a device":                    {os.DevNull, false, "ok path " + os.DevNull + ": a pipe or device"},
	} {
		if checks, _ := probed(t, Config{Paths: []string{tt.path}, Follow: tt.follow}, 10); !strings.Contains(checks, tt.want) {
			t.Errorf("%s: %s, want %s", name, checks, tt.want)
		}
	}
}
