package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/segmentio/kafka-go"
)

// explain puts the broker's address before err and, where it is known, the cure behind it.
func (c *Connector) explain(err error, address string) error {
	err = fmt.Errorf("the Kafka broker at %s: %w", address, err)
	if c.cfg.Advice != nil {
		if advice := c.cfg.Advice(err); advice != "" {
			return &advised{err: err, advice: advice}
		}
	}
	return Advise(err)
}

// Advise adds the cure to err where it is known. Brokers that ask for a client certificate say so only after
// the handshake, that is in the answer to the first request on a connection.
func Advise(err error) error {
	advice := ""
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		advice = "set TLS_CA_FILE to the CA that signed its certificate"
	} else if _, ok := errors.AsType[x509.HostnameError](err); ok {
		advice = "set TLS_SERVER_NAME to a name in its certificate, or connect by that name"
	} else if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		advice = "it speaks no TLS on this port; use its TLS port or set TLS=false"
	} else if isAlert(err) {
		advice = "it refuses the TLS connection; if it asks for client certificates, check TLS_CERT_FILE and TLS_KEY_FILE"
	}
	if _, done := errors.AsType[*advised](err); done || advice == "" {
		return err
	}
	return &advised{err: err, advice: advice}
}

type advised struct {
	err    error
	advice string
}

func (e *advised) Error() string { return e.err.Error() + ": " + e.advice }
func (e *advised) Unwrap() error { return e.err }

// Cure splits what is to be done off an error of this package, as far as that is known.
func Cure(err error) (cure string, what error) {
	if a, ok := err.(*advised); ok { //nolint:errorlint // only the outermost one can be split off
		return a.advice, a.err
	}
	return "", err
}

// isAlert is true for an alert that the other side of a TLS connection sent. Package tls does not export the
// type, but wraps it in this way.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
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
	if _, ok := errors.AsType[*LoginError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if isAlert(err) {
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
