package webhook

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"

	"github.com/foretop/foretop/pkg/pipeline"
)

// Options are what a Source takes beside its configuration.
type Options struct {
	// Name of the source in logs and metrics; "webhook" by default.
	Name string
	// Cluster is the name of the one cluster that posts here, empty with CLUSTERS_FILE. It names the stream;
	// the decoder has it from the source's own settings.
	Cluster string
	// Listening, if not nil, is called with the address in use.
	Listening func(net.Addr)
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Bodies and tokens are never logged.
	Logger *slog.Logger
}

// Source is a server that API servers post to. It implements pipeline.Source and pipeline.HealthReporter. Run
// may be called once.
type Source struct {
	cfg      Config
	opt      Options
	throttle *pipeline.Throttle
	metrics  *metrics
	access   atomic.Pointer[access]
	reload   time.Duration // between two looks at the files; only tests change it

	boot     string // part of every position, since the count begins anew with each process
	count    atomic.Int64
	draining atomic.Bool
	requests atomic.Int64 // in progress
	bytes    *semaphore.Weighted
	held     atomic.Int64 // of bytes
	posts    posts
	queue    *queue // nil without QUEUE_DIR
}

var (
	_ pipeline.Source         = (*Source)(nil)
	_ pipeline.HealthReporter = (*Source)(nil)
	_ pipeline.Prober         = (*Source)(nil)
)

// reloadInterval is the time between two looks at the files.
const reloadInterval = 10 * time.Second

// New checks the configuration, reads the files that it names and registers the metrics. It does not listen.
func New(cfg Config, o Options) (*Source, error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "webhook"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Source{
		cfg: cfg, opt: o, throttle: pipeline.NewThrottle(o.Logger), reload: reloadInterval,
		boot: rand.Text()[:12], bytes: semaphore.NewWeighted(int64(cfg.MaxInFlight)),
	}
	a, err := readAccess(&cfg)
	if err != nil {
		return nil, err
	}
	s.access.Store(a)
	if cfg.QueueDir != "" {
		s.queue = newQueue(s)
	}
	s.metrics = newMetrics(s)
	if err := s.metrics.register(o.Registerer, o.Name); err != nil {
		return nil, fmt.Errorf("webhook source %s: %w", o.Name, err)
	}
	return s, nil
}

// run is what lives as long as Run.
type run struct {
	*Source
	ctx     context.Context //nolint:containedctx // Run's own: nothing is taken after its end
	streams context.Context //nolint:containedctx // the batches' own, which outlives ctx by the drain
	over    context.Context //nolint:containedctx // ends with the drain: nobody waits any longer
	emit    pipeline.Emit
}

// Run implements pipeline.Source. It returns an error if it cannot listen, or if its queue cannot be used.
func (s *Source) Run(ctx context.Context, emit pipeline.Emit) error {
	streams, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	over, end := context.WithCancel(streams)
	defer end()
	r := &run{Source: s, ctx: ctx, streams: streams, over: over, emit: emit}
	if s.queue != nil {
		if err := s.queue.open(); err != nil {
			return fmt.Errorf("webhook source %s: QUEUE_DIR: %w", s.opt.Name, err)
		}
		defer s.queue.close()
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Address)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("webhook source %s: ADDRESS: %w", s.opt.Name, err)
	}
	s.started(listener.Addr())
	served, pumped, watched := make(chan error, 1), make(chan struct{}), make(chan struct{})
	work, stop := context.WithCancel(ctx)
	defer stop()
	server := r.server()
	go func() { served <- s.serve(server, netutil.LimitListener(listener, s.cfg.MaxConnections)) }()
	go func() {
		defer close(watched)
		s.watch(work)
	}()
	go func() {
		defer close(pumped)
		if s.queue != nil {
			s.queue.pump(work, streams, emit)
		}
	}()
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil
	}
	stop()
	<-watched
	r.drain(server, end, pumped)
	if failed := <-served; err == nil && !errors.Is(failed, http.ErrServerClosed) {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("webhook source %s: %w", s.opt.Name, err)
	}
	return nil
}

