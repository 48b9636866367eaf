package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:     "demo",
		Short:   "Print a recorded attack story, to pipe into scan",
		Example: "  foretop demo | foretop scan",
		Args:    usage(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return app.Demo(os.Stdout) },
	}
}
