//go:build kube

package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// apiServer is a kube-apiserver with an etcd of its own.
type apiServer struct {
	*process
	url   string
	log   string // --audit-log-path
	admin *http.Client
	guest *http.Client // of no rights
}

// startAPIServer starts etcd and kube-apiserver with the audit flags given, beside --audit-log-path.
func startAPIServer(t *testing.T, p *pki, audit []string) *apiServer {
	t.Helper()
	dir := t.TempDir()
	store, peer, address := "http://"+freePort(t), "http://"+freePort(t), freePort(t)
	start(t, "etcd", nil, setting(t, "FORETOP_TEST_ETCD"), "--name=test", "--data-dir="+dir+"/etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer)
	p.server("apiserver")
	p.server("accounts")
	_, port, err := net.SplitHostPort(address)
	p.check(err)
	s := &apiServer{url: "https://" + address, log: dir + "/audit.log"}
	s.process = start(t, "kube-apiserver", nil, append([]string{setting(t, "FORETOP_TEST_KUBE_APISERVER"),
		"--secure-port=" + port, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--etcd-servers=" + store,
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--allow-privileged=true",
		"--disable-admission-plugins=ServiceAccount", // its accounts come from a controller that does not run here
		"--client-ca-file=" + p.path("ca.crt"), "--tls-cert-file=" + p.path("apiserver.crt"), "--tls-private-key-file=" + p.path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + p.path("accounts.key"),
		"--service-account-signing-key-file=" + p.path("accounts.key"),
		"--audit-log-path=" + s.log, "--audit-log-maxsize=10000",
	}, audit...)...)
	s.admin = s.client(t, p, p.client("admin", "system:masters"))
	s.guest = s.client(t, p, p.client("guest@example.com", "guests"))
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		s.running(t)
		if code, text := s.do(ctx, s.admin, http.MethodGet, "/readyz", ""); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
	return s
}

func (s *apiServer) client(t *testing.T, p *pki, certificate tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(p.cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{certificate}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// do sends a request and returns the answer's code, zero if there was none.
func (s *apiServer) do(ctx context.Context, c *http.Client, method, path, body string) (code int, text string) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(answer)
}

// dropped is how many events the webhook could not deliver, by the API server's own count.
func (s *apiServer) dropped(ctx context.Context) (float64, error) {
	code, page := s.do(ctx, s.admin, http.MethodGet, "/metrics", "")
	if code != http.StatusOK {
		return 0, fmt.Errorf("/metrics: %d", code)
	}
	sum := 0.0
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, `apiserver_audit_error_total{plugin="`); ok && strings.Contains(line, "webhook") || ok && strings.Contains(line, "buffered") {
			_, value, _ := strings.Cut(strings.TrimSpace(rest), "} ")
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

// attack does, under names of round n, what rules are about.
func (s *apiServer) attack(t *testing.T, n int) {
	t.Helper()
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%d"},"spec":{"hostPID":true,"containers":[{"name":"c","image":"evil.example/miner:1","securityContext":{"privileged":true},
		"volumeMounts":[{"name":"root","mountPath":"/host"}]}],"volumes":[{"name":"root","hostPath":{"path":"/"}}]}}`
	binding := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"b%d"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:serviceaccounts"}]}`
	// The guide's first finding.
	service := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"n%d"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`
	review := `{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"default"}}`
	secret := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s%d"},"stringData":{"password":"hunter2-%d"}}`
	for _, step := range []struct {
		who          *http.Client
		method, path string
		body         string
		code         int
	}{
		{s.admin, http.MethodPost, "/api/v1/namespaces/default/pods", fmt.Sprintf(pod, n), http.StatusCreated},
		{s.admin, http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(binding, n), http.StatusCreated},
		{s.admin, http.MethodPost, "/api/v1/namespaces/kube-system/secrets", fmt.Sprintf(secret, n, n), http.StatusCreated},
		{s.admin, http.MethodPost, "/api/v1/namespaces/default/services", fmt.Sprintf(service, n), http.StatusCreated},
		{s.admin, http.MethodDelete, fmt.Sprintf("/api/v1/namespaces/default/services/n%d", n), "", http.StatusOK},
		{s.guest, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review, http.StatusCreated},
		{s.admin, http.MethodGet, "/api/v1/namespaces/kube-system/secrets", "", http.StatusOK},
		{s.admin, http.MethodGet, fmt.Sprintf("/api/v1/namespaces/kube-system/secrets/s%d", n), "", http.StatusOK},
		{s.admin, http.MethodPost, fmt.Sprintf("/api/v1/namespaces/default/pods/p%d/exec?command=sh&command=-c&command=id&stdin=true&container=c", n), "", http.StatusBadRequest},
		{s.guest, http.MethodGet, "/api/v1/secrets", "", http.StatusForbidden},
		{s.guest, http.MethodPost, fmt.Sprintf("/api/v1/namespaces/default/pods/p%d/exec?command=id", n), "", http.StatusForbidden},
		{s.admin, http.MethodDelete, fmt.Sprintf("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/b%d", n), "", http.StatusOK},
	} {
		if code, text := s.do(t.Context(), step.who, step.method, step.path, step.body); code != step.code {
			t.Fatal(errors.New(step.method+" "+step.path), code, text)
		}
	}
}
