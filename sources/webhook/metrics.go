package webhook

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts for one source.
type metrics struct {
	requests       *prometheus.CounterVec
	seconds        prometheus.Histogram
	joined         prometheus.Counter
	handshakes     prometheus.Counter
	reloadFailures prometheus.Counter
	connections    prometheus.Gauge
	more           []prometheus.Collector
}

func newMetrics(s *Source) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "foretop_" + name, Help: help})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "foretop_webhook_requests_total", Help: "Requests answered, by HTTP status code."}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foretop_webhook_request_seconds", Help: "Time from the header of a request to its answer, of those answered with 200.",
			Buckets: []float64{.005, .02, .1, .2, .5, 1, 2, 5, 10, 20},
		}),
		joined:         counter("webhook_repeats_joined_total", "Requests that repeat one which is not settled yet, and wait for that one."),
		handshakes:     counter("webhook_handshake_failures_total", "TLS handshakes that failed: a CA that the API server does not trust, a missing client certificate, a port scan."),
		reloadFailures: counter("webhook_reload_failures_total", "Looks at the files of tokens, clusters and certificates that failed; the old ones stay in use."),
		connections:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "foretop_webhook_connections", Help: "Open connections."}),
	}
	gauge := func(name, help string, f func() float64) {
		m.more = append(m.more, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "foretop_" + name, Help: help}, f))
	}
	gauge("webhook_in_flight_bytes", "Bytes of bodies in memory that are being read or are not settled.", func() float64 { return float64(s.held.Load()) })
	gauge("webhook_in_flight_requests", "Requests in progress.", func() float64 { return float64(s.requests.Load()) })
	if s.cfg.TLSCertFile != "" {
		gauge("webhook_certificate_not_after_seconds", "When the server's certificate expires, in Unix time.", func() float64 { return float64(s.access.Load().notAfter.Unix()) })
	}
	if q := s.queue; q != nil {
		gauge("webhook_queue_bytes", "Size of the queue on disk.", func() float64 { return float64(q.bytes()) })
		gauge("webhook_queue_limit_bytes", "Size that the queue on disk may have.", func() float64 { return float64(q.limit) })
		total := func(name, help string, f func() float64) {
			m.more = append(m.more, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "foretop_" + name, Help: help}, f))
		}
		total("webhook_queue_write_failures_total", "Requests that could not be written to the queue.", func() float64 { return float64(q.writeFailures.Load()) })
		total("webhook_queue_damaged_total", "Parts of the queue that could not be read and became dead letters.", func() float64 { return float64(q.damaged.Load()) })
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer, source string) error {
	if r == nil {
		return nil
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"source": source}, r)
	for _, c := range append([]prometheus.Collector{m.requests, m.seconds, m.joined, m.handshakes, m.reloadFailures, m.connections}, m.more...) {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// answered books an answer. The codes are those of this package, so there are few.
func (m *metrics) answered(code int, took time.Duration) {
	m.requests.WithLabelValues(strconv.Itoa(code)).Inc()
	if code == http.StatusOK {
		m.seconds.Observe(took.Seconds())
	}
}
