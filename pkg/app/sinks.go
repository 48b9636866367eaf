package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	kafkasink "github.com/foretop/foretop/sinks/kafka"
	"github.com/foretop/foretop/sinks/ndjson"
)

// checker is a sink that can say beforehand whether it could be written to.
type checker interface {
	Check(ctx context.Context) error
}

// sinkSet are the sinks in use.
type sinkSet struct {
	findings    []pipeline.NamedSink
	deadLetters pipeline.NamedSink
	checks      map[string]checker
	closers     []io.Closer
}

// closeTimeout bounds the end of sinks and stores: one that hangs must not keep the process.
const closeTimeout = 5 * time.Second

// close ends all sinks. No write may be under way, but for one that ignores that it was given up.
func (s *sinkSet) close() error {
	closed := make(chan error, 1)
	go func() {
		var errs []error
		for _, c := range s.closers {
			errs = append(errs, c.Close())
		}
		closed <- errors.Join(errs...)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return fmt.Errorf("a sink did not close within %s; what it was writing is delivered again", closeTimeout)
	}
}

// deadLetterSink is the name of the dead letters' sink in metrics and readiness.
const deadLetterSink = "dead-letters"

func newSinks(cfg *Config, log *slog.Logger, r prometheus.Registerer) (_ *sinkSet, err error) {
	set := &sinkSet{checks: make(map[string]checker)}
	defer func() {
		if err != nil {
			err = errors.Join(err, set.close())
		}
	}()
	for _, name := range cfg.Core.Sinks {
		sink, err := set.open(cfg, name, name, false, log, r)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", name, err)
		}
		set.findings = append(set.findings, pipeline.NamedSink{Name: name, Sink: sink})
	}
	sink, err := set.open(cfg, cfg.Core.DeadLetters, deadLetterSink, true, log, r)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	set.deadLetters = pipeline.NamedSink{Name: deadLetterSink, Sink: sink}
	return set, nil
}

// open makes one sink of a kind, for findings or for dead letters.
func (s *sinkSet) open(cfg *Config, kind, name string, dead bool, log *slog.Logger, r prometheus.Registerer) (pipeline.Sink, error) {
	switch kind {
	case "elasticsearch":
		dataset := elasticsearch.Findings
		if dead {
			dataset = elasticsearch.DeadLetters
		}
		sink, err := elasticsearch.New(*cfg.Elasticsearch, elasticsearch.Options{Dataset: dataset, Registerer: r, Logger: log})
		if err != nil {
			return nil, err
		}
		s.checks[name] = sink
		s.closers = append(s.closers, closeWithin(sink.Close))
		return sink, nil
	case "kafka":
		c := *cfg.Kafka
		if dead {
			c.Topic = cfg.Core.DeadLetterTopic
		}
		sink, err := kafkasink.New(c, kafkasink.Options{DeadLetters: dead, Registerer: r, Logger: log})
		if err != nil {
			return nil, err
		}
		s.checks[name] = sink
		s.closers = append(s.closers, closeWithin(sink.Close))
		return sink, nil
	}
	path := cfg.deadLetterPath()
	if dead {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	} else {
		path = cfg.NDJSON.Path
	}
	sink, err := ndjson.New(ndjson.Config{Path: path})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, sink)
	return sink, nil
}

// closeWithin is a Closer that gives up after closeTimeout.
type closeWithin func(ctx context.Context) error

func (f closeWithin) Close() error {
	// What this cleans up outlives the context that ended the service.
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return f(ctx)
}
