package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// cluster is what a sender speaks for. The zero cluster is the one of the source's own settings.
type cluster struct{ name, id string }

// sender is what a request has to prove, and the cluster that it then speaks for. Where it has tokens and a
// certificate, both are needed.
type sender struct {
	cluster     cluster
	tokens      [][sha256.Size]byte
	certificate *certificateName // nil: no certificate is asked for
}

// certificateName is compared with a client certificate that the TLS handshake has verified. The zero value is
// satisfied by any.
type certificateName struct{ commonName, san string }

func (n certificateName) matches(c *x509.Certificate) bool {
	if n.commonName != "" && c.Subject.CommonName != n.commonName {
		return false
	}
	if n.san == "" || slices.Contains(c.DNSNames, n.san) {
		return true
	}
	for _, u := range c.URIs {
		if u.String() == n.san {
			return true
		}
	}
	return false
}

// access is all that the files say: who may post, and the keys of TLS. It is replaced as a whole when one of
// them changes.
type access struct {
	senders  []sender
	tls      *tls.Config // nil: plain HTTP
	notAfter time.Time   // of the server's certificate
	names    []string    // that the server's certificate is valid for
	print    [sha256.Size]byte
}

// readAccess reads every file of the configuration.
func readAccess(c *Config) (*access, error) {
	a := &access{}
	sum := sha256.New()
	read := func(path string) ([]byte, error) {
		text, err := readSmall(path)
		fmt.Fprintf(sum, "%s %d ", path, len(text))
		sum.Write(text)
		return text, err
	}
	err := errors.Join(a.readSenders(c, read), a.readTLS(c, read))
	if err != nil {
		return nil, err
	}
	sum.Sum(a.print[:0])
	return a, nil
}

type reader func(path string) ([]byte, error)

// maxFile bounds a file of certificates, tokens or clusters, in bytes.
const maxFile = 4 << 20

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than 4MiB", path)
	}
	return os.ReadFile(path)
}

func (a *access) readSenders(c *Config, read reader) error {
	if c.ClustersFile != "" {
		text, err := read(c.ClustersFile)
		if err != nil {
			return fmt.Errorf("CLUSTERS_FILE: %w", err)
		}
		if a.senders, err = parseClusters(text, read); err == nil {
			err = checkCertificates(a.senders, c.ClientCAFile)
		}
		if err != nil {
			return fmt.Errorf("CLUSTERS_FILE %s: %w", c.ClustersFile, err)
		}
		return nil
	}
	one := sender{}
	if c.Token != "" {
		text := []byte(c.Token.Reveal())
		if c.TokenFile != "" {
			var err error
			if text, err = read(c.TokenFile); err != nil {
				return fmt.Errorf("TOKEN_FILE: %w", err)
			}
		}
		var err error
		if one.tokens, err = parseTokens(string(text)); err != nil {
			return fmt.Errorf("TOKEN: %w", err)
		}
	}
	if c.ClientCAFile != "" {
		one.certificate = &certificateName{}
	}
	a.senders = []sender{one}
	return nil
}

// minToken is the shortest token: what a person could have typed is no secret to a program that tries.
const minToken = 16

// parseTokens reads tokens, one a line, so that an old and a new one can be valid at a time.
func parseTokens(text string) ([][sha256.Size]byte, error) {
	var out [][sha256.Size]byte
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) < minToken {
			return nil, fmt.Errorf("a token is shorter than %d characters: make one with `openssl rand -hex 32`", minToken)
		}
		out = append(out, sha256.Sum256([]byte(line)))
	}
	if len(out) == 0 {
		return nil, errors.New("there is no token in it")
	}
	return out, nil
}

func (a *access) readTLS(c *Config, read reader) error {
	if c.TLSCertFile == "" {
		return nil
	}
	cert, err := read(c.TLSCertFile)
	if err != nil {
		return fmt.Errorf("TLS_CERT_FILE: %w", err)
	}
	key, err := read(c.TLSKeyFile)
	if err != nil {
		return fmt.Errorf("TLS_KEY_FILE: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("TLS_CERT_FILE %s and TLS_KEY_FILE %s: %w", c.TLSCertFile, c.TLSKeyFile, err)
	}
	a.notAfter, a.names = pair.Leaf.NotAfter, namesOf(pair.Leaf)
	a.tls = &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		// A resumed session would carry a proof from before a change of the files.
		SessionTicketsDisabled: true,
	}
	if c.ClientCAFile == "" {
		return nil
	}
	pem, err := read(c.ClientCAFile)
	if err != nil {
		return fmt.Errorf("CLIENT_CA_FILE: %w", err)
	}
	a.tls.ClientCAs = x509.NewCertPool()
	if !a.tls.ClientCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("CLIENT_CA_FILE: %s holds no PEM certificate", c.ClientCAFile)
	}
	a.tls.ClientAuth = tls.RequireAndVerifyClientCert
	if slices.ContainsFunc(a.senders, func(s sender) bool { return s.certificate == nil }) {
		a.tls.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return nil
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// authenticate finds the cluster that a request speaks for. Which of several reasons there is against it is
// nobody's business.
func (a *access) authenticate(r *http.Request) (cluster, bool) {
	var certificate *x509.Certificate
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		certificate = r.TLS.PeerCertificates[0]
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	hasToken := strings.EqualFold(scheme, "Bearer")
	token := sha256.Sum256([]byte(strings.TrimSpace(text)))
	found := -1
	for i := range a.senders {
		if !a.senders[i].proves(hasToken, token, certificate) {
			continue
		}
		if found >= 0 && a.senders[found].cluster != a.senders[i].cluster {
			return cluster{}, false // the token of one cluster with the certificate of another
		}
		found = i
	}
	if found < 0 {
		return cluster{}, false
	}
	return a.senders[found].cluster, true
}

// proves compares every token, so that the time it takes says nothing.
func (s *sender) proves(hasToken bool, token [sha256.Size]byte, certificate *x509.Certificate) bool {
	equal := 0
	for i := range s.tokens {
		equal |= subtle.ConstantTimeCompare(s.tokens[i][:], token[:])
	}
	if len(s.tokens) > 0 && (!hasToken || equal == 0) {
		return false
	}
	return s.certificate == nil || certificate != nil && s.certificate.matches(certificate)
}
