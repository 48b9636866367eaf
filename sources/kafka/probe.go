package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/pkg/pipeline"
)

// probe is one examination of the brokers.
type probe struct {
	*Source
	client kafka.Client
	report func(pipeline.Check)
	found  map[string]int              // topics and their partitions
	ends   map[string]map[int][2]int64 // first offset and end of each partition
}

// Probe implements pipeline.Prober. It makes each request that reading makes, but for those that join the group or
// save positions.
func (s *Source) Probe(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record {
	defer s.transport.CloseIdleConnections()
	p := &probe{
		Source: s, client: kafka.Client{Addr: s.conn.Addr(), Transport: s.transport, Timeout: s.tuning.patience},
		report: report, ends: make(map[string]map[int][2]int64),
	}
	if !p.brokers(ctx) || !p.topics(ctx) {
		return nil
	}
	records := p.records(ctx, limit)
	p.retention(ctx)
	p.group(ctx)
	return records
}

func (p *probe) say(state pipeline.CheckState, name, detail, fix string) {
	p.report(pipeline.Check{Name: name, State: state, Detail: detail, Fix: fix})
}

// brokers logs in to each broker that is named. One is enough to find the others.
func (p *probe) brokers(ctx context.Context) bool {
	var failed []pipeline.Check
	reached := 0
	for _, address := range p.conn.Brokers() {
		conn, err := p.conn.Dial(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			reached++
			p.say(pipeline.CheckOK, "broker "+address, p.cfg.Security(), "")
			continue
		}
		cure, what := kafkaconn.Cure(err)
		failed = append(failed, pipeline.Check{
			Name: "broker " + address, State: pipeline.CheckFailed, Detail: what.Error(),
			Fix: cmp.Or(cure, "name brokers that this machine reaches, with the settings and the login that they want"),
		})
	}
	for _, c := range failed {
		if reached > 0 {
			c.State = pipeline.CheckWarning
		}
		p.report(c)
	}
	return reached > 0
}

func (p *probe) topics(ctx context.Context) bool {
	terms := &p.terms
	seen, err := p.Source.topics.ask(ctx)
	if err != nil {
		cure, what := kafkaconn.Cure(kafkaconn.Advise(err))
		p.say(pipeline.CheckFailed, terms.Topics, what.Error(), cmp.Or(cure, "the brokers must be reachable by the addresses that they give to clients (advertised.listeners)"))
		return false
	}
	p.found = seen.found
	for _, name := range slices.Sorted(maps.Keys(seen.found)) {
		p.say(pipeline.CheckOK, terms.Topic+" "+name, strconv.Itoa(seen.found[name])+" partitions", "")
	}
	for _, name := range seen.missing {
		p.say(pipeline.CheckFailed, terms.Topic+" "+name, "it does not exist", terms.Create)
	}
	for _, name := range slices.Sorted(maps.Keys(seen.refused)) {
		p.say(pipeline.CheckFailed, terms.Topic+" "+name, "the login may not see it", terms.TopicRight)
	}
	for _, name := range seen.leaderless {
		p.say(pipeline.CheckFailed, terms.Topic+" "+name, "its partitions have no leader", "start the brokers that hold it")
	}
	if len(seen.found)+len(seen.missing)+len(seen.refused)+len(seen.leaderless) == 0 {
		p.say(pipeline.CheckFailed, terms.Topics, p.Source.topics.trouble(seen).Error(), terms.Create)
	}
	return len(seen.found) > 0
}

// records reads the end of each partition until it has limit records, and at least looks into one partition of each
// topic that has any.
func (p *probe) records(ctx context.Context, limit int) []pipeline.Record {
	var all []pipeline.Record
	for _, topic := range slices.Sorted(maps.Keys(p.found)) {
		name := p.terms.Topic + " " + topic + ", reading"
		got, held, err := p.newest(ctx, topic, max(1, limit-len(all)))
		switch {
		case errors.Is(err, kafka.TopicAuthorizationFailed):
			p.say(pipeline.CheckFailed, name, err.Error(), p.terms.TopicRight)
		case err != nil:
			p.say(pipeline.CheckFailed, name, err.Error(), "see the brokers' logs, and whether this machine reaches all of them")
		case held == 0:
			p.say(pipeline.CheckWarning, name, "it holds no records", p.terms.Empty)
		default:
			p.say(pipeline.CheckOK, name, fmt.Sprintf("it holds %d offsets; %s", held, age(got)), "")
		}
		all = append(all, got...)
	}
	return all[:min(limit, len(all))]
}

func age(records []pipeline.Record) string {
	newest := time.Time{}
	for i := range records {
		if records[i].Time.After(newest) {
			newest = records[i].Time
		}
	}
	if newest.IsZero() {
		return "of the newest ones none could be read or has a time"
	}
	return "the newest record seen is " + time.Since(newest).Round(time.Second).String() + " old"
}

// newest reads up to limit of the last records of a topic, and says how many offsets it holds.
func (p *probe) newest(ctx context.Context, topic string, limit int) (records []pipeline.Record, held int64, err error) {
	p.ends[topic] = make(map[int][2]int64)
	each := int64((limit + p.found[topic] - 1) / p.found[topic])
	g := newGeneration(ctx, p.Source, nil, func(_ context.Context, b *pipeline.Batch) error {
		records = append(records, b.Records...)
		return nil
	})
	defer g.abandon(errGivenUp)
	for id := range p.found[topic] {
		part := newPartition(g, topic, kafka.PartitionAssignment{ID: id})
		first, end, err := part.bounds(ctx)
		if err != nil {
			return records, held, err
		}
		p.ends[topic][id] = [2]int64{first, end}
		if held += end - first; id > 0 && (end == first || len(records) >= limit) {
			continue // one fetch shows whether the login may
		}
		if err := part.sample(ctx, max(first, end-each)); err != nil {
			return records, held, err
		}
	}
	return records, held, nil
}

// sample hands on what one answer holds from an offset on.
func (p *partition) sample(ctx context.Context, from int64) error {
	defer p.reader.close()
	p.begin(from, func(error) {})
	res, err := p.fetcher.fetch(ctx, from, p.src.cfg.FetchMaxWait)
	if err != nil {
		return err
	}
	if res.code != 0 {
		return res.code
	}
	if err := p.take(ctx, res); err != nil {
		return err
	}
	return p.flush(ctx)
}

// enough is the retention below which an outage over a long weekend loses records.
const enough = 3 * 24 * time.Hour

// retention tells how long the brokers keep records. Reading works without the right to know.
func (p *probe) retention(ctx context.Context) {
	for _, topic := range slices.Sorted(maps.Keys(p.found)) {
		name := p.terms.Topic + " " + topic + ", retention"
		res, err := p.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"},
		}}})
		if err == nil && len(res.Resources) == 1 {
			err = res.Resources[0].Error
		}
		if err != nil || len(res.Resources) != 1 || len(res.Resources[0].ConfigEntries) != 1 {
			p.say(pipeline.CheckOK, name, "the brokers do not tell it to this login, which reading does not need", "")
			continue
		}
		ms, err := strconv.ParseInt(res.Resources[0].ConfigEntries[0].ConfigValue, 10, 64)
		kept := time.Duration(min(ms, int64(time.Duration(1<<62)/time.Millisecond))) * time.Millisecond
		switch {
		case err != nil:
			p.say(pipeline.CheckOK, name, "unknown", "")
		case ms < 0:
			p.say(pipeline.CheckOK, name, "for ever, or up to a size", "")
		case kept < enough:
			p.say(pipeline.CheckWarning, name, kept.String()+": an outage that lasts longer loses records", "keep them for 72h or more")
		default:
			p.say(pipeline.CheckOK, name, kept.String(), "")
		}
	}
}

