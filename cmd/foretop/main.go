// Command foretop finds attacks in Kubernetes audit logs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func main() { os.Exit(execute(os.Args[1:])) }

// exitCode ends the program with a code that is no error to tell.
type exitCode int

func (exitCode) Error() string { return "" }

// usageError is a wrong command line.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\n%s --help says more", e.err, e.command)
}

// execute runs one command.
func execute(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	endOnSignals(cancel)
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return app.ExitOK
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "foretop: "+err.Error())
	return app.ExitError
}

// endOnSignals lets the first SIGINT or SIGTERM end the command in order, and the second one at once.
func endOnSignals(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "foretop: ended before it had finished")
		os.Exit(app.ExitError)
	}()
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "foretop",
		Short: "Finds attacks in Kubernetes audit logs",
		Long: `Foretop reads Kubernetes audit logs where they already flow, judges them by rules written as data, and
writes each finding once, in ECS.

  foretop scan audit.log.gz      judge a file, no server needed
  foretop doctor                 look whether the service would work, and what it would see
  foretop run                    the service, configured by FORETOP_* variables`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c.CommandPath(), err} })
	root.AddCommand(newScan(), newRun(), newDoctor(), newDecode(), newRules(), newExplain(), newSetup(), newConfig(), newDemo(), newVersion())
	return root
}

// usage makes a wrong number of arguments a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return &usageError{c.CommandPath(), err}
		}
		return nil
	}
}

// group makes a command that only holds others.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return &usageError{c.CommandPath(), fmt.Errorf("%s has no command %q", c.CommandPath(), args[0])}
	}
	return c
}

// inputs are the paths to read: those given, else the standard input if something is piped into it.
func inputs(c *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	info, err := os.Stdin.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice == 0 {
		return []string{"-"}, nil
	}
	return nil, &usageError{c.CommandPath(), errors.New("nothing to read: name files or directories, or pipe a log into it")}
}

// ended turns an exit code into what execute understands.
func ended(code int, err error) error {
	if err != nil {
		return err
	}
	if code != app.ExitOK {
		return exitCode(code)
	}
	return nil
}

// addRuleFlags are the flags of all commands that load rules.
func addRuleFlags(c *cobra.Command, f *app.RuleFlags) {
	c.Flags().StringArrayVar(&f.Paths, "rules", nil, "directory or file with Sigma rules, read beside the built-in ones (repeatable)")
	c.Flags().BoolVar(&f.NoBuiltin, "no-builtin", false, "leave the built-in rules out")
	c.Flags().StringVar(&f.Placeholders, "placeholders", "", "YAML file with the site's lists for %name% in rules")
	c.Flags().BoolVar(&f.SkipInvalid, "skip-invalid-rules", false, "go on with the valid rules when some are invalid")
}
