package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Component is the state of one part of the service: a source, a sink, the rules.
type Component struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	// Detail says in words what is wrong, or what is worth knowing. It never holds audit content.
	Detail string `json:"detail,omitempty"`
}

// AdminOptions are what the admin server shows.
type AdminOptions struct {
	Gatherer prometheus.Gatherer
	// Ready lists the components. The service is ready if all of them are and it is not draining.
	Ready func() []Component
	// Draining is true once the service stops reading.
	Draining func() bool
	// Alive returns an error if the service cannot go on without a restart. Trouble that waiting or a
	// human can cure is no such error, or an outage of a sink would restart every replica.
	Alive func() error
	// Pprof serves /debug/pprof/, which shows memory contents to whoever can reach the address.
	Pprof bool
}

// NewAdmin makes the server of /metrics, /healthz and /readyz. It has no authentication: its address
// should be reachable for Prometheus and the kubelet only.
func NewAdmin(o AdminOptions) *http.Server {
	return &http.Server{
		Handler:           adminHandler(o),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

func adminHandler(o AdminOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             20 * time.Second,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Alive(); err != nil {
			writeJSON(w, http.StatusServiceUnavailable, status{Status: "broken", Detail: clean(err.Error())})
			return
		}
		writeJSON(w, http.StatusOK, status{Status: "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		code, s := readiness(o)
		writeJSON(w, code, s)
	})
	if o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	return mux
}

type status struct {
	Status     string      `json:"status"`
	Detail     string      `json:"detail,omitempty"`
	Components []Component `json:"components,omitempty"`
}

func readiness(o AdminOptions) (int, status) {
	s := status{Status: "ready", Components: o.Ready()}
	code := http.StatusOK
	for i := range s.Components {
		c := &s.Components[i]
		c.Detail = clean(c.Detail)
		if !c.Ready {
			s.Status, code = "not ready", http.StatusServiceUnavailable
		}
	}
	if o.Draining() {
		s.Status, code = "draining", http.StatusServiceUnavailable
	}
	return code, s
}

// clean removes credentials that the text of a client library's error may hold.
func clean(text string) string { return redactText("", text) }

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the client is gone: there is nobody to tell
}

// Serve listens on address and serves until ctx ends, then gives requests under way a second. listening
// is called with the address in use before the first request, and may be nil.
func Serve(ctx context.Context, server *http.Server, address string, listening func(net.Addr)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("admin address %s: %w", address, err)
	}
	if listening != nil {
		listening(listener.Addr())
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin address %s: %w", address, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err = server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	return errors.Join(err, ended(<-failed))
}

// ended is the error of a server that was told to end.
func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
