package app

import (
	"strings"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/kafka"
)

var kafkaSource = sourceType{
	kind:   "kafka",
	config: func() any { return &kafka.Config{} },
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		return kafka.New(*s.Adapter.(*kafka.Config), kafka.Options{
			Name: s.Name, NeedMeta: metaOf(s.Settings.ClusterFrom), History: o.history, Registerer: o.registry, Logger: o.log,
		})
	},
}

// metaOf names what the decoder asks of a record's transport to find the cluster.
func metaOf(clusterFrom string) []string {
	var need []string
	for spec := range strings.FieldsSeq(clusterFrom) {
		switch kind, arg, _ := strings.Cut(spec, ":"); kind {
		case "key":
			need = append(need, "key")
		case "header":
			need = append(need, "header."+arg)
		}
	}
	return need
}
