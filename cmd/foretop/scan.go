package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newScan() *cobra.Command {
	o := app.ScanOptions{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ()}
	c := &cobra.Command{
		Use:   "scan [PATH...]",
		Short: "Judge files, directories, .gz, .zst, the standard input, or what a source holds",
		Long: `Judges audit logs and prints what was found. Paths are files, directories and patterns; - or nothing reads
the standard input. Nothing leaves the machine.

With --source it reads what a source of the service holds of a stretch of time: one that FORETOP_SOURCES names, or
a type (kafka, cloudwatch, ...) that FORETOP_<TYPE>_* variables configure. The positions of the service stay where
they are. FORETOP_* settings of rules, labels and clusters hold too; those of sinks are not needed.

Exit codes: 1 an error; else 3 a path or a part of a source could not be read to its end (broken records in it are
counted, not that); else 2 findings at or above --fail-on; else 0.`,
		Example: `  foretop scan audit.log.gz
  foretop scan /var/log/kubernetes/audit --report report.html
  kubectl logs -n kube-system kube-apiserver-cp1 | foretop scan --fail-on high
  foretop scan audit/ --output ndjson --min-level medium > findings.ndjson
  foretop scan --source kafka --since 7d --report report.html
  foretop scan --source prod --since 2026-11-20T03:00:00Z --until 2026-11-20T06:00:00Z`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Paths = args; o.Source == "" {
				if o.Paths, err = inputs(c, args); err != nil {
					return err
				}
			}
			return ended(app.Scan(c.Context(), o))
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Output, "output", "o", app.OutputTable, "table, ndjson (the documents that Elasticsearch gets), html or csv")
	f.StringVar(&o.Source, "source", "", "judge what this source holds: its name, or its type")
	f.StringVar(&o.Since, "since", "", "with --source: how long ago to begin, as 90m, 24h or 7d, or a time, as 2026-11-20T03:00:00Z (default "+app.DefaultSince+")")
	f.StringVar(&o.Until, "until", "", "with --source: where to end, in the same form (default now)")
	f.StringVar(&o.Report, "report", "", "write an HTML report to this file too")
	addRuleFlags(c, &o.Rules)
	f.StringVar(&o.MinLevel, "min-level", "low", "leave findings below this level out: informational, low, medium, high, critical")
	f.StringVar(&o.FailOn, "fail-on", "", "exit with code 2 if there are findings at or above this level")
	f.StringVar(&o.DeadLetter, "dead-letter", "", "append what could not be judged to this file, redacted")
	f.BoolVar(&o.Unordered, "unordered", false, "print findings as they come instead of ordered by time (ndjson, csv)")
	f.StringVar(&o.Cluster, "cluster", "", "name of the cluster that the logs are from, if they do not tell")
	f.StringVar(&o.GeoIPCity, "geoip-city", "", "MaxMind DB file (GeoLite2 City or Country) that says where public addresses are")
	f.StringVar(&o.GeoIPASN, "geoip-asn", "", "MaxMind DB file (GeoLite2 ASN) that says whose network they are of")
	f.IntVar(&o.Workers, "workers", 0, "goroutines that judge; 0 means one for each processor")
	for flag, values := range map[string][]string{
		"output":    {app.OutputTable, app.OutputNDJSON, app.OutputHTML, app.OutputCSV},
		"min-level": app.Levels(), "fail-on": app.Levels(),
	} {
		complete(c, flag, values)
	}
	return c
}

// complete offers fixed values for a flag to the shell.
func complete(c *cobra.Command, flag string, values []string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag does not exist
	}
}
