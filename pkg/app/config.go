package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/sinks/elasticsearch"
	kafkasink "github.com/foretop/foretop/sinks/kafka"
	"github.com/foretop/foretop/sinks/ndjson"
)

// Config is the configuration of `foretop run`. The parts that nothing asks for are nil.
type Config struct {
	Core          config.Core
	Sources       []SourceConfig
	Elasticsearch *elasticsearch.Config
	NDJSON        *ndjson.Config
	Kafka         *kafkasink.Config
	// Values are all settings with their origins, for showing.
	Values []config.Value
}

// SourceConfig is one source: Adapter is the configuration that its type made.
type SourceConfig struct {
	Name, Type string
	// Prefix of its variables, for messages.
	Prefix   string
	Settings SourceSettings
	Adapter  any
	// Cluster names the cluster that the settings fix for all records, if they do.
	Cluster string
	// FileOf names the file that the value of one of its settings was read from, empty if it came from elsewhere.
	FileOf func(setting string) string
}

// SourceSettings are what every source has beside the settings of its type.
type SourceSettings struct {
	ClusterID   string `envconfig:"CLUSTER_ID" desc:"globally unique id of the cluster that this source tells of; default is its name"`
	ClusterName string `envconfig:"CLUSTER_NAME" desc:"name of the cluster that this source tells of; default is FORETOP_CLUSTER_NAME"`
	ClusterFrom string `envconfig:"CLUSTER_FROM" desc:"where the cluster's name is read instead: topic:REGEXP, header:NAME, key, or envelope:PATH of a key that the shipper put around the event; of several, with blanks between them, the first that gives a name wins"`
	CloudRegion string `envconfig:"CLOUD_REGION" desc:"region of the clusters, where neither the records nor what is read say it: subscriptions of CloudWatch Logs that come through Kafka or files do not"`
}

// Validate says everything that is wrong.
func (s *SourceSettings) Validate() error {
	var problems []error
	if s.ClusterID != "" && s.ClusterName == "" {
		problems = append(problems, errors.New("CLUSTER_ID needs a CLUSTER_NAME beside it"))
	}
	if s.ClusterFrom != "" && s.ClusterName != "" {
		problems = append(problems, errors.New("CLUSTER_NAME and CLUSTER_FROM exclude each other"))
	}
	if _, err := decode.ParseMapping(strings.Fields(s.ClusterFrom)...); err != nil {
		problems = append(problems, fmt.Errorf("CLUSTER_FROM: %w", err))
	}
	return errors.Join(problems...)
}

// namedSource is the first setting of a named source.
type namedSource struct {
	Type string `envconfig:"TYPE" required:"true" desc:"type of the source"`
}

// Prefixes of what is no source. The Kafka sink has a prefix of its own, since FORETOP_KAFKA_ is the source.
const (
	elasticsearchPrefix = config.Prefix + "_ELASTICSEARCH"
	kibanaPrefix        = config.Prefix + "_KIBANA"
	ndjsonPrefix        = config.Prefix + "_NDJSON"
	kafkaSinkPrefix     = config.Prefix + "_SINK_KAFKA"
)

// shortPrefix starts the variables of a source that is called like its type.
func shortPrefix(kind string) string { return config.Prefix + "_" + strings.ToUpper(kind) }

