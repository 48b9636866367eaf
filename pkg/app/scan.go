package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/pkg/sigma"
	"github.com/foretop/foretop/sinks/ndjson"
)

// Outputs of a scan.
const (
	OutputTable  = "table"
	OutputNDJSON = "ndjson"
	OutputHTML   = "html"
	OutputCSV    = "csv"
)

// Exit codes of a scan. An error comes before an unreadable input, and that before findings.
const (
	ExitOK         = 0
	ExitError      = 1
	ExitFindings   = 2
	ExitUnreadable = 3
)

// RuleFlags are the rules as the command line names them.
type RuleFlags struct {
	Paths        []string
	NoBuiltin    bool
	Placeholders string
	SkipInvalid  bool
}

// Options are the rule options of the flags, with the built-in rules unless they are left out.
func (f RuleFlags) Options() RuleOptions {
	o := RuleOptions{Paths: f.Paths, Placeholders: f.Placeholders, SkipInvalid: f.SkipInvalid}
	if !f.NoBuiltin {
		o.Builtin = detections.FS
	}
	return o
}

// ScanOptions are what `foretop scan` was asked for.
type ScanOptions struct {
	// Paths are files and directories; "-" is Stdin.
	Paths []string
	// Source names a configured source, or its type, whose past is judged instead of Paths: from Since on up to
	// Until, each an RFC 3339 time, a date or a duration before now; empty means DefaultSince and now. Environ
	// configures it, in the form of os.Environ.
	Source, Since, Until string
	Environ              []string

	Stdin  io.Reader
	Stdout *os.File
	Stderr *os.File

	Output string // one of the outputs
	Report string // file of an HTML report, empty for none
	Rules  RuleFlags
	// MinLevel leaves findings below it out; FailOn, if not empty, is the level from which on findings
	// turn the exit code to ExitFindings.
	MinLevel, FailOn string
	DeadLetter       string // file of what could not be judged, empty for none
	Unordered        bool
	Cluster          string
	// GeoIPCity and GeoIPASN are MaxMind DB files, empty for none.
	GeoIPCity, GeoIPASN string
	Workers             int
}

// scan is one run of `foretop scan`.
type scan struct {
	o        ScanOptions
	input    *scanInput
	minLevel sigma.Level
	failOn   sigma.Level
	rules    *Rules
	summary  *report.Summary
	lines    findingWriter // nil for outputs that are no lines
	watchers observers
	started  time.Time
}

// errInterrupted is returned beside the results of a scan that was ended from outside.
var errInterrupted = errors.New("interrupted: what was found so far is not the whole")

// Scan judges files, or what a source holds, and returns the exit code. An error goes with ExitError.
func Scan(ctx context.Context, o ScanOptions) (int, error) {
	s := &scan{o: o, summary: report.NewSummary(), started: time.Now()}
	if err := s.prepare(); err != nil {
		return ExitError, err
	}
	quality, err := s.run(ctx)
	if quality != nil && (err == nil || ctx.Err() != nil) {
		err = errors.Join(err, s.finish(quality))
	}
	switch {
	case err != nil:
		return ExitError, err
	case len(quality.Unreadable) > 0:
		return ExitUnreadable, nil
	case o.FailOn != "" && s.summary.AtOrAbove(s.failOn) > 0:
		return ExitFindings, nil
	}
	return ExitOK, nil
}

// prepare checks everything that can be checked before the first byte is read.
func (s *scan) prepare() (err error) {
	if s.minLevel, err = sigma.ParseLevel(s.o.MinLevel); err != nil {
		return fmt.Errorf("--min-level: %w", err)
	}
	if s.o.FailOn != "" {
		if s.failOn, err = sigma.ParseLevel(s.o.FailOn); err != nil {
			return fmt.Errorf("--fail-on: %w", err)
		}
		if s.failOn < s.minLevel {
			return fmt.Errorf("--fail-on %s has no effect below --min-level %s", s.failOn, s.minLevel)
		}
	}
	encode := map[string]encoder{OutputNDJSON: encodeNDJSON, OutputCSV: report.CSVLine}[s.o.Output]
	switch {
	case encode == nil && s.o.Output != OutputTable && s.o.Output != OutputHTML:
		return fmt.Errorf("--output knows no %q: write table, ndjson, html or csv", s.o.Output)
	case encode == nil && s.o.Unordered:
		return fmt.Errorf("--unordered has no effect with --output %s", s.o.Output)
	case encode != nil && s.o.Unordered:
		s.lines = &streamed{out: s.o.Stdout, encode: encode}
	case encode != nil:
		s.lines = &ordered{out: s.o.Stdout, encode: encode, spool: spool{limit: spoolMemory}}
	}
	if s.o.Output == OutputCSV {
		if _, err := fmt.Fprintf(s.o.Stdout, "%s\n", report.CSVTitles()); err != nil {
			return err
		}
	}
	if s.input, err = s.o.input(); err != nil {
		return err
	}
	if _, err := locate(s.input.geoip, &s.input.finding); err != nil {
		return err
	}
	if s.rules, err = LoadRules(s.input.rules); err != nil {
		return err
	}
	if n := s.rules.Invalid(); n > 0 {
		report.NewPrinter(s.o.Stderr, report.PrinterOptions{}).Line("invalid and skipped: %d documents; foretop rules lint says why", n)
	}
	return nil
}

