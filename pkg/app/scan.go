package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/pkg/sigma"
	"github.com/foretop/foretop/pkg/telemetry"
	"github.com/foretop/foretop/sinks/ndjson"
	"github.com/foretop/foretop/sources/file"
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
	Paths  []string
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
	Workers          int
}

// scan is one run of `foretop scan`.
type scan struct {
	o        ScanOptions
	minLevel sigma.Level
	failOn   sigma.Level
	rules    *Rules
	summary  *report.Summary
	lines    findingWriter // nil for outputs that are no lines
	watchers observers
	started  time.Time
}

// Scan judges files and returns the exit code. An error goes with ExitError.
func Scan(ctx context.Context, o ScanOptions) (int, error) {
	s := &scan{o: o, summary: report.NewSummary(), started: time.Now()}
	if err := s.prepare(); err != nil {
		return ExitError, err
	}
	quality, err := s.run(ctx)
	if err == nil {
		err = s.finish(quality)
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
	encode := map[string]encoder{OutputNDJSON: encodeNDJSON, OutputCSV: encodeCSV}[s.o.Output]
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
		if err := report.NewCSV(s.o.Stdout).Flush(); err != nil { // the titles
			return err
		}
	}
	if s.rules, err = LoadRules(s.o.Rules.Options()); err != nil {
		return err
	}
	if n := s.rules.Invalid(); n > 0 {
		report.NewPrinter(s.o.Stderr, report.PrinterOptions{}).Line("invalid and skipped: %d documents; foretop rules lint says why", n)
	}
	return nil
}

// scanSource is the name of the source of a scan in origins.
const scanSource = "scan"

// run reads and judges everything, and returns what is known about the reading.
func (s *scan) run(ctx context.Context) (_ *report.Quality, err error) {
	log := slog.New(slog.DiscardHandler) // what matters is in the quality, or is the error
	source, err := file.New(file.Config{Paths: s.o.Paths}, file.Options{Name: scanSource, Stdin: s.o.Stdin, Logger: log})
	if err != nil {
		return nil, err
	}
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
		Sources:      []pipeline.NamedSource{{Name: scanSource, Source: source}},
		NewProcessor: s.newProcessor,
		Sinks:        []pipeline.NamedSink{{Name: "findings", Sink: pipeline.Discard}}, // they go to the summary and to lines
		DeadLetters:  deadLetters,
		Redact:       finding.Redact,
		Workers:      s.o.Workers,
		BulkDelay:    10 * time.Millisecond, // a source waits for its last batch
		Logger:       log,
	})
	if err != nil {
		return nil, err
	}
	stop := showProgress(s.o.Stderr, func() string {
		n := p.Stats().Sources[0]
		return progressLine(source.Progress(), n.Bytes, n.Items, s.summary.AtOrAbove(sigma.Informational), time.Since(s.started))
	})
	err = p.Run(ctx)
	stop()
	if ctx.Err() != nil {
		err = errors.Join(errors.New("interrupted: what was found so far is not the whole"), err)
	}
	q := s.qualityOf(p.Stats())
	for _, bad := range source.Unreadable() {
		q.Unreadable = append(q.Unreadable, bad.Error())
	}
	return q, err
}

func (s *scan) newProcessor() pipeline.Processor {
	seen := s.watchers.add()
	return NewProcessor(JudgeOptions{
		Rules: func() *Rules { return s.rules },
		Decode: func(string) decode.Options {
			return decode.Options{Cluster: event.Cluster{ID: s.o.Cluster, Name: s.o.Cluster}}
		},
		Finding:  finding.Options{Version: telemetry.ReadBuild().Version, SourceTypes: map[string]string{scanSource: "file"}},
		MinLevel: s.minLevel,
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