// group looks at the consumer group without joining it.
func (p *probe) group(ctx context.Context) {
	name := "group " + p.cfg.Group
	state, err := p.groupState(ctx)
	if err != nil {
		p.say(pipeline.CheckFailed, name, err.Error(), p.groupFix(err))
		return
	}
	ids := make(map[string][]int)
	for topic, n := range p.found {
		for id := range n {
			ids[topic] = append(ids[topic], id)
		}
	}
	res, err := p.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: p.cfg.Group, Topics: ids})
	if err == nil {
		err = res.Error
	}
	if errors.Is(err, kafka.GroupIdNotFound) {
		p.say(pipeline.CheckOK, name, state+" and no saved positions: START="+p.cfg.Start+" decides where it begins", "")
		return
	}
	if err != nil {
		p.say(pipeline.CheckFailed, name, err.Error(), p.groupFix(err))
		return
	}
	p.positions(name, state, res.Topics)
}

func (p *probe) groupFix(err error) string {
	if errors.Is(err, kafka.GroupAuthorizationFailed) {
		return p.terms.GroupRight + " " + p.cfg.Group
	}
	return "set GROUP to a name that nothing else uses"
}

// groupState tells in words who is in the group.
func (p *probe) groupState(ctx context.Context) (string, error) {
	res, err := p.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{p.cfg.Group}})
	if err != nil {
		return "", err
	}
	if len(res.Groups) != 1 {
		return "", errWrongAnswer
	}
	g := res.Groups[0]
	switch {
	case errors.Is(g.Error, kafka.GroupIdNotFound):
		return "it has no members", nil
	case g.Error != nil:
		return "", g.Error
	}
	for _, m := range g.Members {
		for _, topic := range m.MemberMetadata.Topics {
			if _, ours := p.found[topic]; !ours {
				return "", fmt.Errorf("a member of it reads %s, which this source does not: two programs in one group take partitions from each other", topic)
			}
		}
	}
	return fmt.Sprintf("it has %d members", len(g.Members)), nil
}

// positions compares the saved positions with what the partitions hold.
func (p *probe) positions(name, state string, saved map[string][]kafka.OffsetFetchPartition) {
	var lag, gone, fresh int64
	for topic, partitions := range saved {
		for _, at := range partitions {
			bounds, known := p.ends[topic][at.Partition]
			switch {
			case !known || at.Error != nil:
			case at.CommittedOffset < 0:
				fresh++
			default:
				lag += max(0, bounds[1]-max(at.CommittedOffset, bounds[0]))
				gone += max(0, bounds[0]-at.CommittedOffset)
			}
		}
	}
	detail := []string{state, fmt.Sprintf("%d records behind its saved positions", lag)}
	if fresh > 0 {
		detail = append(detail, fmt.Sprintf("no saved position in %d partitions, which START=%s decides about", fresh, p.cfg.Start))
	}
	if gone > 0 {
		p.say(pipeline.CheckWarning, name, fmt.Sprintf("%d records were deleted before the group read them", gone), "lengthen the retention, or find out why the group is behind")
		return
	}
	p.say(pipeline.CheckOK, name, strings.Join(detail, "; "), "")
}
