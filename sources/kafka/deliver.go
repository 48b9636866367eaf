package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/foretop/foretop/pkg/pipeline"
)

// pendingBatch collects records until they are handed on together.
type pendingBatch struct {
	records []pipeline.Record
	offsets []int64
	bytes   int
	since   time.Time
	oldest  time.Time
}

func (b *pendingBatch) add(r pipeline.Record, offset int64, room int) {
	if len(b.records) == 0 {
		b.since = time.Now()
		b.records = make([]pipeline.Record, 0, max(room, 1))
	}
	if b.oldest.IsZero() || !r.Time.IsZero() && r.Time.Before(b.oldest) {
		b.oldest = r.Time
	}
	b.records = append(b.records, r)
	b.offsets = append(b.offsets, offset)
	b.bytes += len(r.Body)
}

// due is the time until the batch should be handed on.
func (b *pendingBatch) due(delay time.Duration) time.Duration {
	if len(b.records) == 0 {
		return time.Hour
	}
	return delay - time.Since(b.since)
}

// reset forgets the records. Their memory went to the pipeline.
func (b *pendingBatch) reset() { *b = pendingBatch{offsets: b.offsets[:0]} }

// seal gives every record its position. All of them share one string, so that they cost one allocation.
func (b *pendingBatch) seal() []pipeline.Record {
	var text strings.Builder
	var digits [20]byte
	text.Grow(len(b.offsets) * len(strconv.AppendInt(digits[:0], b.offsets[len(b.offsets)-1], 10)))
	for i := range b.records {
		from := text.Len()
		text.Write(strconv.AppendInt(digits[:0], b.offsets[i], 10))
		b.records[i].Pos = text.String()[from:]
	}
	return b.records
}

// take reads the batches of an answer and hands on what is full.
func (p *partition) take(ctx context.Context, res *fetchResponse) error {
	defer p.reader.close()
	end := res.highWater
	var dropped *transactions
	if p.fetcher.isolation == kafka.ReadCommitted {
		end, dropped = res.stable, newTransactions(res.aborted)
	}
	from := p.next
	var last time.Time
	for rest := res.records; ; {
		x, tail, ok := nextBatch(rest)
		if !ok {
			break
		}
		rest = tail
		drop := x.control()
		if dropped != nil {
			drop = dropped.drops(&x)
		}
		if x.last < p.next {
			continue // brokers answer with whole batches, from the one that holds the offset on
		}
		if !drop {
			if err := p.takeBatch(ctx, &x, &last); err != nil {
				return err
			}
		}
		p.next = x.last + 1
	}
	p.observe(end, last)
	if p.finite && len(res.records) == 0 && res.highWater <= p.next {
		p.stop = p.next // a leader was lost, and the end that we were told with it
	}
	if p.next == from && len(res.records) > 0 {
		// Not even the first batch fitted, as with brokers before Kafka 0.10.1 and proxies.
		if p.fetcher.max >= maxResponse/2 {
			return errNothingNew
		}
		p.fetcher.max = min(2*p.fetcher.max, maxResponse/2)
	}
	if len(p.pending.records) == 0 {
		return p.pass(ctx)
	}
	return nil
}

var errNothingNew = errors.New("the broker answers with nothing that was not read already")

