package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// files are the kinds of traffic in the results, in order: the second part of the rows' names.
func (r *results) files() []string {
	var all []string
	for _, row := range r.rows {
		parts := strings.Split(row, "/")
		if len(parts) > 1 && len(r.values(row, unitEvents)) > 0 && !slices.Contains(all, parts[1]) {
			all = append(all, parts[1])
		}
	}
	return all
}

// write prints the machine, one table for each file, the rows without a file, and the targets.
func write(w io.Writer, r *results) {
	fmt.Fprintf(w, "# Benchmarks\n\n%s. %d rounds; ratios are taken within a round.\n", machine(r), len(r.rounds))
	for _, file := range r.files() {
		writeFile(w, r, file)
	}
	writeWall(w, r)
	writeTargets(w, r)
}

func machine(r *results) string {
	parts := append([]string{r.cpu}, r.notes...)
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// mixTolerance is how far a row's mean event may differ from its file's before the row is marked: a slow row sees only a
// part of the file.
const mixTolerance = 0.03

func writeFile(w io.Writer, r *results, file string) {
	var rows []string
	for _, row := range r.rows {
		if parts := strings.Split(row, "/"); len(parts) > 1 && parts[1] == file && len(r.values(row, unitEvents)) > 0 {
			rows = append(rows, row)
		}
	}
	mean := r.meanEvent(rows)
	fmt.Fprintf(w, "\n## %s (%s B an event)\n\n", file, thousands(mean))
	fmt.Fprintln(w, "| row | events/CPU-s median (worst..best) | MB/CPU-s | allocations/event |\n|---|---|---|---|")
	marked := false
	for _, row := range rows {
		events := r.values(row, unitEvents)
		middle, _ := median(events)
		worst, best := spread(events, false)
		mark := ""
		if size, ok := median(r.values(row, unitBytes)); ok && math.Abs(size-mean) > mixTolerance*mean {
			mark, marked = " *", true
		}
		fmt.Fprintf(w, "| %s%s | %s (%s..%s) | %s | %s |\n", strings.Replace(row, "/"+file, "", 1), mark,
			thousands(middle), thousands(worst), thousands(best), r.cell(row, unitMB), r.cell(row, unitAllocs))
	}
	if marked {
		fmt.Fprintln(w, "\n\\* saw another mix of events: its mean event differs from the file's.")
	}
}

// meanEvent is the median over rows of their mean event, in bytes.
func (r *results) meanEvent(rows []string) float64 {
	var sizes []float64
	for _, row := range rows {
		sizes = append(sizes, r.values(row, unitBytes)...)
	}
	m, _ := median(sizes)
	return m
}

// cell is the median of a row's unit, or a dash.
func (r *results) cell(row, unit string) string {
	m, ok := median(r.values(row, unit))
	if !ok {
		return "–"
	}
	return thousands(m)
}

// writeWall prints what is told by the clock: the calibration, and how much sooner two workers are done than one.
func writeWall(w io.Writer, r *results) {
	heading := "\n## Wall clock\n\n| what | ns an operation, median (worst..best) | against one, median of rounds (worst..best) |\n|---|---|---|\n"
	line := func(row, one string) {
		wall := r.values(row, unitWall)
		middle, ok := median(wall)
		if !ok {
			return
		}
		worst, best := spread(wall, true)
		against := "–"
		if ratios := r.ratios(row, one, unitWall); len(ratios) > 0 {
			ratio, _ := median(ratios)
			slowest, fastest := spread(ratios, true)
			against = fmt.Sprintf("%.2fx the time (%.2f..%.2f)", ratio, slowest, fastest)
		}
		fmt.Fprintf(w, "%s| %s | %s (%s..%s) | %s |\n", heading, row, thousands(middle), thousands(worst), thousands(best), against)
		heading = ""
	}
	line("Spin/one", "")
	line("Spin/both", "Spin/one")
	for _, file := range r.files() {
		line("Engine/"+file+"/shipped", "")
		line("EngineTwoWorkers/"+file+"/shipped", "Engine/"+file+"/shipped")
		line("Scan/"+file, "")
		line("ScanTwoWorkers/"+file, "Scan/"+file)
	}
}

func writeTargets(w io.Writer, r *results) {
	fmt.Fprintln(w, "\n## Targets\n\n| file | what | target | reached, median of rounds (worst..best) | |\n|---|---|---|---|---|")
	for _, t := range targets(r) {
		v := t.judge(r)
		reached := "–"
		if v.rounds > 0 {
			reached = fmt.Sprintf("%.2fx (%.2f..%.2f)", v.ratio, v.worst, v.best)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", strings.Split(t.row, "/")[1], t.what, t.bound(), reached, v.state())
	}
}

// thousands writes a number for reading: two decimals below ten, whole from ten on, with separators.
func thousands(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
