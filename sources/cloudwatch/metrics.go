package cloudwatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts for one source. Gauges of log groups are read when they are scraped, so that none is left behind
// by a group that is gone.
type metrics struct {
	src          *Source
	calls        *prometheus.CounterVec
	events       *prometheus.CounterVec
	late         prometheus.Counter
	duplicates   prometheus.Counter
	otherStreams prometheus.Counter
	repeated     prometheus.Counter
	redeliveries prometheus.Counter
	saveFailed   prometheus.Counter
	refused      prometheus.Counter
	gap          prometheus.Counter
	lateness     prometheus.Histogram

	lag, positionAge, unsettled, groups, remembered, rate, skew *prometheus.Desc
}

func newMetrics(s *Source) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "foretop_" + name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "foretop_" + name, Help: help}, []string{label})
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("foretop_"+name, help, labels, nil)
	}
	return &metrics{
		src:          s,
		calls:        vector("cloudwatch_calls_total", "Calls of FilterLogEvents, by result.", "result"),
		events:       vector("cloudwatch_events_total", "Events handed on, by the pass that found them: fast or sweep.", "pass"),
		late:         counter("cloudwatch_late_events_total", "Events that arrived after the fast pass had gone on, and that the sweep found."),
		duplicates:   counter("cloudwatch_duplicates_total", "Events met again and not handed on again."),
		otherStreams: counter("cloudwatch_other_streams_total", "Events of other log streams, which the service should have left out."),
		repeated:     counter("cloudwatch_passes_repeated_total", "Stretches of time that were read again because a call failed."),
		redeliveries: counter("cloudwatch_redeliveries_total", "Times that a log group was read again from its position because a batch was not handled."),
		saveFailed:   counter("cloudwatch_save_failures_total", "Savings of positions that failed; they are tried again."),
		refused:      counter("cloudwatch_positions_refused_total", "Saved positions that could not be meant and were put aside."),
		gap:          counter("cloudwatch_gap_seconds_total", "Time between a saved position and the oldest event that retention had left, when reading went on."),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foretop_cloudwatch_lateness_seconds", Help: "Time from an event to its arrival in CloudWatch Logs.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600},
		}),
		lag:         desc("cloudwatch_lag_seconds", "Age of the newest event time that the fast pass has read.", "stream"),
		positionAge: desc("cloudwatch_position_age_seconds", "Age of the position: everything before it was read a last time and is settled.", "stream"),
		unsettled:   desc("cloudwatch_unsettled_batches", "Batches of a log group that are not settled.", "stream"),
		groups:      desc("cloudwatch_log_groups", "Log groups that are read."),
		remembered:  desc("cloudwatch_remembered_ids", "Event ids in memory."),
		rate:        desc("cloudwatch_calls_per_second", "Calls a second that are allowed at present.", "account", "region"),
		skew:        desc("cloudwatch_clock_skew_seconds", "By how much AWS' clock is ahead of this machine's."),
	}
}

func (m *metrics) register(r prometheus.Registerer, source string) error {
	if r == nil {
		return nil
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"source": source}, r)
	for _, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m, m.calls, m.events, m.late, m.duplicates, m.otherStreams, m.repeated, m.redeliveries, m.saveFailed, m.refused, m.gap, m.lateness,
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.lag, m.positionAge, m.unsettled, m.groups, m.remembered, m.rate, m.skew} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	age := func(at int64) float64 {
		return max(0, time.Duration(m.src.clock.now()-at)*time.Millisecond).Seconds()
	}
	groups := m.src.running()
	for _, g := range groups {
		if s := g.session.Load(); s != nil {
			s.advance()
			gauge(m.lag, age(s.polled.Load()), g.stream)
			gauge(m.positionAge, age(g.settled.Load()), g.stream)
			gauge(m.unsettled, float64(s.tracker.Unsettled()), g.stream)
		}
	}
	gauge(m.groups, float64(len(groups)))
	gauge(m.remembered, float64(m.src.remembered.Load()))
	for _, l := range m.src.limits.list() {
		gauge(m.rate, float64(l.pace.Limit()), l.account, l.region)
	}
	gauge(m.skew, m.src.clock.ahead().Seconds())
}
