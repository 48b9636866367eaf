package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newExplain() *cobra.Command {
	o := app.ExplainOptions{ReadOptions: app.ReadOptions{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}}
	c := &cobra.Command{
		Use:   "explain --rule RULE [PATH...]",
		Short: "Show for each event what of a rule was true and what was false",
		Example: `  foretop explain --rule privileged-container event.json
  foretop explain --rule pod-exec --audit-id 3d1f7c0e-5b3c-4b52-9d59-6a8f1f6f2a11 audit.log.gz`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Rule == "" {
				return &usageError{c.CommandPath(), errors.New("name the rule with --rule")}
			}
			if o.Paths, err = inputs(c, args); err != nil {
				return err
			}
			return ended(app.Explain(c.Context(), o))
		},
	}
	c.Flags().StringVar(&o.Rule, "rule", "", "the rule, by name, id or title (required)")
	c.Flags().StringVar(&o.AuditID, "audit-id", "", "only events with this audit id")
	c.Flags().IntVar(&o.Limit, "limit", 10, "number of events to explain")
	c.Flags().StringVar(&o.Cluster, "cluster", "", "name of the cluster that the logs are from, if they do not tell")
	addRuleFlags(c, &o.Rules)
	return c
}
