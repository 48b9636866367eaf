package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/sigma"
)

// Reason classes of this package, beside those of decode and pipeline.
const (
	// ClassBadEvent is for an event that a rule is true for and of which no finding can be written.
	ClassBadEvent = "bad_event"
	// ClassUndecodable is for what the source itself could not read.
	ClassUndecodable = "undecodable"
	// SkipStage is for an event at the stage RequestReceived, of which a later stage tells more.
	SkipStage = "stage"
)

// JudgeOptions are what processors are made with.
type JudgeOptions struct {
	// Rules gives the set in force. It is asked once for each batch, so that a batch is judged by one set.
	Rules func() *Rules
	// Decode gives the decoder's options of a source.
	Decode func(source string) decode.Options
	// Finding are the builder's options; SetHash is filled in.
	Finding finding.Options
	// MinLevel leaves out findings below it.
	MinLevel sigma.Level
	// BareDeadLetters leaves the bodies out of dead letters that are only counted.
	BareDeadLetters bool
	// Metrics may be nil.
	Metrics *JudgeMetrics
	// Observe, if not nil, is told of every event after it was judged, from all workers at once.
	Observe func(*Judged)
}

// Judged is one event and what became of it. It is valid during the call only, but for the findings.
type Judged struct {
	Item     *decode.Item
	Verdict  *engine.Verdict
	Findings []*finding.Finding
}

// Processor decodes and judges. It implements pipeline.Processor.
type Processor struct {
	o        JudgeOptions
	rules    *Rules
	judge    *engine.Judge
	builder  *finding.Builder
	decoders map[string]*decode.Decoder
	tally    tally
	labels   map[string]string  // of the rules in use, by their keys
	emit     func(*decode.Item) // item, made once

	// The state of the current record.
	fx       *pipeline.Effects
	origin   pipeline.Origin
	oversize string // the record's length if only its beginning is there
	verdict  engine.Verdict
	judged   Judged
}

// NewProcessor makes the processor of one worker.
func NewProcessor(o JudgeOptions) *Processor {
	p := &Processor{o: o, decoders: make(map[string]*decode.Decoder)}
	p.emit = p.item
	return p
}

// Process implements pipeline.Processor.
func (p *Processor) Process(_ context.Context, source string, b *pipeline.Batch, fx *pipeline.Effects) {
	p.use(p.o.Rules())
	p.fx = fx
	defer p.tally.flush(p.o.Metrics, source, p.labels)
	for i := range b.Records {
		p.origin = pipeline.Origin{Source: source, Stream: b.Stream, Pos: b.Records[i].Pos}
		p.record(source, &b.Records[i])
	}
}

func (p *Processor) use(r *Rules) {
	if r == p.rules {
		return
	}
	o := p.o.Finding
	o.SetHash = r.Set.Hash()
	p.rules, p.builder = r, finding.NewBuilder(o)
	p.newJudge()
	p.o.Metrics.expose(r)
	p.labels = make(map[string]string)
	for _, rule := range r.Set.Rules() {
		p.labels[rule.Key()] = labelOf(rule)
	}
}

func (p *Processor) newJudge() {
	p.judge = p.rules.Set.NewJudge()
	p.judge.DescribeFrom(p.o.MinLevel)
}

func (p *Processor) record(source string, r *pipeline.Record) {
	if _, tombstone := r.Meta[pipeline.MetaTombstone]; tombstone {
		p.fx.Counts.Items++
		p.fx.Counts.Skip(decode.ClassTombstone)
		return
	}
	if _, damaged := r.Meta[pipeline.MetaUndecodable]; damaged {
		p.fx.Counts.Items++
		p.tally.decodeErrors.add(ClassUndecodable)
		p.reject(ClassUndecodable, "the source could not read this stretch of its store: it is damaged", r.Body)
		return
	}
	p.oversize = r.Meta[pipeline.MetaOversize]
	decoder := p.decoders[source]
	if decoder == nil {
		decoder = decode.New(p.o.Decode(source))
		p.decoders[source] = decoder
	}
	defer func() {
		if cause := recover(); cause != nil {
			delete(p.decoders, source) // nobody knows what state the panic left behind
			p.origin.Offset, p.origin.Length = 0, 0
			p.fx.Counts.Items++
			p.reject(pipeline.ClassPanic, fmt.Sprintf("decoding the record panicked (%T); please report it", cause), r.Body)
		}
	}()
	decoder.Decode(r.Body, r.Meta, p.emit)
}

