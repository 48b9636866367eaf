package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newSetup() *cobra.Command {
	var dryRun bool
	c := group(&cobra.Command{
		Use:   "setup",
		Short: "Prepare Elasticsearch or Kibana",
		Long:  "Says first what it will do, does it, and can be repeated. Addresses and credentials come from FORETOP_* variables.",
	})
	c.PersistentFlags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and change nothing")
	c.AddCommand(
		&cobra.Command{
			Use:     "elasticsearch",
			Short:   "Install templates, lifecycle and data streams",
			Example: "  FORETOP_ELASTICSEARCH_ADDRESSES=https://es:9200 FORETOP_ELASTICSEARCH_API_KEY_FILE=key foretop setup elasticsearch --dry-run",
			Args:    usage(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error {
				return app.SetupElasticsearch(c.Context(), os.Environ(), os.Stdout, dryRun)
			},
		},
		&cobra.Command{
			Use:     "kibana",
			Short:   "Import the dashboards",
			Example: "  FORETOP_KIBANA_URL=https://kibana:5601 FORETOP_KIBANA_API_KEY_FILE=key foretop setup kibana",
			Args:    usage(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error {
				return app.SetupKibana(c.Context(), os.Environ(), os.Stdout, dryRun)
			},
		},
	)
	return c
}
