package engine

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/jsonindex"
	"github.com/foretop/foretop/pkg/sigma"
)

// Judge evaluates events against one set. It is the scratch of one worker: not safe for concurrent use, and
// after warm-up it allocates nothing for an event that matches nothing.
type Judge struct {
	set *Set

	slots      []slot
	gens       [scopes]uint32
	generation uint32
	predGen    []uint32
	predVal    []tri
	arena      []byte          // decoded strings of the current event
	rewritten  []byte          // the event without duplicate keys, if it had any
	index      jsonindex.Index // of canonical bytes that come without one
	rewrites   jsonindex.Index // of rewritten
	words      ruleSet
	after      []int16 // guesses of the tries' nodes, see edge
	refusers   []int32 // by rule, see refused

	doc        span
	env        *event.Envelope
	tops       [topCount]span
	complete   uint32 // top-level keys that lie wholly before the cut of a truncated event
	duplicate  bool
	incomplete bool // something of this event can be unknown
	scanned    [2]bool

	object  object  // what the derived records are made of
	element element // the current one
	pod     podSpec // that the current element belongs to
	pending []pendingMatch
	unknown string // the field that last made a condition unknown
	verdict *Verdict

	explaining *Explanation // set while one rule is being explained
}

// NewJudge makes the scratch of one worker.
func (s *Set) NewJudge() *Judge {
	return &Judge{
		set:      s,
		slots:    make([]slot, len(s.slots)),
		predGen:  make([]uint32, len(s.preds)),
		predVal:  make([]tri, len(s.preds)),
		words:    make(ruleSet, len(s.index.all)),
		after:    make([]int16, s.guesses),
		refusers: make([]int32, len(s.rules)),
	}
}

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
	j.read(doc)
	early := string(j.tops[topStage].text()) == "RequestReceived"
	j.candidates(early)
	if early && j.words.empty() {
		v.SkippedStage = true
		return
	}
	j.judgeRequest()
	j.judgeElements()
	j.finish()
}

// read scans the header; an event with duplicate keys is rewritten first, so that the last one wins.
func (j *Judge) read(doc span) {
	j.scanHeader(doc)
	if j.duplicate {
		j.rewritten = withoutDuplicates(j.rewritten[:0], doc)
		j.scanHeader(parsed(&j.rewrites, j.rewritten))
		j.duplicate = false
	}
}

// scanHeader walks the event once, fills the slots outside the bodies and keeps the spans of its top-level
// values.
func (j *Judge) scanHeader(doc span) {
	j.doc = doc
	j.arena = j.arena[:0]
	j.tops = [topCount]span{}
	j.scanned = [2]bool{}
	j.object, j.pod = object{}, podSpec{}
	j.duplicate = false
	j.advance(eventScope)
	if !j.doc.isObject() {
		return
	}
	root := j.set.header.root
	var complete uint32
	var edges keySet
	last, ordered := topOther, true
	before := -1 // the last of topKeys that was seen
	guess := root.guesses
	members := doc.x.Members(doc.from)
	for i := range members {
		m := &members[i]
		top := topOther
		e := j.edge(root, &guess, doc.x, int(m.Name), int(m.NameEnd))
		if e >= 0 {
			top = int(root.edges[e].top)
			j.duplicate = edges.add(e) || j.duplicate
			for _, to := range root.edges[e].to {
				if !to.idle() {
					j.capture(doc.x, int(m.From), to)
				}
			}
		}
		if top != topOther {
			ordered = ordered && top > before
			before = top
		}
		complete |= 1 << last
		last = top
		j.tops[top] = span{doc.x, int(m.From), int(m.To)}
	}
	if ordered && before >= 0 {
		complete |= 1<<before - 1
	}
	j.settleUnknown(complete, last)
}

// settleUnknown works out what of this event can be unknown.
func (j *Judge) settleUnknown(complete uint32, last int) {
	env := j.env
	j.incomplete = env.Truncated || env.BodiesRemoved || len(env.Missing) > 0
	j.complete = complete &^ (1 << topOther)
	if !env.Truncated {
		j.complete = 1<<topCount - 1
		return
	}
	// The last value is whole if it is a scalar: the decoder drops what is cut itself.
	if v := j.tops[last]; !v.isObject() && !v.isArray() {
		j.complete |= 1 << last
	}
}

