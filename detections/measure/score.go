package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// scored are the detections that the first rule set must find.
var scored = []string{
	"anonymous_request_allowed", "anonymous_secret_access", "default_service_account_privileged_binding",
	"crypto_miner_image", "suspicious_image", "sensitive_hostpath", "pod_exec", "exec_in_kube_system",
	"self_subject_review_service_account", "self_subject_review_impersonated", "host_ipc", "host_network", "host_pid",
	"privileged_container", "controller_service_account_in_pod", "nodeport_service", "dangerous_capabilities",
	"user_created_pod_in_kube_system", "secret_list", "service_account_denied",
}

const siteDetection = "untrusted_registry"

// ranks orders the severities.
var ranks = map[string]int{"informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}

const (
	low    = 1
	medium = 2
	high   = 3
)

type score struct {
	events   int
	variants map[string]*variant       // by scenario, those with a scored detection
	site     map[string]*variant       // those with untrusted_registry
	honest   map[string]map[string]int // role ("false" or "noise") -> rule and severity -> findings
	worst    map[string]map[int]int    // role -> highest rank on an event -> events
}

// variant is one attack: caught at the highest rank of a finding on one of its events; -1 is missed.
type variant struct {
	detections []string
	rank       int
}

func newScore(marks map[string][]label, found []finding, events int, withSite bool) *score {
	s := &score{events: events, variants: map[string]*variant{}, site: map[string]*variant{},
		honest: map[string]map[string]int{"false": {}, "noise": {}}, worst: map[string]map[int]int{"false": {}, "noise": {}}}
	rank := make(map[string]int)
	for _, f := range found {
		id := f.Kubernetes.Audit.AuditID
		r, seen := rank[id]
		rank[id] = ranks[f.Foretop.Severity]
		if seen {
			rank[id] = max(r, rank[id])
		}
		if role := honestRole(marks[id]); role != "" {
			s.honest[role][f.Foretop.Severity+"\t"+f.Rule.Name]++
		}
	}
	for id, r := range rank {
		if role := honestRole(marks[id]); role != "" {
			s.worst[role][r]++
		}
	}
	for id, all := range marks {
		for _, l := range all {
			if l.Role != "attack" {
				continue
			}
			r, ok := rank[id]
			if !ok {
				r = -1
			}
			s.addAttack(l, r, withSite)
		}
	}
	return s
}

func (s *score) addAttack(l label, rank int, withSite bool) {
	into := func(all map[string]*variant) {
		v := all[l.Scenario]
		if v == nil {
			v = &variant{rank: -1}
			all[l.Scenario] = v
		}
		v.rank = max(v.rank, rank)
		for _, d := range l.Detection {
			if !slices.Contains(v.detections, d) {
				v.detections = append(v.detections, d)
			}
		}
	}
	if slices.ContainsFunc(l.Detection, func(d string) bool { return slices.Contains(scored, d) }) {
		into(s.variants)
	}
	if withSite && slices.Contains(l.Detection, siteDetection) {
		into(s.site)
	}
}

// honestRole is "false" for a finding on ordinary work, "noise" on honest but risky work, else empty.
func honestRole(labels []label) string {
	if len(labels) == 0 {
		return "false"
	}
	for _, l := range labels {
		if l.Role != "noise" {
			return ""
		}
	}
	return "noise"
}

func (s *score) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "events\t%d\n", s.events)
	printCaught(t, "attack variants", s.variants)
	if len(s.site) > 0 {
		printCaught(t, "with the site's list, untrusted registries", s.site)
	}
	for _, role := range []string{"false", "noise"} {
		what := map[string]string{"false": "findings on ordinary work", "noise": "findings on honest but risky work"}[role]
		fmt.Fprintf(t, "\n%s (events by their worst finding)\tat or above\tper 100,000 events\n", what)
		for _, level := range []int{high, medium, low} {
			n := 0
			for rank, events := range s.worst[role] {
				if rank >= level {
					n += events
				}
			}
			name := map[int]string{high: "high", medium: "medium", low: "low"}[level]
			fmt.Fprintf(t, "  %d\t%s\t%.1f\n", n, name, float64(n)*1e5/float64(max(s.events, 1)))
		}
		for _, key := range slices.Sorted(maps.Keys(s.honest[role])) {
			severity, rule, _ := strings.Cut(key, "\t")
			fmt.Fprintf(t, "    %d\t%s\t%s\n", s.honest[role][key], severity, rule)
		}
	}
}

func printCaught(w io.Writer, what string, variants map[string]*variant) {
	count := func(rank int) (n int) {
		for _, v := range variants {
			if v.rank >= rank {
				n++
			}
		}
		return n
	}
	share := func(n int) float64 { return 100 * float64(n) / float64(max(len(variants), 1)) }
	fmt.Fprintf(w, "\n%s\t%d\ncaught at low or above\t%d\t%.1f %%\ncaught at medium or above\t%d\t%.1f %%\n",
		what, len(variants), count(low), share(count(low)), count(medium), share(count(medium)))
	names := slices.SortedFunc(maps.Keys(variants), func(a, b string) int {
		return cmp.Or(cmp.Compare(variants[a].rank, variants[b].rank), cmp.Compare(a, b))
	})
	for _, name := range names {
		if v := variants[name]; v.rank < medium {
			fate := "missed"
			if v.rank >= low {
				fate = "only low"
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", fate, name, strings.Join(v.detections, " "))
		}
	}
}
