//go:build kube

package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pki is one authority for all that talk to each other in a test, and the folder of its files.
type pki struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{t: t, dir: t.TempDir()}
	p.cert, p.key = p.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	p.write("ca.crt", "CERTIFICATE", p.cert.Raw)
	return p
}

// sign makes a certificate of the template, by itself as long as there is no authority.
func (p *pki) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.check(err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	p.check(err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := p.cert, p.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	p.check(err)
	cert, err := x509.ParseCertificate(der)
	p.check(err)
	return cert, key
}

// server makes NAME.crt and NAME.key, for 127.0.0.1.
func (p *pki) server(name string) {
	p.t.Helper()
	p.files(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// client makes a client certificate for a user of the API server.
func (p *pki) client(user string, groups ...string) tls.Certificate {
	p.t.Helper()
	p.files(user, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	pair, err := tls.LoadX509KeyPair(p.path(user+".crt"), p.path(user+".key"))
	p.check(err)
	return pair
}

func (p *pki) files(name string, template *x509.Certificate) {
	p.t.Helper()
	cert, key := p.sign(template)
	der, err := x509.MarshalECPrivateKey(key)
	p.check(err)
	p.write(name+".crt", "CERTIFICATE", cert.Raw)
	p.write(name+".key", "EC PRIVATE KEY", der)
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) write(name, kind string, der []byte) {
	p.t.Helper()
	p.check(os.WriteFile(p.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (p *pki) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}
