package elasticsearch

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/config"
)

// accessConfig is what opens the door of a server: credentials and TLS material.
type accessConfig struct {
	apiKey                    config.Secret
	apiKeyFile                string
	username                  string
	password                  config.Secret
	passwordFile              string
	caFile, certFile, keyFile string
}

func (c *accessConfig) validate() error {
	key, password := c.apiKey != "" || c.apiKeyFile != "", c.password != "" || c.passwordFile != ""
	switch {
	case key && c.username != "":
		return errors.New("API_KEY and USERNAME are both set: keep one")
	case c.username != "" && !password:
		return errors.New("USERNAME needs PASSWORD beside it")
	case c.username == "" && password:
		return errors.New("PASSWORD needs USERNAME beside it")
	case (c.certFile == "") != (c.keyFile == ""):
		return errors.New("CERT_FILE and KEY_FILE need each other")
	}
	return nil
}

func (c *accessConfig) files() []string {
	var out []string
	for _, f := range []string{c.apiKeyFile, c.passwordFile, c.caFile, c.certFile, c.keyFile} {
		if f != "" {
			out = append(out, f)
		}
	}
	return out
}

// access is an http.RoundTripper that authenticates each request, and reads its files again when they
// change. Where the new contents are no good (half written, or a certificate whose key is not there yet)
// it goes on with the old ones and looks again at the next request.
type access struct {
	cfg accessConfig
	log *slog.Logger

	mu        sync.Mutex
	seen      []os.FileInfo
	problem   string // what was logged last, so that it is not logged again
	transport *http.Transport
	header    string
}

func newAccess(cfg accessConfig, log *slog.Logger) (*access, error) {
	a := &access{cfg: cfg, log: log}
	seen, err := statAll(cfg.files())
	if err != nil {
		return nil, err
	}
	if a.transport, a.header, err = cfg.load(); err != nil {
		return nil, err
	}
	a.seen = seen
	return a, nil
}

// RoundTrip implements http.RoundTripper.
func (a *access) RoundTrip(req *http.Request) (*http.Response, error) {
	transport, header := a.current()
	if header != "" {
		req = req.Clone(req.Context()) // a RoundTripper must not change the request that it is given
		req.Header.Set("Authorization", header)
	}
	return transport.RoundTrip(req)
}

func (a *access) current() (*http.Transport, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refresh(); err != nil {
		if text := err.Error(); text != a.problem {
			a.problem = text
			a.log.Warn("new credentials or certificates cannot be used; the old ones stay in use", "error", text)
		}
	}
	return a.transport, a.header
}

func (a *access) refresh() error {
	seen, err := statAll(a.cfg.files())
	if err != nil || sameFiles(seen, a.seen) {
		return err
	}
	transport, header, err := a.cfg.load()
	if err != nil {
		return err
	}
	a.transport.CloseIdleConnections()
	a.transport, a.header, a.seen, a.problem = transport, header, seen, ""
	a.log.Info("credentials and certificates were read again, because their files changed")
	return nil
}

func (a *access) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.transport.CloseIdleConnections()
}

func statAll(files []string) ([]os.FileInfo, error) {
	out := make([]os.FileInfo, len(files))
	for i, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return nil, err
		}
		out[i] = info
	}
	return out, nil
}

func sameFiles(a, b []os.FileInfo) bool {
	for i := range a {
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}

// load reads every file. It returns the transport and the Authorization header.
func (c *accessConfig) load() (*http.Transport, string, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.caFile != "" {
		pem, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, "", err
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "", fmt.Errorf("%s holds no PEM certificate", c.caFile)
		}
	}
	if c.certFile != "" {
		pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		if err != nil {
			return nil, "", fmt.Errorf("client certificate %s: %w", c.certFile, err)
		}
		tlsConfig.Certificates = []tls.Certificate{pair}
	}
	header, err := c.authorization()
	if err != nil {
		return nil, "", err
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       30 * time.Second, // so that a name that moved is looked up again soon
		ExpectContinueTimeout: time.Second,
	}, header, nil
}

func (c *accessConfig) authorization() (string, error) {
	key, err := secret(c.apiKey, c.apiKeyFile)
	if err != nil {
		return "", err
	}
	if key != "" {
		if strings.Contains(key, ":") {
			key = base64.StdEncoding.EncodeToString([]byte(key))
		}
		return "ApiKey " + key, nil
	}
	if c.username == "" {
		return "", nil
	}
	password, err := secret(c.password, c.passwordFile)
	if err != nil {
		return "", err
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.username+":"+password)), nil
}

func secret(value config.Secret, file string) (string, error) {
	if file == "" {
		return value.Reveal(), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" || strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("%s holds no single line with a secret", file)
	}
	return text, nil
}
