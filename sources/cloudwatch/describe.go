package cloudwatch

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Permissions beside logs:FilterLogEvents, needed for prefixes, START=earliest and foretop doctor only.
const (
	actionDescribe        = "logs:DescribeLogGroups"
	actionDescribeStreams = "logs:DescribeLogStreams"
)

// maxListed bounds a listing, in pages.
const maxListed = 1000

// describe finds the log group itself; nil if there is none of its name.
func (g *group) describe(ctx context.Context) (found *types.LogGroup, err error) {
	err = listGroups(ctx, g.route, g.t.name, func(l *types.LogGroup) bool {
		if aws.ToString(l.LogGroupName) == g.t.name {
			found = l
		}
		return found == nil
	})
	return found, err
}

// listGroups calls visit for the log groups whose names start with prefix, until it returns false.
func listGroups(ctx context.Context, r *route, prefix string, visit func(*types.LogGroup) bool) error {
	in := &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String(prefix)}
	for range maxListed {
		var out *cloudwatchlogs.DescribeLogGroupsOutput
		err := r.call(ctx, func(ctx context.Context, c *clients) (err error) {
			out, err = c.logs.DescribeLogGroups(ctx, in)
			return err
		})
		if err != nil {
			r.clock.observe(nil, err)
			return err
		}
		r.clock.observe(&out.ResultMetadata, nil)
		for i := range out.LogGroups {
			if !visit(&out.LogGroups[i]) {
				return nil
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return nil
		}
	}
	return nil
}

// listStreams calls visit for the audit streams of the group, until it returns false.
func (g *group) listStreams(ctx context.Context, visit func(*types.LogStream) bool) error {
	in := &cloudwatchlogs.DescribeLogStreamsInput{LogStreamNamePrefix: aws.String(g.src.cfg.StreamPrefix)}
	if g.t.foreign {
		in.LogGroupIdentifier = aws.String(g.t.arn())
	} else {
		in.LogGroupName = aws.String(g.t.name)
	}
	for range maxListed {
		var out *cloudwatchlogs.DescribeLogStreamsOutput
		err := g.route.call(ctx, func(ctx context.Context, c *clients) (err error) {
			out, err = c.logs.DescribeLogStreams(ctx, in)
			return err
		})
		if err != nil {
			g.src.clock.observe(nil, err)
			return explain(err, actionDescribeStreams, g.named(), g.src.clock.ahead(), false)
		}
		g.src.clock.observe(&out.ResultMetadata, nil)
		for i := range out.LogStreams {
			if !visit(&out.LogStreams[i]) {
				return nil
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return nil
		}
	}
	return nil
}

// earliest is the time of the first event that is stored. Of a group without audit streams everything is still to
// come.
func (g *group) earliest(ctx context.Context, now int64) (int64, error) {
	at := now - g.src.cfg.MaxLateness.Milliseconds()
	err := g.listStreams(ctx, func(l *types.LogStream) bool {
		switch {
		case l.FirstEventTimestamp != nil:
			at = min(at, *l.FirstEventTimestamp)
		case l.CreationTime != nil: // the first event is not known yet, and may be older than its stream
			at = min(at, *l.CreationTime-(24*time.Hour).Milliseconds())
		}
		return true
	})
	return max(at, 0), err
}
