package cloudwatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/foretop/foretop/pkg/pipeline"
)

// probe examines the configuration for `foretop doctor`.
type probe struct {
	s      *Source
	limit  int
	report func(pipeline.Check)
	sample []pipeline.Record
}

// Probe implements pipeline.Prober.
func (s *Source) Probe(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record {
	p := &probe{s: s, limit: limit, report: report}
	broken := make(map[routeKey]bool)
	for i := range s.targets {
		t := &s.targets[i]
		if _, known := broken[t.route]; !known {
			broken[t.route] = !p.credentials(ctx, t)
		}
	}
	p.clock()
	for i := range s.targets {
		switch t := &s.targets[i]; {
		case broken[t.route]:
		case t.prefix != "":
			p.prefix(ctx, t)
		default:
			p.group(ctx, t)
		}
	}
	return p.sample
}

func (p *probe) ok(name, format string, args ...any) {
	p.report(pipeline.Check{Name: name, Detail: fmt.Sprintf(format, args...)})
}

func (p *probe) bad(name string, state pipeline.CheckState, detail, fix string) {
	p.report(pipeline.Check{Name: name, State: state, Detail: detail, Fix: fix})
}

// credentials checks one way to log groups. It is false if nothing can be read that way.
func (p *probe) credentials(ctx context.Context, t *target) bool {
	name := "credentials for " + t.route.region
	if t.route.role != "" {
		name += " as " + t.route.role
	}
	account, err := p.s.routes[t.route].identify(ctx)
	if err == nil {
		p.ok(name, "they belong to account %s", account)
		return true
	}
	f := explain(err, "sts:GetCallerIdentity", t, p.s.clock.ahead(), false)
	if f.kind == kindCredentials || f.kind == kindClock {
		p.bad(name, pipeline.CheckFailed, f.text, "")
		return false
	}
	p.bad(name, pipeline.CheckWarning, "it is not known whose they are: "+f.text,
		"open a way to STS, or name log groups by their ARNs, so that clusters have their full ids")
	return true
}

func (p *probe) clock() {
	ahead := p.s.clock.ahead()
	switch {
	case !p.s.clock.known.Load(): // nothing answered, which the other checks say
	case ahead.Abs() < time.Minute:
		p.ok("clock", "this machine's clock agrees with AWS' to within %s", max(ahead.Abs(), skewTolerance))
	default:
		p.bad("clock", pipeline.CheckWarning, "this machine's clock is "+describeSkew(ahead)+", which is allowed for while reading",
			"set the clock: AWS refuses requests that are 5 minutes off")
	}
}

// prefix lists the log groups of a prefix and examines each.
func (p *probe) prefix(ctx context.Context, t *target) {
	name := "log groups " + t.prefix + "*"
	var found []target
	err := listGroups(ctx, p.s.routes[t.route], t.prefix, func(l *types.LogGroup) bool {
		if isClusterGroup(aws.ToString(l.LogGroupName)) {
			one := *t
			one.name, one.prefix = aws.ToString(l.LogGroupName), ""
			found = append(found, one)
		}
		return true
	})
	switch {
	case err != nil:
		p.bad(name, pipeline.CheckFailed, explain(err, actionDescribe, t, p.s.clock.ahead(), false).text, "")
	case len(found) == 0:
		p.bad(name, pipeline.CheckWarning, "there is none", "see whether prefix, region and account are right; new ones are found while running")
	default:
		p.ok(name, "there are %d", len(found))
	}
	for i := range found {
		p.group(ctx, &found[i])
	}
}

// group examines one log group.
func (p *probe) group(ctx context.Context, t *target) {
	g := p.s.newGroup(t, 0)
	g.account, _ = g.route.identify(ctx) // what went wrong is reported already
	if t.account != "" {
		g.account = t.account
	}
	g.limit = p.s.limits.of(g.account, t.route.region)
	name := "log group " + g.stream
	if !t.foreign && !p.class(ctx, g, name) {
		return
	}
	newest := p.streams(ctx, g, name)
	p.read(ctx, g, name, newest)
}

// class checks that the group is there and can be searched. It is false if reading is in vain.
func (p *probe) class(ctx context.Context, g *group, name string) bool {
	l, err := g.describe(ctx)
	if err != nil {
		f := explain(err, actionDescribe, g.t, p.s.clock.ahead(), false)
		p.bad(name, pipeline.CheckWarning, "its class cannot be seen: "+f.text, f.kind.cure("reading does not need this permission; prefixes do"))
		return true
	}
	if l == nil {
		p.bad(name, pipeline.CheckFailed, "there is no such log group in "+g.t.route.region,
			"see whether name, region and account are right; EKS makes it when logging is turned on: aws eks update-cluster-config --name CLUSTER --logging '{\"clusterLogging\":[{\"types\":[\"audit\"],\"enabled\":true}]}'")
		return false
	}
	switch l.LogGroupClass {
	case types.LogGroupClassStandard, "":
		kept := "for ever"
		if l.RetentionInDays != nil {
			kept = fmt.Sprintf("%d days", *l.RetentionInDays)
		}
		p.ok(name, "it is there, and keeps events %s", kept)
	case types.LogGroupClassDelivery:
		p.bad(name, pipeline.CheckFailed, "its class is DELIVERY, which only passes events on and cannot be searched",
			"make a log group of the class STANDARD for the cluster; a class cannot be changed")
		return false
	default:
		p.bad(name, pipeline.CheckWarning, fmt.Sprintf("its class is %s, for which AWS does not offer FilterLogEvents everywhere", l.LogGroupClass),
			"use a log group of the class STANDARD if reading fails; a class cannot be changed")
	}
	return true
}

// streams looks for audit streams, and returns the time of the newest event in them, zero if unknown.
func (p *probe) streams(ctx context.Context, g *group, name string) int64 {
	n, newest := 0, int64(0)
	err := g.listStreams(ctx, func(l *types.LogStream) bool {
		n++
		newest = max(newest, aws.ToInt64(l.LastEventTimestamp))
		return true
	})
	switch {
	case err != nil:
		p.bad(name+" streams", pipeline.CheckWarning, err.Error(), kindOf(err).cure("reading does not need this permission; START=earliest does"))
	case n == 0:
		p.bad(name+" streams", pipeline.CheckFailed, "it has no log stream "+p.s.cfg.StreamPrefix+"*: audit logging is off",
			"aws eks update-cluster-config --name CLUSTER --logging '{\"clusterLogging\":[{\"types\":[\"audit\"],\"enabled\":true}]}'")
	case newest > 0:
		p.ok(name+" streams", "%d audit streams, the newest event is of %s", n, time.UnixMilli(newest).UTC().Format(time.RFC3339))
	default:
		p.ok(name+" streams", "%d audit streams", n)
	}
	return newest
}

// read gets the newest events.
func (p *probe) read(ctx context.Context, g *group, name string, newest int64) {
	to := p.s.clock.now()
	if newest == 0 || newest > to {
		newest = to
	}
	in := &cloudwatchlogs.FilterLogEventsInput{
		StartTime: aws.Int64(max(newest-time.Hour.Milliseconds(), 0)), EndTime: aws.Int64(to), StartFromHead: aws.Bool(false),
		LogStreamNamePrefix: aws.String(p.s.cfg.StreamPrefix), Limit: aws.Int32(int32(min(max(p.limit, 1), 10_000))),
	}
	if g.t.foreign {
		in.LogGroupIdentifier = aws.String(g.t.arn())
	} else {
		in.LogGroupName = aws.String(g.t.name)
	}
	sample := &pass{s: &session{g: g, seen: newSeen(&p.s.remembered, p.s.cfg.RememberedIDs)}, sweep: true}
	defer sample.s.seen.clear()
	const pages = 10 // empty ones come too
	for range pages {
		out, err := g.filter(ctx, in)
		if err != nil {
			p.bad(name+" reading", pipeline.CheckFailed, err.Error(), kindOf(err).cure("allow "+actionFilter+" on "+g.t.arn()+":*"))
			return
		}
		for i := range out.Events {
			if f, ok := sample.found(&out.Events[i]); ok && sample.s.seen.mark(f.at, f.id) {
				sample.batch = append(sample.batch, f)
			}
		}
		if in.NextToken = out.NextToken; len(sample.batch) >= p.limit || aws.ToString(in.NextToken) == "" {
			break
		}
	}
	if len(sample.batch) == 0 {
		p.bad(name+" reading", pipeline.CheckWarning, "it is allowed, and no audit event of the last hour is there", "see whether the cluster is in use and audit logging on")
		return
	}
	p.ok(name+" reading", "%d of the newest events were read", len(sample.batch))
	slices.SortStableFunc(sample.batch, func(a, b found) int { return int(b.at - a.at) })
	for i := range sample.batch[:max(0, min(len(sample.batch), p.limit-len(p.sample)))] {
		p.sample = append(p.sample, sample.batch[i].record)
	}
}
