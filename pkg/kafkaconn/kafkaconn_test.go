package kafkaconn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is a CA with the files of one certificate.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert = a.issue("CA", nil, time.Hour, nil)
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(name string, hosts []string, life time.Duration, by *authority) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IsCA: by == nil, BasicConstraintsValid: true, DNSNames: hosts, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := wanted, key
	if by != nil {
		parent, signer = by.cert, by.key
	} else {
		wanted.KeyUsage = x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// pair writes cert.pem and key.pem of a new certificate and returns it.
func (a *authority) pair(host string, life time.Duration) tls.Certificate {
	a.t.Helper()
	key, cert := a.issue(host, []string{host}, life, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("cert.pem", "CERTIFICATE", cert.Raw)
	a.write("key.pem", "PRIVATE KEY", der)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func newCluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, "audit")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func settings(brokers ...string) Config {
	return Config{Brokers: brokers, ClientID: "foretop", DialTimeout: 5 * time.Second}
}

// connect makes a connection and asks it for something, which needs a login where there is one.
func connect(t *testing.T, cfg Config) error {
	t.Helper()
	c, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	d := &kafka.Dialer{ClientID: c.ClientID(), DialFunc: c.Dial}
	conn, err := d.DialContext(t.Context(), "tcp", c.Brokers()[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	partitions, err := conn.ReadPartitions("audit")
	if err == nil && len(partitions) != 2 {
		err = fmt.Errorf("%d partitions", len(partitions))
	}
	return err
}

func TestLogin(t *testing.T) {
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "reader", "right-password"))
			cfg := settings(c.ListenAddrs()...)
			cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = mechanism, "reader", "right-password"
			if err := connect(t, cfg); err != nil {
				t.Errorf("with the right password: %v", err)
			}
			cfg.SASLPassword = "wrong-password"
			err := connect(t, cfg)
			want := fmt.Sprintf(`it refused the login of "reader" by %s: check SASL_USER and SASL_PASSWORD`, strings.ToUpper(mechanism))
			if err == nil || !strings.Contains(err.Error(), want) || !Refused(err) {
				t.Errorf("with a wrong password: %v, refused %v", err, Refused(err))
			}
			if err != nil && strings.Contains(err.Error(), "wrong-password") {
				t.Error("the error holds the password")
			}
		})
	}
}

func TestAMechanismThatTheBrokerLacksIsNamed(t *testing.T) {
	cfg := settings(listen(t, func(conn net.Conn) {
		version, id, _, _, err := protocol.ReadRequest(conn)
		if err == nil {
			err = protocol.WriteResponse(conn, version, id, &saslhandshake.Response{
				ErrorCode: int16(kafka.UnsupportedSASLMechanism), Mechanisms: []string{"SCRAM-SHA-512", "PLAIN"},
			})
		}
		if err != nil {
			t.Error(err)
		}
	}))
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "scram-sha-256", "reader", "x"
	err := connect(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "it offers no SASL mechanism SCRAM-SHA-256 but PLAIN, SCRAM-SHA-512: change SASL_MECHANISM") || !Refused(err) {
		t.Errorf("error %v", err)
	}
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{a.pair("localhost", time.Hour)}}))
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		host    string
		change  func(*Config)
		want    string // empty: it connects
		refused bool
	}{
		{"with its CA", "localhost", func(c *Config) { c.TLSCAFile = a.path("ca.pem") }, "", false},
		{"by another name that the certificate has not", "127.0.0.1", func(c *Config) { c.TLSCAFile = a.path("ca.pem") }, "set TLS_SERVER_NAME to a name in its certificate", true},
		{"by another name, told the right one", "127.0.0.1", func(c *Config) { c.TLSCAFile, c.TLSServerName = a.path("ca.pem"), "localhost" }, "", false},
		{"without its CA", "localhost", func(*Config) {}, "set TLS_CA_FILE to the CA that signed its certificate", true},
		{"without verification", "127.0.0.1", func(c *Config) { c.TLSInsecureSkipVerify = true }, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := settings(net.JoinHostPort(tt.host, port))
			cfg.TLS = true
			tt.change(&cfg)
			err := connect(t, cfg)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || Refused(err) != tt.refused {
				t.Errorf("error %v (refused %v), want %q", err, Refused(err), tt.want)
			}
		})
	}
}

func TestFilesAreReadAgainAtEachConnection(t *testing.T) {
	old, fresh := newAuthority(t), newAuthority(t)
	var served tls.Certificate
	served = old.pair("localhost", time.Hour)
	c := newCluster(t, kfake.TLS(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &served, nil },
	}))
	_, port, _ := net.SplitHostPort(c.ListenAddrs()[0])
	cfg := settings(net.JoinHostPort("localhost", port))
	cfg.TLS, cfg.TLSCAFile = true, old.path("ca.pem")
	conn, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	dial := func() error {
		nc, err := conn.Dial(t.Context(), "tcp", conn.Brokers()[0])
		if err == nil {
			_ = nc.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	served = fresh.pair("localhost", time.Hour)
	if err := dial(); !Refused(err) {
		t.Fatalf("the new CA is not known yet, and dialing gave %v", err)
	}
	rotated, err := os.ReadFile(fresh.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.TLSCAFile, rotated, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dial(); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
}

func TestClientCertificates(t *testing.T) {
	a := newAuthority(t)
	server := a.pair("localhost", time.Hour)
	c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()}))
	_, port, _ := net.SplitHostPort(c.ListenAddrs()[0])
	cfg := settings(net.JoinHostPort("localhost", port))
	cfg.TLS, cfg.TLSCAFile = true, a.path("ca.pem")
	if err := connect(t, cfg); !Refused(err) || !strings.Contains(Advise(err).Error(), "check TLS_CERT_FILE") {
		t.Errorf("without a certificate: %v (refused %v)", err, Refused(err))
	}
	cfg.TLSCertFile, cfg.TLSKeyFile = a.path("cert.pem"), a.path("key.pem")
	if err := connect(t, cfg); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	a.pair("localhost", -time.Minute) // expired
	if err := connect(t, cfg); err == nil || !Refused(err) {
		t.Errorf("with an expired certificate: %v (refused %v)", err, Refused(err))
	}
}

