package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Connector makes connections after one Config. It is safe for concurrent use.
type Connector struct {
	cfg       Config
	mechanism sasl.Mechanism
}

// New checks cfg, the files it names included, and makes a Connector. It connects to nothing.
func New(cfg Config, log *slog.Logger) (*Connector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Connector{cfg: cfg, mechanism: cfg.Mechanism}
	if cfg.SASLMechanism != "" {
		var err error
		if c.mechanism, err = mechanism(cfg); err != nil {
			return nil, err
		}
	}
	if cfg.TLS {
		if _, err := c.tlsConfig("localhost"); err != nil {
			return nil, err
		}
	}
	cfg.warn(log)
	return c, nil
}

func mechanism(cfg Config) (sasl.Mechanism, error) {
	user, password := cfg.SASLUser, cfg.SASLPassword.Reveal()
	var algorithm scram.Algorithm
	switch cfg.SASLMechanism {
	case plainMechanism:
		return plain.Mechanism{Username: user, Password: password}, nil
	case scram256:
		algorithm = scram.SHA256
	default:
		algorithm = scram.SHA512
	}
	m, err := scram.Mechanism(algorithm, user, password)
	if err != nil {
		// The cause may quote what could not be prepared, so it is left out.
		return nil, fmt.Errorf("SASL_USER or SASL_PASSWORD holds characters that %s forbids (RFC 4013)", cfg.SASLMechanism)
	}
	return m, nil
}

// Addr names the configured brokers to a kafka-go client.
func (c *Connector) Addr() net.Addr { return kafka.TCP(c.cfg.Brokers...) }

// Brokers are the configured brokers.
func (c *Connector) Brokers() []string { return c.cfg.Brokers }

// ClientID is the configured name of this client.
func (c *Connector) ClientID() string { return c.cfg.ClientID }

// DialTimeout bounds one Dial.
func (c *Connector) DialTimeout() time.Duration { return c.cfg.DialTimeout }

// Transport makes a pool of connections for requests to brokers and partition leaders. It caches the
// metadata of topics only, or of all topics if none is named, for at most ttl. The caller ends it with
// CloseIdleConnections.
func (c *Connector) Transport(ttl time.Duration, topics ...string) *kafka.Transport {
	return &kafka.Transport{
		Dial:           c.Dial,
		DialTimeout:    c.cfg.DialTimeout,
		ClientID:       c.cfg.ClientID,
		MetadataTTL:    ttl,
		MetadataTopics: topics,
	}
}

// Dial connects to one broker and returns a connection that has TLS and SASL behind it. It has the
// signature that kafka.Dialer and kafka.Transport want.
func (c *Connector) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the Kafka broker at %s: %w", address, err)
	}
	// The deadline covers reads and writes of both handshakes; a context that ends earlier brings it forward.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	secured, err := c.secure(ctx, conn, address)
	if inTime := stop(); err == nil && inTime {
		_ = conn.SetDeadline(time.Time{})
		return secured, nil
	}
	_ = conn.Close()
	_, notStarted := errors.AsType[*startError](err)
	switch ended := context.Cause(ctx); {
	case notStarted: // it is not the broker that kept us waiting
		return nil, err
	case errors.Is(ended, context.DeadlineExceeded):
		return nil, fmt.Errorf("the Kafka broker at %s accepted the connection and did not answer within %s: %w", address, c.cfg.DialTimeout, ended)
	case ended != nil:
		return nil, ended
	default:
		return nil, c.explain(err, address)
	}
}

func (c *Connector) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if c.cfg.TLS {
		settings, err := c.tlsConfig(host)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(conn, settings)
		if err := secured.HandshakeContext(ctx); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("it ended the connection in the TLS handshake: %w: if it speaks no TLS on this port, use its TLS port or set TLS=false", err)
			}
			return nil, err
		}
		conn = secured
	}
	if c.mechanism != nil {
		if err := c.login(ctx, conn, host); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

// tlsConfig reads the files anew: see the package comment.
func (c *Connector) tlsConfig(host string) (*tls.Config, error) {
	settings := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: c.cfg.TLSInsecureSkipVerify, //nolint:gosec // off unless asked for by a setting with that name, and warned about
	}
	if c.cfg.TLSServerName != "" {
		settings.ServerName = c.cfg.TLSServerName
	}
	if c.cfg.TLSCAFile != "" {
		pem, err := os.ReadFile(c.cfg.TLSCAFile)
		if err != nil {
			return nil, fmt.Errorf("TLS_CA_FILE: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS_CA_FILE: %s holds no PEM certificate", c.cfg.TLSCAFile)
		}
	}
	if c.cfg.TLSCertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.cfg.TLSCertFile, c.cfg.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS_CERT_FILE and TLS_KEY_FILE: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}
