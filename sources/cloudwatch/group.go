package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

// group reads one log group.
type group struct {
	src   *Source
	t     *target
	route *route
	// stream is Batch.Stream.
	stream string
	// created is when the group was made, if it was found while running: it is read from then on.
	created int64

	// Both are known when reading begins. account may stay empty.
	limit   *limiter
	account string

	saving  sync.Mutex
	saved   int64
	settled atomic.Int64 // everything before this event time is settled, in milliseconds
	session atomic.Pointer[session]

	mu   sync.Mutex
	meta map[string]map[string]string // by log stream
}

// run reads until ctx ends, and drains. Trouble is reported and waited out; it returns an error only when it
// reads history.
func (g *group) run(ctx, batchCtx context.Context, emit pipeline.Emit) error {
	if err := g.again(ctx, g.prepare); err != nil {
		return err
	}
	if err := g.again(ctx, g.begin); err != nil {
		return err
	}
	for failed := 0; ctx.Err() == nil; {
		before := g.settled.Load()
		err := g.read(ctx, batchCtx, emit)
		if err == nil || ctx.Err() != nil {
			break
		}
		if !errors.Is(err, errGivenBack) {
			return err
		}
		if failed++; g.settled.Load() > before {
			failed = 1
		}
		g.src.metrics.redeliveries.Inc()
		g.src.throttle.Log(warnLevel, "again/"+g.stream, "a batch was not handled; the log group is read again from its saved position",
			"source", g.src.name, "log_group", g.t.name, "position", time.UnixMilli(g.settled.Load()).UTC())
		pipeline.Sleep(ctx, g.src.tuning.wait(failed))
	}
	return g.drain(batchCtx)
}

// again tries step until it succeeds or ctx ends. It returns an error only when it reads history.
func (g *group) again(ctx context.Context, step func(ctx context.Context) error) error {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		err := step(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		if g.src.history != nil && kindOf(err).sure() {
			return err
		}
		g.trouble(err)
		g.renew(err)
		pipeline.Sleep(ctx, g.src.tuning.wait(attempt))
	}
	return nil //nolint:nilerr // what an ending run runs into is no error
}

// renew reads credentials that are no good anew.
func (g *group) renew(why error) {
	if kindOf(why) != kindCredentials {
		return
	}
	if err := g.route.renew(); err != nil {
		g.trouble(err)
	}
}

// prepare finds out whose log group it is. The account becomes part of what the cluster is called, so it is not
// left to chance: it is settled before the first event is read.
func (g *group) prepare(ctx context.Context) error {
	account, err := g.owner(ctx)
	if err != nil {
		return err
	}
	g.account = account
	g.limit = g.src.limits.of(account, g.t.route.region)
	return nil
}

// owner is the account of the log group: of its ARN, of the credentials, or of the ARN that CloudWatch Logs gives.
// It is empty where AWS will not say.
func (g *group) owner(ctx context.Context) (string, error) {
	if g.t.account != "" {
		return g.t.account, nil
	}
	ask, cancel := context.WithTimeout(ctx, g.src.tuning.identify)
	account, err := g.route.identify(ask)
	cancel()
	if err == nil {
		return account, nil
	}
	if f := explain(err, "sts:GetCallerIdentity", g.t, g.src.clock.ahead(), false); f.kind == kindCredentials || f.kind == kindClock {
		return "", f
	}
	// No way to STS, as in a network with an endpoint for logs only.
	found, err := g.describe(ctx)
	if err != nil {
		f := explain(err, actionDescribe, g.t, g.src.clock.ahead(), false)
		if f.kind != kindDenied && f.kind != kindMissing {
			return "", f
		}
	}
	if found != nil {
		if m := groupARN.FindStringSubmatch(aws.ToString(found.Arn)); m != nil {
			return m[3], nil
		}
	}
	g.src.log.Warn("the account of a log group cannot be found out, so it is missing in its cluster's id; name the log group by its ARN",
		"source", g.src.name, "log_group", g.t.name)
	return "", nil
}

// begin sets the position to read from.
func (g *group) begin(ctx context.Context) error {
	if h := g.src.history; h != nil {
		g.settled.Store(max(h.Since.UnixMilli(), 0))
		return nil
	}
	p, ok, err := g.restore(ctx)
	if err != nil {
		return fmt.Errorf("the saved position of %s cannot be read: %w", g.t.name, err)
	}
	if ok && p.Account != "" && g.account != "" && p.Account != g.account {
		// The same name in another account is another log group.
		g.src.log.Error("the saved position is of another account; reading begins as if for the first time",
			"source", g.src.name, "log_group", g.t.name, "account", g.account, "saved", p.Account)
		ok = false
	}
	log := g.src.log.With("source", g.src.name, "log_group", g.t.name, "region", g.t.route.region, "account", g.account)
	if ok {
		if g.account == "" {
			g.account = p.Account // what the cluster was called before
		}
		g.settled.Store(p.Until.UnixMilli())
		g.saved = p.Until.UnixMilli()
		log.Info("reading goes on at the saved position", "position", p.Until)
		g.reportGap(ctx, log)
		return nil
	}
	at, err := g.first(ctx)
	if err != nil {
		return err
	}
	g.settled.Store(at)
	log.Info("reading begins; events before are left out", "position", time.UnixMilli(at).UTC(), "start", g.src.cfg.Start)
	return nil
}

