package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/geoip"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/telemetry"
	"github.com/foretop/foretop/sources/file"
)

// scanInput is what a scan reads, and how what is found in it is described.
type scanInput struct {
	name    string // of the source, in origins
	source  pipeline.Source
	rules   RuleOptions
	decode  decode.Options
	finding finding.Options
	geoip   geoip.Options
	budget  int64 // bytes of records in flight, 0 for the default
	log     *slog.Logger
	// progress is the text of the progress line.
	progress func(n *pipeline.SourceStats, findings int64, elapsed time.Duration) string
}

// unreadable says what could not be read, after the run.
func (in *scanInput) unreadable() []error {
	if i, ok := in.source.(pipeline.Incomplete); ok {
		return i.Unreadable()
	}
	return nil
}

// scanSource is the name of the source of a scan of files in origins.
const scanSource = "scan"

// input is what the options ask to be read.
func (o *ScanOptions) input() (*scanInput, error) {
	if o.Source != "" {
		return o.past()
	}
	if o.Since != "" || o.Until != "" {
		return nil, errors.New("--since and --until go with --source: files are judged as a whole")
	}
	log := slog.New(slog.DiscardHandler) // what matters is in the quality, or is the error
	source, err := file.New(file.Config{Paths: o.Paths}, file.Options{Name: scanSource, Stdin: o.Stdin, Logger: log})
	if err != nil {
		return nil, err
	}
	return &scanInput{
		name: scanSource, source: source, rules: o.Rules.Options(), log: log,
		decode:  decode.Options{Cluster: event.Cluster{ID: o.Cluster, Name: o.Cluster}},
		finding: finding.Options{Version: telemetry.ReadBuild().Version, SourceTypes: map[string]string{scanSource: "file"}},
		geoip:   geoip.Options{City: o.GeoIPCity, ASN: o.GeoIPASN},
		progress: func(n *pipeline.SourceStats, findings int64, elapsed time.Duration) string {
			return progressLine(source.Progress(), n.Bytes, n.Items, findings, elapsed)
		},
	}, nil
}

// past is what a configured source holds of a stretch of time.
func (o *ScanOptions) past() (*scanInput, error) {
	if len(o.Paths) > 0 {
		return nil, errors.New("--source and paths exclude each other: scan one, then the other")
	}
	history, err := parseHistory(o.Since, o.Until, time.Now())
	if err != nil {
		return nil, err
	}
	if kind := typeOf(o.Source); kind != nil && kind.noPast != "" {
		return nil, fmt.Errorf("--source %s: %s", o.Source, kind.noPast)
	}
	cfg, err := LoadSourceConfig(o.Environ, o.Source)
	if err != nil {
		return nil, fmt.Errorf("--source %s, configuration:\n%w", o.Source, err)
	}
	s, core := &cfg.Sources[0], &cfg.Core
	if why := typeOf(s.Type).noPast; why != "" {
		return nil, fmt.Errorf("--source %s: %s", o.Source, why)
	}
	log, err := telemetry.NewLogger(o.Stderr, telemetry.LogOptions{Level: "warn", Format: "text"})
	if err != nil {
		return nil, err
	}
	opened, err := typeOf(s.Type).open(s, openOptions{
		store: func() (checkpoint.Store, error) { return checkpoint.NewMemory(), nil }, history: &history, registry: prometheus.NewRegistry(), log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("--source %s: %w", o.Source, err)
	}
	source := &pastSource{Source: opened, name: s.Name, until: history.Until}
	in := &scanInput{
		name: s.Name, source: source, rules: o.Rules.with(cfg), log: slog.New(slog.DiscardHandler), // the source's errors are in the quality
		geoip:   geoip.Options{City: cmp.Or(o.GeoIPCity, core.GeoIPCity), ASN: cmp.Or(o.GeoIPASN, core.GeoIPASN)},
		finding: cfg.findingOptions(), budget: int64(core.Budget), progress: source.progressLine,
	}
	if o.Workers == 0 {
		o.Workers = core.Workers
	}
	if in.decode, err = cfg.decodeOptions(s); err != nil {
		return nil, err
	}
	if o.Cluster != "" {
		in.decode.Cluster = event.Cluster{ID: o.Cluster, Name: o.Cluster}
	}
	return in, nil
}

// with adds the rules of the service's configuration to those of the command line.
func (f RuleFlags) with(cfg *Config) RuleOptions {
	o := cfg.ruleOptions()
	if f.NoBuiltin {
		o.Builtin = nil
	}
	o.Paths = slices.Concat(o.Paths, f.Paths)
	if f.Placeholders != "" {
		o.Placeholders = f.Placeholders
	}
	o.SkipInvalid = o.SkipInvalid || f.SkipInvalid
	return o
}

// pastSource reads what a source holds and keeps its error, so that what was read until then is reported.
type pastSource struct {
	pipeline.Source
	name    string
	until   time.Time
	records atomic.Int64
	at      atomic.Int64 // time of the record that was read last, in Unix milliseconds
	err     error
}

// Run implements pipeline.Source.
func (s *pastSource) Run(ctx context.Context, emit pipeline.Emit) error {
	s.err = s.Source.Run(ctx, func(ctx context.Context, b *pipeline.Batch) error {
		n, at := len(b.Records), time.Time{}
		if n > 0 {
			at = b.Records[n-1].Time // before emit: after it, the batch may be settled and used anew
		}
		if err := emit(ctx, b); err != nil {
			return err
		}
		s.records.Add(int64(n))
		if !at.IsZero() {
			s.at.Store(at.UnixMilli())
		}
		return nil
	})
	return nil
}

// Unreadable implements pipeline.Incomplete.
func (s *pastSource) Unreadable() []error {
	var all []error
	if i, ok := s.Source.(pipeline.Incomplete); ok {
		all = i.Unreadable()
	}
	if s.err != nil {
		all = append(all, fmt.Errorf("source %s: reading stopped: %w", s.name, s.err))
	}
	return all
}
