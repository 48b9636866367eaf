package webhook

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/decode"
)

// clusterFiles are the files of severalClusters.
type clusterFiles struct {
	ca, clients *authority
	tokens      []string
	file        string
	first       string // the token file of the first cluster
}

// severalClusters is a configuration with TLS and clusters that prove themselves in different ways.
func severalClusters(t *testing.T) (Config, *clusterFiles) {
	t.Helper()
	f := &clusterFiles{ca: newAuthority(t, "servers"), clients: newAuthority(t, "clients")}
	dir := t.TempDir()
	for i := range 3 {
		f.tokens = append(f.tokens, fmt.Sprintf("the-secret-token-of-cluster-%d", i))
	}
	f.first, f.file = filepath.Join(dir, "prod"), filepath.Join(dir, "clusters.yml")
	write(t, f.first, f.tokens[0]+"\n")
	sum := sha256.Sum256([]byte(f.tokens[1]))
	both := sha256.Sum256([]byte(f.tokens[2]))
	write(t, f.file, `
clusters:
  - {name: prod, id: id-1, token_file: `+f.first+`}
  - {name: dev, token_sha256: `+hex.EncodeToString(sum[:])+`}
  - {name: edge, id: id-3, client_certificate: {common_name: edge-apiserver}}
  - {name: mesh, client_certificate: {san: "spiffe://mesh/apiserver"}}
  - {name: vault, token_sha256: `+hex.EncodeToString(both[:])+`, client_certificate: {common_name: vault-apiserver, san: vault.example}}
`)
	cfg := Config{Address: "127.0.0.1:0", ClustersFile: f.file, ClientCAFile: f.clients.file, DrainTimeout: 2 * time.Second}
	cfg.TLSCertFile, cfg.TLSKeyFile = f.ca.server("server", time.Now().Add(time.Hour))
	return cfg, f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestTheClusterIsTheOneThatTheSenderProvedToBe(t *testing.T) {
	cfg, f := severalClusters(t)
	c := newConsumer()
	s := serve(t, cfg, c.emit, func(o *Options) { o.Cluster = "" })
	stranger := newAuthority(t, "strangers")
	vault := f.clients.client("vault-apiserver", "vault.example")
	taken := 0
	for _, tt := range []struct {
		name        string
		token       string
		certificate *tls.Certificate
		want        string // name and id of the cluster, empty for 401
	}{
		{"a token", f.tokens[0], nil, "prod id-1"},
		{"a token of which only the hash is known", f.tokens[1], nil, "dev dev"},
		{"a certificate", "", f.clients.client("edge-apiserver"), "edge id-3"},
		{"a certificate's alternative name", "", f.clients.client("anybody", "spiffe://mesh/apiserver"), "mesh mesh"},
		{"a token and a certificate", f.tokens[2], vault, "vault vault"},
		{"a token beside a certificate that is bound to nothing", f.tokens[0], f.clients.client("nobody"), "prod id-1"},
		{"nothing", "", nil, ""},
		{"a wrong token", "x" + f.tokens[0], nil, ""},
		{"a token that is cut", f.tokens[0][:20], nil, ""},
		{"the hash of a token", hashOf(f.tokens[1]), nil, ""},
		{"an empty token", " ", nil, ""},
		{"a token that needs a certificate too", f.tokens[2], nil, ""},
		{"a certificate that needs a token too", "", vault, ""},
		{"a certificate with half of the names", f.tokens[2], f.clients.client("vault-apiserver"), ""},
		{"a certificate that is bound to nothing", "", f.clients.client("nobody"), ""},
		{"a name in the other field", "", f.clients.client("x", "edge-apiserver"), ""},
		{"the token of one cluster with the certificate of another", f.tokens[0], f.clients.client("edge-apiserver"), ""},
		{"a certificate of another authority", "", stranger.client("edge-apiserver"), "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.Replace(list("1"), `"metadata":{}`, `"metadata":{},"cluster":"forged","openshift":{"cluster_id":"forged"}`, 1)
			resp, err := client(t, f.ca, tt.certificate).Do(request(t, s.url, tt.token, body))
			if tt.want == "refused" {
				if err == nil {
					resp.Body.Close()
					t.Errorf("%d, want no connection", resp.StatusCode)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if tt.want == "" {
				if resp.StatusCode != http.StatusUnauthorized || string(text) != "unauthorized\n" {
					t.Errorf("%d %q, want 401 without detail", resp.StatusCode, text)
				}
				return
			}
			taken++
			b := c.await(t, taken)
			meta := b.Records[0].Meta
			got := meta[decode.MetaClusterName] + " " + meta[decode.MetaClusterID]
			if resp.StatusCode != http.StatusOK || got != tt.want || b.Stream != meta[decode.MetaClusterName] {
				t.Errorf("%d, %q of the stream %s, want %q", resp.StatusCode, got, b.Stream, tt.want)
			}
		})
	}
	if len(c.got()) != taken {
		t.Errorf("%d were taken, want %d", len(c.got()), taken)
	}
	for _, token := range f.tokens {
		if strings.Contains(s.log.String(), token) {
			t.Error("a token is in the log")
		}
	}
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func TestTokensAndCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	cfg, f := severalClusters(t)
	c := newConsumer()
	s := serve(t, cfg, c.emit)
	kept := client(t, f.ca, nil)
	code := func(hc *http.Client, token string) int {
		t.Helper()
		return do(t, hc, request(t, s.url, token, list("1"))).StatusCode
	}
	if got := code(kept, f.tokens[0]); got != 200 {
		t.Fatal(got)
	}
	t.Run("an old and a new token, one a line", func(t *testing.T) {
		write(t, f.first, f.tokens[0]+"\nthe-new-secret-token-of-prod\n")
		eventually(t, "the new token is known", func() bool { return code(kept, "the-new-secret-token-of-prod") == http.StatusOK })
		if got := code(kept, f.tokens[0]); got != 200 {
			t.Errorf("the old token: %d", got)
		}
		write(t, f.first, "the-new-secret-token-of-prod")
		eventually(t, "the old token is no longer known, on the same connection", func() bool { return code(kept, f.tokens[0]) == http.StatusUnauthorized })
	})
	t.Run("a broken file changes nothing and is told", func(t *testing.T) {
		write(t, f.file, "clusters: [")
		eventually(t, "it is told", func() bool { return strings.Contains(s.log.String(), "cannot be read again") })
		if got := code(kept, "the-new-secret-token-of-prod"); got != 200 {
			t.Errorf("%d", got)
		}
		if err := s.source.Health(); err != nil {
			t.Errorf("the source counts as unwell, although it works: %v", err)
		}
	})
	t.Run("the server's certificate", func(t *testing.T) {
		other := newAuthority(t, "renewed")
		certFile, keyFile := other.server("server", time.Now().Add(time.Hour))
		write(t, f.file, "clusters: [{name: prod, token_file: "+f.first+"}]")
		for from, to := range map[string]string{certFile: cfg.TLSCertFile, keyFile: cfg.TLSKeyFile} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			write(t, to, string(text))
		}
		eventually(t, "the new certificate is in use", func() bool {
			resp, err := client(t, other, nil).Do(request(t, s.url, "the-new-secret-token-of-prod", list("1")))
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	})
}

func TestAnExpiredCertificateMakesTheSourceUnwell(t *testing.T) {
	ca := newAuthority(t, "servers")
	cfg := plain()
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(-time.Minute))
	s := serve(t, cfg, newConsumer().emit)
	if err := s.source.Health(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("health: %v", err)
	}
}

func TestOneClusterWithATokenFileOrACertificate(t *testing.T) {
	ca, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	cfg := plain()
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
	cfg.TokenFile = filepath.Join(t.TempDir(), "token")
	write(t, cfg.TokenFile, "first-secret-token\nsecond-secret-token\n")
	s := serve(t, cfg, newConsumer().emit)
	for token, want := range map[string]int{"first-secret-token": 200, "second-secret-token": 200, secretToken: 401} {
		if a := do(t, client(t, ca, nil), request(t, s.url, token, list("1"))); a.StatusCode != want {
			t.Errorf("%s: %d, want %d", token, a.StatusCode, want)
		}
	}
	cfg.Token, cfg.TokenFile, cfg.ClientCAFile = "", "", clients.file
	s = serve(t, cfg, newConsumer().emit)
	if a := do(t, client(t, ca, clients.client("any")), request(t, s.url, "", list("1"))); a.StatusCode != http.StatusOK {
		t.Errorf("a certificate: %d", a.StatusCode)
	}
	if resp, err := client(t, ca, nil).Do(request(t, s.url, "", list("1"))); err == nil {
		resp.Body.Close()
		t.Errorf("no certificate: %d, want no connection", resp.StatusCode)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	ca := newAuthority(t, "servers")
	cfg := plain()
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
	s := serve(t, cfg, newConsumer().emit)
	hc := client(t, ca, nil)
	hc.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
	hc.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if resp, err := hc.Do(request(t, s.url, secretToken, list("1"))); err == nil {
		resp.Body.Close()
		t.Error("TLS 1.1 is spoken")
	}
	eventually(t, "the failure is told", func() bool { return strings.Contains(s.log.String(), "TLS handshake error") })
}

func TestAWrongClustersFileSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	short, empty := filepath.Join(dir, "short"), filepath.Join(dir, "empty")
	write(t, short, "hunter2")
	write(t, empty, "\n")
	sum := strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		"":                      "nobody could post",
		"clusters: []":          "nobody could post",
		"clusters: [{name: a}]": "a token_file, a token_sha256 or a client_certificate is needed",
		"clusters: [{nam: a}]":  "field nam not found",
		"clusters: [{name: a, token_sha256: " + sum + ", token: x}]":                                                  "field token not found",
		"clusters: [{token_sha256: " + sum + "}]":                                                                     "name must be",
		"clusters: [{name: \"a\\nb\", token_sha256: " + sum + "}]":                                                    "name must be",
		"clusters: [{name: a, id: \"\\0\", token_sha256: " + sum + "}]":                                               "id must be",
		"clusters: [{name: a, token_sha256: abcd}]":                                                                   "64 hexadecimal digits",
		"clusters: [{name: a, token_sha256: " + sum + ", token_file: x}]":                                             "exclude each other",
		"clusters: [{name: a, token_file: " + filepath.Join(dir, "none") + "}]":                                       "no such file",
		"clusters: [{name: a, token_file: " + short + "}]":                                                            "shorter than 16",
		"clusters: [{name: a, token_file: " + empty + "}]":                                                            "no token in it",
		"clusters: [{name: a, client_certificate: {}}]":                                                               "common_name or a san",
		"clusters: [{name: a, client_certificate: {common_name: x}}]":                                                 "set CLIENT_CA_FILE",
		"clusters: [{name: a, token_sha256: " + sum + "}, {name: b, token_sha256: " + sum + "}]":                      `"a" and "b" have the same token`,
		"clusters: [{name: a, client_certificate: {san: x}}, {name: a, id: b, client_certificate: {san: x}}]":         "the same client_certificate",
		"clusters: [{name: a, token_sha256: " + sum + "}]\n---\nclusters: []":                                         "more than one document",
		"clusters: [{name: a, token_sha256: " + sum + "}, {name: a, token_sha256: " + sum + "}]":                      "",
		"clusters: [{name: a, token_sha256: " + sum + "}, {name: a, token_sha256: " + strings.Repeat("cd", 32) + "}]": "",
	} {
		file := filepath.Join(dir, "clusters.yml")
		write(t, file, text)
		_, err := New(Config{Address: "127.0.0.1:0", ClustersFile: file}, Options{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	write(t, filepath.Join(dir, "large"), strings.Repeat(" ", maxFile+1))
	if _, err := New(Config{Address: "127.0.0.1:0", ClustersFile: filepath.Join(dir, "large")}, Options{}); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("%v", err)
	}
}

func TestAConfigurationThatLeavesTheDoorOpenIsRefused(t *testing.T) {
	tls := func(c *Config) { c.TLSCertFile, c.TLSKeyFile = "crt", "key" }
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // in the error, empty for none
	}{
		{"plain HTTP on all interfaces", func(c *Config) { c.Address, c.Token = ":8443", secretToken }, "INSECURE_PLAINTEXT"},
		{"plain HTTP on an address", func(c *Config) { c.Address, c.Token = "10.0.0.1:8443", secretToken }, "INSECURE_PLAINTEXT"},
		{"plain HTTP on a name", func(c *Config) { c.Address, c.Token = "host:8443", secretToken }, "INSECURE_PLAINTEXT"},
		{"plain HTTP, forced", func(c *Config) { c.Address, c.Token, c.InsecurePlaintext = ":8443", secretToken, true }, ""},
		{"plain HTTP on loopback", func(c *Config) { c.Address = "localhost:8443" }, ""},
		{"plain HTTP on the other loopback", func(c *Config) { c.Address = "[::1]:8443" }, ""},
		{"nobody proves anything", func(c *Config) { c.Address = ":8443"; tls(c) }, "INSECURE_ANONYMOUS"},
		{"nobody proves anything, forced", func(c *Config) { c.Address, c.InsecureAnonymous = ":8443", true; tls(c) }, ""},
		{"a token", func(c *Config) { c.Address, c.Token = ":8443", secretToken; tls(c) }, ""},
		{"client certificates", func(c *Config) { c.Address, c.ClientCAFile = ":8443", "ca"; tls(c) }, ""},
		{"client certificates without TLS", func(c *Config) { c.ClientCAFile = "ca" }, "CLIENT_CA_FILE has no effect"},
		{"a certificate without its key", func(c *Config) { c.TLSCertFile = "crt" }, "belong together"},
		{"a token beside a file of clusters", func(c *Config) { c.Token, c.ClustersFile = secretToken, "f" }, "exclude each other"},
		{"no port", func(c *Config) { c.Address = "localhost" }, "host:port"},
		{"a path without a slash", func(c *Config) { c.Path = "audit" }, "PATH"},
		{"less memory than one body", func(c *Config) { c.MaxInFlight = 1 << 20 }, "MAX_IN_FLIGHT"},
		{"a queue for less than one body", func(c *Config) { c.QueueDir, c.QueueBytes = "q", 1<<20 }, "QUEUE_BYTES"},
		{"no requests", func(c *Config) { c.MaxRequests = -1 }, "MAX_REQUESTS"},
		{"no time", func(c *Config) { c.SettleTimeout = -1 }, "SETTLE_TIMEOUT"},
	} {
		c := Config{Address: "127.0.0.1:0"}
		c.SetDefaults()
		tt.change(&c)
		err := c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), secretToken) {
			t.Error("the token is in the error")
		}
	}
}

