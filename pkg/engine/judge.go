package engine

import (
	"fmt"
	"math/bits"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/jsonindex"
	"github.com/foretop/foretop/pkg/sigma"
)

// Judge evaluates events against one set. It is the scratch of one worker: not safe for concurrent use, and
// after warm-up it allocates nothing for an event that matches nothing.
type Judge struct {
	set *Set

	slots        []slot
	gens         [scopes]uint32
	generation   uint32
	predGen      []uint32
	predVal      []tri
	arena        []byte          // decoded strings of the current event
	rewritten    []byte          // the event without duplicate keys, if it had any
	index        jsonindex.Index // of canonical bytes that come without one
	rewrites     jsonindex.Index // of rewritten
	words        bitSet          // the candidates
	alternatives bitSet          // their alternatives
	after        []int16         // guesses of the tries' nodes, see edge
	refusers     []int32         // by rule, see refused
	memos        []memo
	described    sigma.Level     // see DescribeFrom
	searched     []regexpVerdict // see matches
	key          []byte

	doc        span
	env        *event.Envelope
	tops       [topCount]span
	members    [memberCount]span
	lists      int    // how many lists capture is in
	complete   uint32 // top-level keys that lie wholly before the cut of a truncated event
	duplicate  bool
	incomplete bool // something of this event can be unknown
	unsure     bool // so, or something was inferred: what an item says does not follow from its field alone
	scanned    [2]bool

	object  object         // what the derived records are made of
	element element        // the current one
	pod     podSpec        // that the current element belongs to
	derived derivedScratch // of the three
	taken   [parts]uint32  // by part, the generation that it was taken for
	pending []pendingMatch
	unknown string // the field that last made a condition unknown
	verdict *Verdict

	explaining *Explanation // set while one rule is being explained
}

// NewJudge makes the scratch of one worker.
func (s *Set) NewJudge() *Judge {
	j := &Judge{
		set:          s,
		slots:        make([]slot, len(s.slots)),
		predGen:      make([]uint32, len(s.preds)),
		predVal:      make([]tri, len(s.preds)),
		words:        make(bitSet, len(s.index.early)),
		alternatives: make(bitSet, len(s.index.every)),
		after:        make([]int16, s.guesses),
		refusers:     make([]int32, len(s.rules)),
		memos:        make([]memo, len(s.memos)),
		derived:      newDerivedScratch(len(s.index.early)),
		searched:     make([]regexpVerdict, searchedTexts),
	}
	for i := range j.slots {
		j.slots[i].scope = s.slots[i].scope
	}
	return j
}

// DescribeFrom leaves the elements and the evidence out of matches on requests below level: who drops such matches need
// not pay for them. Their rule, level and count stay.
func (j *Judge) DescribeFrom(level sigma.Level) { j.described = level }

// Judge evaluates every rule on one event. canonical must be one valid JSON object, as package decode yields
// it; it and env are read only during the call. v is reset first.
func (j *Judge) Judge(canonical []byte, env *event.Envelope, v *Verdict) {
	j.judge(parsed(&j.index, canonical), env, v)
}

// JudgeAt is Judge for an event that stands at root in a text whose index knows the ends of its containers, as the
// items of package decode do.
func (j *Judge) JudgeAt(x *jsonindex.Index, root int, env *event.Envelope, v *Verdict) {
	j.judge(span{x, root, x.End(root)}, env, v)
}

func (j *Judge) judge(doc span, env *event.Envelope, v *Verdict) {
	v.reset()
	j.verdict, j.env = v, env
	j.scanHeader(doc)
	if !j.duplicate {
		j.judgeEvent()
	}
	if j.duplicate {
		j.scanHeader(j.withoutDuplicates(doc))
		j.judgeEvent()
		j.releaseLarge()
	}
}

// judgeEvent judges what scanHeader has read. If it comes upon a key that occurs twice in one object, its verdict is
// worth nothing.
func (j *Judge) judgeEvent() {
	early := string(j.tops[topStage].text()) == "RequestReceived"
	j.candidates(early)
	if early && j.words.empty() {
		j.verdict.SkippedStage = true
		return
	}
	j.judgeRequest()
	j.judgeElements()
	j.finish()
}

// withoutDuplicates takes back what was judged of doc, and writes it anew so that the last of several keys is the only
// one: earlier values cannot be taken back out of a multiset.
func (j *Judge) withoutDuplicates(doc span) span {
	j.verdict.reset()
	clear(j.pending)
	j.pending = j.pending[:0]
	if size := doc.to - doc.from; cap(j.rewritten) < size {
		j.rewritten = make([]byte, 0, size)
	}
	j.rewritten = withoutDuplicates(j.rewritten[:0], doc)
	return parsed(&j.rewrites, j.rewritten)
}

// releaseLarge gives back what one outsized event has grown.
func (j *Judge) releaseLarge() {
	const keep = 1 << 20
	if cap(j.rewritten) > keep {
		j.rewritten = nil
	}
	j.rewrites.Release(keep)
}

// load gives a slot for reading; a derived one is worked out on first use.
func (j *Judge) load(id int32) *slot {
	s := j.at(id)
	if derive := j.set.slots[id].derive; derive != nil && s.flags&computed == 0 {
		s.flags |= computed
		derive(j, id)
	}
	j.readFirst(s)
	return s
}