func (s *Source) started(address net.Addr) {
	a := s.access.Load()
	s.opt.Logger.Info("listening for API servers", "source", s.opt.Name, "address", address.String(), "path", s.cfg.Path,
		"tls", a.tls != nil, "clusters", len(a.senders), "queue", s.cfg.QueueDir)
	if s.cfg.InsecurePlaintext && a.tls == nil {
		s.opt.Logger.Warn("INSECURE_PLAINTEXT: audit events and tokens travel unprotected; everybody on the way can read and forge them", "source", s.opt.Name)
	}
	if !s.cfg.authenticates() {
		s.opt.Logger.Warn("nobody has to prove anything: whoever reaches this address can write audit events and so forge or flood findings", "source", s.opt.Name)
	}
	if s.opt.Listening != nil {
		s.opt.Listening(address)
	}
}

// drain stops taking, and waits up to DRAIN_TIMEOUT for what was taken.
func (r *run) drain(server *http.Server, end context.CancelFunc, pumped <-chan struct{}) {
	r.draining.Store(true)
	limit, cancel := context.WithTimeout(r.streams, r.cfg.DrainTimeout)
	defer cancel()
	err := server.Shutdown(limit)
	if err == nil {
		err = r.posts.wait(limit) // those whose senders have gone
	}
	<-pumped
	if r.queue != nil {
		err = errors.Join(err, r.queue.wait(limit))
	}
	if err == nil {
		return
	}
	r.opt.Logger.Warn("not everything was settled within DRAIN_TIMEOUT; it was not acknowledged, or is still in the queue", "source", r.opt.Name)
	end()
	// The requests that still wait are answered now; a peer that does not take its answer is left.
	last, cancel := context.WithTimeout(r.streams, answerTime)
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close() // its error is about connections that are of no use any more
	}
}

// answerTime is what is left for answers when the drain is over.
const answerTime = time.Second

// watch reads the files again until ctx ends.
func (s *Source) watch(ctx context.Context) {
	for pipeline.Sleep(ctx, s.reload) {
		s.readAgain()
	}
}

func (s *Source) readAgain() {
	a, err := readAccess(&s.cfg)
	if err != nil {
		s.metrics.reloadFailures.Inc()
		s.throttle.Log(slog.LevelWarn, "reload", "tokens, clusters or certificates cannot be read again; the old ones stay in use", "source", s.opt.Name, "error", err)
		return
	}
	if a.print == s.access.Load().print {
		return
	}
	s.access.Store(a)
	s.throttle.Forget("reload")
	s.opt.Logger.Info("tokens, clusters and certificates were read again, because their files changed", "source", s.opt.Name, "clusters", len(a.senders))
}

// Health implements pipeline.HealthReporter.
func (s *Source) Health() error {
	if a := s.access.Load(); a.tls != nil && time.Now().After(a.notAfter) {
		return fmt.Errorf("the server's certificate has expired at %s: API servers refuse it; renew %s", a.notAfter.Format(time.RFC3339), s.cfg.TLSCertFile)
	}
	if s.queue != nil {
		return s.queue.health()
	}
	return nil
}

func (s *Source) serve(server *http.Server, listener net.Listener) error {
	if server.TLSConfig == nil {
		return server.Serve(listener)
	}
	return server.ServeTLS(listener, "", "")
}

func (r *run) server() *http.Server {
	server := &http.Server{
		Handler: r, ErrorLog: slog.NewLogLogger(serverLog{r.Source}, slog.LevelWarn),
		ReadHeaderTimeout: min(r.cfg.ReadTimeout, 5*time.Second), ReadTimeout: r.cfg.ReadTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, WriteByteTimeout: 10 * time.Second},
		ConnState: r.connState, ConnContext: r.stranger,
	}
	if r.access.Load().tls != nil {
		server.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.access.Load().tls, nil },
		}
	}
	return server
}

// proven is in the context of a connection: it is true once somebody has proved something over it.
type proven struct{ atomic.Bool }

type provenKey struct{}

// stranger closes a connection over which nobody has proved anything in time, so that places are kept for those who
// have. HTTP/2 has no time limit of its own for a first request.
func (s *Source) stranger(ctx context.Context, conn net.Conn) context.Context {
	p := &proven{}
	time.AfterFunc(s.cfg.ReadTimeout, func() {
		if !p.Load() {
			_ = conn.Close() // it may have gone by itself
		}
	})
	return context.WithValue(ctx, provenKey{}, p)
}

func (s *Source) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.metrics.connections.Inc()
	case http.StateClosed, http.StateHijacked:
		s.metrics.connections.Dec()
	}
}
