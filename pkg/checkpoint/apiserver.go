package checkpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Cluster says how a pod reaches the API server of the cluster that it runs in.
type Cluster struct {
	// URL is the address without a path, as https://10.0.0.1:443.
	URL string
	// TokenFile and CAFile are read for every request: the kubelet replaces both while the pod runs.
	TokenFile, CAFile string
	// NamespaceFile holds the namespace of the pod.
	NamespaceFile string
}

// InCluster is the Cluster that the kubelet tells every pod of, from the environment that getenv reads.
// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
func InCluster(getenv func(string) string) (Cluster, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return Cluster{}, errors.New("checkpoint: positions in a ConfigMap need a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	}
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount/"
	return Cluster{
		URL:       "https://" + net.JoinHostPort(host, port),
		TokenFile: dir + "token", CAFile: dir + "ca.crt", NamespaceFile: dir + "namespace",
	}, nil
}

const (
	// requestTimeout bounds one request, so that an API server that hangs is an error and no silence.
	requestTimeout = 10 * time.Second
	// maxAnswer is a full ConfigMap whose every byte is escaped, and its managed fields.
	maxAnswer = 8 << 20
	// maxMessage bounds what is repeated of the API server's words.
	maxMessage = 300
)

// apiServer makes requests with the pod's own identity. It is safe for concurrent use.
type apiServer struct {
	Cluster

	mu     sync.Mutex
	ca     []byte
	client *http.Client
}

// statusError is an answer of the API server that is no success.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.code, e.message) }

// is tells whether err is an answer with this code.
func is(err error, code int) bool {
	s, ok := errors.AsType[*statusError](err)
	return ok && s.code == code
}

// passing tells whether waiting can cure err: the API server is away, restarts or is overloaded.
func passing(err error) bool {
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.code == http.StatusTooManyRequests || s.code >= http.StatusInternalServerError
	}
	_, unreached := errors.AsType[*unreachedError](err)
	return unreached
}

// unreachedError says that no answer came.
type unreachedError struct{ err error }

func (e *unreachedError) Error() string {
	return "the API server cannot be reached: " + e.err.Error()
}
func (e *unreachedError) Unwrap() error { return e.err }

// do sends body, if there is one, and decodes the answer into out. A 401 is tried again once with the token that
// is in the file then: it may just have been replaced.
func (a *apiServer) do(ctx context.Context, method, path, contentType string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		data = nil
	}
	answer, err := a.send(ctx, method, path, contentType, data)
	if is(err, http.StatusUnauthorized) {
		answer, err = a.send(ctx, method, path, contentType, data)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the API server's answer is no ConfigMap: %w", err)
	}
	return nil
}

func (a *apiServer) send(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	client, err := a.current()
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("the pod's token: %w: set automountServiceAccountToken: true in the pod", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "foretop")
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, &unreachedError{err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &unreachedError{err}
	case response.StatusCode >= http.StatusMultipleChoices:
		return nil, &statusError{response.StatusCode, messageOf(answer)}
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the API server's answer is longer than %d bytes", maxAnswer)
	}
	return answer, nil
}

// messageOf is what a Status object says, cut to a readable length.
func messageOf(answer []byte) string {
	var status struct{ Message string }
	text := string(answer)
	if json.Unmarshal(answer, &status) == nil && status.Message != "" {
		text = status.Message
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxMessage)], "")
	return strings.Join(strings.Fields(text), " ")
}

// current is a client that trusts the authority in the file now.
func (a *apiServer) current() (*http.Client, error) {
	ca, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the cluster's certificate authority: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil && bytes.Equal(ca, a.ca) {
		return a.client, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", a.CAFile)
	}
	a.closeIdle()
	a.ca = ca
	a.client = &http.Client{
		Transport: &http.Transport{ // no proxy: the API server is inside
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			MaxIdleConns:    1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: requestTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return a.client, nil
}

// closeIdle lets go of connections; the caller holds mu or is the last user.
func (a *apiServer) closeIdle() {
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
}
