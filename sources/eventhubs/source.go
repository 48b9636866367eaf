package eventhubs

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/kafka"
)

// Options are what a Source takes beside its configuration.
type Options struct {
	// Name of the source in logs and metrics; "eventhubs" by default.
	Name string
	// NeedMeta names what records must say beside their body; see kafka.Options.
	NeedMeta []string
	// Credential logs in where there is no connection string; by default the identity of this process.
	Credential azcore.TokenCredential
	// History, if not nil, makes a source that reads what the hubs hold, outside of any group, and ends.
	History *pipeline.History
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Records are never logged.
	Logger *slog.Logger
}

// Source reads event hubs. It implements pipeline.Source, pipeline.HealthReporter and pipeline.Prober. Run may be
// called once.
type Source struct {
	*kafka.Source
	token *token // nil with a connection string
}

// New makes a source. It reads the files that cfg names, and connects to nothing.
func New(cfg Config, o Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "eventhubs"
	}
	login, err := cfg.login()
	if err != nil {
		return nil, err
	}
	s := &Source{}
	terms := termsOf("identity", "role Azure Event Hubs Data Receiver")
	consumer := cfg.kafka(cfg.Namespace, cfg.hubs(login))
	if login != nil {
		consumer = cfg.kafka(login.namespace, cfg.hubs(login))
		consumer.Mechanism = &sharedKey{fixed: login, file: cfg.ConnectionStringFile}
		terms = termsOf("shared access policy "+login.keyName, "claim Listen")
	} else {
		if o.Credential == nil {
			if o.Credential, err = newCredential(); err != nil {
				return nil, fmt.Errorf("the identity for Microsoft Entra ID: %w", err)
			}
		}
		s.token = &token{credential: o.Credential, scope: "https://" + cfg.Namespace + "/.default"}
		consumer.Mechanism = s.token
	}
	s.Source, err = kafka.New(consumer, kafka.Options{
		Name: o.Name, NeedMeta: o.NeedMeta, Terms: &terms, History: o.History, Registerer: o.Registerer, Logger: o.Logger,
	})
	return s, err
}

// Probe implements pipeline.Prober: the token first, then what every Kafka endpoint is asked.
func (s *Source) Probe(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record {
	if s.token != nil && !s.token.probe(ctx, report) {
		return nil
	}
	return s.Source.Probe(ctx, limit, report)
}

var (
	_ pipeline.Source         = (*Source)(nil)
	_ pipeline.HealthReporter = (*Source)(nil)
	_ pipeline.Prober         = (*Source)(nil)
)