// reportGap says what retention deleted since the position was saved, as far as AWS tells.
func (g *group) reportGap(ctx context.Context, log *slog.Logger) {
	now, day := g.src.clock.now(), (24 * time.Hour).Milliseconds()
	if now-g.settled.Load() < day { // no retention is shorter
		return
	}
	found, err := g.describe(ctx)
	if err != nil || found == nil || found.RetentionInDays == nil {
		return
	}
	gap := now - int64(*found.RetentionInDays)*day - g.settled.Load()
	if gap <= 0 {
		return
	}
	lost := time.Duration(gap) * time.Millisecond
	g.src.metrics.gap.Add(lost.Seconds())
	log.Error("retention has deleted events that were not read yet", "from", time.UnixMilli(g.settled.Load()).UTC(), "span", lost.Round(time.Second))
}

// first is where to begin without a saved position.
func (g *group) first(ctx context.Context) (int64, error) {
	now := g.src.clock.now()
	if g.src.cfg.Start == startEarliest {
		return g.earliest(ctx, now)
	}
	age, err := g.src.cfg.startAge()
	if err != nil {
		return 0, err
	}
	at := now - age.Milliseconds()
	if g.created > 0 { // nobody decided to leave anything of it out
		at = min(at, g.created)
	}
	return at, nil
}

// read runs one session. It returns errGivenBack when it has to be begun anew.
func (g *group) read(ctx, batchCtx context.Context, emit pipeline.Emit) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s := &session{
		g: g, emit: emit, batchCtx: batchCtx, fail: fail, tracker: offsets.New(0),
		seen: newSeen(&g.src.remembered, g.src.cfg.RememberedIDs),
	}
	at := g.settled.Load()
	s.swept.Store(at)
	from := max(at, g.src.clock.now()-g.src.cfg.MaxLateness.Milliseconds())
	s.polled.Store(from)
	s.pollFrom.Store(from)
	g.session.Store(s)
	defer func() {
		s.mu.Lock()
		s.seen.clear()
		s.mu.Unlock()
	}()
	var err error
	if h := g.src.history; h != nil {
		err = s.sweep(ctx, h.Until.UnixMilli())
		if err == nil {
			err = s.tracker.Wait(ctx)
		}
	} else {
		passes, ctx := errgroup.WithContext(ctx)
		passes.Go(func() error { return s.poll(ctx) })
		passes.Go(func() error { return s.sweep(ctx, 0) })
		err = passes.Wait()
	}
	s.advance()
	if s.tracker.Pinned() {
		return errGivenBack
	}
	return err
}

// drain waits for the batches in flight and saves the position.
func (g *group) drain(batchCtx context.Context) error {
	s := g.session.Load()
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(batchCtx, g.src.cfg.DrainTimeout)
	defer cancel()
	if err := s.tracker.Wait(ctx); err != nil {
		g.src.log.Warn("records were not handled in time; they are read again", "source", g.src.name, "log_group", g.t.name, "batches", s.tracker.Unsettled())
	}
	s.advance()
	save, cancel := context.WithTimeout(context.WithoutCancel(batchCtx), g.src.tuning.lastSave)
	defer cancel()
	g.save(save)
	return nil
}

// metaOf says where the events of a log stream were read. All of them share one map.
func (g *group) metaOf(stream string) map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.meta[stream]
	if m != nil {
		return m
	}
	m = map[string]string{decode.MetaLogGroup: g.t.name, decode.MetaLogStream: stream, decode.MetaRegion: g.t.route.region}
	for name, value := range map[string]string{
		decode.MetaAccount: g.account, decode.MetaClusterName: g.t.clusterName, decode.MetaClusterID: g.t.clusterID,
	} {
		if value != "" {
			m[name] = value
		}
	}
	const most = 1000 // streams come and go
	if g.meta == nil || len(g.meta) >= most {
		g.meta = make(map[string]map[string]string)
	}
	g.meta[stream] = m
	return m
}

// named is the target with the account that was found out, for messages.
func (g *group) named() *target {
	t := *g.t
	if t.account == "" {
		t.account = g.account
	}
	return &t
}

// trouble reports what keeps the group from being read.
func (g *group) trouble(err error) {
	k := kindOf(err)
	g.src.health.Note(g.stream, err, k.sure())
	g.src.throttle.Log(warnLevel, g.stream+"/"+string(k), "a log group cannot be read at present; it is tried again and nothing is left out",
		"source", g.src.name, "log_group", g.t.name, "region", g.t.route.region, "error", err)
}

func (g *group) well() { g.src.health.Clear(g.stream) }
