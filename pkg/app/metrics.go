package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// JudgeMetrics count what judging gives. Rules are labelled by their name, or id where they have none; both
// come from rule files, never from events.
type JudgeMetrics struct {
	matches, ruleErrors, blind, suppressed, controlled *prometheus.CounterVec
	decodeErrors, truncated, unknownCluster            *prometheus.CounterVec
}

// NewJudgeMetrics registers the metrics on r.
func NewJudgeMetrics(r prometheus.Registerer) *JudgeMetrics {
	counter := func(label, name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		r.MustRegister(c)
		return c
	}
	return &JudgeMetrics{
		matches:        counter("rule", "foretop_rule_matches_total", "Events that a rule was true for, before the minimum level."),
		ruleErrors:     counter("rule", "foretop_rule_errors_total", "Events that a rule panicked on."),
		blind:          counter("rule", "foretop_rule_blind_total", "Events that a rule could not decide, since the form of the event lacks a field."),
		suppressed:     counter("rule", "foretop_rule_suppressed_total", "Elements that an exception removed from a rule's match."),
		controlled:     counter("rule", "foretop_rule_controlled_total", "Matches left out because a built-in controller made the object from a template judged before."),
		decodeErrors:   counter("class", "foretop_decode_errors_total", "Items that could not be decoded, by reason class."),
		truncated:      counter("source", "foretop_events_truncated_total", "Events judged on the part before a cut."),
		unknownCluster: counter("source", "foretop_events_unknown_cluster_total", "Events whose cluster neither configuration nor record names."),
	}
}

// expose makes the counters of all rules of a set, at zero: an alert on the first match of a rule needs to see
// it rise.
func (m *JudgeMetrics) expose(r *Rules) {
	if m == nil {
		return
	}
	for _, rule := range r.Set.Rules() {
		m.matches.WithLabelValues(labelOf(rule))
		m.ruleErrors.WithLabelValues(labelOf(rule))
	}
}

// labelOf is what metrics call a rule.
func labelOf(r *sigma.Rule) string {
	if r.Name != "" {
		return r.Name
	}
	return r.Key()
}

// tally counts for one batch, so that the shared counters are touched once a batch.
type tally struct {
	matches, ruleErrors, blind, suppressed, controlled, decodeErrors counts
	truncated, unknownCluster                                        int
}

// counts is a small map that keeps its memory.
type counts map[string]int

func (c *counts) add(key string) { c.addN(key, 1) }

func (c *counts) addN(key string, n int) {
	if *c == nil {
		*c = make(counts)
	}
	(*c)[key] += n
}

func (t *tally) event(it *decode.Item, v *engine.Verdict) {
	if it.Envelope.Truncated {
		t.truncated++
	}
	if it.Envelope.Cluster.ID == event.UnknownCluster {
		t.unknownCluster++
	}
	for i := range v.Matches {
		t.matches.add(v.Matches[i].Rule.Key())
	}
	for i := range v.Panics {
		t.ruleErrors.add(v.Panics[i].Rule)
	}
	for i := range v.Blind {
		t.blind.add(v.Blind[i].Rule)
	}
	for i := range v.Suppressed {
		t.suppressed.add(v.Suppressed[i].Rule)
	}
	for rule, n := range v.ControlledMatches {
		t.controlled.addN(rule, n)
	}
}

// flush books the counts and starts again at zero. Without metrics the counts are dropped. labels are those of
// the rules, by their keys.
func (t *tally) flush(m *JudgeMetrics, source string, labels map[string]string) {
	if m != nil {
		for vec, c := range map[*prometheus.CounterVec]counts{
			m.matches: t.matches, m.ruleErrors: t.ruleErrors, m.blind: t.blind, m.suppressed: t.suppressed, m.controlled: t.controlled,
		} {
			for key, n := range c {
				vec.WithLabelValues(labels[key]).Add(float64(n))
			}
		}
		for class, n := range t.decodeErrors {
			m.decodeErrors.WithLabelValues(class).Add(float64(n))
		}
		m.truncated.WithLabelValues(source).Add(float64(t.truncated))
		m.unknownCluster.WithLabelValues(source).Add(float64(t.unknownCluster))
	}
	for _, c := range []counts{t.matches, t.ruleErrors, t.blind, t.suppressed, t.controlled, t.decodeErrors} {
		clear(c)
	}
	t.truncated, t.unknownCluster = 0, 0
}
