package kafkaconn

import (
	"bytes"
	"cmp"
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
			Mechanism: name,
			hint:      fmt.Sprintf("it offers no SASL mechanism %s but %s: change SASL_MECHANISM", name, strings.Join(offered.Mechanisms, ", ")),
			err:       kafka.Error(offered.ErrorCode),
		}
	}
	ctx = sasl.WithMetadata(ctx, &sasl.Metadata{Host: host})
	session, state, err := c.mechanism.Start(ctx)
	if err != nil {
		return &startError{err}
	}
	for round := range int32(loginRounds) {
		answer, err := protocol.RoundTrip(conn, authenticateVersion, 2+round, c.cfg.ClientID, &saslauthenticate.Request{AuthBytes: state})
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("SASL login: %w", err)
			}
			// Some brokers end a refused login by closing the connection.
			return &LoginError{Mechanism: name, hint: c.checkCredentials(), err: withWords(err, refusal(session))}
		}
		reply := answer.(*saslauthenticate.Response)
		if reply.ErrorCode != 0 {
			said := withoutSecrets(reply.ErrorMessage, state)
			return &LoginError{Mechanism: name, hint: c.checkCredentials(), err: withWords(kafka.Error(reply.ErrorCode), cmp.Or(refusal(session), said))}
		}
		var done bool
		if done, state, err = session.Next(ctx, reply.AuthBytes); err != nil {
			return &LoginError{Mechanism: name, hint: c.checkCredentials(), err: err}
		}
		if done {
			return nil
		}
	}
	return &LoginError{Mechanism: name, hint: "the login did not come to an end", err: errors.New("too many rounds of SASL")}
}

func (c *Connector) checkCredentials() string {
	if c.cfg.SASLMechanism == "" {
		return "it refused the login by " + c.mechanism.Name()
	}
	return fmt.Sprintf("it refused the login of %q by %s: check SASL_USER and SASL_PASSWORD", c.cfg.SASLUser, c.mechanism.Name())
}

// refusal is what a session remembers that the broker said.
func refusal(session sasl.StateMachine) string {
	if s, ok := session.(interface{ Refusal() string }); ok {
		return s.Refusal()
	}
	return ""
}

func withWords(err error, words string) error {
	if words == "" {
		return err
	}
	return fmt.Errorf("%w, it says %.300q", err, words)
}

// withoutSecrets leaves those words of a broker's message out that we sent ourselves: brokers should not repeat a
// password, and some proxies do.
func withoutSecrets(message string, sent []byte) string {
	words := strings.Fields(message)
	for i, word := range words {
		if bare := strings.Trim(word, `"'.,:;()[]{}`); len(bare) >= 8 && bytes.Contains(sent, []byte(bare)) {
			words[i] = "***"
		}
	}
	return strings.Join(words, " ")
}

// startError is a login that could not begin because something else than the broker failed.
type startError struct{ err error }

func (e *startError) Error() string { return "the login could not be started: " + e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// RefusedLogin is for the Start of a Mechanism: err is one that only a human can cure. hint says what to do.
func RefusedLogin(hint string, err error) error { return &LoginError{hint: hint, err: err} }

// LoginError is a SASL exchange that failed. It never holds the password.
type LoginError struct {
	// Mechanism is the one of SASL that the brokers refused; empty if they were not asked.
	Mechanism string

	hint string
	err  error
}

func (e *LoginError) Error() string { return e.hint + " (" + e.err.Error() + ")" }
func (e *LoginError) Unwrap() error { return e.err }