// takeBatch reads the records of x that are not read yet.
func (p *partition) takeBatch(ctx context.Context, x *batch, last *time.Time) error {
	r := &p.reader
	var rec record
	for r.open(x); r.next(&rec); {
		if rec.offset < p.next {
			continue
		}
		p.next = rec.offset + 1
		if *last = x.time(rec.delta); !p.holds(rec.offset, *last) {
			continue
		}
		if rec.size > len(rec.value) {
			p.src.metrics.cut.Inc()
			p.src.throttle.Log(slog.LevelWarn, "cut/"+p.stream, "a record is larger than MAX_RECORD_BYTES; only its beginning is read",
				"source", p.src.name, "stream", p.stream, "offset", rec.offset, "bytes", rec.size)
		}
		p.pending.add(pipeline.Record{Body: rec.value, Time: *last, Meta: p.meta.of(&rec)}, rec.offset, min(int(r.left)+1, p.src.cfg.BatchRecords))
		if len(p.pending.records) >= p.src.cfg.BatchRecords || p.pending.bytes >= int(p.src.cfg.BatchBytes) {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	if r.err == nil {
		return nil
	}
	return p.spoiled(ctx, x, r.err)
}

// damage remembers a batch that could not be read.
type damage struct {
	base  int64
	times int
}

// spoiled decides about a batch that cannot be read, in whole or from some record on. It may be the network's
// fault, so it is fetched again; damage that stays is handed on as one record, which nobody can decode, so
// that it ends in the dead letters and the partition goes on behind it.
func (p *partition) spoiled(ctx context.Context, x *batch, cause error) error {
	if p.damage.base != x.base {
		p.damage = damage{base: x.base}
	}
	if p.damage.times++; x.unknown || p.damage.times < p.src.tuning.damageAttempts {
		return fmt.Errorf("%w: %w", errDamaged, cause)
	}
	p.damage = damage{}
	p.src.metrics.damaged.Inc()
	p.src.log.Error("a record batch cannot be read and is handed on as one undecodable record",
		"source", p.src.name, "stream", p.stream, "from", p.next, "to", x.last, "bytes", len(x.raw), "error", cause)
	body := append([]byte(nil), x.raw[:min(len(x.raw), int(p.src.cfg.MaxRecordBytes))]...)
	p.pending.add(pipeline.Record{Body: body, Time: x.time(0), Meta: p.meta.undecodable}, p.next, 1)
	p.next = x.last + 1
	return p.flush(ctx)
}

// flush hands the pending records on. It blocks while the pipeline is full.
func (p *partition) flush(ctx context.Context) error {
	b := &p.pending
	if len(b.records) == 0 {
		return p.pass(ctx)
	}
	p.setBlocked(true)
	defer p.setBlocked(false)
	w := p.current()
	tok, err := w.add(ctx, p.next, len(b.records), b.oldest)
	if err != nil {
		<-ctx.Done() // a batch was given back, which ends ctx as well
		return err
	}
	p.added = p.next
	records := b.seal()
	b.reset()
	p.inflight.Add(1)
	err = p.gen.emit(ctx, pipeline.NewBatch(p.gen.batchCtx, p.stream, records, func(err error) {
		w.settle(tok, err == nil)
		p.inflight.Add(-1)
		p.gen.wake()
		if err != nil {
			p.again(w)
		}
	}))
	if err != nil { // not taken over: nobody will ever settle it
		p.inflight.Add(-1)
		p.again(w)
	}
	return err
}

// again begins the partition anew if w is still its window.
func (p *partition) again(w *window) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.window == w && p.restart != nil {
		p.restart(errGivenBack)
	}
}

// pass moves the position over offsets that hold no record for us: markers of transactions, what compaction
// or retention took. It does not overtake what is unsettled.
func (p *partition) pass(ctx context.Context) error {
	if p.next == p.added {
		return nil
	}
	w := p.current()
	tok, err := w.add(ctx, p.next, 0, time.Time{})
	if err != nil {
		<-ctx.Done()
		return err
	}
	p.added = p.next
	w.settle(tok, true)
	return nil
}

// partitionMeta makes the Meta of records. Where only the topic is asked for, all records share one map.
type partitionMeta struct {
	plain, tombstone, undecodable map[string]string
	topic                         string
	key                           bool
	headers                       map[string]bool
}

// maxMeta bounds a key or header value, in bytes.
const maxMeta = 4 << 10

func newPartitionMeta(topic string, need []string) partitionMeta {
	m := partitionMeta{
		topic:       topic,
		plain:       map[string]string{"topic": topic},
		tombstone:   map[string]string{"topic": topic, pipeline.MetaTombstone: "true"},
		undecodable: map[string]string{"topic": topic, pipeline.MetaUndecodable: "true"},
		headers:     make(map[string]bool),
	}
	for _, name := range need {
		if header, ok := strings.CutPrefix(name, "header."); ok {
			m.headers[header] = true
		} else if name == "key" {
			m.key = true
		}
	}
	return m
}

func (m *partitionMeta) limits(value int) recordLimits {
	return recordLimits{value: value, key: maxMeta, withKey: m.key, withHeaders: len(m.headers) > 0}
}

func (m *partitionMeta) of(rec *record) map[string]string {
	cut := rec.size > len(rec.value)
	if !m.key && len(m.headers) == 0 && !cut {
		if rec.size < 0 {
			return m.tombstone
		}
		return m.plain
	}
	meta := map[string]string{"topic": m.topic}
	if rec.size < 0 {
		meta[pipeline.MetaTombstone] = "true"
	}
	if cut {
		meta[pipeline.MetaOversize] = strconv.Itoa(rec.size)
	}
	if m.key && rec.key != nil {
		meta["key"] = string(rec.key)
	}
	for _, h := range rec.headers {
		if m.headers[h.key] {
			meta["header."+h.key] = string(h.value)
		}
	}
	return meta
}
