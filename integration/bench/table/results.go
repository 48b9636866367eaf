package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Units of the metrics that the rows report.
const (
	unitCPU    = "cpu-ns/event"
	unitEvents = "events/cpu-s"
	unitMB     = "MB/cpu-s"
	unitBytes  = "B/event"
	unitAllocs = "allocs/event"
	unitWall   = "ns/op"
)

// sample is what one row reported in one round, by unit.
type sample map[string]float64

// results are all rounds of one run.
type results struct {
	// rows are the names without Benchmark and without the number of processors, in the order of the first round.
	rows []string
	// rounds holds the samples by row's name.
	rounds []map[string]sample
	// cpu is the processor as Go's benchmarks name it; notes are what the run says of itself, in order.
	cpu   string
	notes []string
}

// Prefixes of the lines that the run puts between the benchmarks' own.
const (
	roundPrefix = "# round "
	notePrefix  = "# note: "
)

// parse reads the output of go test -bench. A line "# round N" begins round N, so that rows that were run apart from one
// another count for the same round; without such lines a name that comes again begins the next round.
func parse(r io.Reader) (*results, error) {
	out, round, marked := &results{}, 0, false
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, roundPrefix):
			n, err := strconv.Atoi(strings.TrimPrefix(line, roundPrefix))
			if err != nil || n < 1 || n > 1000 {
				return nil, fmt.Errorf("%q is no round", line)
			}
			round, marked = n-1, true
		case strings.HasPrefix(line, notePrefix):
			out.notes = append(out.notes, strings.TrimPrefix(line, notePrefix))
		case strings.HasPrefix(line, "cpu: "):
			out.cpu = strings.TrimPrefix(line, "cpu: ")
		case strings.HasPrefix(line, "--- FAIL"), strings.HasPrefix(line, "panic:"):
			return nil, fmt.Errorf("the run failed: %s", line)
		default:
			name, s, err := parseRow(line)
			if err != nil {
				return nil, err
			}
			if s == nil {
				continue
			}
			if !marked && round < len(out.rounds) && out.rounds[round][name] != nil {
				round++
			}
			out.add(round, name, s)
		}
	}
	return out, scanner.Err()
}

func (r *results) add(round int, name string, s sample) {
	for len(r.rounds) <= round {
		r.rounds = append(r.rounds, make(map[string]sample))
	}
	r.rounds[round][name] = s
	if !slices.Contains(r.rows, name) {
		r.rows = append(r.rows, name)
	}
}

// parseRow reads one line of a benchmark; the sample is nil for any other line.
func parseRow(line string) (string, sample, error) {
	words := strings.Fields(line)
	if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
		return "", nil, nil
	}
	if strings.Trim(words[1], "0123456789") != "" {
		return "", nil, nil // a line of the log that begins with the row's name
	}
	if len(words)%2 != 0 {
		return "", nil, fmt.Errorf("%q is no row: a value without unit", line)
	}
	s := make(sample)
	for i := 2; i < len(words); i += 2 {
		value, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return "", nil, fmt.Errorf("%q is no row: %w", line, err)
		}
		s[words[i+1]] = value
	}
	return rowName(words[0]), s, nil
}

// rowName takes off Benchmark and the number of processors, -N, which Go leaves out where it is 1.
func rowName(name string) string {
	name = strings.TrimPrefix(name, "Benchmark")
	if at := strings.LastIndexByte(name, '-'); at > 0 {
		if _, err := strconv.Atoi(name[at+1:]); err == nil {
			name = name[:at]
		}
	}
	return name
}

// values are what a row reported in a unit, one for each round that has it.
func (r *results) values(row, unit string) []float64 {
	var all []float64
	for _, round := range r.rounds {
		if v, ok := round[row][unit]; ok {
			all = append(all, v)
		}
	}
	return all
}

// median of values; with an even number the mean of the middle two. ok is false without values.
func median(values []float64) (m float64, ok bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half], true
	}
	return (sorted[half-1] + sorted[half]) / 2, true
}
