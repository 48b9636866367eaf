// Command measure scores the rules on a labelled recording of audit events: which attacks they catch, and what they
// say of honest work.
//
//	go run ./detections/measure --recording audit.ndjson.gz --labels labels.ndjson [--site registries.yml]
//
// A label is one JSON object a line: auditID, scenario (family/variant), detection (names of what should be reported) and role:
// attack, derived (made by a controller because of an attack), context (an attacker's other steps), noise (honest but risky
// work). An event without a label is ordinary work.
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run() error {
	recording := flag.String("recording", "", "audit events, one a line, plain or .gz")
	labels := flag.String("labels", "", "labels, one a line")
	site := flag.String("site", "", "YAML file with the site's lists; scores untrusted_registry too")
	binary := flag.String("foretop", "", "the foretop binary; default: go run ./cmd/foretop")
	flag.Parse()
	if *recording == "" || *labels == "" {
		return errors.New("--recording and --labels are needed; see the head of this file for their form")
	}
	marks, err := readLabels(*labels)
	if err != nil {
		return err
	}
	events, err := countLines(*recording)
	if err != nil {
		return err
	}
	found, err := scan(*binary, *recording, *site)
	if err != nil {
		return err
	}
	newScore(marks, found, events, *site != "").print(os.Stdout)
	return nil
}

// label is one line of the labels file.
type label struct {
	AuditID   string   `json:"auditID"`
	Scenario  string   `json:"scenario"`
	Detection []string `json:"detection"`
	Role      string   `json:"role"`
}

// readLabels gives the labels by audit id; an id may have several.
func readLabels(path string) (map[string][]label, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	marks := make(map[string][]label)
	d := json.NewDecoder(f)
	for {
		var l label
		if err := d.Decode(&l); err == io.EOF {
			return marks, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		marks[l.AuditID] = append(marks[l.AuditID], l)
	}
}

func countLines(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
	}
	n := 0
	b := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 1 && err == nil {
			n++
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// finding is what the score reads of a finding's document.
type finding struct {
	Rule struct {
		Name string `json:"name"`
	} `json:"rule"`
	Foretop struct {
		Severity string `json:"severity_name"`
	} `json:"foretop"`
	Kubernetes struct {
		Audit struct {
			AuditID string `json:"auditID"`
		} `json:"audit"`
	} `json:"kubernetes"`
}

// scan runs `foretop scan` on the recording, as a user would, and reads its findings.
func scan(binary, recording, site string) ([]finding, error) {
	args := []string{"scan", "--output", "ndjson"}
	if site != "" {
		args = append(args, "--placeholders", site)
	}
	args = append(args, recording)
	command := exec.CommandContext(context.Background(), "go", append([]string{"run", "./cmd/foretop"}, args...)...) //nolint:gosec // the arguments are the user's own
	if binary != "" {
		command = exec.CommandContext(context.Background(), binary, args...)
	}
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	var all []finding
	d := json.NewDecoder(out)
	for {
		var f finding
		if err := d.Decode(&f); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("what foretop printed: %w", err)
		}
		all = append(all, f)
	}
	return all, command.Wait()
}
