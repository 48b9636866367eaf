package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newConfig() *cobra.Command {
	var o app.ConfigOptions
	c := &cobra.Command{
		Use:   "config",
		Short: "List every FORETOP_* variable with its default and meaning",
		Example: `  foretop config
  foretop config --effective`,
		Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			o.Environ = os.Environ()
			return app.ShowConfig(os.Stdout, o)
		},
	}
	c.Flags().BoolVar(&o.Effective, "effective", false, "show the values in force and where each came from; secrets are masked")
	c.Flags().BoolVar(&o.Markdown, "markdown", false, "write the list as the page of the documentation")
	c.MarkFlagsMutuallyExclusive("effective", "markdown")
	return c
}
