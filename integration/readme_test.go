//go:build integration

package integration

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheReadmeShowsWhatItsCommandPrints(t *testing.T) {
	page := readFile(t, "../README.md")
	command := regexp.MustCompile(`(?m)^go run (\./cmd/foretop) (scan .*)$`).FindStringSubmatch(page)
	shown := regexp.MustCompile("(?ms)^```text\n(.*?)^```$").FindStringSubmatch(page)
	if command == nil || shown == nil {
		t.Fatal("the README has no command, or no output of it")
	}
	scan := startIn(t, "..", "the command of the README", environment(nil), append([]string{buildBinary(t, command[1])}, strings.Fields(command[2])...)...)
	printed := strings.Split(scan.succeed(t, time.Minute), "\n")
	for line := range strings.Lines(shown[1]) {
		if line = strings.TrimRight(line, "\n"); !contains(printed, line) {
			t.Errorf("the command does not print %q", line)
		}
	}
}

// contains looks for a line; one that ends in … is the beginning of a line.
func contains(lines []string, want string) bool {
	prefix, open := strings.CutSuffix(want, "…")
	return slices.ContainsFunc(lines, func(line string) bool {
		return open && strings.HasPrefix(line, prefix) || strings.TrimRight(line, " ") == want
	})
}
