package elasticsearch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sinks/elasticsearch"
	"github.com/foretop/foretop/sinks/elasticsearch/estest"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue signs a certificate for 127.0.0.1; change may make it a bad one.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// put writes a file as Kubernetes updates a mounted secret: a new file in the place of the old one.
func put(t *testing.T, path string, data []byte) string {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func putPair(t *testing.T, dir string, c tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert = put(t, filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	return cert, put(t, filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// secured puts TLS in front of a fake with its templates installed. The certificate can be exchanged.
func secured(t *testing.T, clients *x509.CertPool) (url string, fake *estest.Server, cert *atomic.Pointer[tls.Certificate]) {
	t.Helper()
	fake = estest.New(t)
	setup(t, elasticsearch.Config{Addresses: []string{fake.URL}})
	cert = new(atomic.Pointer[tls.Certificate])
	server := httptest.NewUnstartedServer(fake.Config.Handler)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := &tls.Config{Certificates: []tls.Certificate{*cert.Load()}}
		if clients != nil {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients
		}
		return c, nil
	}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, fake, cert
}

func TestTheAuthorityFileIsReadAgainWhenItChanges(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	url, fake, cert := secured(t, nil)
	c := second.issue(t, nil)
	cert.Store(&c)
	ca := put(t, filepath.Join(t.TempDir(), "ca.pem"), first.pem())
	s := newSink(t, elasticsearch.Config{Addresses: []string{url}, CAFile: ca}, elasticsearch.Options{})
	fails(t, s.Check(t.Context()), pipeline.Fatal, "authority", "CA_FILE")
	put(t, ca, []byte("half writ"))
	fails(t, s.Check(t.Context()), pipeline.Fatal, "authority")
	put(t, ca, second.pem())
	if _, err := s.Write(t.Context(), docs(2)); err != nil || len(fake.Documents(t, stream)) != 2 {
		t.Errorf("after the file changed: %v", err)
	}
}

func TestACertificateThatIsNoGoodIsExplained(t *testing.T) {
	ca := newAuthority(t)
	expired := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		says   string
	}{
		{"expired", func(c *x509.Certificate) { c.NotAfter = expired }, "valid from"},
		{"expired, with the date", func(c *x509.Certificate) { c.NotAfter = expired }, expired.Format(time.RFC3339)},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }, "the clock here says"},
		{"for another host", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }, "10.0.0.1"},
		{"for another use", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "not valid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, fake, cert := secured(t, nil)
			bad := ca.issue(t, tt.change)
			cert.Store(&bad)
			file := put(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem())
			s := newSink(t, elasticsearch.Config{Addresses: []string{url}, CAFile: file}, elasticsearch.Options{})
			_, err := s.Write(t.Context(), docs(1))
			fails(t, err, pipeline.Fatal, tt.says)
			good := ca.issue(t, nil)
			cert.Store(&good)
			if _, err := s.Write(t.Context(), docs(1)); err != nil || len(fake.Documents(t, stream)) != 1 {
				t.Errorf("with a new certificate: %v", err)
			}
		})
	}
}

func TestTheClientCertificateIsReadAgainWhenItChanges(t *testing.T) {
	ca, clients := newAuthority(t), newAuthority(t)
	url, fake, cert := secured(t, clients.pool())
	c := ca.issue(t, nil)
	cert.Store(&c)
	dir := t.TempDir()
	file := put(t, filepath.Join(dir, "ca.pem"), ca.pem())
	certFile, keyFile := putPair(t, dir, newAuthority(t).issue(t, nil))
	s := newSink(t, elasticsearch.Config{Addresses: []string{url}, CAFile: file, CertFile: certFile, KeyFile: keyFile}, elasticsearch.Options{})
	if _, err := s.Write(t.Context(), docs(1)); err == nil {
		t.Fatal("a certificate of a foreign authority was accepted")
	}
	// The two files of a pair never change at the same moment: in between the old pair stays in use.
	put(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
	if _, err := s.Write(t.Context(), docs(1)); err == nil {
		t.Fatal("a certificate of a foreign authority was accepted")
	}
	putPair(t, dir, clients.issue(t, nil))
	if _, err := s.Write(t.Context(), docs(1)); err != nil || len(fake.Documents(t, stream)) != 1 {
		t.Errorf("after the files changed: %v", err)
	}
}

// guarded answers 401 to every request without this Authorization header.
func guarded(want *atomic.Pointer[string]) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.Header.Get("Authorization") == *want.Load() {
			return false
		}
		estest.Reply(w, 401, estest.Failure(401, "security_exception", "unable to authenticate with "+r.Header.Get("Authorization")))
		return true
	}
}

