package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
)

// sourceType is one kind of source: the value of FORETOP_SOURCE_<NAME>_TYPE, and how it is made. Each has a file
// of its own here, source_<kind>.go.
type sourceType struct {
	kind string
	// config makes the struct that the environment fills; it has a Validate method.
	config func() any
	// noPast, if not empty, says why the past of such a source cannot be read, and what to do instead.
	noPast string
	// open makes the source from s.Adapter, which config made. It connects when it runs.
	open func(s *SourceConfig, o openOptions) (pipeline.Source, error)
}

// sourceTypes are all kinds, in the order of the reference.
var sourceTypes = []sourceType{fileSource, kafkaSource, cloudwatchSource, webhookSource, pubsubSource, eventHubsSource}

// openOptions are what a source gets from the service.
type openOptions struct {
	// store opens the positions of sources that have no broker to keep them.
	store func() (checkpoint.Store, error)
	// history, if not nil, asks for a source that reads what is stored and ends.
	history  *pipeline.History
	registry prometheus.Registerer
	log      *slog.Logger
}

func typeOf(kind string) *sourceType {
	for i := range sourceTypes {
		if sourceTypes[i].kind == kind {
			return &sourceTypes[i]
		}
	}
	return nil
}

// kinds are the names of all source types.
func kinds() []string {
	names := make([]string, len(sourceTypes))
	for i := range sourceTypes {
		names[i] = sourceTypes[i].kind
	}
	return names
}

// sourceSet are the sources in use, with the positions of those that keep theirs here.
type sourceSet struct {
	named     []pipeline.NamedSource
	positions checkpoint.Store
}

// newSources makes the configured sources. They connect when they run.
func newSources(cfg *Config, log *slog.Logger, r prometheus.Registerer) (_ *sourceSet, err error) {
	set := &sourceSet{}
	defer func() {
		if err != nil {
			err = errors.Join(err, set.close())
		}
	}()
	o := openOptions{registry: r, log: log, store: func() (checkpoint.Store, error) { return set.store(cfg, log) }}
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		source, err := typeOf(s.Type).open(s, o)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		set.named = append(set.named, pipeline.NamedSource{Name: s.Name, Source: source})
	}
	return set, nil
}

// positionsFile holds the positions, in the state directory.
const positionsFile = "positions.json"

// store opens the positions when the first source asks for them.
func (set *sourceSet) store(cfg *Config, log *slog.Logger) (checkpoint.Store, error) {
	if set.positions == nil {
		positions, err := openPositions(&cfg.Core, log)
		if err != nil {
			return nil, err
		}
		set.positions = positions
	}
	return set.positions, nil
}

// openPositions opens the store that FORETOP_CHECKPOINTS names.
func openPositions(core *config.Core, log *slog.Logger) (checkpoint.Store, error) {
	text, inConfigMap := strings.CutPrefix(core.Checkpoints, config.ConfigMapCheckpoints)
	if !inConfigMap {
		return checkpoint.OpenFile(filepath.Join(core.StateDir, positionsFile), log)
	}
	namespace, name, err := checkpoint.ParseConfigMap(text)
	if err != nil {
		return nil, err
	}
	cluster, err := checkpoint.InCluster(os.Getenv)
	if err != nil {
		return nil, err
	}
	return checkpoint.OpenConfigMap(checkpoint.ConfigMapOptions{Cluster: cluster, Namespace: namespace, Name: name, Logger: log})
}

// close lets go of the positions. No source may be running.
func (set *sourceSet) close() error {
	if set.positions == nil {
		return nil
	}
	return set.positions.Close()
}
