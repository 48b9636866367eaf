package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Pipeline runs sources through workers to sinks. It is used once.
type Pipeline struct {
	cfg      Config
	sources  []*sourceState
	sinks    []*delivery
	dead     *delivery
	metrics  *metrics
	throttle *Throttle

	budget  *semaphore.Weighted // bytes of records in flight
	effects *semaphore.Weighted // bytes of documents that wait for a sink
	slots   chan struct{}       // places in queue
	queue   chan *inflight
	noMore  chan struct{}   // closed when the last source has ended
	stopped context.Context //nolint:containedctx // ends when nothing more is taken over; emit outlives no call
	stop    context.CancelFunc

	draining atomic.Bool
	started  atomic.Bool

	mu          sync.Mutex
	closed      bool
	open        map[*inflight]struct{}
	openBytes   int64
	openWG      sync.WaitGroup
	deadLetters map[string]int64
}

// New checks cfg and registers the metrics.
func New(cfg Config) (*Pipeline, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Pipeline{
		cfg: cfg, throttle: NewThrottle(cfg.Logger),
		budget: semaphore.NewWeighted(cfg.Budget), effects: semaphore.NewWeighted(cfg.Budget),
		slots: make(chan struct{}, 2*cfg.Workers), queue: make(chan *inflight, 2*cfg.Workers),
		noMore: make(chan struct{}), open: make(map[*inflight]struct{}), deadLetters: make(map[string]int64),
	}
	p.stopped, p.stop = context.WithCancel(context.Background()) // ended by Run; emit has no other way to learn of it
	for _, s := range cfg.Sources {
		p.sources = append(p.sources, &sourceState{NamedSource: s, n: SourceStats{Name: s.Name}, since: time.Now()})
	}
	for _, s := range cfg.Sinks {
		p.sinks = append(p.sinks, newDelivery(p, s, false))
	}
	p.dead = newDelivery(p, cfg.DeadLetters, true)
	p.metrics = newMetrics(p)
	if err := p.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("pipeline: metrics: %w", err)
	}
	return p, nil
}

// Run makes a Pipeline of cfg and runs it.
func Run(ctx context.Context, cfg Config) error {
	p, err := New(cfg)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// hungGrace is how long Run waits for a worker, a sink or a source that ignores the end of its context.
const hungGrace = 5 * time.Second

// Run works until every source has ended and every batch is settled, or until ctx ends: then the sources
// stop reading, and what is in flight has DrainTimeout to settle before it is given back.
//
// A source that ends with an error does not stop the others: their positions are safe, and stopping them
// would turn one cluster's trouble into blindness for all. Its error shows in Health and in the log at
// once, and Run returns it when all sources have ended. Run returns an error that wraps ErrUnsettled if
// the drain timeout was too short.
func (p *Pipeline) Run(ctx context.Context) error {
	if p.started.Swap(true) {
		return errors.New("pipeline: Run was called before; make a new Pipeline")
	}
	defer p.stop()
	hard, kill := context.WithCancel(context.WithoutCancel(ctx)) // what is in flight outlives ctx by DrainTimeout
	defer kill()
	var workers, deliveries sync.WaitGroup
	for range p.cfg.Workers {
		workers.Go(func() { (&worker{p: p}).work(hard) })
	}
	for _, d := range p.deliveries() {
		d.run(hard, &deliveries)
	}
	sources := p.runSources(ctx)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		<-sources
		p.closeIntake()
		workers.Wait()
		p.openWG.Wait()
	}()

	var err error
	select {
	case <-settled:
	case <-ctx.Done():
		p.startDrain()
		err = p.awaitDrain(settled, kill, &workers)
	}
	kill()
	if !waitFor(&deliveries) {
		p.cfg.Logger.Error("a sink ignores that its context has ended; its last write is abandoned")
	}
	return errors.Join(err, p.sourceErrors())
}

// awaitDrain waits for the last settlement, and after DrainTimeout gives the rest back.
func (p *Pipeline) awaitDrain(settled <-chan struct{}, kill context.CancelFunc, workers *sync.WaitGroup) error {
	timer := time.NewTimer(p.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-settled:
		return nil
	case <-timer.C:
	}
	kill()
	p.stop()
	// A batch given back may be reused by its source, so no worker may read it any more.
	if !waitFor(workers) {
		p.cfg.Logger.Error("a judge ignores that its context has ended; its batch is given back all the same")
	}
	var err error
	if n := p.abandon(ErrUnsettled); n > 0 {
		err = fmt.Errorf("%w: %d batches after %s; they will be delivered again", ErrUnsettled, n, p.cfg.DrainTimeout)
	}
	select {
	case <-settled:
		return err
	case <-time.After(hungGrace):
		return errors.Join(err, fmt.Errorf("pipeline: sources ignore that their context has ended: %v", p.running()))
	}
}

// waitFor waits for wg no longer than hungGrace.
func waitFor(wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	timer := time.NewTimer(hungGrace)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// runSources starts the sources; the channel closes when all have returned.
func (p *Pipeline) runSources(ctx context.Context) <-chan struct{} {
	var wg sync.WaitGroup
	for _, s := range p.sources {
		wg.Go(func() {
			err := p.runSource(ctx, s)
			s.end(err)
			if err != nil {
				p.cfg.Logger.Error("source ended with an error; the other sources go on", "source", s.Name, "error", err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

func (p *Pipeline) runSource(ctx context.Context, s *sourceState) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.cfg.Logger.Error("source panicked; please report it", "source", s.Name,
				"panic", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
			err = fmt.Errorf("source %s panicked (%T)", s.Name, cause)
		}
	}()
	if err := s.Source.Run(ctx, p.emitter(s)); err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	return nil
}

// closeIntake refuses further batches and lets the workers end once the queue is empty.
func (p *Pipeline) closeIntake() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.startDrain()
	close(p.noMore)
}

// startDrain makes the deliveries flush at once instead of waiting for fuller bulks.
func (p *Pipeline) startDrain() {
	if p.draining.Swap(true) {
		return
	}
	for _, d := range p.deliveries() {
		d.signal()
	}
}

func (p *Pipeline) deliveries() []*delivery {
	return append(slices.Clip(p.sinks), p.dead)
}

func (p *Pipeline) sourceErrors() error {
	var errs []error
	for _, s := range p.sources {
		s.mu.Lock()
		errs = append(errs, s.err)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (p *Pipeline) running() (names []string) {
	for _, s := range p.sources {
		s.mu.Lock()
		if !s.ended {
			names = append(names, s.Name)
		}
		s.mu.Unlock()
	}
	return names
}

func (p *Pipeline) countDeadLetter(class string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadLetters[boundedClass(p.deadLetters, class)]++
}

// Stats counts up to now. Each source's numbers are consistent in themselves.
func (p *Pipeline) Stats() Stats {
	var out Stats
	for _, s := range p.sources {
		out.Sources = append(out.Sources, s.stats())
	}
	for _, d := range p.deliveries() {
		n := d.state.stats()
		docs, bytes := d.length()
		n.QueuedDocs, n.QueuedBytes = int64(docs), bytes
		out.Sinks = append(out.Sinks, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out.DeadLetters = maps.Clone(p.deadLetters)
	out.InFlightBytes, out.InFlightBatches = p.openBytes, int64(len(p.open))
	return out
}
