package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/geoip"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
	"github.com/foretop/foretop/pkg/telemetry"
)

// RunOptions are what `foretop run` gets from its process.
type RunOptions struct {
	// Environ is the configuration, in the form of os.Environ.
	Environ []string
	// Log takes the log lines.
	Log io.Writer
	// Listening, if not nil, is called with the admin address in use.
	Listening func(net.Addr)
}

// Run is the service: it reads sources until ctx ends or all of them have, and drains. It returns an error
// if it could not start, if a source ended with one, or if the drain timeout was too short.
func Run(ctx context.Context, o RunOptions) error {
	cfg, err := LoadConfig(o.Environ)
	if err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	log, err := telemetry.NewLogger(o.Log, telemetry.LogOptions{Level: cfg.Core.LogLevel, Format: cfg.Core.LogFormat})
	if err != nil {
		return err
	}
	s, err := newService(cfg, log)
	if err != nil {
		return err
	}
	return s.run(ctx, o.Listening)
}

// service is everything that Run starts and ends.
type service struct {
	cfg      *Config
	log      *slog.Logger
	registry *prometheus.Registry
	rules    *RuleWatch
	sinks    *sinkSet
	sources  *sourceSet
	places   *geoip.Databases // nil without GeoIP files
	pipeline *pipeline.Pipeline
	draining atomic.Bool
}

// newService makes everything and starts nothing but the sinks' files and connections.
func newService(cfg *Config, log *slog.Logger) (_ *service, err error) {
	s := &service{cfg: cfg, log: log, registry: telemetry.NewRegistry()}
	core := &cfg.Core
	if s.rules, err = WatchRules(cfg.ruleOptions(), log, s.registry); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.sinks, err = newSinks(cfg, log, s.registry); err != nil {
		return nil, err
	}
	if s.sources, err = newSources(cfg, log, s.registry); err != nil {
		return nil, err
	}
	judge, err := s.judgeOptions()
	if err != nil {
		return nil, err
	}
	s.pipeline, err = pipeline.New(pipeline.Config{
		Sources:      s.sources.named,
		NewProcessor: func() pipeline.Processor { return NewProcessor(judge) },
		Sinks:        s.sinks.findings,
		DeadLetters:  s.sinks.deadLetters,
		Redact:       finding.Redact,
		Budget:       int64(core.Budget),
		Workers:      core.Workers,
		DrainTimeout: core.DrainTimeout,
		Registerer:   s.registry,
		Logger:       log,
	})
	return s, err
}

// close ends sinks and stores. Nothing may use them any more.
func (s *service) close() error {
	var errs []error
	if s.sinks != nil {
		errs = append(errs, s.sinks.close())
	}
	if s.sources != nil {
		errs = append(errs, s.sources.close())
	}
	return errors.Join(errs...)
}

func (s *service) judgeOptions() (JudgeOptions, error) {
	level, err := sigma.ParseLevel(s.cfg.Core.MinLevel)
	if err != nil {
		return JudgeOptions{}, err
	}
	perSource := make(map[string]decode.Options)
	for i := range s.cfg.Sources {
		src := &s.cfg.Sources[i]
		if perSource[src.Name], err = s.cfg.decodeOptions(src); err != nil {
			return JudgeOptions{}, err
		}
	}
	describe, core := s.cfg.findingOptions(), &s.cfg.Core
	s.places, err = locate(geoip.Options{City: core.GeoIPCity, ASN: core.GeoIPASN, Registerer: s.registry, Logger: s.log}, &describe)
	if err != nil {
		return JudgeOptions{}, fmt.Errorf("FORETOP_GEOIP_CITY, FORETOP_GEOIP_ASN: %w", err)
	}
	return JudgeOptions{
		Rules:    s.rules.Current,
		Decode:   func(source string) decode.Options { return perSource[source] },
		Finding:  describe,
		MinLevel: level,
		Metrics:  NewJudgeMetrics(s.registry),
	}, nil
}

