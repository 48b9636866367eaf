package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/foretop/foretop/pkg/durable"
	"github.com/foretop/foretop/pkg/pipeline"
)

// soonExpired is the time before the end of a certificate from which on it is worth a warning.
const soonExpired = 14 * 24 * time.Hour

// Probe implements pipeline.Prober. There are no records to show: API servers post when they have some.
func (s *Source) Probe(ctx context.Context, _ int, report func(pipeline.Check)) []pipeline.Record {
	report(s.probeAddress(ctx))
	a := s.access.Load()
	report(s.probeCertificate(a))
	report(s.probeSenders(a))
	if s.cfg.QueueDir != "" {
		check := pipeline.Check{Name: "queue " + s.cfg.QueueDir, Detail: "can be written, up to " + s.cfg.QueueBytes.String()}
		if err := durable.WritableDir(s.cfg.QueueDir); err != nil {
			check.State, check.Detail = pipeline.CheckFailed, err.Error()
			check.Fix = "let the service's user write to QUEUE_DIR: a volume of its own with fsGroup, in Kubernetes"
		}
		report(check)
	}
	return nil
}

func (s *Source) probeAddress(ctx context.Context) pipeline.Check {
	check := pipeline.Check{Name: "address " + s.cfg.Address, Detail: "free to listen on; API servers post to the path " + s.cfg.Path}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Address)
	switch {
	case err == nil:
		listener.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		check.State, check.Detail = pipeline.CheckWarning, "something listens there already"
		check.Fix = "nothing, if that is Foretop itself; else set ADDRESS to a free port"
	default:
		check.State, check.Detail, check.Fix = pipeline.CheckFailed, err.Error(), "set ADDRESS to an address of this machine, with a port above 1023"
	}
	return check
}

func (s *Source) probeCertificate(a *access) pipeline.Check {
	check := pipeline.Check{Name: "certificate"}
	if a.tls == nil {
		check.State, check.Detail = pipeline.CheckWarning, "none: plain HTTP"
		check.Fix = "set TLS_CERT_FILE and TLS_KEY_FILE"
		return check
	}
	left := time.Until(a.notAfter)
	check.Detail = fmt.Sprintf("valid until %s for %s", a.notAfter.UTC().Format(time.RFC3339), strings.Join(a.names, ", "))
	switch {
	case left <= 0:
		check.State, check.Fix = pipeline.CheckFailed, "renew TLS_CERT_FILE; it is read again without a restart"
	case left < soonExpired:
		check.State, check.Fix = pipeline.CheckWarning, "renew TLS_CERT_FILE soon; it is read again without a restart"
	case len(a.names) == 0:
		check.State, check.Fix = pipeline.CheckFailed, "issue a certificate with the name in the API server's kubeconfig as subject alternative name: the common name is not looked at"
	}
	return check
}

func (s *Source) probeSenders(a *access) pipeline.Check {
	check := pipeline.Check{Name: "senders"}
	switch {
	case !s.cfg.authenticates():
		check.State, check.Detail = pipeline.CheckWarning, "nobody has to prove anything, so whoever reaches the address can forge audit events"
		check.Fix = "set TOKEN, CLUSTERS_FILE or CLIENT_CA_FILE"
	case s.cfg.ClustersFile != "":
		var names []string
		for i := range a.senders {
			names = append(names, a.senders[i].cluster.name+" ("+a.senders[i].proof()+")")
		}
		check.Detail = strings.Join(names, ", ")
	default:
		check.Detail = a.senders[0].proof()
		if s.opt.Cluster == "" {
			check.State, check.Detail = pipeline.CheckWarning, check.Detail+", of a cluster without a name"
			check.Fix = "set CLUSTER_NAME: the body does not say which cluster it is from"
		}
	}
	return check
}

// proof says what a sender has to show.
func (s *sender) proof() string {
	switch {
	case s.certificate != nil && len(s.tokens) > 0:
		return "token and client certificate"
	case s.certificate != nil:
		return "client certificate"
	case len(s.tokens) > 1:
		return fmt.Sprintf("%d tokens", len(s.tokens))
	}
	return "token"
}