// candidates names the rules of which an alternative is left open by verb, resource, subresource and the fields that
// are remembered.
func (j *Judge) candidates(early bool) {
	x := &j.set.index
	verb := j.narrow(&x.verb, j.set.indexed[0])
	resource := j.narrow(&x.resource, j.set.indexed[1])
	subresource := j.narrow(&x.subresource, j.set.indexed[2])
	for w := range j.alternatives {
		j.alternatives[w] = verb[w] & resource[w] & subresource[w]
	}
	j.narrowByMemos()
	clear(j.words)
	for w, rest := range j.alternatives {
		for ; rest != 0; rest &= rest - 1 {
			j.words.set(x.alternatives[w*64+bits.TrailingZeros64(rest)].rule)
		}
	}
	if early {
		for w := range j.words {
			j.words[w] &= x.early[w]
		}
	}
}

func (j *Judge) narrow(a *axis, id int32) bitSet {
	s := j.load(id)
	if len(s.vals) > 1 || s.flags&holder != 0 || len(s.vals) == 0 && j.incomplete && j.isUnknown(id) {
		return j.set.index.every
	}
	if len(s.vals) == 0 {
		return a.of(nil)
	}
	return a.of(j.fold(&s.vals[0]))
}

func (b bitSet) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// judgeRequest evaluates the rules on the request itself.
func (j *Judge) judgeRequest() {
	j.element = element{category: event.Request}
	j.evaluateRules(j.set.index.category[event.Request])
}

// evaluateRules evaluates the candidates of a set on the current record.
func (j *Judge) evaluateRules(of bitSet) {
	for next := 0; next < len(j.set.rules); {
		next = j.evaluateFrom(of, next)
	}
}

// evaluateFrom evaluates the candidates of a set from rule first on, and returns the number behind the last. A panic is
// the rule's own: it is told, and the caller goes on behind it.
func (j *Judge) evaluateFrom(of bitSet, first int) (next int) {
	i := first
	defer func() {
		if p := recover(); p != nil {
			j.verdict.Panics = append(j.verdict.Panics, RulePanic{Rule: j.set.rules[i].source.Key(), Detail: fmt.Sprint(p)})
			j.forget(i)
			next = i + 1
		}
	}()
	from := ^uint64(0) << (first % 64)
	for w := first / 64; w < len(of); w++ {
		for rest := of[w] & j.words[w] & from; rest != 0; rest &= rest - 1 {
			i = w*64 + bits.TrailingZeros64(rest)
			r := &j.set.rules[i]
			if j.explaining == nil && j.refused(i, r) {
				continue
			}
			j.scanBodies(r)
			j.evaluateRule(i, r)
		}
		from = ^uint64(0)
	}
	return len(j.set.rules)
}

// refused is true if an item that the rule demands is false, which most rules owe to the item that refused them the last
// time.
func (j *Judge) refused(i int, r *rule) bool {
	if len(r.demands) == 0 {
		return false
	}
	last := j.refusers[i]
	if j.test(r.demands[last]) == no {
		return true
	}
	for k, p := range r.demands {
		if k != int(last) && j.test(p) == no {
			j.refusers[i] = int32(k)
			return true
		}
	}
	return false
}

// scanBodies fills the slots inside the bodies that r looks into by path.
func (j *Judge) scanBodies(r *rule) {
	if r.needsRequest && !j.scanned[0] {
		j.scanned[0] = true
		j.captureBody(topRequest, j.set.requestBody)
	}
	if r.needsResponse && !j.scanned[1] {
		j.scanned[1] = true
		j.captureBody(topResponse, j.set.responseBody)
	}
}

func (j *Judge) captureBody(top int, t *trie) {
	if body := j.tops[top]; !body.none() {
		j.capture(body, t.root)
	}
}

// evaluateRule evaluates one rule on the current record.
func (j *Judge) evaluateRule(i int, r *rule) {
	result := j.tree(&r.root)
	if j.explaining != nil {
		j.explain(r, result)
		return
	}
	switch result {
	case yes:
		j.matched(i, r)
	case unknown:
		j.verdict.addBlind(r.source.Key(), j.unknown)
	}
}

func (j *Judge) condition(p *program, e sigma.Expr) tri {
	switch e := e.(type) {
	case sigma.And:
		result := yes
		for _, x := range e {
			if result = min(result, j.condition(p, x)); result == no {
				return no
			}
		}
		return result
	case sigma.Or:
		result := no
		for _, x := range e {
			if result = max(result, j.condition(p, x)); result == yes {
				return yes
			}
		}
		return result
	case sigma.Not:
		return j.condition(p, e.X).not()
	case sigma.Ref:
		return j.tree(&p.selections[e])
	}
	return no
}

func (j *Judge) tree(t *tree) tri {
	switch t.kind {
	case allTree:
		result := yes
		for i := range t.kids {
			if result = min(result, j.tree(&t.kids[i])); result == no {
				return no
			}
		}
		return result
	case anyTree:
		result := no
		for i := range t.kids {
			if result = max(result, j.tree(&t.kids[i])); result == yes {
				return yes
			}
		}
		return result
	case notTree:
		return j.tree(&t.kids[0]).not()
	}
	result := j.test(t.pred)
	if result == unknown {
		j.unknown = j.set.preds[t.pred].field
	}
	return result
}
