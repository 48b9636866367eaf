package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/telemetry"
	"github.com/foretop/foretop/sinks/elasticsearch"
	kafkasink "github.com/foretop/foretop/sinks/kafka"
	"github.com/foretop/foretop/sinks/ndjson"
)

// LoadSourceConfig reads what one source needs: the one called name, else the only one of that type. It accepts
// the settings of `foretop run` beside it without looking at them, those of sinks too.
func LoadSourceConfig(environ []string, name string) (*Config, error) {
	l := config.NewLoader(environ)
	c := &Config{}
	l.Fill(config.Prefix, &c.Core)
	names := c.Core.Sources
	if len(names) == 0 && typeOf(name) != nil {
		names = []string{name}
	}
	all := sourcesOf(l, names)
	at, err := pick(all, name)
	if err != nil {
		l.Reject(err)
	}
	for i := range all {
		s := &all[i]
		if i == at {
			s.fill(l, &c.Core)
			c.Sources = []SourceConfig{*s}
			continue
		}
		l.Ignore(s.Prefix, s.Adapter)
		l.Ignore(s.Prefix, &s.Settings)
	}
	if len(c.Core.Sources) == 0 {
		for _, kind := range kinds() { // of several in short form, name says which is meant
			l.Ignore(shortPrefix(kind), typeOf(kind).config())
			l.Ignore(shortPrefix(kind), &SourceSettings{})
		}
	}
	l.Ignore(elasticsearchPrefix, &elasticsearch.Config{})
	l.Ignore(kibanaPrefix, &elasticsearch.KibanaConfig{})
	l.Ignore(ndjsonPrefix, &ndjson.Config{})
	l.Ignore(kafkaSinkPrefix, &kafkasink.Config{})
	return c, l.Finish()
}

// pick finds the source called name, else the only one of that type.
func pick(all []SourceConfig, name string) (int, error) {
	at := slices.IndexFunc(all, func(s SourceConfig) bool { return s.Name == name })
	if at >= 0 {
		return at, nil
	}
	var ofType, known []string
	for i := range all {
		known = append(known, all[i].Name)
		if all[i].Type == name {
			at = i
			ofType = append(ofType, all[i].Name)
		}
	}
	switch {
	case len(ofType) == 1:
		return at, nil
	case len(ofType) > 1:
		return -1, fmt.Errorf("several sources are of the type %s: name one of %s", name, strings.Join(ofType, ", "))
	case len(known) > 0:
		return -1, fmt.Errorf("no source is called %q: name one of %s", name, strings.Join(known, ", "))
	}
	return -1, fmt.Errorf("no source is called %q: name one that FORETOP_SOURCES lists, or a type whose FORETOP_<TYPE>_* variables are set: %s", name, strings.Join(kinds(), ", "))
}

// decodeOptions are the decoder's options for a source: its own cluster settings, else those of the service.
func (c *Config) decodeOptions(s *SourceConfig) (decode.Options, error) {
	mapping, err := decode.ParseMapping(strings.Fields(s.Settings.ClusterFrom)...)
	if err != nil {
		return decode.Options{}, fmt.Errorf("%s_CLUSTER_FROM: %w", s.Prefix, err)
	}
	o := decode.Options{ClusterFrom: mapping, Cluster: event.Cluster{ID: s.Settings.ClusterID, Name: s.Settings.ClusterName}}
	if o.Cluster.Name == "" && s.Settings.ClusterFrom == "" {
		o.Cluster = event.Cluster{ID: c.Core.ClusterID, Name: c.Core.ClusterName}
	}
	if o.Cluster.ID == "" {
		o.Cluster.ID = o.Cluster.Name
	}
	o.Cloud.Region = s.Settings.CloudRegion
	return o, nil
}

// findingOptions are how the service describes its findings.
func (c *Config) findingOptions() finding.Options {
	types := make(map[string]string)
	for i := range c.Sources {
		types[c.Sources[i].Name] = c.Sources[i].Type
	}
	return finding.Options{
		Namespace: c.Core.Namespace, Version: telemetry.ReadBuild().Version, Labels: c.Core.Labels,
		SourceTypes: types, TrustedProxies: c.Core.TrustedProxies, IncludeBodies: c.Core.IncludeBodies,
	}
}

// ruleOptions are the rules of the service.
func (c *Config) ruleOptions() RuleOptions {
	core := &c.Core
	o := RuleOptions{Paths: core.Rules, Placeholders: core.Placeholders, SkipInvalid: core.SkipInvalidRules, TrustedProxies: core.TrustedProxies}
	if !core.NoBuiltin {
		o.Builtin = detections.FS
	}
	return o
}
