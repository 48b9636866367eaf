//go:build kube

package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// attempts is a webhook that takes nothing, and remembers when each batch came.
type attempts struct {
	mu    sync.Mutex
	times map[[sha256.Size]byte][]time.Time
	order [][sha256.Size]byte
	query string
	kind  string
	size  int64
}

// ServeHTTP answers 503, the first batch without and the others with Retry-After.
func (a *attempts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key := sha256.Sum256(body)
	a.mu.Lock()
	if len(a.times[key]) == 0 {
		a.order = append(a.order, key)
	}
	a.times[key] = append(a.times[key], time.Now())
	first := key == a.order[0]
	a.query, a.kind, a.size = r.URL.RawQuery, r.Header.Get("Content-Type"), r.ContentLength
	a.mu.Unlock()
	if !first {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// of is how often the n-th batch came, and over which time.
func (a *attempts) of(n int) (count int, span time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n >= len(a.order) {
		return 0, 0
	}
	times := a.times[a.order[n]]
	return len(times), times[len(times)-1].Sub(times[0])
}

// TestHowLongTheAPIServerTries holds what the guide says of it, and what the source rests on.
func TestHowLongTheAPIServerTries(t *testing.T) {
	a := &attempts{times: make(map[[sha256.Size]byte][]time.Time)}
	server := httptest.NewServer(a)
	defer server.Close()
	dir := t.TempDir()
	g := readGuide(t)
	s := startAPIServer(t, newPKI(t), []string{
		"--audit-policy-file=" + write(t, dir+"/policy.yaml", g.policy),
		"--audit-webhook-config-file=" + write(t, dir+"/kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
			clusters: [{name: c, cluster: {server: %q}}], users: [{name: c, user: {}}], contexts: [{name: c, context: {cluster: c, user: c}}]}`, server.URL+"/audit")),
		"--audit-webhook-batch-max-wait=1s", "--audit-webhook-initial-backoff=1s",
	})
	eventually(t, time.Minute, func(ctx context.Context) error {
		n, err := s.dropped(ctx)
		if err == nil && n == 0 {
			err = errors.New("nothing is dropped yet")
		}
		return err
	})
	s.attack(t, 0)
	eventually(t, 2*time.Minute, func(context.Context) error {
		if n, _ := a.of(1); n < 55 {
			return fmt.Errorf("the second batch came %d times", n)
		}
		return nil
	})
	// Pauses of 1, 1.5, 2.25 and 3.375 s, each up to a fifth longer.
	if n, span := a.of(0); n != 5 || span < 8*time.Second || span > 15*time.Second {
		t.Errorf("without Retry-After: %d times in %s, want 5 in 8 to 10 s", n, span)
	}
	// Each of the 5 attempts is 11 requests, a second apart.
	time.Sleep(5 * time.Second)
	n, span := a.of(1)
	if n != 55 || span < 58*time.Second {
		t.Errorf("with Retry-After: %d times in %s, want 55 in 58 s or more", n, span)
	}
	_, first := a.of(0)
	t.Logf("an API server with initial-backoff=1s tries 5 times in %s, with Retry-After: 1 %d times in %s; it posts %s with ?%s and Content-Length %d",
		first.Round(100*time.Millisecond), n, span.Round(100*time.Millisecond), a.kind, a.query, a.size)
	if a.query != "timeout=30s" || a.kind != "application/json" || a.size <= 0 {
		t.Errorf("it posts %q with ?%s and Content-Length %d", a.kind, a.query, a.size)
	}
}
