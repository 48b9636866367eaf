package app

import (
	"context"
	"fmt"
	"io"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/sinks/elasticsearch"
)

// SetupElasticsearch installs templates and data streams; with dryRun it only says what it would do.
func SetupElasticsearch(ctx context.Context, environ []string, out io.Writer, dryRun bool) error {
	cfg, err := LoadSetupConfig(environ, "elasticsearch")
	if err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	return elasticsearch.Setup(ctx, cfg.Elasticsearch, elasticsearch.SetupOptions{DryRun: dryRun, Out: out})
}

// SetupKibana imports the dashboards; with dryRun it only says what it would do.
func SetupKibana(ctx context.Context, environ []string, out io.Writer, dryRun bool) error {
	cfg, err := LoadSetupConfig(environ, "kibana")
	if err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	return elasticsearch.SetupKibana(ctx, cfg.Kibana, elasticsearch.SetupOptions{DryRun: dryRun, Out: out})
}

// ConfigOptions are what `foretop config` was asked for.
type ConfigOptions struct {
	Markdown, Effective bool
	Environ             []string
}

// ShowConfig prints the reference of all settings, or those in force with their origins. Settings in force
// are printed also where some are wrong, and the error then says which.
func ShowConfig(out io.Writer, o ConfigOptions) error {
	switch {
	case o.Effective:
		cfg, problems := LoadConfig(o.Environ)
		if err := config.WriteEffective(out, cfg.Values); err != nil {
			return err
		}
		if problems != nil {
			return fmt.Errorf("configuration:\n%w", problems)
		}
		return nil
	case o.Markdown:
		return config.WriteMarkdown(out, Reference())
	}
	return config.WriteText(out, Reference())
}
