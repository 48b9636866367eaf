package app

import (
	"testing"
	"time"

	"github.com/foretop/foretop/sources/file"
)

func TestProgressSaysHowFarTheScanHasCome(t *testing.T) {
	for name, tc := range map[string]struct {
		p    file.Progress
		want string
	}{
		"one file":            {file.Progress{Files: 1, Bytes: 250, TotalBytes: 1000, Current: "a.log"}, " 25 %  300 MB/s  1 900 000 events  41 findings  ETA 30s  a.log"},
		"several files":       {file.Progress{Files: 3, FilesDone: 1, Bytes: 10, TotalBytes: 1000, Current: "b.gz"}, "1 of 3 files    1 %  300 MB/s  1 900 000 events  41 findings  b.gz"},
		"standard input":      {file.Progress{Files: 1, Bytes: 77, Current: "-"}, "300 MB/s  1 900 000 events  41 findings  -"},
		"a file that grows":   {file.Progress{Files: 1, Bytes: 2000, TotalBytes: 1000, Current: "a"}, "300 MB/s  1 900 000 events  41 findings  a"},
		"a name that strikes": {file.Progress{Current: "a\x1b[2J"}, `300 MB/s  1 900 000 events  41 findings  a\x1b[2J`},
	} {
		if got := progressLine(tc.p, 3_000_000_000, 1_900_000, 41, 10*time.Second); got != tc.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tc.want)
		}
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1234: "-1 234"} {
		if got := number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
