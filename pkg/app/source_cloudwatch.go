package app

import (
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/cloudwatch"
)

var cloudwatchSource = sourceType{
	kind:   "cloudwatch",
	config: func() any { return &cloudwatch.Config{} },
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		options := cloudwatch.Options{Name: s.Name, History: o.history, Registerer: o.registry, Logger: o.log}
		if o.history == nil {
			var err error
			if options.Store, err = o.store(); err != nil {
				return nil, err
			}
		}
		return cloudwatch.New(*s.Adapter.(*cloudwatch.Config), options)
	},
}