func TestARotatedAPIKeyIsTakenUpFromItsFile(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	file := put(t, filepath.Join(dir, "key"), []byte("id:first-secret\n"))
	var want atomic.Pointer[string]
	accept := func(key string) {
		header := "ApiKey " + base64.StdEncoding.EncodeToString([]byte(key))
		want.Store(&header)
	}
	accept("id:first-secret")
	r.server.OnRequest(guarded(&want))
	s := newSink(t, elasticsearch.Config{Addresses: []string{r.server.URL}, APIKeyFile: file}, elasticsearch.Options{})
	if _, err := s.Write(t.Context(), docs(1)); err != nil {
		t.Fatal(err)
	}
	accept("id:second-secret")
	_, err := s.Write(t.Context(), docs(2))
	fails(t, err, pipeline.Fatal, "401")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error holds the key: %v", err)
	}
	for _, bad := range []string{"", "id:second\nsecret\n"} {
		put(t, file, []byte(bad))
		_, err = s.Write(t.Context(), docs(2))
		fails(t, err, pipeline.Fatal, "401")
	}
	put(t, file, []byte("id:second-secret"))
	if _, err := s.Write(t.Context(), docs(2)); err != nil {
		t.Errorf("after the file changed: %v", err)
	}
}

func TestEachFormOfCredentialsIsSentAsElasticsearchWantsIt(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("id:key"))
	password := put(t, filepath.Join(t.TempDir(), "password"), []byte("p:w"))
	for want, change := range map[string]func(*elasticsearch.Config){
		"":                  func(*elasticsearch.Config) {},
		"ApiKey " + encoded: func(c *elasticsearch.Config) { c.APIKey = "id:key" },
		"ApiKey abcd":       func(c *elasticsearch.Config) { c.APIKey = "abcd" },
		"Basic " + base64.StdEncoding.EncodeToString([]byte("u:p")):   func(c *elasticsearch.Config) { c.Username, c.Password = "u", "p" },
		"Basic " + base64.StdEncoding.EncodeToString([]byte("u:p:w")): func(c *elasticsearch.Config) { c.Username, c.PasswordFile = "u", password },
	} {
		r := newRig(t, change)
		r.stores(t, docs(1))
		if got := r.server.Requests("/_bulk")[0].Header.Get("Authorization"); got != want {
			t.Errorf("Authorization: %q, want %q", got, want)
		}
	}
}

func TestConfigurationThatCannotWorkIsRefused(t *testing.T) {
	address := []string{"https://es:9200"}
	tests := []struct {
		name string
		cfg  elasticsearch.Config
		says string
	}{
		{"no address", elasticsearch.Config{}, "ADDRESSES"},
		{"an address without a scheme", elasticsearch.Config{Addresses: []string{"es:9200"}}, "https://host:port"},
		{"an address with a query", elasticsearch.Config{Addresses: []string{"https://es?x=1"}}, "must end"},
		{"a password in an address", elasticsearch.Config{Addresses: []string{"https://u:hunter2@es:9200"}}, "USERNAME and PASSWORD"},
		{"two kinds of credentials", elasticsearch.Config{Addresses: address, APIKey: "hunter2", Username: "u", Password: "p"}, "keep one"},
		{"a user without password", elasticsearch.Config{Addresses: address, Username: "u"}, "PASSWORD"},
		{"a password without user", elasticsearch.Config{Addresses: address, Password: "hunter2"}, "USERNAME"},
		{"a certificate without key", elasticsearch.Config{Addresses: address, CertFile: "x"}, "KEY_FILE"},
		{"a namespace that is none", elasticsearch.Config{Addresses: address, Namespace: "a-b"}, "namespace"},
		{"a bulk that no server takes", elasticsearch.Config{Addresses: address, BulkBytes: 100 << 20}, "BULK_BYTES"},
		{"no requests at all", elasticsearch.Config{Addresses: address, InFlight: -1}, "MAX_IN_FLIGHT"},
		{"a retention without a unit", elasticsearch.Config{Addresses: address, Retention: "90"}, "RETENTION"},
		{"an authority file that is not there", elasticsearch.Config{Addresses: address, CAFile: "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := elasticsearch.New(tt.cfg, elasticsearch.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want an error that says %q", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}
