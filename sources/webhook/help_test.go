package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretToken = "a-token-of-32-characters-or-so!!"

// list is a body as API servers post it, with one event.
func list(id string) string {
	return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"level":"Metadata","auditID":"` + id +
		`","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","user":{"username":"alice"}}]}`
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(time.Hour),
	})
	a.file = a.write(name+".pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// sign makes a certificate of the template, by itself if there is no authority yet.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	a.check(err)
	template.NotBefore = time.Now().Add(-time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	a.check(err)
	cert, err := x509.ParseCertificate(der)
	a.check(err)
	return cert, key
}

// server writes the files of a server's certificate for 127.0.0.1.
func (a *authority) server(name string, notAfter time.Time) (certFile, keyFile string) {
	a.t.Helper()
	return a.files(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// client makes a client certificate.
func (a *authority) client(commonName string, sans ...string) *tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, san := range sans {
		if u, err := url.Parse(san); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, san)
		}
	}
	certFile, keyFile := a.files("client", template)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	a.check(err)
	return &pair
}

func (a *authority) files(name string, template *x509.Certificate) (certFile, keyFile string) {
	a.t.Helper()
	cert, key := a.sign(template)
	der, err := x509.MarshalECPrivateKey(key)
	a.check(err)
	return a.write(name+".crt", "CERTIFICATE", cert.Raw), a.write(name+".key", "EC PRIVATE KEY", der)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	a.check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func (a *authority) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// consumer stands in for the pipeline. It settles at once, unless hold says otherwise.
type consumer struct {
	mu      sync.Mutex
	batches []*pipeline.Batch
	bodies  []string
	hold    func(*pipeline.Batch) bool
	fate    func(*pipeline.Batch) error
	block   bool // emit blocks until its context ends
	changed chan struct{}
}

func newConsumer() *consumer { return &consumer{changed: make(chan struct{}, 1)} }

func (c *consumer) emit(ctx context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	if c.block {
		c.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	}
	c.batches = append(c.batches, b)
	for _, r := range b.Records {
		c.bodies = append(c.bodies, string(r.Body))
	}
	held, fate := c.hold != nil && c.hold(b), c.fate
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
	if held {
		return nil
	}
	var err error
	if fate != nil {
		err = fate(b)
	}
	b.Done(err)
	return nil
}

// got are the bodies so far.
func (c *consumer) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.bodies...)
}

// await waits for the n-th batch.
func (c *consumer) await(t *testing.T, n int) *pipeline.Batch {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		if len(c.batches) >= n {
			defer c.mu.Unlock()
			return c.batches[n-1]
		}
		c.mu.Unlock()
		select {
		case <-c.changed:
		case <-limit:
			t.Fatalf("batch %d has not come", n)
		}
	}
}

// server is a source that runs.
type server struct {
	t      *testing.T
	source *Source
	url    string
	log    *sourcetest.Log
	cancel context.CancelFunc
	ended  chan error
	ca     *authority
}

// plain is a configuration without TLS on loopback, with the token.
func plain() Config {
	return Config{Address: "127.0.0.1:0", Token: secretToken, DrainTimeout: 2 * time.Second}
}

// serve runs a source until the test ends.
func serve(t *testing.T, cfg Config, emit pipeline.Emit, o ...func(*Options)) *server {
	t.Helper()
	s := &server{t: t, log: &sourcetest.Log{}, ended: make(chan error, 1)}
	address := make(chan net.Addr, 1)
	options := Options{Name: "test", Cluster: "prod", Logger: slog.New(slog.NewTextHandler(s.log, nil)), Listening: func(a net.Addr) { address <- a }}
	for _, change := range o {
		change(&options)
	}
	var err error
	if s.source, err = New(cfg, options); err != nil {
		t.Fatal(err)
	}
	s.source.reload = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() { s.ended <- s.source.Run(ctx, emit) }()
	t.Cleanup(func() { s.stop() })
	select {
	case a := <-address:
		scheme := "http://"
		if cfg.TLSCertFile != "" {
			scheme = "https://"
		}
		s.url = scheme + a.String() + "/audit"
	case err := <-s.ended:
		s.ended <- err
		t.Fatalf("Run ended at once: %v", err)
	}
	return s
}

// stop ends the source, which must return nil.
func (s *server) stop() {
	s.t.Helper()
	s.cancel()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("Run returned %v", err)
		}
		s.ended <- nil
	case <-time.After(15 * time.Second):
		s.t.Fatal("Run has not ended")
	}
}

// client makes an HTTP client that trusts ca and shows certificate, if they are not nil.
func client(t *testing.T, ca *authority, certificate *tls.Certificate) *http.Client {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != nil {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AddCert(ca.cert)
	}
	if certificate != nil {
		// Shown whatever the server asks for.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// request makes a POST like an API server's.
func request(t *testing.T, url, token, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

// answer is what a request got, with its body read.
type answer struct {
	*http.Response
	text string
}

func do(t *testing.T, c *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// post posts a body with the token and returns the answer.
func (s *server) post(body string) answer {
	s.t.Helper()
	return do(s.t, client(s.t, s.ca, nil), request(s.t, s.url, secretToken, body))
}