// run reads and judges everything, and returns what is known about the reading. Where ctx ended it, that goes
// with the error.
func (s *scan) run(ctx context.Context) (_ *report.Quality, err error) {
	in := s.input
	defer tuneCollector(cmp.Or(in.budget, pipeline.DefaultBudget))()
	deadLetters := pipeline.NamedSink{Name: deadLetterSink, Sink: pipeline.Discard}
	if s.o.DeadLetter != "" {
		sink, err := ndjson.New(ndjson.Config{Path: s.o.DeadLetter})
		if err != nil {
			return nil, fmt.Errorf("--dead-letter: %w", err)
		}
		defer func() { err = errors.Join(err, sink.Close()) }()
		deadLetters.Sink = sink
	}
	p, err := pipeline.New(pipeline.Config{
		Sources:      []pipeline.NamedSource{{Name: in.name, Source: in.source}},
		NewProcessor: s.newProcessor,
		Sinks:        []pipeline.NamedSink{{Name: "findings", Sink: pipeline.Discard}}, // they go to the summary and to lines
		DeadLetters:  deadLetters,
		Redact:       finding.Redact,
		Budget:       in.budget,
		Workers:      s.o.Workers,
		BulkDelay:    10 * time.Millisecond, // a source waits for its last batch
		Logger:       in.log,
	})
	if err != nil {
		return nil, err
	}
	stop := showProgress(s.o.Stderr, func() string {
		n := p.Stats().Sources[0]
		return in.progress(&n, s.summary.AtOrAbove(sigma.Informational), time.Since(s.started))
	})
	err = p.Run(ctx)
	stop()
	q := s.qualityOf(p.Stats())
	for _, bad := range in.unreadable() {
		q.Unreadable = append(q.Unreadable, bad.Error())
	}
	if ctx.Err() != nil {
		q.Unreadable = append(q.Unreadable, "interrupted: what comes after was not read")
		err = errors.Join(errInterrupted, err)
	}
	return q, err
}

func (s *scan) newProcessor() pipeline.Processor {
	seen := s.watchers.add()
	return NewProcessor(JudgeOptions{
		Rules:           func() *Rules { return s.rules },
		Decode:          func(string) decode.Options { return s.input.decode },
		Finding:         s.input.finding,
		MinLevel:        s.minLevel,
		BareDeadLetters: s.o.DeadLetter == "",
		Observe: func(j *Judged) {
			seen.see(j)
			for _, f := range j.Findings {
				s.summary.Add(f)
				if s.lines != nil {
					s.lines.add(f)
				}
			}
		},
	})
}

func (s *scan) qualityOf(stats pipeline.Stats) *report.Quality {
	n := &stats.Sources[0]
	q := &report.Quality{
		Items: n.Items, Bytes: n.Bytes, Dropped: n.Dropped, Skipped: n.Skipped, Malformed: stats.DeadLetters,
		DeadLetters: s.o.DeadLetter, Elapsed: time.Since(s.started), PeakRSS: report.PeakRSS(),
	}
	s.watchers.fill(q, s.rules)
	return q
}

// finish writes the results.
func (s *scan) finish(q *report.Quality) error {
	if s.o.Report != "" {
		if err := s.writeReport(q); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	switch s.o.Output {
	case OutputTable:
		p := report.ForFile(s.o.Stdout)
		s.summary.Text(p, q)
		return p.Err()
	case OutputHTML:
		s.complain(q)
		return s.summary.HTML(s.o.Stdout, q, time.Now())
	}
	s.complain(q)
	return s.lines.finish()
}

// complain tells on stderr what the other outputs have no place for.
func (s *scan) complain(q *report.Quality) {
	p := report.NewPrinter(s.o.Stderr, report.PrinterOptions{})
	for _, text := range q.Unreadable {
		p.Line("unreadable: %s", text)
	}
	var malformed int64
	for _, n := range q.Malformed {
		malformed += n
	}
	if malformed > 0 {
		p.Line("%d items could not be judged; --dead-letter FILE keeps them, --output table says more", malformed)
	}
}

// writeReport replaces the file in one step, so that nobody opens half a report.
func (s *scan) writeReport(q *report.Quality) error {
	return writeFile(s.o.Report, func(w io.Writer) error { return s.summary.HTML(w, q, time.Now()) })
}
