package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newDoctor() *cobra.Command {
	o := app.DoctorOptions{Stdout: os.Stdout}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether foretop run would work, and what it would see",
		Long: `Examines what FORETOP_* variables configure, as foretop run would use it: settings, rules, credentials and
reach of every source and sink, rights, templates, clocks, and a sample of the events that are there: which clusters
they are from, at which audit level, and which rules can never fire on them. Each problem comes with what to do.

It writes nothing, moves no position and joins no consumer group, so it can run beside the service.

Exit codes: 0 all is well, or there are only warnings (!); 1 something failed, or with --strict is warned of.`,
		Example: `  foretop doctor
  foretop doctor --strict --output json
  kubectl -n foretop exec deploy/foretop -- /foretop doctor`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Environ = os.Environ()
			return ended(app.Doctor(c.Context(), o))
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Output, "output", "o", app.OutputText, "text or json")
	f.DurationVar(&o.Timeout, "timeout", 20*time.Second, "time limit for each source and sink")
	f.IntVar(&o.Sample, "sample", 200, "records of each source to look at, at most")
	f.BoolVar(&o.Strict, "strict", false, "let warnings fail too")
	complete(c, "output", []string{app.OutputText, app.OutputJSON})
	return c
}
