package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/pkg/telemetry"
)

// Outputs of a checkup.
const (
	OutputText = "text"
	OutputJSON = "json"
)

// Kinds of parts of a checkup.
const (
	partConfiguration = "configuration"
	partRules         = "rules"
	partSource        = "source"
	partSink          = "sink"
	partDeadLetters   = "dead letters"
	partState         = "state"
)

// DoctorOptions are what `foretop doctor` was asked for.
type DoctorOptions struct {
	// Environ is the configuration, in the form of os.Environ.
	Environ []string
	Stdout  *os.File
	Output  string // OutputText or OutputJSON
	// Timeout bounds the examination of each source and sink.
	Timeout time.Duration
	// Sample is how many records of each source are looked at, at most.
	Sample int
	// Strict makes warnings failures.
	Strict bool
}

// Doctor examines the installation that Environ configures, prints what it finds and what to do about it, and
// returns the exit code: ExitError if anything fails. It writes and moves nothing.
func Doctor(ctx context.Context, o DoctorOptions) (int, error) {
	switch {
	case o.Output != OutputText && o.Output != OutputJSON:
		return ExitError, fmt.Errorf("--output knows no %q: write text or json", o.Output)
	case o.Timeout <= 0:
		return ExitError, errors.New("--timeout must be more than 0s")
	case o.Sample < 1 || o.Sample > maxSample:
		return ExitError, fmt.Errorf("--sample must be between 1 and %d", maxSample)
	}
	d := &doctor{o: o, now: time.Now()}
	parts, err := d.print(d.examinations(ctx))
	if err != nil {
		return ExitError, err
	}
	failed, warned := report.Count(parts, pipeline.CheckFailed), report.Count(parts, pipeline.CheckWarning)
	ok := failed == 0 && (warned == 0 || !o.Strict) && ctx.Err() == nil
	if err := d.conclude(parts, failed, warned, ok); err != nil {
		return ExitError, err
	}
	switch {
	case ctx.Err() != nil:
		return ExitError, errors.New("interrupted: not everything was looked at")
	case !ok:
		return ExitError, nil
	}
	return ExitOK, nil
}

// maxSample bounds the records of a sample, which are held in memory.
const maxSample = 10_000

// doctor is one run of `foretop doctor`.
type doctor struct {
	o     DoctorOptions
	now   time.Time
	cfg   *Config
	rules *Rules // nil if there are none that could judge
	// needsState is set once a source wants to keep positions.
	mu         sync.Mutex
	needsState bool
}

// examination is a part that is being looked at.
type examination <-chan *report.Part

// examinations starts looking at all parts at once; they come in the order of printing.
func (d *doctor) examinations(ctx context.Context) []examination {
	configuration, configured := d.configuration()
	parts := []examination{ready(configuration), ready(d.ruleSet())}
	if !configured {
		return parts // what is read from a wrong configuration would mislead
	}
	var sources sync.WaitGroup
	for i := range d.cfg.Sources {
		s := &d.cfg.Sources[i]
		sources.Add(1)
		parts = append(parts, begin(partSource, s.Name, s.Type, func(c *checks) {
			defer sources.Done()
			d.source(ctx, s, c)
		}))
	}
	for _, name := range d.cfg.Core.Sinks {
		parts = append(parts, begin(partSink, name, "", func(c *checks) { d.sink(ctx, name, false, c) }))
	}
	parts = append(parts,
		begin(partDeadLetters, "", d.cfg.Core.DeadLetters, func(c *checks) { d.sink(ctx, d.cfg.Core.DeadLetters, true, c) }),
		begin(partState, "", "", func(c *checks) { sources.Wait(); d.state(ctx, c) }),
	)
	return parts
}

func ready(p *report.Part) examination {
	done := make(chan *report.Part, 1)
	done <- p
	return done
}

// begin looks at a part in a goroutine of its own, which ends soon after the context that look uses.
func begin(kind, name, adapter string, look func(*checks)) examination {
	done := make(chan *report.Part, 1)
	c := newChecks(kind, name, adapter)
	go func() {
		look(c)
		done <- c.part
	}()
	return done
}

// print waits for the parts, and shows each as soon as those before it are shown.
func (d *doctor) print(running []examination) ([]*report.Part, error) {
	p := report.ForFile(d.o.Stdout)
	var parts []*report.Part
	for _, e := range running {
		part := <-e
		if len(part.Checks) == 0 {
			continue
		}
		parts = append(parts, part)
		if d.o.Output == OutputText {
			p.Part(part)
		}
	}
	return parts, p.Err()
}

func (d *doctor) conclude(parts []*report.Part, failed, warned int, ok bool) error {
	if d.o.Output == OutputJSON {
		return report.WriteCheckup(d.o.Stdout, parts, telemetry.ReadBuild().Version, ok)
	}
	p := report.ForFile(d.o.Stdout)
	p.Line("")
	switch {
	case failed > 0:
		p.Line("%s failed, warnings: %d", checksOf(failed), warned)
	case warned > 0:
		p.Line("Nothing failed, warnings: %d", warned)
	default:
		p.Line("All is well.")
	}
	return p.Err()
}

func checksOf(n int) string {
	if n == 1 {
		return "1 check"
	}
	return number(int64(n)) + " checks"
}

// checks collects what is found about a part. It may be used from several goroutines until it is closed: what a
// straggler finds after that is dropped.
type checks struct {
	part *report.Part

	mu     sync.Mutex
	closed bool
}

func newChecks(kind, name, adapter string) *checks {
	return &checks{part: &report.Part{Kind: kind, Name: name, Type: adapter, Checks: []pipeline.Check{}}}
}

func (c *checks) add(check pipeline.Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.part.Checks = append(c.part.Checks, check)
	}
}

func (c *checks) ok(name, format string, args ...any) {
	c.add(pipeline.Check{Name: name, Detail: fmt.Sprintf(format, args...)})
}

func (c *checks) warn(name, fix, format string, args ...any) {
	c.add(pipeline.Check{Name: name, State: pipeline.CheckWarning, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

func (c *checks) fail(name, fix, format string, args ...any) {
	c.add(pipeline.Check{Name: name, State: pipeline.CheckFailed, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

// probeGrace is how long a Probe may take to return after its time is up.
const probeGrace = 3 * time.Second

// probe runs a Probe no longer than the time limit. One that ignores its context is left behind: the program
// ends soon.
func (d *doctor) probe(ctx context.Context, p pipeline.Prober, c *checks) []pipeline.Record {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	found := newChecks("", "", "") // of its own, so that a straggler can be cut off
	done := make(chan []pipeline.Record, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				found.fail("examination", "please report it", "it panicked (%T)", cause)
				done <- nil
			}
		}()
		done <- p.Probe(ctx, d.o.Sample, found.add)
	}()
	var records []pipeline.Record
	select {
	case records = <-done:
	case <-ctx.Done():
		select {
		case records = <-done:
		case <-time.After(probeGrace):
		}
	}
	found.mu.Lock()
	found.closed = true
	found.mu.Unlock()
	for _, check := range found.part.Checks {
		c.add(check)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.fail("time limit", "see why it is so slow (a firewall that drops packets?), or raise --timeout", "the examination took longer than %s", d.o.Timeout)
	}
	return records
}
