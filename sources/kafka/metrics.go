package kafka

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts for one source. Gauges of partitions are read when they are scraped, so that none is
// left behind by a partition that went to another replica.
type metrics struct {
	src           *Source
	rebalances    prometheus.Counter
	gaps          *prometheus.CounterVec
	resets        prometheus.Counter
	commitFailed  prometheus.Counter
	fetchErrors   *prometheus.CounterVec
	stalls        prometheus.Counter
	damaged       prometheus.Counter
	cut           prometheus.Counter
	redeliveries  prometheus.Counter
	abandoned     prometheus.Counter
	lagRecords    *prometheus.Desc
	lagSeconds    *prometheus.Desc
	unsettled     *prometheus.Desc
	assigned      *prometheus.Desc
	drainDuration prometheus.Histogram
}

func newMetrics(s *Source) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "foretop_" + name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "foretop_" + name, Help: help}, labels)
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("foretop_"+name, help, labels, nil)
	}
	return &metrics{
		src:          s,
		rebalances:   counter("source_rebalances_total", "Times that the partitions of the source were shared out anew."),
		gaps:         vector("source_gap_records_total", "Records that the brokers deleted before they were read.", "topic"),
		resets:       counter("source_position_resets_total", "Saved positions beyond the end of their partition, as after a topic was made anew."),
		commitFailed: counter("commit_failures_total", "Savings of positions that failed; they are tried again."),
		fetchErrors:  vector("source_fetch_errors_total", "Failed requests for records, by kind; they are tried again.", "kind"),
		stalls:       counter("source_stalls_total", "Partitions with records to read that made no progress, so that connections were made anew."),
		damaged:      counter("source_damaged_batches_total", "Record batches that cannot be read; each is handed on as one undecodable record."),
		cut:          counter("source_cut_records_total", "Records over MAX_RECORD_BYTES, of which only the beginning was handed on."),
		redeliveries: counter("source_redeliveries_total", "Times that a partition was read again because a batch was not handled."),
		abandoned:    counter("source_abandoned_batches_total", "Batches that were not handled in time when their partition was given up; its next owner reads them again."),
		lagRecords:   desc("source_lag_records", "Records of a partition that are not handled yet.", "stream"),
		lagSeconds:   desc("source_lag_seconds", "Age of the oldest record of a partition that was read and is not handled yet, or of the last one read while more is there.", "stream"),
		unsettled:    desc("unsettled_positions", "Records of a partition that were read beyond its saved position.", "stream"),
		assigned:     desc("source_partitions", "Partitions that this replica reads."),
		drainDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foretop_source_drain_seconds", Help: "Time to finish what was read when partitions were given up.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 7),
		}),
	}
}

func (m *metrics) register(r prometheus.Registerer, source string) error {
	if r == nil {
		return nil
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"source": source}, r)
	for _, c := range []prometheus.Collector{
		m, m.rebalances, m.gaps, m.resets, m.commitFailed, m.fetchErrors, m.stalls, m.damaged, m.cut,
		m.redeliveries, m.abandoned, m.drainDuration,
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.lagRecords
	ch <- m.lagSeconds
	ch <- m.unsettled
	ch <- m.assigned
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	parts := m.src.assigned()
	now := time.Now()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range parts {
		lag := p.lag(now)
		gauge(m.lagRecords, float64(lag.records), p.stream)
		gauge(m.lagSeconds, lag.age.Seconds(), p.stream)
		gauge(m.unsettled, float64(lag.unsettled), p.stream)
	}
	gauge(m.assigned, float64(len(parts)))
}
