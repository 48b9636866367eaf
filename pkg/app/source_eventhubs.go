package app

import (
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/eventhubs"
)

var eventHubsSource = sourceType{
	kind:   "eventhubs",
	config: func() any { return &eventhubs.Config{} },
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		c := *s.Adapter.(*eventhubs.Config)
		c.ConnectionStringFile = s.FileOf("CONNECTION_STRING")
		return eventhubs.New(c, eventhubs.Options{
			Name: s.Name, NeedMeta: metaOf(s.Settings.ClusterFrom), History: o.history, Registerer: o.registry, Logger: o.log,
		})
	},
}
