package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say what this program was built from",
		Args:  usage(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return app.Version(os.Stdout) },
	}
}