func longPrefix(name string) string {
	return config.Prefix + "_SOURCE_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

// LoadConfig reads the configuration of `foretop run` from environ (as os.Environ gives it). With an error,
// which tells all problems, Config holds what could be read.
func LoadConfig(environ []string) (*Config, error) {
	l := config.NewLoader(environ)
	c := &Config{}
	l.Fill(config.Prefix, &c.Core)
	c.Sources = sourcesOf(l, c.Core.Sources)
	if len(c.Sources) == 0 {
		l.Reject(errors.New("no source is configured: set for example FORETOP_KAFKA_BROKERS and FORETOP_KAFKA_TOPICS, or FORETOP_FILE_PATHS; foretop config lists the settings of every source"))
	}
	for i := range c.Sources {
		c.Sources[i].fill(l, &c.Core)
	}
	c.fillSinks(l)
	l.Ignore(kibanaPrefix, &elasticsearch.KibanaConfig{})
	c.Values = l.Values()
	return c, l.Finish()
}

// fill reads the settings of a source.
func (s *SourceConfig) fill(l *config.Loader, core *config.Core) {
	l.Fill(s.Prefix, s.Adapter)
	l.Fill(s.Prefix, &s.Settings)
	prefix := s.Prefix + "_"
	s.FileOf = func(setting string) string { return l.FileOf(prefix + setting) }
	if s.Cluster = s.Settings.ClusterName; s.Cluster == "" && s.Settings.ClusterFrom == "" {
		s.Cluster = core.ClusterName
	}
}

// sourcesOf finds the sources and leaves their settings to be filled or ignored. Without names, the one type
// with any variable set is the source.
func sourcesOf(l *config.Loader, names []string) []SourceConfig {
	if len(names) == 0 {
		for _, kind := range kinds() {
			if l.Given(shortPrefix(kind), typeOf(kind).config()) || l.Given(shortPrefix(kind), &SourceSettings{}) {
				names = append(names, kind)
			}
		}
		if len(names) > 1 {
			l.Reject(fmt.Errorf("settings of several sources are given: write FORETOP_SOURCES=%s to use them all", strings.Join(names, ",")))
		}
	}
	var out []SourceConfig
	short := make(map[string]bool)
	for _, name := range names {
		s := SourceConfig{Name: name, Type: name, Prefix: shortPrefix(name)}
		if l.Given(longPrefix(name), &namedSource{}) || typeOf(name) == nil {
			var t namedSource
			s.Prefix = longPrefix(name)
			l.Fill(s.Prefix, &t)
			s.Type = t.Type
		} else {
			short[name] = true
		}
		kind := typeOf(s.Type)
		if kind == nil {
			if s.Type != "" {
				l.Reject(fmt.Errorf("%s_TYPE knows no %q: write one of %s", s.Prefix, s.Type, strings.Join(kinds(), ", ")))
			}
			continue
		}
		s.Adapter = kind.config()
		out = append(out, s)
	}
	for _, kind := range kinds() {
		if !short[kind] {
			why := fmt.Sprintf("FORETOP_SOURCES names no %s; the settings of a source NAME start with FORETOP_SOURCE_NAME_", kind)
			l.Inactive(shortPrefix(kind), typeOf(kind).config(), why)
			l.Inactive(shortPrefix(kind), &SourceSettings{}, why)
		}
	}
	return out
}

func (c *Config) fillSinks(l *config.Loader) {
	fill := func(name, prefix string, spec any) bool {
		if slices.Contains(c.Core.Sinks, name) || c.Core.DeadLetters == name {
			l.Fill(prefix, spec)
			return true
		}
		l.Inactive(prefix, spec, "neither FORETOP_SINKS nor FORETOP_DEAD_LETTERS names "+name)
		return false
	}
	var es elasticsearch.Config
	if fill("elasticsearch", elasticsearchPrefix, &es) {
		c.Elasticsearch = elasticsearchOf(l, &c.Core, es)
	}
	var nd ndjson.Config
	if fill("ndjson", ndjsonPrefix, &nd) {
		c.NDJSON = &nd
	}
	var k kafkasink.Config
	forFindings := slices.Contains(c.Core.Sinks, "kafka")
	if !forFindings {
		l.Default(kafkaSinkPrefix+"_TOPIC", c.Core.DeadLetterTopic)
	}
	if fill("kafka", kafkaSinkPrefix, &k) {
		c.Kafka = &k
		if forFindings && k.Topic == c.Core.DeadLetterTopic {
			l.Reject(errors.New("FORETOP_SINK_KAFKA_TOPIC and FORETOP_DEAD_LETTERS_TOPIC are the same: findings and dead letters need topics of their own"))
		}
	}
}

// elasticsearchOf adds what the adapter cannot read itself. Files of credentials are read again when they
// change.
func elasticsearchOf(l *config.Loader, core *config.Core, es elasticsearch.Config) *elasticsearch.Config {
	es.Namespace = core.Namespace
	es.APIKeyFile = l.FileOf(elasticsearchPrefix + "_API_KEY")
	es.PasswordFile = l.FileOf(elasticsearchPrefix + "_PASSWORD")
	return &es
}

// SetupConfig is the configuration of `foretop setup`.
type SetupConfig struct {
	Elasticsearch elasticsearch.Config
	Kibana        elasticsearch.KibanaConfig
}

// LoadSetupConfig reads what `foretop setup` needs for target (elasticsearch or kibana), and accepts the
// settings of `foretop run` beside it.
func LoadSetupConfig(environ []string, target string) (*SetupConfig, error) {
	l := config.NewLoader(environ)
	c := &SetupConfig{}
	var core config.Core
	l.Fill(config.Prefix, &core)
	if target == "kibana" {
		l.Fill(kibanaPrefix, &c.Kibana)
		l.Ignore(elasticsearchPrefix, &c.Elasticsearch)
	} else {
		l.Fill(elasticsearchPrefix, &c.Elasticsearch)
		c.Elasticsearch = *elasticsearchOf(l, &core, c.Elasticsearch)
		l.Ignore(kibanaPrefix, &c.Kibana)
	}
	for _, s := range sourcesOf(l, core.Sources) {
		l.Ignore(s.Prefix, &s.Settings)
		l.Ignore(s.Prefix, s.Adapter)
	}
	l.Ignore(ndjsonPrefix, &ndjson.Config{})
	l.Ignore(kafkaSinkPrefix, &kafkasink.Config{})
	return c, l.Finish()
}

// Reference describes every variable, for `foretop config`.
func Reference() []config.Section {
	sections := []config.Section{{
		Title: "Service", Intro: "What `foretop run` does with records, whatever they come from.",
		Variables: config.Describe(config.Prefix, &config.Core{}),
	}}
	for _, kind := range kinds() {
		upper := strings.ToUpper(kind)
		sections = append(sections, config.Section{
			Title: "Source " + kind,
			Intro: fmt.Sprintf("For a source called `%s`, or the only one. A source called `prod` of this type has `FORETOP_SOURCE_PROD_TYPE=%s`\n"+
				"and the same settings with `FORETOP_SOURCE_PROD_` in the place of `FORETOP_%s_`; `FORETOP_SOURCES` names it.", kind, kind, upper),
			Variables: append(config.Describe(shortPrefix(kind), typeOf(kind).config()), config.Describe(shortPrefix(kind), &SourceSettings{})...),
		})
	}
	return append(sections,
		config.Section{
			Title: "Sink elasticsearch", Intro: "With `elasticsearch` in `FORETOP_SINKS` or as `FORETOP_DEAD_LETTERS`, and for `foretop setup elasticsearch`.",
			Variables: config.Describe(elasticsearchPrefix, &elasticsearch.Config{}),
		},
		config.Section{
			Title: "Sink kafka", Intro: "With `kafka` in `FORETOP_SINKS` or as `FORETOP_DEAD_LETTERS`.",
			Variables: config.Describe(kafkaSinkPrefix, &kafkasink.Config{}),
		},
		config.Section{
			Title: "Sink ndjson", Intro: "With `ndjson` in `FORETOP_SINKS`.",
			Variables: config.Describe(ndjsonPrefix, &ndjson.Config{}),
		},
		config.Section{
			Title: "Kibana", Intro: "For `foretop setup kibana` only.",
			Variables: config.Describe(kibanaPrefix, &elasticsearch.KibanaConfig{}),
		},
	)
}
