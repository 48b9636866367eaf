package cloudwatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/foretop/foretop/pkg/pipeline"
)

const (
	errorLevel = slog.LevelError
	warnLevel  = slog.LevelWarn
)

// actionFilter is the permission that reading needs.
const actionFilter = "logs:FilterLogEvents"

// pass reads the events of one stretch of time, all pages of it. Its bounds never change on the way; it either
// comes to its end or is repeated whole. What it handed on is remembered, so a repetition hands on the rest.
type pass struct {
	s     *session
	sweep bool // else it is the fast pass
	// from and to are event times in milliseconds, both inclusive.
	from, to int64
	pages    int
	events   int // met on them, new or not
	batch    []found
	bytes    int
}

// found is an event that may be new.
type found struct {
	record   pipeline.Record
	at       int64 // event time
	ingested int64 // zero if unknown
	id       uint64
}

// errTokens is an answer whose token was there before: following it would never end.
var errTokens = errors.New("CloudWatch Logs repeats a token instead of giving the next page")

// read follows the tokens to the end. An empty page with a token is not the end.
func (p *pass) read(ctx context.Context) error {
	var token *string
	used := make(map[uint64]struct{})
	for {
		out, err := p.page(ctx, token)
		if err != nil {
			return err
		}
		p.pages++
		p.events += len(out.Events)
		if err := p.take(ctx, out.Events); err != nil {
			return err
		}
		if token = out.NextToken; aws.ToString(token) == "" {
			return p.flush(ctx)
		}
		h := maphash.String(p.s.seen.seed, *token)
		if _, again := used[h]; again {
			return &failure{kind: kindToken, text: errTokens.Error() + "; the stretch is read again", err: errTokens}
		}
		used[h] = struct{}{}
	}
}

// pageAttempts is how often one page is asked for before the whole pass is repeated.
const pageAttempts = 4

// page gets one page. While AWS throttles it waits as long as it takes: no stretch is left out.
func (p *pass) page(ctx context.Context, token *string) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	g := p.s.g
	in := &cloudwatchlogs.FilterLogEventsInput{
		StartTime: aws.Int64(p.from), EndTime: aws.Int64(p.to),
		LogStreamNamePrefix: aws.String(g.src.cfg.StreamPrefix), NextToken: token,
	}
	if g.t.foreign {
		in.LogGroupIdentifier = aws.String(g.t.arn())
	} else {
		in.LogGroupName = aws.String(g.t.name)
	}
	for attempt, failed := 1, 0; ; attempt++ {
		out, err := g.filter(ctx, in)
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch kindOf(err) {
		case kindThrottled:
			g.trouble(err)
		case kindTransient, kindUnreachable:
			if failed++; failed >= pageAttempts {
				return nil, err
			}
		default:
			return nil, err
		}
		if !pipeline.Sleep(ctx, g.src.tuning.wait(attempt)) {
			return nil, ctx.Err()
		}
	}
}

// filter makes one call at the pace of the account and region.
func (g *group) filter(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput) (out *cloudwatchlogs.FilterLogEventsOutput, err error) {
	if err := g.limit.wait(ctx); err != nil {
		return nil, err
	}
	err = g.route.call(ctx, func(ctx context.Context, c *clients) error {
		out, err = c.logs.FilterLogEvents(ctx, in)
		return err
	})
	if err == nil {
		g.src.clock.observe(&out.ResultMetadata, nil)
		g.limit.accepted()
		g.src.metrics.calls.WithLabelValues(string(kindOK)).Inc()
		return out, nil
	}
	g.src.clock.observe(nil, err)
	f := explain(err, actionFilter, g.named(), g.src.clock.ahead(), in.NextToken != nil)
	if f.kind == kindThrottled {
		g.limit.throttled()
	}
	if ctx.Err() == nil {
		g.src.metrics.calls.WithLabelValues(string(f.kind)).Inc()
	}
	return nil, f
}

// take collects what is new of a page and hands it on in batches.
func (p *pass) take(ctx context.Context, events []types.FilteredLogEvent) error {
	cfg := &p.s.g.src.cfg
	for i := range events {
		f, ok := p.found(&events[i])
		if !ok {
			continue
		}
		p.batch = append(p.batch, f)
		p.bytes += len(f.record.Body)
		if len(p.batch) >= cfg.BatchRecords || p.bytes >= int(cfg.BatchBytes) {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// found makes a record of an event. It is false for what was handed on already, and for other streams: some
// emulations do not know the prefix.
func (p *pass) found(e *types.FilteredLogEvent) (found, bool) {
	s := p.s
	f := found{at: p.from, ingested: aws.ToInt64(e.IngestionTime)}
	stream := aws.ToString(e.LogStreamName)
	if !strings.HasPrefix(stream, s.g.src.cfg.StreamPrefix) {
		s.g.src.metrics.otherStreams.Inc()
		return f, false
	}
	if e.Timestamp != nil {
		f.at = *e.Timestamp
	}
	message, pos := aws.ToString(e.Message), aws.ToString(e.EventId)
	if pos == "" { // AWS always gives one
		sum := sha256.Sum256([]byte(stream + "\x00" + strconv.FormatInt(f.at, 10) + "\x00" + message))
		pos = hex.EncodeToString(sum[:16])
	}
	f.id = s.seen.hash(pos)
	if !s.isNew(p, &f) {
		s.g.src.metrics.duplicates.Inc()
		return f, false
	}
	f.record = pipeline.Record{Body: []byte(message), Time: time.UnixMilli(f.at).UTC(), Pos: pos, Meta: s.g.metaOf(stream)}
	return f, true
}

// flush hands the collected events on. It blocks while the pipeline is full.
func (p *pass) flush(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	batch := p.batch
	p.batch, p.bytes = nil, 0
	return p.s.hand(ctx, p, batch)
}

// wait is the pause after the nth failure in a row: doubled each time, with jitter.
func (t *tuning) wait(n int) time.Duration {
	d := min(t.retryMin<<min(n-1, 16), t.retryMax)
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secrecy
}
