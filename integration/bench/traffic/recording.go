package traffic

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"regexp"
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

// varying finds the candidates, in the order of the groups below. A word is a whole run of letters and digits, so that a
// name is found in a URI, beside an escape and inside a longer name.
var varying = regexp.MustCompile(`(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z)` +
	`|([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})` +
	`|resourceVersion(?:=|":")(\d+)` +
	`|ip-10-(0-1)-\d+` +
	`|([0-9A-Za-z]+)`)

// Names of the recordings that the cluster's users chose. None is a key, a kind, a resource or a verb, and no rule may know
// them: a suffix then changes who and what, not what is done.
var chosenNames = setOf("alice bob carol dan dave erin frank maria auditor shop payments orders catalog cart frontend " +
	"gateway ledger etl www blog")

var (
	hexWord = regexp.MustCompile(`^[0-9a-f]{16,}$`)
	// Kubernetes takes the random part of a name from these characters, 5 of them, or 6 to 10 for a hash.
	randomWord = regexp.MustCompile(`^[` + randomAlphabet + `]{5,10}$`)
)

const (
	hexAlphabet    = "0123456789abcdef"
	randomAlphabet = "bcdfghjklmnpqrstvwxz2456789"
	letters        = "abcdefghijklmnopqrstuvwxyz"
)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// templates finds the varying parts of all lines. It needs all of them first: a hash is known by its place at the end of a
// name, and varies wherever else it stands, in labels say.
func templates(lines [][]byte) ([]template, error) {
	randoms := map[string]bool{}
	matches := make([][][]int, len(lines))
	for i, line := range lines {
		matches[i] = varying.FindAllSubmatchIndex(line, -1)
		for _, m := range matches[i] {
			if start, end := m[10], m[11]; start > 0 && line[start-1] == '-' && isRandom(line[start:end]) {
				randoms[string(line[start:end])] = true
			}
		}
	}
	all := make([]template, len(lines))
	for i, line := range lines {
		all[i].text = line
		for _, m := range matches[i] {
			p, ok := partOf(line, m, randoms)
			if !ok {
				continue
			}
			if p.kind == clock {
				var err error
				if p.at, err = time.Parse(time.RFC3339Nano, string(line[p.start:p.end])); err != nil {
					return nil, fmt.Errorf("line %d: %w", i+1, err)
				}
			}
			all[i].parts = append(all[i].parts, p)
		}
	}
	return all, nil
}

// isRandom: without a letter it may be a number, and those must stay numbers.
func isRandom(word []byte) bool {
	return randomWord.Match(word) && strings.ContainsAny(string(word), letters) && string(word) != "https"
}

// partOf says what a match of varying is, if it varies.
func partOf(line []byte, m []int, randoms map[string]bool) (part, bool) {
	for i, k := range []kind{clock, uuid, version, node} {
		if start := m[2*i+2]; start >= 0 {
			return part{start: start, end: m[2*i+3], kind: k}, true
		}
	}
	p := part{start: m[10], end: m[11]}
	switch word := line[p.start:p.end]; {
	case chosenNames[string(word)]:
		p.kind = chosen
	case randoms[string(word)]:
		p.kind = random
	case hexWord.Match(word) && strings.ContainsAny(string(word), letters):
		p.kind = hex
	default:
		return part{}, false
	}
	return p, true
}