// load gives a slot for reading; a derived one is worked out on first use.
func (j *Judge) load(id int32) *slot {
	s := j.at(id)
	if derive := j.set.slots[id].derive; derive != nil && s.flags&computed == 0 {
		s.flags |= computed
		derive(j, id)
	}
	return s
}

// isUnknown is true for a slot whose absence says nothing: the provider's form cannot carry it, or it lies
// behind a cut.
func (j *Judge) isUnknown(id int32) bool {
	info := &j.set.slots[id]
	tops := info.tops
	if info.body {
		if j.object.partial {
			return true
		}
		tops |= 1 << j.object.top
	}
	if j.env.Truncated && tops&^j.complete != 0 {
		return true
	}
	if j.env.BodiesRemoved && tops&(1<<topRequest|1<<topResponse) != 0 {
		return true
	}
	return slices.ContainsFunc(info.needs, j.isMissing)
}

// isMissing is true for a path that the record's form does not carry.
func (j *Judge) isMissing(path string) bool {
	for _, missing := range j.env.Missing {
		if covers(missing, path) {
			return true
		}
	}
	return false
}

// covers is true if path is prefix or lies below it.
func covers(prefix, path string) bool {
	return len(path) >= len(prefix) && path[:len(prefix)] == prefix && (len(path) == len(prefix) || path[len(prefix)] == '.')
}

// candidates names the rules that verb, resource and subresource let through.
func (j *Judge) candidates(early bool) {
	x := &j.set.index
	verb := j.narrow(&x.verb, j.set.indexed[0])
	resource := j.narrow(&x.resource, j.set.indexed[1])
	subresource := j.narrow(&x.subresource, j.set.indexed[2])
	from := x.all
	if early {
		from = x.early
	}
	for w := range j.words {
		j.words[w] = from[w] & verb[w] & resource[w] & subresource[w]
	}
}

func (j *Judge) narrow(a *axis, id int32) ruleSet {
	s := j.load(id)
	if len(s.vals) > 1 || s.flags&holder != 0 || len(s.vals) == 0 && j.incomplete && j.isUnknown(id) {
		return j.set.index.all
	}
	if len(s.vals) == 0 {
		return a.of(nil)
	}
	return a.of(j.fold(&s.vals[0]))
}

func (b ruleSet) empty() bool {
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
	j.evaluateCategory(event.Request)
}

// evaluateCategory evaluates the rules of one record kind on the current record.
func (j *Judge) evaluateCategory(c event.Category) {
	of := j.set.index.category[c]
	for next := 0; next < len(j.set.rules); {
		next = j.evaluateFrom(of, next)
	}
}

// evaluateFrom evaluates the candidates of a set from rule first on, and returns the number behind the last. A panic is
// the rule's own: it is told, and the caller goes on behind it.
func (j *Judge) evaluateFrom(of ruleSet, first int) (next int) {
	i := first
	defer func() {
		if p := recover(); p != nil {
			j.verdict.Panics = append(j.verdict.Panics, RulePanic{Rule: j.set.rules[i].source.Key(), Detail: fmt.Sprint(p)})
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
		j.captureClean(body, t)
	}
}

// captureClean captures v; where a key occurs twice, the slots are emptied and filled again from a copy
// without duplicates.
func (j *Judge) captureClean(v span, t *trie) {
	j.capture(v.x, v.from, t.root)
	if !j.duplicate {
		return
	}
	for _, n := range t.byPath {
		for _, id := range n.slots {
			s := j.at(id)
			s.flags, s.vals = 0, s.vals[:0]
		}
	}
	clean := parsed(new(jsonindex.Index), withoutDuplicates(nil, v))
	j.capture(clean.x, clean.from, t.root)
	j.duplicate = false
}

// evaluateRule evaluates one rule on the current record.
func (j *Judge) evaluateRule(i int, r *rule) {
	result := j.condition(&r.program, r.condition)
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
	}
	result := j.test(t.pred)
	if result == unknown {
		j.unknown = j.set.preds[t.pred].field
	}
	return result
}
