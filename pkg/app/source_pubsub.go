package app

import (
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/pubsub"
)

var pubsubSource = sourceType{
	kind:   "pubsub",
	config: func() any { return &pubsub.Config{} },
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		return pubsub.New(*s.Adapter.(*pubsub.Config), pubsub.Options{
			Name: s.Name, NeedMeta: metaOf(s.Settings.ClusterFrom), History: o.history, Registerer: o.registry, Logger: o.log,
		})
	},
}
