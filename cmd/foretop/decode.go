package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newDecode() *cobra.Command {
	o := app.ReadOptions{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	c := &cobra.Command{
		Use:   "decode [PATH...]",
		Short: "Print each event as one audit.k8s.io/v1 JSON line",
		Long: `Takes events out of whatever shippers and clouds put around them and prints each as one line of JSON, with
foretop.provenance beside it: the form it came in, what was inferred, what that form cannot say, whether it was
cut. What is no event goes to the standard error with the reason. Nothing is redacted.`,
		Example: `  foretop decode cloudwatch-export.json.gz | jq .user.username
  kafka-console-consumer --topic audit ... | foretop decode`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Paths, err = inputs(c, args); err != nil {
				return err
			}
			return ended(app.Decode(c.Context(), o))
		},
	}
	c.Flags().StringVar(&o.Cluster, "cluster", "", "name of the cluster that the logs are from, if they do not tell")
	return c
}
