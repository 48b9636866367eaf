package app

import (
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/file"
)

var fileSource = sourceType{
	kind:   "file",
	config: func() any { return &file.Config{} },
	noPast: "files are scanned by their paths: foretop scan PATH",
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		c := *s.Adapter.(*file.Config)
		options := file.Options{Name: s.Name, Registerer: o.registry, Logger: o.log}
		if c.Follow {
			var err error
			if options.Store, err = o.store(); err != nil {
				return nil, err
			}
		}
		return file.New(c, options)
	},
}
