package webhook

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// apiServer posts bodies, each again and again until it is answered with 200, to whichever source listens.
type apiServer struct {
	t       *testing.T
	mu      sync.Mutex
	address string
	left    [][]byte
	more    chan struct{}
}

func (u *apiServer) put(_ *testing.T, bodies ...[]byte) {
	u.mu.Lock()
	u.left = append(u.left, bodies...)
	u.mu.Unlock()
	select {
	case u.more <- struct{}{}:
	default:
	}
}

func (u *apiServer) listening(a net.Addr) {
	u.mu.Lock()
	u.address = a.String()
	u.mu.Unlock()
}

func (u *apiServer) take() (body []byte, address string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.left) == 0 {
		return nil, ""
	}
	body, u.left = u.left[0], u.left[1:]
	return body, u.address
}

func (u *apiServer) post(ctx context.Context, c *http.Client, body []byte, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/audit", strings.NewReader(string(body)))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+secretToken)
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// run posts with one connection.
func (u *apiServer) run(ctx context.Context) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		body, address := u.take()
		if body == nil {
			select {
			case <-u.more:
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		if !u.post(ctx, c, body, address) {
			u.put(u.t, body)
			pipeline.Sleep(ctx, 30*time.Millisecond)
		}
	}
}

func TestConformance(t *testing.T) {
	const connections = 8
	for name, change := range map[string]func(*testing.T, *Config){
		"answered when settled": func(*testing.T, *Config) {},
		"answered when queued":  func(t *testing.T, c *Config) { t.Helper(); c.QueueDir = t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
				u := &apiServer{t: t, more: make(chan struct{}, 1)}
				ctx, cancel := context.WithCancel(t.Context())
				var posting sync.WaitGroup
				for range connections {
					posting.Go(func() { u.run(ctx) })
				}
				t.Cleanup(func() {
					cancel()
					posting.Wait()
				})
				cfg := plain()
				cfg.DrainTimeout = time.Second
				change(t, &cfg)
				return sourcetest.Harness{
					NewSource: func(t *testing.T) pipeline.Source {
						t.Helper()
						s, err := New(cfg, Options{Cluster: "prod", Listening: u.listening, Logger: slog.New(slog.DiscardHandler)})
						if err != nil {
							t.Fatal(err)
						}
						return s
					},
					Put: u.put, DrainLimit: cfg.DrainTimeout, MaxEmits: connections,
					// A segment of the queue that is not settled as a whole is judged again as a whole.
					Repeats: cfg.QueueDir != "",
					LeakOptions: []goleak.Option{ // the API server's, which ends after the test
						goleak.IgnoreAnyFunction("github.com/foretop/foretop/sources/webhook.(*apiServer).run"),
						goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
						goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
					},
				}
			})
		})
	}
}