// item gives one item its fate: evaluated, skipped, or a dead letter.
func (p *Processor) item(it *decode.Item) {
	counts := &p.fx.Counts
	counts.Items++
	p.origin.Offset, p.origin.Length = it.Offset, it.Length
	switch it.Kind {
	case decode.Skipped:
		counts.Skip(it.Class)
	case decode.Broken:
		p.tally.decodeErrors.add(it.Class)
		detail := strings.Clone(it.Detail)
		if p.oversize != "" {
			detail += fmt.Sprintf(" (the record has %s bytes, of which the source read the beginning only)", p.oversize)
		}
		p.reject(it.Class, detail, it.Raw)
	case decode.Event:
		p.event(it)
	}
}

func (p *Processor) event(it *decode.Item) {
	p.judged = Judged{Item: it, Verdict: &p.verdict}
	class, detail := p.evaluate(it)
	switch {
	case class != "":
		p.reject(class, detail, it.Canonical)
	case p.verdict.SkippedStage:
		p.fx.Counts.Skip(SkipStage)
	default:
		p.fx.Counts.Evaluated++
	}
	if p.o.Observe != nil {
		p.o.Observe(&p.judged)
	}
}

// evaluate judges one event and writes its findings. If something went wrong it returns the reason class
// and says what; the findings of the rules that worked stand.
func (p *Processor) evaluate(it *decode.Item) (class, detail string) {
	defer func() {
		if cause := recover(); cause != nil {
			p.newJudge()
			// Only the kind of panic: its text may quote the event.
			class, detail = pipeline.ClassPanic, fmt.Sprintf("judging the event panicked (%T); please report it", cause)
		}
	}()
	p.judge.JudgeAt(it.Index, it.Root, &it.Envelope, &p.verdict)
	p.tally.event(it, &p.verdict)
	if err := p.findings(it); err != nil {
		return ClassBadEvent, "a rule is true for the event, but no finding can be written: " + err.Error()
	}
	if len(p.verdict.Panics) > 0 {
		return pipeline.ClassRulePanic, "these rules panicked, please report it: " + panicked(p.verdict.Panics)
	}
	return "", ""
}

// findings writes one document for each match. The typed event is built only if there is one.
func (p *Processor) findings(it *decode.Item) error {
	var ev *event.Event
	for i := range p.verdict.Matches {
		m := &p.verdict.Matches[i]
		if m.Level < p.o.MinLevel {
			continue
		}
		if ev == nil {
			var err error
			if ev, err = event.Parse(it.Canonical); err != nil {
				return err
			}
		}
		f := p.builder.Build(ev, &it.Envelope, m, p.origin)
		p.fx.Documents = append(p.fx.Documents, f.Document())
		p.judged.Findings = append(p.judged.Findings, f)
	}
	return nil
}

func panicked(panics []engine.RulePanic) string {
	keys := make([]string, len(panics))
	for i := range panics {
		keys[i] = panics[i].Rule
	}
	return strings.Join(keys, ", ")
}

// reject makes a dead letter of raw. What is kept of it is a redacted copy, or nothing.
func (p *Processor) reject(class, detail string, raw []byte) {
	sum := sha256.Sum256(raw)
	letter := pipeline.DeadLetter{
		Origin: p.origin, Class: class, Detail: detail,
		SHA256: hex.EncodeToString(sum[:]), Length: len(raw), Time: time.Now(),
	}
	if !p.o.BareDeadLetters {
		letter.Body = finding.Redact(raw)
	}
	p.fx.DeadLetters = append(p.fx.DeadLetters, letter)
}
