package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Kubernetes gives every container variables for each Service of its namespace, in the style of the
// old container links. A Service called foretop, or foretop-kafka, makes names that look like ours.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var (
	serviceVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$`)
	portVariable    = regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)
	portAddress     = regexp.MustCompile(`^(tcp|udp|sctp)://`)
	numberedPort    = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
)

func injectedByKubernetes(name, value string) bool {
	return serviceVariable.MatchString(name) ||
		numberedPort.MatchString(name) ||
		portVariable.MatchString(name) && portAddress.MatchString(value)
}

// unknown lists the variables that no setting has, with the name that was probably meant.
func (l *Loader) unknown() []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		why, inactive := l.inactive[name]
		switch {
		case l.known[name], inactive && l.env[name] == "": // empty counts as not set
		case inactive:
			problems = append(problems, fmt.Errorf("%s has no effect: %s", name, why))
		default:
			problems = append(problems, fmt.Errorf("%s is no setting%s", name, l.suggestion(name)))
		}
	}
	return problems
}

func (l *Loader) suggestion(name string) string {
	best, distance := "", 1+len(name)/4
	for _, known := range slices.Sorted(maps.Keys(l.known)) {
		if d := editDistance(name, known, distance); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return "; `foretop config` lists all of them"
	}
	return ": did you mean " + best + "?"
}

// editDistance is the least number of letters to insert, remove or replace, or limit if it is not less.
func editDistance(a, b string, limit int) int {
	a, b = strings.TrimPrefix(a, Prefix), strings.TrimPrefix(b, Prefix)
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
