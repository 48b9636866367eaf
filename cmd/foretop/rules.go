package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foretop/foretop/pkg/app"
)

func newRules() *cobra.Command {
	c := group(&cobra.Command{Use: "rules", Short: "List, show, check and test rules"})
	c.AddCommand(newRulesList(), newRulesShow(), newRulesLint(), newRulesTest())
	return c
}

func newRulesList() *cobra.Command {
	var flags app.RuleFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the rules in force, and those that are not with the reason",
		Example: "  foretop rules list --rules ./rules",
		Args:    usage(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return app.ListRules(os.Stdout, flags) },
	}
	addRuleFlags(c, &flags)
	return c
}

func newRulesShow() *cobra.Command {
	var flags app.RuleFlags
	c := &cobra.Command{
		Use:     "show RULE",
		Short:   "Print one rule, by name, id or title, and the exceptions for it",
		Example: "  foretop rules show privileged-container",
		Args:    usage(cobra.ExactArgs(1)),
		RunE:    func(_ *cobra.Command, args []string) error { return app.ShowRule(os.Stdout, flags, args[0]) },
	}
	addRuleFlags(c, &flags)
	return c
}

func newRulesLint() *cobra.Command {
	var flags app.RuleFlags
	c := &cobra.Command{
		Use:   "lint [PATH...]",
		Short: "Check rules and exceptions; exit code 1 if some cannot be used",
		Long: `Checks the rules at the paths, or the built-in ones, and prints every problem with its place. Warnings do not
change the exit code.`,
		Example: "  foretop rules lint ./rules",
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			flags.Paths = append(flags.Paths, args...)
			return app.LintRules(os.Stdout, flags)
		},
	}
	addRuleFlags(c, &flags)
	return c
}

func newRulesTest() *cobra.Command {
	var o app.RuleTestOptions
	c := &cobra.Command{
		Use:   "test [DIR...]",
		Short: "Run the tests that stand beside rules (<rule>_test.yml)",
		Long: `Runs the tests in the directories, or those of the built-in rules. The built-in rules and exceptions are loaded
too, so that they can be tested together with yours; --no-builtin leaves them out.`,
		Example: `  foretop rules test ./rules
  foretop rules test ./rules --rule my-rule --verbose`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o.Rules.Paths = args
			return app.TestRules(os.Stdout, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.Rules.NoBuiltin, "no-builtin", false, "leave the built-in rules out")
	f.StringVar(&o.Rules.Placeholders, "placeholders", "", "YAML file with the site's lists for %name% in rules")
	f.StringVar(&o.Rule, "rule", "", "test one rule only, by name, id or title")
	f.StringVar(&o.JUnit, "junit", "", "write a JUnit report to this file too")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "list every case")
	return c
}