func TestAnOpenDoorIsLoud(t *testing.T) {
	s := serve(t, Config{Address: "0.0.0.0:0", InsecurePlaintext: true, InsecureAnonymous: true}, newConsumer().emit)
	for _, want := range []string{"INSECURE_PLAINTEXT", "nobody has to prove anything"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, s.log)
		}
	}
}

func TestFilesThatCannotBeUsedAreNamed(t *testing.T) {
	ca := newAuthority(t, "servers")
	crt, key := ca.server("server", time.Now().Add(time.Hour))
	other, _ := ca.server("other", time.Now().Add(time.Hour))
	for _, tt := range []struct {
		change func(*Config)
		want   []string
	}{
		{func(c *Config) { c.TLSCertFile, c.TLSKeyFile = "/none.crt", key }, []string{"TLS_CERT_FILE", "/none.crt"}},
		{func(c *Config) { c.TLSCertFile, c.TLSKeyFile = crt, "/none.key" }, []string{"TLS_KEY_FILE", "/none.key"}},
		{func(c *Config) { c.TLSCertFile, c.TLSKeyFile = other, key }, []string{"TLS_KEY_FILE", "does not match"}},
		{func(c *Config) { c.TLSCertFile, c.TLSKeyFile, c.ClientCAFile = crt, key, key }, []string{"CLIENT_CA_FILE", "no PEM certificate"}},
		{func(c *Config) { c.Token = "short" }, []string{"TOKEN", "openssl rand"}},
		{func(c *Config) { c.Token, c.TokenFile = secretToken, "/none" }, []string{"TOKEN_FILE", "/none"}},
		{func(c *Config) { c.ClustersFile = "/none.yml" }, []string{"CLUSTERS_FILE", "/none.yml"}},
	} {
		c := Config{Address: "127.0.0.1:0"}
		tt.change(&c)
		_, err := New(c, Options{})
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
	if diff := cmp.Diff([]string{"127.0.0.1"}, mustAccess(t, crt, key).names); diff != "" {
		t.Error(diff)
	}
}

func mustAccess(t *testing.T, crt, key string) *access {
	t.Helper()
	a, err := readAccess(&Config{TLSCertFile: crt, TLSKeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	return a
}
