package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newRun() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "The service, configured by FORETOP_* variables",
		Long: `Reads the configured sources until it is stopped, and writes findings to the configured sinks. A source's
position never passes a record whose findings are not stored.

SIGTERM or SIGINT stops reading, finishes what was read and ends; a second one ends at once. Everything is
configured by environment variables: foretop config lists them.`,
		Example: `  FORETOP_KAFKA_BROKERS=kafka:9092 FORETOP_KAFKA_TOPICS=audit FORETOP_ELASTICSEARCH_ADDRESSES=https://es:9200 foretop run
  FORETOP_FILE_PATHS=/var/log/audit FORETOP_FILE_FOLLOW=true FORETOP_SINKS=ndjson FORETOP_STATE_DIR=./state foretop run`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return app.Run(c.Context(), app.RunOptions{Environ: os.Environ(), Log: os.Stderr})
		},
	}
}
