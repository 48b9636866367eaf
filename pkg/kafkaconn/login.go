package kafkaconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// Versions of the two SASL requests. All brokers since Kafka 1.0 speak them, and Event Hubs does.
const (
	handshakeVersion    = 1
	authenticateVersion = 0
)

// loginRounds bounds the exchange: SCRAM needs three, a hostile broker could ask for ever.
const loginRounds = 10

// login runs the SASL exchange on a fresh connection. The caller has set a deadline on it.
func (c *Connector) login(ctx context.Context, conn net.Conn, host string) error {
	name := c.mechanism.Name()
	answer, err := protocol.RoundTrip(conn, handshakeVersion, 1, c.cfg.ClientID, &saslhandshake.Request{Mechanism: name})
	if err != nil {
		return fmt.Errorf("SASL handshake: %w", err)
	}
	offered := answer.(*saslhandshake.Response)
	if offered.ErrorCode != 0 {
		slices.Sort(offered.Mechanisms)
		return &LoginError{
			hint: fmt.Sprintf("it offers no SASL mechanism %s but %s: change SASL_MECHANISM", name, strings.Join(offered.Mechanisms, ", ")),
			err:  kafka.Error(offered.ErrorCode),
		}
	}
	ctx = sasl.WithMetadata(ctx, &sasl.Metadata{Host: host})
	session, state, err := c.mechanism.Start(ctx)
	if err != nil {
		return &LoginError{hint: "the login could not be started", err: err}
	}
	for round := range int32(loginRounds) {
		answer, err := protocol.RoundTrip(conn, authenticateVersion, 2+round, c.cfg.ClientID, &saslauthenticate.Request{AuthBytes: state})
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("SASL login: %w", err)
			}
			// Some brokers end a refused login by closing the connection.
			return &LoginError{hint: c.checkCredentials(), err: err}
		}
		reply := answer.(*saslauthenticate.Response)
		if reply.ErrorCode != 0 {
			return &LoginError{hint: c.checkCredentials(), err: kafka.Error(reply.ErrorCode)}
		}
		var done bool
		if done, state, err = session.Next(ctx, reply.AuthBytes); err != nil {
			return &LoginError{hint: c.checkCredentials(), err: err}
		}
		if done {
			return nil
		}
	}
	return &LoginError{hint: "the login did not come to an end", err: errors.New("too many rounds of SASL")}
}

func (c *Connector) checkCredentials() string {
	if c.cfg.SASLMechanism == "" {
		return "it refused the login by " + c.mechanism.Name()
	}
	return fmt.Sprintf("it refused the login of %q by %s: check SASL_USER and SASL_PASSWORD", c.cfg.SASLUser, c.mechanism.Name())
}

// LoginError is a SASL exchange that failed. It never holds the password.
type LoginError struct {
	hint string
	err  error
}

func (e *LoginError) Error() string { return e.hint + " (" + e.err.Error() + ")" }
func (e *LoginError) Unwrap() error { return e.err }
