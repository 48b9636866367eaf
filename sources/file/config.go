// Package file reads records from files, directories and the standard input, plain or compressed, once or
// for as long as they grow.
package file

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Stdin as a path means the standard input.
const Stdin = "-"

// Start says where reading begins in a file of which no position is known.
type Start string

// The two values of Start.
const (
	Beginning Start = "beginning"
	End       Start = "end"
)

// Config is what to read, and how.
type Config struct {
	Paths        []string      `envconfig:"PATHS" required:"true" desc:"files, directories (with their subdirectories, hidden names left out) and glob patterns, separated by commas; - is the standard input"`
	Follow       bool          `envconfig:"FOLLOW" default:"false" desc:"goes on reading as files grow, rotate and appear, and remembers positions, instead of reading once"`
	Start        Start         `envconfig:"START" default:"beginning" desc:"where to begin, with FOLLOW, in files that exist at the first start: beginning or end"`
	Poll         time.Duration `envconfig:"POLL_INTERVAL" default:"250ms" desc:"time between two looks at a followed file; new files are looked for every fourth time"`
	MaxRecord    config.Bytes  `envconfig:"MAX_RECORD" default:"16MiB" desc:"longest record; of a longer one the first 64KiB are judged and kept"`
	Parallel     int           `envconfig:"PARALLEL" default:"1" desc:"files read at a time without FOLLOW"`
	MaxOpen      int           `envconfig:"MAX_OPEN" default:"64" desc:"files held open at a time with FOLLOW, about 1MiB of memory each; quiet ones make room for others"`
	DrainTimeout time.Duration `envconfig:"DRAIN_TIMEOUT" default:"20s" desc:"time to wait at the end for records in flight"`
}

// SetDefaults fills in what is zero, for configurations that do not come from the environment.
func (c *Config) SetDefaults() {
	if c.Start == "" {
		c.Start = Beginning
	}
	if c.Poll <= 0 {
		c.Poll = 250 * time.Millisecond
	}
	if c.MaxRecord <= 0 {
		c.MaxRecord = 16 << 20
	}
	if c.Parallel <= 0 {
		c.Parallel = 1
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 64
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = 20 * time.Second
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if len(c.Paths) == 0 || slices.Contains(c.Paths, "") {
		errs = append(errs, errors.New("PATHS: name at least one file, directory or pattern, and leave none empty"))
	}
	if c.Follow && slices.Contains(c.Paths, Stdin) {
		errs = append(errs, errors.New("FOLLOW: the standard input has no position to come back to; read it without FOLLOW"))
	}
	for _, p := range c.Paths {
		if _, err := filepath.Match(p, "x"); err != nil && isPattern(p) {
			errs = append(errs, fmt.Errorf("PATHS: %q is no valid pattern", p))
		}
	}
	if c.Start != "" && c.Start != Beginning && c.Start != End {
		errs = append(errs, fmt.Errorf("START: %q: write beginning or end", c.Start))
	}
	if c.MaxRecord != 0 && c.MaxRecord < 1<<10 {
		errs = append(errs, fmt.Errorf("MAX_RECORD: %s is less than 1KiB, no event fits in that", c.MaxRecord))
	}
	if c.MaxRecord > 1<<30 {
		errs = append(errs, fmt.Errorf("MAX_RECORD: %s is more than 1GiB", c.MaxRecord))
	}
	return errors.Join(errs...)
}

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[") }

// Options are what a Source gets from the program rather than from its configuration.
type Options struct {
	// Name is the configured name of the source. It is part of the keys in Store.
	Name string
	// Store keeps the positions with Follow. Without one, each start begins anew. It stays the caller's
	// to close.
	Store checkpoint.Store
	// Stdin is os.Stdin by default.
	Stdin io.Reader
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default.
	Logger *slog.Logger
}

// Source is a pipeline.Source. Without Follow it is finite. It is run once.
type Source struct {
	cfg      Config
	opt      Options
	throttle *pipeline.Throttle
	progress progress
	follow   followStats
}

var (
	_ pipeline.Source     = (*Source)(nil)
	_ pipeline.Incomplete = (*Source)(nil)
)

// New checks the configuration and registers the metrics.
func New(cfg Config, opt Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if len(opt.Name) > 100 {
		return nil, fmt.Errorf("file: the name %q is longer than 100 letters", opt.Name)
	}
	cfg.SetDefaults()
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Stdin == nil {
		opt.Stdin = os.Stdin
	}
	s := &Source{cfg: cfg, opt: opt, throttle: pipeline.NewThrottle(opt.Logger)}
	if err := s.register(opt.Registerer); err != nil {
		return nil, fmt.Errorf("file: metrics: %w", err)
	}
	return s, nil
}