func TestAnExpiredCertificateOfTheBrokerIsNamed(t *testing.T) {
	a := newAuthority(t)
	c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{a.pair("localhost", -time.Minute)}}))
	_, port, _ := net.SplitHostPort(c.ListenAddrs()[0])
	cfg := settings(net.JoinHostPort("localhost", port))
	cfg.TLS, cfg.TLSCAFile = true, a.path("ca.pem")
	if err := connect(t, cfg); err == nil || !strings.Contains(err.Error(), "expired") || !Refused(err) {
		t.Errorf("error %v", err)
	}
}

func TestTLSToAPlaintextPortIsNamed(t *testing.T) {
	l := listen(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	cfg := settings(l)
	cfg.TLS = true
	if err := connect(t, cfg); err == nil || !strings.Contains(err.Error(), "it speaks no TLS on this port") || !Refused(err) {
		t.Errorf("error %v", err)
	}
}

// listen serves connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			serve(conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestASilentBrokerDoesNotHangTheLogin(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secured), func(t *testing.T) {
			cfg := settings(listen(t, func(net.Conn) {}))
			cfg.DialTimeout = 200 * time.Millisecond
			cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword, cfg.TLS = "plain", "u", "p", secured
			began := time.Now()
			err := connect(t, cfg)
			if err == nil || !strings.Contains(err.Error(), "accepted the connection and did not answer within 200ms") || Refused(err) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestAnEndingContextEndsTheLogin(t *testing.T) {
	cfg := settings(listen(t, func(net.Conn) {}))
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "plain", "u", "p"
	c, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	stopped, stop := context.WithCancel(ctx)
	time.AfterFunc(20*time.Millisecond, stop)
	if _, err := c.Dial(stopped, "tcp", c.Brokers()[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAConnectionOutlivesItsDialTimeout(t *testing.T) {
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p"))
	cfg := settings(c.ListenAddrs()...)
	cfg.DialTimeout = 300 * time.Millisecond
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "plain", "u", "p"
	con, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&kafka.Dialer{DialFunc: con.Dial}).DialContext(t.Context(), "tcp", cfg.Brokers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.Sleep(2 * cfg.DialTimeout)
	if _, err := conn.ReadPartitions("audit"); err != nil {
		t.Errorf("after the dial timeout: %v", err)
	}
}

func TestFilesAreCheckedAtStart(t *testing.T) {
	a := newAuthority(t)
	a.write("empty.pem", "NOTHING", nil)
	cfg := settings("localhost:1")
	cfg.TLS, cfg.TLSCAFile = true, a.path("missing.pem")
	if _, err := New(cfg, slog.Default()); err == nil || !strings.Contains(err.Error(), "TLS_CA_FILE: open ") {
		t.Errorf("error %v", err)
	}
	cfg.TLSCAFile = a.path("empty.pem")
	if _, err := New(cfg, slog.Default()); err == nil || !strings.Contains(err.Error(), "holds no PEM certificate") {
		t.Errorf("error %v", err)
	}
	cfg.TLSCAFile, cfg.TLSCertFile, cfg.TLSKeyFile = "", a.path("ca.pem"), a.path("ca.pem")
	if _, err := New(cfg, slog.Default()); err == nil || !strings.Contains(err.Error(), "TLS_CERT_FILE and TLS_KEY_FILE: ") {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsUnsafeIsSaidAloud(t *testing.T) {
	var text bytes.Buffer
	cfg := settings("localhost:1")
	cfg.TLS, cfg.TLSInsecureSkipVerify = true, true
	if _, err := New(cfg, slog.New(slog.NewTextHandler(&text, nil))); err != nil || !strings.Contains(text.String(), "TLS_INSECURE_SKIP_VERIFY is on") {
		t.Errorf("error %v, log %s", err, text.String())
	}
	text.Reset()
	cfg = settings("localhost:1")
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "plain", "u", "hidden-one"
	if _, err := New(cfg, slog.New(slog.NewTextHandler(&text, nil))); err != nil || !strings.Contains(text.String(), "in clear text") || strings.Contains(text.String(), "hidden-one") {
		t.Errorf("error %v, log %s", err, text.String())
	}
}

func TestAnAddressWithAPasswordIsNotRepeated(t *testing.T) {
	cfg := settings("kafka://user:hunter2@broker:9092")
	if err := cfg.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestCharactersThatSCRAMForbidsAreNoRiddle(t *testing.T) {
	cfg := settings("localhost:1")
	cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = "scram-sha-256", "u", config.Secret("bell\a")
	if _, err := New(cfg, slog.Default()); err == nil || !strings.Contains(err.Error(), "RFC 4013") || strings.Contains(err.Error(), "bell") {
		t.Errorf("error %v", err)
	}
}

func TestKind(t *testing.T) {
	for want, err := range map[string]error{
		"none": nil, "refused": fmt.Errorf("x: %w", kafka.TopicAuthorizationFailed), "connection_closed": fmt.Errorf("x: %w", io.ErrUnexpectedEOF),
		"timeout": context.DeadlineExceeded, "broker": kafka.NotLeaderForPartition, "network": errors.New("x"),
	} {
		if got := Kind(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
