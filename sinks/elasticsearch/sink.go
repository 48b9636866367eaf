package elasticsearch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/pipeline"
)

// Sink writes documents to one data stream. It implements pipeline.Sink.
type Sink struct {
	cfg     Config
	dataset Dataset
	stream  string
	client  *client
	metrics *metrics
	pace    *pace

	verifying sync.Mutex
	verified  atomic.Bool
	health    atomic.Pointer[error]
}

// Options are what a Sink takes beside its configuration.
type Options struct {
	// Dataset is Findings by default.
	Dataset Dataset
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Documents are never logged.
	Logger *slog.Logger
}

// New makes a sink. It reads the files that cfg names, and does not talk to the server: the first Write or
// Check does. Close ends it.
func New(cfg Config, o Options) (*Sink, error) {
	if o.Dataset == "" {
		o.Dataset = Findings
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c, err := newClient(cfg, o.Logger)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(o.Dataset, o.Registerer)
	if err != nil {
		return nil, errors.Join(err, c.close(context.Background()))
	}
	return &Sink{
		cfg: cfg, dataset: o.Dataset, stream: o.Dataset.Stream(cfg.Namespace),
		client: c, metrics: m, pace: newPace(int(cfg.BulkBytes)),
	}, nil
}

// MaxInFlight implements pipeline.Sink.
func (s *Sink) MaxInFlight() int { return s.cfg.InFlight }

// Close ends the sink's connections. No Write may be under way.
func (s *Sink) Close(ctx context.Context) error { return s.client.close(ctx) }

// Check says whether documents could be written now: the server answers, the credentials hold, and the
// template is there, ours and new enough. Its errors are classified as those of Write are.
func (s *Sink) Check(ctx context.Context) error {
	s.verified.Store(false)
	return s.noted(s.verify(ctx))
}

// Health is what kept the last Write or Check from succeeding, nil if nothing did or there was none yet.
func (s *Sink) Health() error {
	if p := s.health.Load(); p != nil {
		return *p
	}
	return nil
}

// noted keeps err as the state of the sink. After an error that only a human can cure, the next call looks
// at the template again.
func (s *Sink) noted(err error) error {
	s.health.Store(&err)
	if pipeline.ClassOf(err) == pipeline.Fatal {
		s.verified.Store(false)
	}
	return err
}

// Write implements pipeline.Sink. Documents that the data stream has already count as written.
func (s *Sink) Write(ctx context.Context, docs []pipeline.Document) ([]error, error) {
	if len(docs) == 0 {
		return nil, nil
	}
	if err := s.verify(ctx); err != nil {
		return nil, s.noted(err)
	}
	results := make([]error, len(docs))
	entries := make([]*entry, 0, len(docs))
	for i := range docs {
		e, err := newEntry(i, &docs[i])
		if err != nil {
			results[i] = s.result("rejected", err)
			continue
		}
		entries = append(entries, e)
	}
	for rest := entries; len(rest) > 0; {
		var part []*entry
		part, rest = cut(rest, s.pace.limit())
		err := s.writePart(ctx, part, results)
		if err == nil {
			continue
		}
		if len(part)+len(rest) == len(docs) {
			return nil, s.noted(err)
		}
		// What went before has its fate; the others share this one, and are not tried now.
		share(err, part, results)
		share(err, rest, results)
		break
	}
	_ = s.noted(worst(results)) // each document has its own error
	return results, nil
}

// worst is the error that most needs a human, of those that keep documents from being written at all. A
// rejected document is none: it is the document that is at fault.
func worst(results []error) error {
	var worst error
	for _, err := range results {
		switch {
		case err == nil:
		case pipeline.ClassOf(err) == pipeline.Fatal:
			return err
		case pipeline.ClassOf(err) == pipeline.Retry:
			worst = err
		}
	}
	return worst
}

// writePart gives every entry a result, or returns the error of the request as a whole.
func (s *Sink) writePart(ctx context.Context, part []*entry, results []error) error {
	known, err := s.lookup(ctx, part)
	if err != nil {
		return err
	}
	var fresh []*entry
	for _, e := range part {
		if known[e.id] {
			results[e.pos] = s.result("duplicate", nil)
			continue
		}
		fresh = append(fresh, e)
	}
	return s.createAll(ctx, fresh, results)
}

// createAll writes entries, in halves where the server finds them too much at once. The error is nil if
// at least one of them has a fate: then the others have the error as theirs.
func (s *Sink) createAll(ctx context.Context, entries []*entry, results []error) error {
	if len(entries) == 0 {
		return nil
	}
	items, err := s.create(ctx, entries)
	if errors.Is(err, errTooLarge) {
		return s.createLess(ctx, entries, results)
	}
	if err != nil {
		return err
	}
	var again []*entry
	for i := range items {
		more, err := s.settle(entries[i], &items[i])
		if more {
			again = append(again, entries[i])
			continue
		}
		results[entries[i].pos] = err
	}
	share(s.createAll(ctx, again, results), again, results)
	return nil
}

// createLess deals with a request that was too large.
func (s *Sink) createLess(ctx context.Context, entries []*entry, results []error) error {
	if len(entries) == 1 {
		stripped, ok := entries[0].strip()
		if !ok {
			results[entries[0].pos] = s.result("rejected", pipeline.Rejected(errTooLarge))
			return nil
		}
		s.metrics.documents.WithLabelValues("stripped").Inc()
		return s.createAll(ctx, []*entry{stripped}, results)
	}
	left, right := entries[:len(entries)/2], entries[len(entries)/2:]
	if err := s.createAll(ctx, left, results); err != nil {
		return err
	}
	share(s.createAll(ctx, right, results), right, results)
	return nil
}

// share gives the error of a request as a whole to each of its documents.
func share(err error, entries []*entry, results []error) {
	if err == nil {
		return
	}
	for _, e := range entries {
		results[e.pos] = err
	}
}
