package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Options are what a Source takes beside its configuration.
type Options struct {
	// Name of the source in logs, metrics and the keys of positions; "cloudwatch" by default.
	Name string
	// Store keeps the positions. It is needed unless History is set.
	Store checkpoint.Store
	// History asks for a source that reads what is stored and ends.
	History *pipeline.History
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Records are never logged.
	Logger *slog.Logger
}

// Source reads log groups of CloudWatch Logs. It implements pipeline.Source, pipeline.HealthReporter and
// pipeline.Prober. Run may be called once.
type Source struct {
	cfg      Config
	name     string
	store    checkpoint.Store
	history  *pipeline.History
	log      *slog.Logger
	throttle *pipeline.Throttle
	metrics  *metrics
	health   pipeline.Troubles
	tuning   tuning

	clock      clock
	limits     limiters
	remembered atomic.Int64 // event ids of all groups
	targets    []target
	routes     map[routeKey]*route
	// qualified says that names of log groups alone may not be unique.
	qualified bool
	started   int64 // milliseconds

	mu     sync.Mutex
	groups map[string]*group // by stream
}

// tuning are times that only tests change.
type tuning struct {
	retryMin, retryMax time.Duration // pauses after failures
	save               time.Duration // between two savings of positions
	lastSave           time.Duration // for the saving at the end
	identify           time.Duration // to learn from STS whose the credentials are
	credentials        int           // attempts to find any credentials at the start
}

var defaultTuning = tuning{
	retryMin: 500 * time.Millisecond, retryMax: time.Minute, save: 5 * time.Second, lastSave: 5 * time.Second,
	identify: 10 * time.Second, credentials: 3,
}

// New makes a source. It reads the files that cfg and the AWS settings name, and connects to nothing.
func New(cfg Config, o Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "cloudwatch"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Store == nil && o.History == nil {
		return nil, errors.New("cloudwatch: a source needs a store for its positions")
	}
	s := &Source{
		cfg: cfg, name: o.Name, store: o.Store, history: o.History, log: o.Logger, throttle: pipeline.NewThrottle(o.Logger),
		tuning: defaultTuning, limits: limiters{most: cfg.CallsPerSecond},
		routes: make(map[routeKey]*route), groups: make(map[string]*group),
	}
	base, err := loadConfig(cfg.Region)
	if err != nil {
		return nil, err
	}
	if s.targets, err = cfg.targets(base.Region); err != nil {
		return nil, err
	}
	type place struct{ account, region string }
	places := make(map[place]bool)
	for i := range s.targets {
		t := &s.targets[i]
		places[place{t.account, t.route.region}] = true
		if s.routes[t.route] != nil {
			continue
		}
		if s.routes[t.route], err = newRoute(t.route, &s.clock); err != nil {
			return nil, err
		}
	}
	s.qualified = len(places) > 1
	s.metrics = newMetrics(s)
	if err := s.metrics.register(o.Registerer, o.Name); err != nil {
		return nil, fmt.Errorf("cloudwatch source %s: %w", o.Name, err)
	}
	return s, nil
}

// Run implements pipeline.Source. What is wrong with one log group is reported, tried again, and does not hold up
// the others. Run returns an error when no credentials are to be had at all, and when it reads history and a group
// cannot be read.
func (s *Source) Run(ctx context.Context, emit pipeline.Emit) error {
	s.started = time.Now().UnixMilli()
	if err := s.awaitCredentials(ctx); err != nil {
		return fmt.Errorf("cloudwatch source %s: %w", s.name, err)
	}
	// The batches outlive ctx: what is in flight at the end can still be settled.
	batchCtx, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	saving, stop := context.WithCancel(batchCtx)
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		s.saveOften(saving)
	}()
	r := &runner{s: s, ctx: ctx, batchCtx: batchCtx, emit: emit}
	for i := range s.targets {
		if t := &s.targets[i]; t.name != "" {
			r.start(ctx, t, 0)
		}
	}
	for i := range s.targets {
		if t := &s.targets[i]; t.prefix != "" {
			r.running.Go(func() { r.fail(r.discover(t)) })
		}
	}
	r.running.Wait()
	stop()
	<-saved
	return errors.Join(r.errs...)
}

// awaitCredentials fails if no route has any credentials to begin with, after a few attempts.
func (s *Source) awaitCredentials(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		var last error
		for key, r := range s.routes {
			c := r.current()
			_, err := c.base.Retrieve(ctx)
			if err == nil {
				return nil
			}
			last = explain(&credentialsError{err: err}, "", &target{route: key}, s.clock.ahead(), false)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the run is no error
		}
		if attempt >= s.tuning.credentials {
			return last
		}
		s.throttle.Log(warnLevel, "credentials", "no credentials are to be had yet", "source", s.name, "error", last)
		pipeline.Sleep(ctx, s.tuning.wait(attempt+2))
	}
}

// saveOften saves positions until ctx ends. The last ones are saved by the groups themselves.
func (s *Source) saveOften(ctx context.Context) {
	for pipeline.Sleep(ctx, s.tuning.save) {
		for _, g := range s.running() {
			if session := g.session.Load(); session != nil {
				session.advance()
				g.save(ctx)
			}
		}
	}
}

// running are the groups that are read.
func (s *Source) running() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		out = append(out, g)
	}
	return out
}

// newGroup makes the reader of one log group.
func (s *Source) newGroup(t *target, created int64) *group {
	g := &group{src: s, t: t, route: s.routes[t.route], stream: t.name, created: created}
	if s.qualified {
		g.stream = t.route.region + "/" + t.name
		if t.account != "" {
			g.stream = t.account + "/" + g.stream
		}
	}
	return g
}

// Health is nil while all is well, and else what is wrong.
func (s *Source) Health() error { return s.health.Err(time.Now()) }

var (
	_ pipeline.Source         = (*Source)(nil)
	_ pipeline.HealthReporter = (*Source)(nil)
	_ pipeline.Prober         = (*Source)(nil)
)
