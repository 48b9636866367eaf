package elasticsearch

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the pipeline cannot see from outside: it knows that a document is stored, not
// whether it was there already.
type metrics struct {
	documents *prometheus.CounterVec
	bulkBytes prometheus.Histogram
	seconds   prometheus.Histogram
}

// documentResults are the values of the label result.
var documentResults = []string{"created", "duplicate", "stripped", "rejected", "failure_store", "retry", "fatal"}

// newMetrics registers the metrics under a label for the dataset, so that the two sinks of a process can
// share a registry.
func newMetrics(d Dataset, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		documents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foretop_elasticsearch_documents_total",
			Help: "Documents by what Elasticsearch said about them; stripped ones count again under the result of their second attempt.",
		}, []string{"result"}),
		bulkBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "foretop_elasticsearch_bulk_bytes",
			Help:    "Size of bulk requests as sent, in bytes.",
			Buckets: prometheus.ExponentialBuckets(1<<10, 4, 8),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "foretop_elasticsearch_bulk_duration_seconds",
			Help:    "Time from sending a bulk request to its answer or failure.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 9),
		}),
	}
	for _, result := range documentResults {
		m.documents.WithLabelValues(result)
	}
	if r == nil {
		return m, nil
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"dataset": string(d)}, r)
	for _, c := range []prometheus.Collector{m.documents, m.bulkBytes, m.seconds} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
