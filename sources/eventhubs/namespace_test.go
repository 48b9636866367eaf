package eventhubs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// namespace stands in for one of Event Hubs: brokers behind TLS and a login, which it does as the service does, and the
// faults of the service.
type namespace struct {
	*kfake.Cluster
	t         *testing.T
	listener  net.Listener
	ready     chan net.Conn
	config    *tls.Config
	ca        string // PEM file
	brokers   []string
	closed    chan struct{}
	closeOnce sync.Once

	mu     sync.Mutex
	conns  map[net.Conn]bool
	logins int           // that succeeded
	key    string        // of the policy
	basic  bool          // the tier: connections end before the login
	mute   bool          // a wrong key ends the connection without an answer
	delay  time.Duration // before every write, as under throttling
}

const policyName = "RootManageSharedAccessKey"

// newNamespace starts a namespace with one hub of two partitions.
func newNamespace(t *testing.T, options ...kfake.Opt) *namespace {
	t.Helper()
	n := &namespace{t: t, ready: make(chan net.Conn), closed: make(chan struct{}), conns: make(map[net.Conn]bool), key: "right-key+/=="}
	n.certificates()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.SeedTopics(2, "insights"), kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			var err error
			n.listener, err = net.Listen(network, "127.0.0.1:0")
			go n.welcome()
			return n, err
		}),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	n.Cluster, n.brokers = cluster, cluster.ListenAddrs()
	t.Cleanup(cluster.Close)
	return n
}

func (n *namespace) certificates() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "namespace"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, &key.PublicKey, key)
	if err != nil {
		n.t.Fatal(err)
	}
	n.ca = filepath.Join(n.t.TempDir(), "ca.pem")
	if err := os.WriteFile(n.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// Accept, Addr and Close make the namespace the listener of the brokers behind the login.
func (n *namespace) Accept() (net.Conn, error) {
	select {
	case conn := <-n.ready:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *namespace) Addr() net.Addr { return n.listener.Addr() }

func (n *namespace) Close() error {
	n.closeOnce.Do(func() { close(n.closed) })
	n.cut()
	return n.listener.Close()
}

// cut ends all connections.
func (n *namespace) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn := range n.conns {
		_ = conn.Close()
	}
	clear(n.conns)
}

func (n *namespace) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *namespace) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.logins
}

func (n *namespace) welcome() {
	for {
		raw, err := n.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			conn := &slowConn{Conn: tls.Server(raw, n.config), of: n}
			n.set(func() { n.conns[conn] = true })
			if err := n.login(conn); err != nil {
				_ = conn.Close()
				return
			}
			select {
			case n.ready <- conn:
			case <-n.closed:
				_ = conn.Close()
			}
		}()
	}
}

// slowConn delays what the namespace writes.
type slowConn struct {
	net.Conn
	of *namespace
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.of.mu.Lock()
	delay := c.of.delay
	c.of.mu.Unlock()
	time.Sleep(delay)
	return c.Conn.Write(p)
}

var errRefused = errors.New("refused")

// login plays the service's part of SASL.
func (n *namespace) login(conn net.Conn) error {
	version, id, _, msg, err := protocol.ReadRequest(conn)
	if err != nil {
		return err
	}
	n.mu.Lock()
	basic := n.basic
	n.mu.Unlock()
	if basic {
		return errRefused
	}
	handshake, ok := msg.(*saslhandshake.Request)
	if !ok {
		return errRefused
	}
	if err := protocol.WriteResponse(conn, version, id, &saslhandshake.Response{Mechanisms: []string{"PLAIN", "OAUTHBEARER"}}); err != nil {
		return err
	}
	if version, id, _, msg, err = protocol.ReadRequest(conn); err != nil {
		return err
	}
	sent := msg.(*saslauthenticate.Request).AuthBytes
	if handshake.Mechanism == "PLAIN" {
		return n.plain(conn, id, sent)
	}
	return n.bearer(conn, version, id, sent)
}

// plain knows one policy. Its refusal has null where the protocol allows none, as that of the service has:
// https://github.com/Azure/azure-event-hubs-for-kafka/issues/99
func (n *namespace) plain(conn net.Conn, id int32, sent []byte) error {
	n.mu.Lock()
	want := "\x00$ConnectionString\x00Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=" + policyName + ";SharedAccessKey=" + n.key
	mute := n.mute
	n.mu.Unlock()
	if bytes.Equal(sent, []byte(want)) {
		n.set(func() { n.logins++ })
		return protocol.WriteResponse(conn, 0, id, &saslauthenticate.Response{})
	}
	if mute {
		return errRefused
	}
	words := "Authentication failed: Invalid " + string(sent[1:])
	body := binary.BigEndian.AppendUint32(nil, uint32(id))
	body = binary.BigEndian.AppendUint16(body, 58)
	body = binary.BigEndian.AppendUint16(body, uint16(len(words)))
	body = append(body, words...)
	body = binary.BigEndian.AppendUint32(body, 0xffffffff)
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return errors.Join(err, errRefused)
}