// run works until ctx ends or the sources have. The order of the end is: readiness off, sources stop
// reading, what is in flight settles, positions are saved, sinks close, and last the admin server goes.
func (s *service) run(ctx context.Context, listening func(net.Addr)) error {
	context.AfterFunc(ctx, func() {
		s.draining.Store(true)
		s.log.Info("draining: no more is read, what was read is finished", "timeout", s.cfg.Core.DrainTimeout)
	})
	work, stop := context.WithCancel(ctx)
	defer stop()
	outlast, end := context.WithCancel(context.WithoutCancel(ctx)) // for what ends after the pipeline
	defer end()
	var background, looks sync.WaitGroup
	var adminErr error
	background.Go(func() {
		adminErr = telemetry.Serve(outlast, s.admin(), s.cfg.Core.AdminAddress, func(a net.Addr) {
			s.log.Info("serving metrics and health", "address", a.String())
			if listening != nil {
				listening(a)
			}
		})
		if adminErr != nil {
			stop()
		}
	})
	if s.cfg.Core.ReloadInterval > 0 {
		background.Go(func() { s.rules.Run(work, s.cfg.Core.ReloadInterval) })
		if s.places != nil {
			background.Go(func() { s.places.Run(work, s.cfg.Core.ReloadInterval) })
		}
	}
	looks.Go(func() { s.sinks.check(work, s.log) })
	s.started()
	err := s.pipeline.Run(work)
	stop()
	looks.Wait() // a sink is closed only when nobody uses it
	err = errors.Join(err, s.close())
	s.ended()
	end()
	background.Wait()
	return errors.Join(err, adminErr)
}

func (s *service) admin() *http.Server {
	return telemetry.NewAdmin(telemetry.AdminOptions{
		Gatherer: s.registry,
		Ready:    s.components,
		Draining: s.draining.Load,
		Alive:    func() error { return nil }, // what could hang is watched by the pipeline itself
		Pprof:    s.cfg.Core.AdminPprof,
	})
}

// components are the parts that readiness names. Rules and GeoIP files that could not be reloaded are told and
// harmless: the old ones are in force.
func (s *service) components() []telemetry.Component {
	h := s.pipeline.Health()
	var out []telemetry.Component
	add := func(kind string, list []pipeline.Component) {
		for _, c := range list {
			detail := c.Reason
			if c.DeadLetterShare >= 0.01 {
				detail = fmt.Sprintf("%.0f %% of the items of the last minutes could not be decoded. %s", 100*c.DeadLetterShare, detail)
			}
			out = append(out, telemetry.Component{Kind: kind, Name: c.Name, Ready: c.OK, Detail: detail})
		}
	}
	add("source", h.Sources)
	add("sink", h.Sinks)
	rules := telemetry.Component{Kind: "rules", Name: "rules", Ready: true, Detail: fmt.Sprintf("%d in force", len(s.rules.Current().Set.Rules()))}
	if failure := s.rules.Failure(); failure != "" {
		rules.Detail += "; the changed files are refused: " + failure
	}
	out = append(out, rules)
	if s.places != nil {
		out = append(out, telemetry.Component{Kind: "geoip", Name: "geoip", Ready: true, Detail: s.places.Detail()})
	}
	return out
}

func (s *service) started() {
	rules := s.rules.Current()
	names := make([]string, len(s.cfg.Sources))
	for i := range s.cfg.Sources {
		names[i] = s.cfg.Sources[i].Name
	}
	s.log.Info("starting", "version", telemetry.ReadBuild().Version, "sources", names, "sinks", s.cfg.Core.Sinks,
		"rules", len(rules.Set.Rules()), "invalid", rules.Invalid(), "hash", rules.Set.Hash())
	if bad := rejecting(rules.Problems); len(bad) > 0 {
		s.log.Warn("invalid rules are skipped; foretop rules lint lists them", "invalid", len(bad), "first", bad[0].Error())
	}
	for _, r := range rules.Collection.WaitingRules {
		s.log.Info("rule left out", "rule", r.Title, "why", rules.Collection.Waiting[r.Key()])
	}
}

// ended logs the balance of each source.
func (s *service) ended() {
	stats := s.pipeline.Stats()
	for i := range stats.Sources {
		n := &stats.Sources[i]
		s.log.Info("source ended", "source", n.Name, "records", n.Records, "settled", n.RecordsSettled, "returned", n.RecordsReturned,
			"items", n.Items, "evaluated", n.Evaluated, "dead_lettered", n.DeadLettered, "skipped", n.SkippedTotal(), "dropped", n.Dropped)
		if err := n.Check(); err != nil {
			s.log.Error("the balance is wrong, please report it", "error", err)
		}
	}
}

// deadLetterPath is the file of the dead letters.
func (c *Config) deadLetterPath() string {
	if c.Core.DeadLetterPath != "" {
		return c.Core.DeadLetterPath
	}
	return filepath.Join(c.Core.StateDir, "dead-letters.ndjson")
}

// checkTimeout bounds the first look at a sink.
const checkTimeout = 30 * time.Second

// check looks at the sinks once at the start, so that a wrong setting shows in readiness before the first
// finding does.
func (s *sinkSet) check(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for name, c := range s.checks {
		if err := c.Check(ctx); err != nil && ctx.Err() == nil {
			log.Error("a sink cannot be written to yet; it is tried again and nothing is lost", "sink", name, "error", err)
		}
	}
}
