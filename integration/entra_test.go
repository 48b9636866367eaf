//go:build integration

package integration

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// entra stands in for Microsoft Entra ID: it takes the token of a Kubernetes service account and gives one without a
// signature for it, which the broker of the tests accepts.
type entra struct {
	t      *testing.T
	server *httptest.Server
	dir    string
	scope  string
	life   time.Duration
	issued atomic.Int64
}

const (
	entraTenant    = "11111111-2222-3333-4444-555555555555"
	entraClient    = "66666666-7777-8888-9999-000000000000"
	serviceAccount = "the-token-of-the-service-account"
)

func newEntra(t *testing.T, namespace string, life time.Duration) *entra {
	t.Helper()
	e := &entra{t: t, dir: t.TempDir(), scope: "https://" + namespace + "/.default", life: life}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+entraTenant+"/v2.0/.well-known/openid-configuration", e.discovery)
	mux.HandleFunc("POST /"+entraTenant+"/oauth2/v2.0/token", e.token)
	e.server = httptest.NewTLSServer(mux)
	t.Cleanup(e.server.Close)
	e.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.server.Certificate().Raw})))
	e.write("token", serviceAccount)
	return e
}

func (e *entra) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// environment is what the webhook of workload identity gives to a pod.
func (e *entra) environment() map[string]string {
	return map[string]string{
		"AZURE_CLIENT_ID": entraClient, "AZURE_TENANT_ID": entraTenant, "AZURE_AUTHORITY_HOST": e.server.URL + "/",
		"AZURE_FEDERATED_TOKEN_FILE": filepath.Join(e.dir, "token"), "SSL_CERT_FILE": filepath.Join(e.dir, "ca.pem"),
	}
}

func (e *entra) answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		e.t.Error(err)
	}
}

func (e *entra) discovery(w http.ResponseWriter, _ *http.Request) {
	base := e.server.URL + "/" + entraTenant
	e.answer(w, http.StatusOK, map[string]any{
		"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
	})
}

func (e *entra) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		e.t.Error(err)
	}
	if r.Form.Get("client_assertion") != serviceAccount || r.Form.Get("client_id") != entraClient || !strings.Contains(r.Form.Get("scope"), e.scope) {
		e.answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS700016: not this one"})
		return
	}
	now := time.Now()
	claims := fmt.Sprintf(`{"sub":"foretop","scope":"foretop","iat":%d,"exp":%d}`, now.Unix(), now.Add(e.life).Unix())
	e.issued.Add(1)
	e.answer(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": int(e.life.Seconds()),
		"access_token": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".",
	})
}
