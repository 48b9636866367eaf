package pubsub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
)

// metrics counts for one source. What is in work is read when it is scraped.
type metrics struct {
	src      *Source
	messages *prometheus.CounterVec
	retries  *prometheus.CounterVec
	failures *prometheus.CounterVec
	attempts prometheus.Histogram

	outstandingMessages *prometheus.Desc
	outstandingBytes    *prometheus.Desc
	oldest              *prometheus.Desc
}

func newMetrics(s *Source) *metrics {
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "foretop_" + name, Help: help}, labels)
	}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("foretop_"+name, help, []string{"subscription"}, nil)
	}
	return &metrics{
		src:      s,
		messages: vector("pubsub_messages_total", "Messages by their end: acked, ack_failed (delivered again), given_back.", "subscription", "outcome"),
		retries:  vector("pubsub_retries_total", "Messages whose batch was not handled and that were handed on again.", "subscription"),
		failures: vector("pubsub_call_failures_total", "Failed calls of the service, by method and code; they are tried again.", "method", "code"),
		attempts: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foretop_pubsub_delivery_attempt", Help: "How often a message was delivered, of subscriptions with a dead letter policy.",
			Buckets: []float64{1, 2, 3, 4, 5, 10, 20, 50, 100},
		}),
		outstandingMessages: desc("pubsub_outstanding_messages", "Messages that are in work."),
		outstandingBytes:    desc("pubsub_outstanding_bytes", "Size of the messages that are in work."),
		oldest:              desc("pubsub_oldest_outstanding_seconds", "Time since the oldest message that is in work was published."),
	}
}

func (m *metrics) register(r prometheus.Registerer, source string) error {
	if r == nil {
		return nil
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"source": source}, r)
	for _, c := range []prometheus.Collector{m, m.messages, m.retries, m.failures, m.attempts} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) failure(method string, err error) {
	m.failures.WithLabelValues(method, status.Code(err).String()).Inc()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.outstandingMessages
	ch <- m.outstandingBytes
	ch <- m.oldest
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, r := range m.src.readers {
		l, age := r.load(), 0.0
		if !l.oldest.IsZero() {
			age = max(0, time.Since(l.oldest).Seconds())
		}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, r.stream)
		}
		gauge(m.outstandingMessages, float64(l.messages))
		gauge(m.outstandingBytes, float64(l.bytes))
		gauge(m.oldest, age)
	}
}
