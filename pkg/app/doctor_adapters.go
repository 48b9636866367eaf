package app

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	kafkasink "github.com/foretop/foretop/sinks/kafka"
	"github.com/foretop/foretop/sinks/ndjson"
)

// source examines one source and what it holds.
func (d *doctor) source(ctx context.Context, s *SourceConfig, c *checks) {
	source, err := typeOf(s.Type).open(s, openOptions{
		registry: prometheus.NewRegistry(), log: slog.New(slog.DiscardHandler), store: d.noteState,
	})
	if err != nil {
		c.fail("settings", "", "%s", err)
		return
	}
	p, ok := source.(pipeline.Prober)
	if !ok {
		c.warn("examination", "", "sources of the type %s cannot be examined before they run", s.Type)
		return
	}
	records := d.probe(ctx, p, c)
	if ctx.Err() == nil && d.rules != nil {
		d.sample(s, records, c)
	}
}

// noteState stands in for the positions, which a running service may hold: what is probed needs none.
func (d *doctor) noteState() (checkpoint.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.needsState = true
	return checkpoint.NewMemory(), nil
}

// sink examines one sink, as one for findings or for dead letters.
func (d *doctor) sink(ctx context.Context, kind string, dead bool, c *checks) {
	p, end, err := d.prober(kind, dead)
	if err != nil {
		c.fail("settings", "", "%s", err)
		return
	}
	d.probe(ctx, p, c)
	end()
}

// prober makes a sink to be examined. Unlike sinkSet.open it makes no file and takes no lock.
func (d *doctor) prober(kind string, dead bool) (_ pipeline.Prober, end func(), _ error) {
	log := slog.New(slog.DiscardHandler)
	switch kind {
	case "elasticsearch":
		o := elasticsearch.Options{Dataset: elasticsearch.Findings, Logger: log}
		if dead {
			o.Dataset = elasticsearch.DeadLetters
		}
		sink, err := elasticsearch.New(*d.cfg.Elasticsearch, o)
		if err != nil {
			return nil, nil, err
		}
		return sink, func() { _ = closeWithin(sink.Close).Close() }, nil
	case "kafka":
		cfg := *d.cfg.Kafka
		if dead {
			cfg.Topic = d.cfg.Core.DeadLetterTopic
		}
		sink, err := kafkasink.New(cfg, kafkasink.Options{DeadLetters: dead, Logger: log})
		if err != nil {
			return nil, nil, err
		}
		return sink, func() { _ = closeWithin(sink.Close).Close() }, nil
	}
	path := d.cfg.deadLetterPath()
	if !dead {
		path = d.cfg.NDJSON.Path
	}
	return ndjson.Config{Path: path}, func() {}, nil
}
