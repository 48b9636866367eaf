package main

import (
	"fmt"
	"strings"
)

// target is a bound on the cost of one row in the terms of another.
type target struct {
	what string
	// row and base are compared by processor time per event.
	row, base string
	// limit bounds how many times faster than base the row is, from below; or how many times as expensive, from above.
	limit float64
	cost  bool
}

// verdict is a target with what was reached.
type verdict struct {
	target
	ratio, worst, best float64
	rounds             int
}

// state says whether the target is met.
func (v verdict) state() string {
	switch {
	case v.rounds == 0:
		return "not measured"
	case v.cost && v.ratio <= v.limit, !v.cost && v.ratio >= v.limit:
		return "met"
	}
	return "NOT met"
}

// targets are the project's, for each file that was measured.
func targets(r *results) []target {
	var all []target
	for _, file := range r.files() {
		all = append(all, engineTargets(file)...)
		all = append(all,
			target{"1,000 rules against 200", "Engine/" + file + "/generated1000", "Engine/" + file + "/generated200", 2, true},
			target{"two workers against one", "EngineTwoWorkers/" + file + "/shipped", "Engine/" + file + "/shipped", 1.1, true})
		all = append(all, envelopeTargets(r, file)...)
		all = append(all, processTargets(r, file)...)
	}
	return all
}

// engineTargets hold the engine against the readers. Generated large events are body-rich as the recorded ones are.
func engineTargets(file string) []target {
	encodingJSON := 20.0
	if file == "metadata" {
		encodingJSON = 12
	}
	var all []target
	for _, set := range []string{"shipped", "generated200"} {
		engine := "Engine/" + file + "/" + set
		all = append(all,
			target{set + " rules against fastjson", engine, "Fastjson/" + file, 1.3, false},
			target{set + " rules against encoding/json", engine, "EncodingJSON/" + file, encodingJSON, false},
			target{set + " rules against CEL", engine, "CEL/" + file, 20, false})
	}
	return all
}

func envelopeTargets(r *results, file string) []target {
	var all []target
	prefix := "Envelope/" + file + "/"
	for _, row := range r.rows {
		form, ok := strings.CutPrefix(row, prefix)
		if ok && form != "native" {
			all = append(all, target{"envelope " + form + " against native", row, prefix + "native", 1.5, true})
		}
	}
	return all
}

// processTargets hold the processes against what they are made of.
func processTargets(r *results, file string) []target {
	var all []target
	for _, row := range r.rows {
		switch {
		case row == "Scan/"+file || strings.HasPrefix(row, "Scan/"+file+"/"):
			all = append(all, target{"scan as a process against the engine (" + row + ")", row, "Engine/" + file + "/shipped", 0.8, false})
		case row == "KafkaToElasticsearch/"+file:
			all = append(all, target{"Kafka to Elasticsearch against a bare reader", row, "KafkaReader/" + file, 0.7, false})
		}
	}
	return all
}

// judge computes a target's ratio in each round; the verdict's ratio is their median, since rounds differ in what else the
// machine did.
func (t target) judge(r *results) verdict {
	ratios := r.ratios(t.row, t.base, unitCPU)
	if !t.cost {
		ratios = r.ratios(t.base, t.row, unitCPU)
	}
	v := verdict{target: t, rounds: len(ratios)}
	v.ratio, _ = median(ratios)
	v.worst, v.best = spread(ratios, t.cost)
	return v
}

// ratios are a row's values of a unit over another row's, for each round that has both.
func (r *results) ratios(row, base, unit string) []float64 {
	var all []float64
	for _, round := range r.rounds {
		if a, b := round[row][unit], round[base][unit]; a != 0 && b != 0 {
			all = append(all, a/b)
		}
	}
	return all
}

// spread is the worst and the best of values; smaller is better for costs.
func spread(values []float64, cost bool) (worst, best float64) {
	for i, v := range values {
		if i == 0 || (v > worst) == cost {
			worst = v
		}
		if i == 0 || (v < best) == cost {
			best = v
		}
	}
	return worst, best
}

// bound is the limit as text.
func (t target) bound() string {
	if t.cost {
		return fmt.Sprintf("at most %gx the cost", t.limit)
	}
	return fmt.Sprintf("at least %gx as fast", t.limit)
}