// bearer takes unsecured tokens, and ends the connection when one expires.
func (n *namespace) bearer(conn net.Conn, version int16, id int32, sent []byte) error {
	head, rest, ok := bytes.Cut(sent, []byte("auth=Bearer "))
	raw, tail, ends := bytes.Cut(rest, []byte("\x01\x01"))
	if !ok || !ends || string(head) != "n,,\x01" || len(tail) > 0 {
		n.t.Errorf("the first message is not one of RFC 7628: %q", sent)
		return errRefused
	}
	claims, err := readToken(string(raw))
	if err == nil && claims.Audience == "https://example.servicebus.windows.net" {
		n.mu.Lock()
		life := time.Until(time.Unix(0, int64(claims.Expires*1e9)))
		n.logins++
		n.mu.Unlock()
		time.AfterFunc(life, func() { _ = conn.Close() })
		return protocol.WriteResponse(conn, version, id, &saslauthenticate.Response{})
	}
	if err := protocol.WriteResponse(conn, version, id, &saslauthenticate.Response{AuthBytes: []byte(`{"status":"invalid_token","scope":"wrong audience"}`)}); err != nil {
		return err
	}
	_, id, _, msg, err := protocol.ReadRequest(conn)
	if err != nil {
		return err
	}
	if got := msg.(*saslauthenticate.Request).AuthBytes; !bytes.Equal(got, []byte{1}) {
		n.t.Errorf("the answer to a refusal is %q, want one byte 1", got)
	}
	return errors.Join(protocol.WriteResponse(conn, version, id, &saslauthenticate.Response{ErrorCode: 58, ErrorMessage: "invalid credentials"}), errRefused)
}

// claims are what a token says.
type claims struct {
	Subject  string  `json:"sub"`
	Audience string  `json:"aud"`
	Expires  float64 `json:"exp"`
	Issued   float64 `json:"iat"`
}

func readToken(text string) (c claims, err error) {
	parts := bytes.Split([]byte(text), []byte("."))
	if len(parts) != 3 {
		return c, errors.New("no token")
	}
	body, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(body, &c)
}

// identity is an azcore.TokenCredential that issues unsecured tokens, and keeps them as the SDK's credentials do.
type identity struct {
	audience string
	life     time.Duration

	mu     sync.Mutex
	fail   func(context.Context) error
	asked  int
	cached azcore.AccessToken
}

func (i *identity) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.mu.Lock()
	fail := i.fail
	i.mu.Unlock()
	if fail != nil {
		return azcore.AccessToken{}, fail(ctx)
	}
	if len(o.Scopes) != 1 || o.Scopes[0] != "https://example.servicebus.windows.net/.default" {
		return azcore.AccessToken{}, fmt.Errorf("scopes %v", o.Scopes)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if time.Until(i.cached.ExpiresOn) < i.life/10 {
		now := time.Now()
		body, err := json.Marshal(claims{Subject: "foretop", Audience: i.audience, Expires: float64(now.Add(i.life).UnixNano()) / 1e9, Issued: float64(now.Unix())})
		if err != nil {
			return azcore.AccessToken{}, err
		}
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
		i.cached = azcore.AccessToken{Token: text, ExpiresOn: now.Add(i.life)}
	}
	return i.cached, nil
}

func (i *identity) failWith(fail func(context.Context) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fail = fail
}

// producer writes to the hubs with the right key.
func (n *namespace) producer() *kgo.Client {
	n.t.Helper()
	pool := x509.NewCertPool()
	text, err := os.ReadFile(n.ca)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		n.t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return conn, n.admit(conn)
		}))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(cl.Close)
	return cl
}

// admit logs a connection of a test in.
func (n *namespace) admit(conn net.Conn) error {
	n.mu.Lock()
	password := "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=" + policyName + ";SharedAccessKey=" + n.key
	n.mu.Unlock()
	if _, err := protocol.RoundTrip(conn, 1, 1, "test", &saslhandshake.Request{Mechanism: "PLAIN"}); err != nil {
		return err
	}
	_, err := protocol.RoundTrip(conn, 0, 2, "test", &saslauthenticate.Request{AuthBytes: []byte("\x00$ConnectionString\x00" + password)})
	return err
}
