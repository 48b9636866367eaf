package ndjson

import (
	"context"

	"github.com/foretop/foretop/pkg/durable"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Probe implements pipeline.Prober: it says whether the file could be written to. It belongs to Config, since
// New already makes the file and locks it.
func (c Config) Probe(_ context.Context, _ int, report func(pipeline.Check)) []pipeline.Record {
	if c.Path == Stdout {
		report(pipeline.Check{Name: "standard output", Detail: "lines go there"})
		return nil
	}
	if err := durable.Writable(c.Path); err != nil {
		report(pipeline.Check{
			Name: "file " + c.Path, State: pipeline.CheckFailed, Detail: err.Error(),
			Fix: "let the user that Foretop runs as write there (a volume, its owner, fsGroup), or name another path",
		})
		return nil
	}
	report(pipeline.Check{Name: "file " + c.Path, Detail: "can be written"})
	return nil
}

var _ pipeline.Prober = Config{}
