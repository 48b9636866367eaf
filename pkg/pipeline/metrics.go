package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics exports a pipeline's Stats and Health, so that numbers shown by a scan and numbers scraped are
// the same numbers. Only the histograms are kept here.
type metrics struct {
	p            *Pipeline
	bulkBytes    *prometheus.HistogramVec
	writeSeconds *prometheus.HistogramVec
}

func newMetrics(p *Pipeline) *metrics {
	return &metrics{
		p: p,
		bulkBytes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "foretop_sink_bulk_bytes", Help: "Size of the document bodies in one write to a sink.",
			Buckets: prometheus.ExponentialBuckets(1024, 4, 8),
		}, []string{"sink"}),
		writeSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "foretop_sink_write_seconds", Help: "Time that one write to a sink took, failed or not.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"sink"}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m, m.bulkBytes, m.writeSeconds} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) bulk(sink string, bytes int, took time.Duration) {
	m.bulkBytes.WithLabelValues(sink).Observe(float64(bytes))
	m.writeSeconds.WithLabelValues(sink).Observe(took.Seconds())
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("foretop_"+name, help, labels, nil)
}

var (
	descRecords         = desc("records_total", "Records taken in from a source, redelivered ones again.", "source")
	descRecordBytes     = desc("record_bytes_total", "Bytes of record bodies taken in from a source.", "source")
	descRecordsSettled  = desc("records_settled_total", "Records whose items all reached an end.", "source")
	descRecordsReturned = desc("records_returned_total", "Records given back to the source unsettled, to be delivered again.", "source")
	descRecordsInFlight = desc("records_inflight", "Records taken in and not settled yet.", "source")
	descBatchesInFlight = desc("batches_inflight", "Batches taken in and not settled yet.", "source")
	descItems           = desc("items_total", "Items (events and undecodable stretches) by what became of them.", "source", "result")
	descSkipped         = desc("items_skipped_total", "Items that are well-formed and no Kubernetes audit event, by class.", "source", "class")
	descItemsInFlight   = desc("items_inflight", "Items judged whose effects are not durable yet.", "source")
	descPanics          = desc("record_panics_total", "Records whose judging panicked.", "source")
	descSourceUp        = desc("source_healthy", "1 while the source is well.", "source")
	descBytesInFlight   = desc("inflight_bytes", "Bytes of records in flight, with overhead.")
	descBudget          = desc("inflight_budget_bytes", "Bytes of records that may be in flight.")
	descSinkDocs        = desc("sink_docs_total", "Results of documents: stored, rejected (to the dead letters), retried, refused (held until somebody acts).", "sink", "result")
	descSinkErrors      = desc("sink_request_errors_total", "Writes that got nothing through.", "sink")
	descSinkBulks       = desc("sink_bulks_total", "Writes that got something through.", "sink")
	descSinkWait        = desc("sink_retry_seconds_total", "Time spent waiting between attempts.", "sink")
	descSinkQueue       = desc("sink_queue_docs", "Documents that wait for the sink, in no request.", "sink")
	descSinkQueueBytes  = desc("sink_queue_bytes", "Bytes of the documents that wait for the sink, in no request.", "sink")
	descSinkUp          = desc("sink_healthy", "1 while the sink is well.", "sink")
	descDeadLetters     = desc("dead_letters_total", "Dead letters that the dead-letter sink has, by reason class.", "class")
)

// Describe names every metric, so that a second pipeline on the same registry is refused.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRecords, descRecordBytes, descRecordsSettled, descRecordsReturned, descRecordsInFlight, descBatchesInFlight,
		descItems, descSkipped, descItemsInFlight, descPanics, descSourceUp, descBytesInFlight, descBudget, descSinkDocs,
		descSinkErrors, descSinkBulks, descSinkWait, descSinkQueue, descSinkQueueBytes, descSinkUp, descDeadLetters,
	} {
		ch <- d
	}
}

// Collect reads one snapshot.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	stats, health := m.p.Stats(), m.p.Health()
	for i := range stats.Sources {
		s := &stats.Sources[i]
		counter(descRecords, float64(s.Records), s.Name)
		counter(descRecordBytes, float64(s.Bytes), s.Name)
		counter(descRecordsSettled, float64(s.RecordsSettled), s.Name)
		counter(descRecordsReturned, float64(s.RecordsReturned), s.Name)
		counter(descPanics, float64(s.Panics), s.Name)
		gauge(descRecordsInFlight, float64(s.RecordsInFlight), s.Name)
		gauge(descBatchesInFlight, float64(s.BatchesInFlight), s.Name)
		gauge(descItemsInFlight, float64(s.ItemsInFlight), s.Name)
		gauge(descSourceUp, flag(health.Sources[i].OK), s.Name)
		counter(descItems, float64(s.Evaluated), s.Name, "evaluated")
		counter(descItems, float64(s.DeadLettered), s.Name, "dead_lettered")
		counter(descItems, float64(s.SkippedTotal()), s.Name, "skipped")
		counter(descItems, float64(s.Dropped), s.Name, "dropped")
		for class, n := range s.Skipped {
			counter(descSkipped, float64(n), s.Name, class)
		}
	}
	for i := range stats.Sinks {
		s := &stats.Sinks[i]
		counter(descSinkDocs, float64(s.Stored), s.Name, "stored")
		counter(descSinkDocs, float64(s.Rejected), s.Name, "rejected")
		counter(descSinkDocs, float64(s.Retried), s.Name, "retried")
		counter(descSinkDocs, float64(s.Refused), s.Name, "refused")
		counter(descSinkErrors, float64(s.RequestErrors), s.Name)
		counter(descSinkBulks, float64(s.Bulks), s.Name)
		counter(descSinkWait, s.RetryWait.Seconds(), s.Name)
		gauge(descSinkQueue, float64(s.QueuedDocs), s.Name)
		gauge(descSinkQueueBytes, float64(s.QueuedBytes), s.Name)
		gauge(descSinkUp, flag(health.Sinks[i].OK), s.Name)
	}
	for class, n := range stats.DeadLetters {
		counter(descDeadLetters, float64(n), class)
	}
	gauge(descBytesInFlight, float64(stats.InFlightBytes))
	gauge(descBudget, float64(health.BudgetBytes))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
