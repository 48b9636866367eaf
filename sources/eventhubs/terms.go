package eventhubs

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/kafka"
)

// termsOf are the words for Event Hubs; who needs right to read.
func termsOf(who, right string) kafka.Terms {
	needs := "the " + who + " needs the " + right
	return kafka.Terms{
		Topic: "event hub", Topics: "HUBS", Create: "create it in the namespace, name it in the diagnostic setting of the cluster, or fix HUBS",
		TopicRight: needs + " on it or on the namespace",
		GroupRight: needs + " on the namespace, to use the consumer group",
		Empty:      "the diagnostic setting of the AKS cluster must send the category kube-audit or kube-audit-admin to this event hub; the first records take some minutes",
	}
}

// advice says what to do about a connection or login that failed.
func advice(err error) string {
	if errors.Is(err, kafkago.UnsupportedSASLMechanism) {
		return "this is no Kafka endpoint of Event Hubs: check BROKERS"
	}
	if refused, ok := errors.AsType[*kafkaconn.LoginError](err); ok {
		if refused.Mechanism == "OAUTHBEARER" {
			return "the token was refused: NAMESPACE must be the namespace that the identity has the role Azure Event Hubs Data Receiver on, which takes up to five minutes to come into force"
		}
		return "the SharedAccessKey was refused: it was rotated or belongs to another policy or namespace, the policy lacks the claim Listen, or local authentication is disabled (then set NAMESPACE instead)"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return "the service ended the connection before the login: the tier Basic has no Kafka endpoint (Standard or higher has), and a namespace whose firewall does not know this address does the same"
	}
	return ""
}

// probe asks for a token.
func (t *token) probe(ctx context.Context, report func(pipeline.Check)) bool {
	got, err := t.get(ctx)
	if err != nil {
		report(pipeline.Check{
			Name: "token", State: pipeline.CheckFailed, Detail: err.Error(),
			Fix: "give this process an identity: with workload identity, a service account with the annotation azure.workload.identity/client-id and a pod with the label azure.workload.identity/use",
		})
		return false
	}
	report(pipeline.Check{Name: "token", Detail: "for " + t.scope + ", valid for " + time.Until(got.ExpiresOn).Round(time.Second).String()})
	return true
}
