package app

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/pipeline"
)

// RuleWatch holds the rules in force and replaces them when their files change. A set that cannot be
// used leaves the old one in force.
type RuleWatch struct {
	options RuleOptions
	log     *slog.Logger
	current atomic.Pointer[Rules]
	// failure says what is wrong with the files as they are; empty while they are in force.
	failure atomic.Pointer[string]
	// refused is the fingerprint of the set that was refused last, so that it is told once.
	refused  [sha256.Size]byte
	reloads  *prometheus.CounterVec
	loadedAt prometheus.Gauge
	info     *prometheus.GaugeVec
	counts   *prometheus.GaugeVec
}

// WatchRules loads the rules, or returns why they cannot be used. The metrics are registered on r, if it
// is not nil.
func WatchRules(o RuleOptions, log *slog.Logger, r prometheus.Registerer) (*RuleWatch, error) {
	rules, err := LoadRules(o)
	if err != nil {
		return nil, err
	}
	w := &RuleWatch{
		options: o, log: log,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foretop_rule_reloads_total",
			Help: "Attempts to replace the rule set after its files changed, by result: ok or failed.",
		}, []string{"result"}),
		loadedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "foretop_ruleset_loaded_timestamp_seconds", Help: "When the rule set in force was loaded.",
		}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "foretop_ruleset_info", Help: "Always 1; the label is the hash of the rule set in force, as in findings.",
		}, []string{"hash"}),
		counts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "foretop_rules",
			Help: "Documents of the rule files by state: loaded (rules in force), invalid, waiting (a site list is missing), correlation (not run), other_logsource.",
		}, []string{"state"}),
	}
	for _, result := range []string{"ok", "failed"} {
		w.reloads.WithLabelValues(result)
	}
	if r != nil {
		r.MustRegister(w.reloads, w.loadedAt, w.info, w.counts)
	}
	w.use(rules)
	return w, nil
}

// Current is the set in force.
func (w *RuleWatch) Current() *Rules { return w.current.Load() }

// Failure says why the files as they are now are not in force, or is empty.
func (w *RuleWatch) Failure() string {
	if text := w.failure.Load(); text != nil {
		return *text
	}
	return ""
}

// settleDelay is how long files must stay as they are before they are read for good, so that a copy under
// way is not taken for the whole. A ConfigMap changes in one step, but not for somebody who reads several
// files of it.
const settleDelay = time.Second

// Run looks for changes every interval until ctx ends.
func (w *RuleWatch) Run(ctx context.Context, interval time.Duration) {
	var pending [sha256.Size]byte
	wait := interval
	for pipeline.Sleep(ctx, wait) {
		in, err := w.options.read()
		switch {
		case err != nil:
			w.refuse(sha256.Sum256([]byte(err.Error())), err)
			pending, wait = [sha256.Size]byte{}, interval
		case in.fingerprint == w.Current().fingerprint:
			w.failure.Store(nil)
			w.refused = [sha256.Size]byte{}
			wait = interval
		case in.fingerprint == w.refused:
			wait = interval
		case in.fingerprint != pending:
			pending, wait = in.fingerprint, min(interval, settleDelay)
		default:
			w.replace(in)
			wait = interval
		}
	}
}

func (w *RuleWatch) replace(in *ruleInput) {
	rules, err := w.options.compile(in)
	if err != nil {
		w.refuse(in.fingerprint, err)
		return
	}
	w.use(rules)
	w.reloads.WithLabelValues("ok").Inc()
	w.log.Info("rules replaced", "hash", rules.Set.Hash(), "rules", len(rules.Set.Rules()), "invalid", rules.Invalid())
}

func (w *RuleWatch) refuse(fingerprint [sha256.Size]byte, err error) {
	if fingerprint == w.refused {
		return
	}
	text := err.Error()
	w.refused = fingerprint
	w.failure.Store(&text)
	w.reloads.WithLabelValues("failed").Inc()
	w.log.Error("changed rules refused, the old ones stay in force", "error", err)
}

func (w *RuleWatch) use(r *Rules) {
	w.current.Store(r)
	w.failure.Store(nil)
	w.refused = [sha256.Size]byte{}
	w.loadedAt.SetToCurrentTime()
	w.info.Reset()
	w.info.WithLabelValues(r.Set.Hash()).Set(1)
	others := 0
	for _, n := range r.Collection.Skipped {
		others += n
	}
	for state, n := range map[string]int{
		"loaded": len(r.Set.Rules()), "invalid": r.Invalid(), "waiting": len(r.Collection.Waiting),
		"correlation": len(r.Collection.Correlations), "other_logsource": others,
	} {
		w.counts.WithLabelValues(state).Set(float64(n))
	}
}
