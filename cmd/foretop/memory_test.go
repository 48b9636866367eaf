package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const (
	largestRecord = 16 << 20 // the default limit of a file's records
	hostileEvents = 8        // twice what the budget has room for
	// hostileLimit is the default budget and 100 MiB, in MiB.
	hostileLimit = 64 + 100
)

// TestMemoryOfAScanIsBounded feeds it events as large as they may be, of the shapes that cost a reader most, and looks at
// the most memory that it held.
func TestMemoryOfAScanIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells how much memory a process held")
	}
	fill := func(before, piece, after string) string {
		return before + strings.Repeat(piece, (largestRecord-2048)/len(piece)) + after
	}
	nested := func(open, value, closing string) string {
		n := (largestRecord - 2048) / (len(open) + len(closing))
		return strings.Repeat(open, n) + value + strings.Repeat(closing, n)
	}
	for name, body := range map[string]string{
		"one string":          fill(`{"data":{"a":"`, "x", `"}}`),
		"escapes":             fill(`{"data":{"a":"`, `\u0041`, `"}}`),
		"numbers":             fill(`[`, `1e5,`, `1]`),
		"nested lists":        nested(`[`, ``, `]`),
		"nested objects":      nested(`{"a":`, `1`, `}`),
		"brackets that stay":  fill(``, `{"a":[`, ``),
		"objects without end": fill(``, `{`, ``),
		"members":             members(`{`, `}`, 760_000, func(i int) string { return `"k` + strconv.Itoa(i) + `":"` + strings.Repeat("v", 10) + `"` }),
		"members of a member": members(`{"spec":{"nodeSelector":{`, `}}}`, 500_000, func(i int) string { return `"k` + strconv.Itoa(i) + `":"x"` }),
		"keys twice": members(`{"kind":"Pod","spec":{"hostPID":false,"hostPID":true,"nodeSelector":{`, `}}}`, 400_000, func(i int) string {
			return `"k` + strconv.Itoa(i/2) + `":{"x":"y"}`
		}),
		"containers": members(`{"kind":"Pod","spec":{"containers":[`, `]}}`, 20_000, func(int) string {
			return `{"name":"c","env":[{"name":"a","value":"` + strings.Repeat("v", 500) + `"}]}`
		}),
	} {
		t.Run(name, func(t *testing.T) {
			r := foretop(t, nil, nil, "scan", "--workers", "2", hostileFile(t, body))
			if r.code != 0 {
				t.Fatalf("code %d: %s", r.code, r.stderr)
			}
			m := regexp.MustCompile(`peak memory (\d+) MiB`).FindStringSubmatch(r.stdout)
			if m == nil {
				t.Fatalf("the scan does not say what it held:\n%s", r.stdout)
			}
			if held, err := strconv.Atoi(m[1]); err != nil || held > hostileLimit {
				t.Errorf("the scan held %s MiB, of at most %d", m[1], hostileLimit)
			}
		})
	}
}

// members joins n of what one gives.
func members(before, after string, n int, one func(i int) string) string {
	var b strings.Builder
	b.WriteString(before)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one(i))
	}
	b.WriteString(after)
	return b.String()
}

// hostileFile holds events with this body, which need not be sound.
func hostileFile(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostile.ndjson")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range hostileEvents {
		w.WriteString(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"` + strconv.Itoa(i) + `","stage":"ResponseComplete",` +
			`"requestURI":"/api/v1/namespaces/default/pods","verb":"create","user":{"username":"u"},"objectRef":{"resource":"pods","namespace":"default",` +
			`"name":"p","apiVersion":"v1"},"responseStatus":{"code":201},"stageTimestamp":"2026-03-04T10:15:20.000000Z","requestObject":`)
		w.WriteString(body)
		w.WriteString("}\n")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}
