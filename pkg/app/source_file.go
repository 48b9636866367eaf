package app

import (
	"errors"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/file"
)

var fileSource = sourceType{
	kind:   "file",
	config: func() any { return &file.Config{} },
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		if o.history != nil {
			return nil, errors.New("files are scanned by their paths: foretop scan PATH")
		}
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
