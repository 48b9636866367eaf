package cloudwatch

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/foretop/foretop/pkg/pipeline"
)

// runner starts the groups of one Run.
type runner struct {
	s             *Source
	ctx, batchCtx context.Context //nolint:containedctx // it lives as long as the call of Run whose contexts these are
	emit          pipeline.Emit
	running       sync.WaitGroup
	mu            sync.Mutex
	errs          []error
}

func (r *runner) fail(err error) {
	if err != nil {
		r.mu.Lock()
		r.errs = append(r.errs, err)
		r.mu.Unlock()
	}
}

// start begins to read a log group, unless it is read already.
func (r *runner) start(ctx context.Context, t *target, created int64) {
	g := r.s.newGroup(t, created)
	r.s.mu.Lock()
	_, there := r.s.groups[g.stream]
	if !there {
		r.s.groups[g.stream] = g
	}
	r.s.mu.Unlock()
	if there {
		return
	}
	r.running.Go(func() {
		r.fail(g.run(ctx, r.batchCtx, r.emit))
		r.s.mu.Lock()
		delete(r.s.groups, g.stream)
		r.s.mu.Unlock()
		g.well()
	})
}

// discover finds the log groups of a prefix, again and again.
func (r *runner) discover(t *target) error {
	s := r.s
	ends := make(map[string]context.CancelFunc) // by name, of those started here
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for attempt := 0; ; {
		err := r.look(t, ends)
		switch {
		case r.ctx.Err() != nil:
			return nil
		case err == nil && s.history != nil:
			r.await(ends)
			return nil
		case err == nil:
			s.health.Clear(t.arn())
			attempt = 0
			pipeline.Sleep(r.ctx, s.cfg.DiscoveryInterval)
			continue
		}
		f := explain(err, actionDescribe, t, s.clock.ahead(), false)
		if s.history != nil && f.kind.sure() {
			return f
		}
		attempt++
		s.health.Note(t.arn(), f, f.kind.sure())
		s.throttle.Log(warnLevel, t.arn(), "log groups cannot be listed", "source", s.name, "prefix", t.prefix, "region", t.route.region, "error", f)
		if f.kind == kindCredentials {
			if err := s.routes[t.route].renew(); err != nil {
				s.log.Error("the settings for AWS cannot be read", "source", s.name, "error", err)
			}
		}
		pipeline.Sleep(r.ctx, s.tuning.wait(attempt))
	}
}

// await keeps the contexts of groups that end by themselves.
func (r *runner) await(ends map[string]context.CancelFunc) {
	for name, end := range ends {
		context.AfterFunc(r.batchCtx, end)
		delete(ends, name)
	}
}

// look lists once: new groups are started, and those that are gone ended.
func (r *runner) look(t *target, ends map[string]context.CancelFunc) error {
	there := make(map[string]int64)
	err := listGroups(r.ctx, r.s.routes[t.route], t.prefix, func(l *types.LogGroup) bool {
		if name := aws.ToString(l.LogGroupName); isClusterGroup(name) {
			there[name] = aws.ToInt64(l.CreationTime)
		}
		return true
	})
	if err != nil {
		return err
	}
	for name, end := range ends {
		if _, ok := there[name]; !ok {
			r.s.log.Warn("a log group is gone and is no longer read", "source", r.s.name, "log_group", name)
			end()
			delete(ends, name)
		}
	}
	for name, created := range there {
		if ends[name] != nil {
			continue
		}
		if created < r.s.started+r.s.clock.skew.Load() {
			created = 0 // it was there before us, so START decides
		}
		one := *t
		one.name, one.prefix = name, ""
		ctx, end := context.WithCancel(r.ctx)
		ends[name] = end
		r.start(ctx, &one, created)
	}
	return nil
}
