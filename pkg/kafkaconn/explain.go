package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
)

// explain puts the broker's address before err and, where it is known, the cure behind it.
func explain(err error, address string) error {
	return fmt.Errorf("the Kafka broker at %s: %w%s", address, err, hint(err))
}

func hint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ": set TLS_CA_FILE to the CA that signed its certificate"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return ": set TLS_SERVER_NAME to a name in its certificate, or connect by that name"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return ": it speaks no TLS on this port; use its TLS port or set TLS=false"
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return ": it ended the TLS handshake; if it asks for client certificates, check TLS_CERT_FILE and TLS_KEY_FILE"
	}
	return ""
}

// refusals are error codes that last until somebody changes credentials, permissions or settings.
var refusals = []kafka.Error{
	kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState, kafka.SecurityDisabled,
	kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed,
}

// Refused is true for errors that only a human can cure: the broker refuses our credentials or permissions,
// or we refuse its certificate.
func Refused(err error) bool {
	for _, code := range refusals {
		if errors.Is(err, code) {
			return true
		}
	}
	if login, ok := errors.AsType[*LoginError](err); ok {
		return !login.unsure
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}

// Kind names err for a metric label, from a closed set.
func Kind(err error) string {
	switch {
	case err == nil:
		return "none"
	case Refused(err):
		return "refused"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection_closed"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "timeout"
	}
	if _, ok := errors.AsType[kafka.Error](err); ok {
		return "broker"
	}
	return "network"
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}
