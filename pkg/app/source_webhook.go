package app

import (
	"errors"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/webhook"
)

var webhookSource = sourceType{
	kind:   "webhook",
	config: func() any { return &webhook.Config{} },
	noPast: "a webhook keeps nothing that could be read again: scan the API server's log file (--audit-log-path)",
	open: func(s *SourceConfig, o openOptions) (pipeline.Source, error) {
		c := *s.Adapter.(*webhook.Config)
		switch {
		case c.ClustersFile != "" && (s.Settings.ClusterName != "" || s.Settings.ClusterFrom != ""):
			return nil, errors.New("CLUSTER_NAME and CLUSTER_FROM have no effect beside CLUSTERS_FILE, which names the clusters")
		case c.ClustersFile == "" && s.Cluster == "":
			return nil, errors.New("CLUSTER_NAME is needed: what an API server posts does not say which cluster it is from (or CLUSTERS_FILE, where several post here)")
		}
		c.TokenFile = s.FileOf("TOKEN")
		return webhook.New(c, webhook.Options{Name: s.Name, Cluster: s.Cluster, Registerer: o.registry, Logger: o.log})
	},
}
