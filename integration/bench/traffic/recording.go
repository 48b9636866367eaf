package traffic

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// recorded returns the lines of an embedded recording.
func recorded(name string) ([][]byte, error) {
	f, err := recordings.Open("testdata/" + name + ".ndjson.bz2")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(bzip2.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), nil
}

func recordedTemplates(name string) ([]template, error) {
	lines, err := recorded(name)
	if err != nil {
		return nil, err
	}
	all, err := templates(lines)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// A kind says how a part of a line changes from one round of the replay to the next.
type kind int

const (
	clock   kind = iota // a time: moves on by the recording's length
	uuid                // auditID, uid, token ID: other hexadecimal digits
	hex                 // fingerprint, container ID, name of an event: other hexadecimal digits
	version             // resourceVersion: a higher number
	node                // the part of a node's name that says its network: another network
	random              // what Kubernetes put behind a generated name: other characters of its alphabet
	chosen              // a name that people chose: gets a suffix
)

// A part is a stretch of a line that varies.
type part struct {
	start, end int
	kind       kind
	at         time.Time // of a clock
}

// A template is a recorded line and its parts, in order.
type template struct {
	text  []byte
	parts []part
}

const (
	hexAlphabet    = "0123456789abcdef"
	randomAlphabet = "bcdfghjklmnpqrstvwxz2456789" // what Kubernetes makes the random part of a name from
	letters        = "abcdefghijklmnopqrstuvwxyz"

	// The API server writes the times of an event and of leases in microseconds, others in seconds.
	seconds = "2006-01-02T15:04:05Z"
	micros  = "2006-01-02T15:04:05.000000Z"
)

// Names of the recordings that the cluster's users chose. None is a key, a kind, a resource or a verb, and no rule may know
// them: a suffix then changes who and what, not what is done.
var chosenNames = setOf("alice bob carol dan dave erin frank maria auditor shop payments orders catalog cart frontend " +
	"gateway ledger etl www blog")

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// templates finds the varying parts of all lines. It needs all of them first: what Kubernetes put behind a name is known by
// its place there, and varies wherever else it stands, in labels say.
func templates(lines [][]byte) ([]template, error) {
	randoms := map[string]bool{}
	for _, line := range lines {
		for start, end := range words(line) {
			if word := line[start:end]; start > 0 && line[start-1] == '-' && isRandom(word) {
				randoms[string(word)] = true
			}
		}
	}
	all := make([]template, len(lines))
	for i, line := range lines {
		all[i].text = line
		behind := 0
		for start, end := range words(line) {
			if start < behind {
				continue
			}
			if p, ok := partAt(line, start, end, randoms); ok {
				all[i].parts = append(all[i].parts, p)
				behind = p.end
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("nothing to replay")
	}
	return all, nil
}

// words yields where each run of letters and digits starts and ends. A name is a word, or several, in a URI, beside an
// escaped quote and inside a longer name.
func words(line []byte) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for start := 0; start < len(line); start++ {
			end := start
			for end < len(line) && isWord(line[end]) {
				end++
			}
			if end > start && !yield(start, end) {
				return
			}
			start = end
		}
	}
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isRandom says whether the word can be the random part of a name: 5 characters, or 6 to 10 for a hash. Without a letter it
// may be a number, and those must stay numbers.
func isRandom(word []byte) bool {
	return len(word) >= 5 && len(word) <= 10 && only(word, randomAlphabet) && bytes.ContainsAny(word, letters) && string(word) != "https"
}

// isHex says whether the word can be a fingerprint, the ID of a container or the time in an event's name.
func isHex(word []byte) bool {
	return len(word) >= 16 && only(word, hexAlphabet) && bytes.ContainsAny(word, letters)
}

func only(word []byte, alphabet string) bool {
	return len(bytes.Trim(word, alphabet)) == 0
}

// partAt says what varies at a word, if anything does.
func partAt(line []byte, start, end int, randoms map[string]bool) (part, bool) {
	word := line[start:end]
	switch {
	case chosenNames[string(word)]:
		return part{start: start, end: end, kind: chosen}, true
	case randoms[string(word)]:
		return part{start: start, end: end, kind: random}, true
	case isHex(word):
		return part{start: start, end: end, kind: hex}, true
	case string(word) == "resourceVersion":
		for _, before := range []string{"=", `":"`} {
			if digits, ok := bytes.CutPrefix(line[end:], []byte(before)); ok {
				from := end + len(before)
				return part{start: from, end: from + len(digits) - len(bytes.TrimLeft(digits, "0123456789")), kind: version}, true
			}
		}
	case string(word) == "ip" && bytes.HasPrefix(line[start:], []byte("ip-10-0-1-")):
		return part{start: start + len("ip-10-"), end: start + len("ip-10-0-1"), kind: node}, true
	case len(word) == 8 && isUUID(line[start:]):
		return part{start: start, end: start + 36, kind: uuid}, true
	case len(word) == 4 && bytes.HasPrefix(line[end:], []byte("-")):
		for _, layout := range []string{seconds, micros} {
			if n := start + len(layout); n <= len(line) {
				if at, err := time.Parse(layout, string(line[start:n])); err == nil {
					return part{start: start, end: n, kind: clock, at: at}, true
				}
			}
		}
	}
	return part{}, false
}

// isUUID says whether the text begins with one.
func isUUID(text []byte) bool {
	if len(text) < 36 {
		return false
	}
	for i, c := range text[:36] {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if strings.IndexByte(hexAlphabet, c) < 0 {
				return false
			}
		}
	}
	return true
}
