package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Options are what a Source takes beside its configuration.
type Options struct {
	// Name of the source in logs and metrics; "pubsub" by default.
	Name string
	// NeedMeta names what records must say beside their body: "key" (the ordering key), "header.<attribute>". The
	// project is always there. Each record then has a map of its own, which costs.
	NeedMeta []string
	// History, if not nil, makes Run read what the topics still hold through subscriptions of its own, and end.
	History *pipeline.History
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is slog.Default by default. Messages are never logged.
	Logger *slog.Logger
}

// Source reads subscriptions. It implements pipeline.Source, pipeline.HealthReporter and pipeline.Prober. Run may be
// called once.
type Source struct {
	cfg      Config
	name     string
	history  *pipeline.History
	log      *slog.Logger
	throttle *pipeline.Throttle
	metrics  *metrics
	health   pipeline.Troubles
	watch    *watch
	tuning   tuning

	needKey        string
	needAttributes map[string]string // attribute by key in Record.Meta

	readers []*reader
	client  *pubsub.Client // from Run or Probe on

	mu         sync.Mutex
	unreadable []error // of a scan
}

// tuning is what only tests change.
type tuning struct {
	again, againMost time.Duration // pause before what failed is tried again: at first, and at most
	flush            time.Duration // to send the last acknowledgements
	pull             time.Duration // that a probe waits for messages
	client           []option.ClientOption
}

var defaultTuning = tuning{again: time.Second, againMost: time.Minute, flush: 3 * time.Second, pull: 5 * time.Second}

// New makes a source. It connects to nothing.
func New(cfg Config, o Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "pubsub"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Source{
		cfg: cfg, name: o.Name, history: o.History, log: o.Logger, throttle: pipeline.NewThrottle(o.Logger),
		tuning: defaultTuning, needAttributes: make(map[string]string),
	}
	for _, key := range o.NeedMeta {
		if attribute, ok := strings.CutPrefix(key, "header."); ok {
			s.needAttributes[key] = attribute
		} else if key == "key" {
			s.needKey = key
		}
	}
	s.watch = &watch{failed: s.failed, working: s.working, tuning: &s.tuning, sessions: make(map[string]session)}
	for _, given := range cfg.Subscriptions {
		name, err := cfg.fullName(given)
		if err != nil {
			return nil, err
		}
		s.readers = append(s.readers, &reader{
			src: s, name: name, stream: name, open: make(map[*delivery]struct{}), emptied: make(chan struct{}, 1),
			shared: map[string]string{decode.MetaProject: projectOf(name)},
		})
	}
	s.metrics = newMetrics(s)
	if err := s.metrics.register(o.Registerer, o.Name); err != nil {
		return nil, fmt.Errorf("pubsub source %s: %w", o.Name, err)
	}
	return s, nil
}

// Run implements pipeline.Source. It returns an error if there are no credentials at all, which the library finds
// out once in the life of a process; whatever else is wrong with a subscription is tried again for ever, and does
// not touch the others. What a
// scan of history could not read is in Unreadable.
func (s *Source) Run(ctx context.Context, emit pipeline.Emit) error {
	if err := s.connect(ctx); err != nil {
		return fmt.Errorf("pubsub source %s: %w", s.name, err)
	}
	defer s.disconnect()
	if s.history != nil {
		s.replay(ctx, emit)
		return nil
	}
	var reading sync.WaitGroup
	for _, r := range s.readers {
		reading.Go(func() { r.run(ctx, emit) })
	}
	reading.Wait()
	return nil
}

// connect makes the client, which finds the credentials.
func (s *Source) connect(ctx context.Context) error {
	options := []option.ClientOption{
		option.WithUserAgent("foretop"), option.WithTelemetryDisabled(),
		option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(s.watch.unary)),
		option.WithGRPCDialOption(grpc.WithChainStreamInterceptor(s.watch.stream)),
	}
	if s.cfg.Endpoint != "" {
		options = append(options, option.WithEndpoint(s.cfg.Endpoint))
	}
	client, err := pubsub.NewClient(context.WithoutCancel(ctx), projectOf(s.readers[0].name), append(options, s.tuning.client...)...)
	if err != nil {
		return fmt.Errorf("no credentials for Google Cloud: bind a service account to this process (workload identity on GKE), or name a file in GOOGLE_APPLICATION_CREDENTIALS: %w", err)
	}
	s.client = client
	return nil
}

func (s *Source) disconnect() {
	if err := s.client.Close(); err != nil {
		s.log.Debug("pubsub client", "source", s.name, "error", err)
	}
}

// Health is nil while all is well, and else what is wrong.
func (s *Source) Health() error { return s.health.Err(time.Now()) }

// trouble notes why a subscription cannot be read.
func (s *Source) trouble(subscription string, err error) {
	explained := explain(subscription, err)
	s.health.Note(subscription, explained, lasting(err))
	s.throttle.Log(slog.LevelWarn, "trouble/"+subscription, "a subscription cannot be read; trying again, nothing is lost while its retention lasts",
		"source", s.name, "subscription", subscription, "error", explained)
}

// failed is told of each failed call. Only streams say whether a subscription can be read.
func (s *Source) failed(method, subscription string, err error) {
	s.metrics.failure(method, err)
	if method == "StreamingPull" {
		s.trouble(subscription, err)
	}
}

func (s *Source) working(subscription string) {
	if s.health.Clear(subscription) {
		s.throttle.Forget("trouble/" + subscription)
		s.log.Info("the subscription can be read again", "source", s.name, "subscription", subscription)
	}
}

var (
	_ pipeline.Source         = (*Source)(nil)
	_ pipeline.HealthReporter = (*Source)(nil)
	_ pipeline.Prober         = (*Source)(nil)
	_                         = 0
)
