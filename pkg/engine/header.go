package engine

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Indexes of topKeys, the keys of an audit event that the engine reads itself. The index is the bit in slotInfo.tops
// and in Judge.complete.
//
// They stand in the order in which kube-apiserver writes them (audit.k8s.io/v1 Event, json tags): in a truncated
// event that keeps it, an absent key that would come before the last one is absent, and not behind the cut.
const (
	topStage = iota
	topRequestURI
	topVerb
	topUser
	topImpersonated
	topSourceIPs
	topObjectRef
	topStatus
	topRequest
	topResponse
	topReceived
	topStageTime
	topAnnotations
	topOther
	topCount
)

var topKeys = [topOther]string{
	topStage: "stage", topRequestURI: "requestURI", topVerb: "verb", topUser: "user", topImpersonated: "impersonatedUser",
	topSourceIPs: "sourceIPs", topObjectRef: "objectRef", topStatus: "responseStatus", topRequest: "requestObject",
	topResponse: "responseObject", topReceived: "requestReceivedTimestamp", topStageTime: "stageTimestamp", topAnnotations: "annotations",
}

// topIndex gives the index of a key, topOther for others.
func topIndex(key string) int {
	if i := slices.Index(topKeys[:], key); i >= 0 {
		return i
	}
	return topOther
}

// Indexes of members, which the engine reads itself from the objects below topKeys. Those of annotations stand for
// three spellings each.
const (
	userName = iota + 1
	userGroups
	impersonatedName
	impersonatedGroups
	refResource
	refSubresource
	refGroup
	refName
	statusCode
	labelDecision
	labelReason = labelDecision + 3
	labelDryRun = labelReason + 3

	// Of the current container, once it is captured.
	containerName    = labelDryRun + 3
	containerImage   = containerName + 1
	containerContext = containerImage + 1

	memberCount = containerContext + 1
)

var members = func() (all [memberCount]struct{ top, key string }) {
	for i, m := range [...]string{
		userName: "user.username", userGroups: "user.groups",
		impersonatedName: "impersonatedUser.username", impersonatedGroups: "impersonatedUser.groups",
		refResource: "objectRef.resource", refSubresource: "objectRef.subresource", refGroup: "objectRef.apiGroup", refName: "objectRef.name",
		statusCode: "responseStatus.code",
	} {
		all[i].top, all[i].key, _ = strings.Cut(m, ".")
	}
	for at, name := range map[int]string{
		labelDecision: event.AnnotationDecision, labelReason: event.AnnotationReason, labelDryRun: event.AnnotationDryRun,
	} {
		for i, key := range spellings(name, true) {
			all[at+i].top, all[at+i].key = "annotations", key
		}
	}
	return all
}()

// others are more members of the objects in audit events: known, so that stepping over them is a guess that holds and not
// a search that fails.
var others = map[string][]string{
	"user":             {"uid", "extra"},
	"impersonatedUser": {"uid", "extra"},
	"objectRef":        {"namespace", "uid", "apiVersion", "resourceVersion"},
	"responseStatus":   {"metadata", "status", "message", "reason", "details"},
}

// addOwn gives the header's trie an edge for each of event.Members, members and others, whether or not a rule reads it,
// and marks it.
func (t *trie) addOwn() {
	for holder, keys := range others {
		for _, key := range keys {
			t.at(holder).connect(key, t.at(holder+"."+key))
		}
	}
	for _, key := range event.Members {
		t.root.connect(key, t.at(key)).top = uint8(topIndex(key))
	}
	for i, m := range members {
		if m.key != "" {
			t.at(m.top).connect(m.key, t.at(m.top+"."+m.key)).member = uint8(i)
		}
	}
}

// scanHeader walks the event once, fills the slots outside the bodies and keeps the spans of its top-level
// values.
func (j *Judge) scanHeader(doc span) {
	j.doc = doc
	j.arena = j.arena[:0]
	j.tops, j.members = [topCount]span{}, [memberCount]span{}
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
	all := doc.x.Members(doc.from)
	for i := 0; i < len(all); i = int(all[i].Next) {
		m := &all[i]
		top := topOther
		at := j.set.tagged[m.Tag]
		if m.Tag == 0 {
			at = j.edge(root, &guess, doc.x, int(m.Name), int(m.NameEnd))
		}
		if at >= 0 {
			e := &root.edges[at]
			top = int(e.top)
			j.duplicate = edges.add(at) || j.duplicate
			if !e.idle {
				for _, to := range e.to {
					j.captureListed(doc.x, all[i:m.Next], to)
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
	j.incomplete = isIncomplete(env)
	j.unsure = j.incomplete || len(env.Inferred) > 0
	j.complete = complete &^ (1 << topOther)
	if !env.Truncated {
		j.complete = 1<<topCount - 1
		return
	}
	// The last value is whole if it is a scalar: the decoder drops what is cut itself.
	if v := j.tops[last]; last != topOther && !v.isObject() && !v.isArray() {
		j.complete |= 1 << last
	}
}

// isIncomplete is true for an event of which the record may lack something.
func isIncomplete(env *event.Envelope) bool {
	return env.Truncated || env.BodiesRemoved || len(env.Missing) > 0
}

// isCut is true for a key of a truncated event whose value, or the end of it, may lie behind the cut.
func (j *Judge) isCut(top int) bool { return j.complete&(1<<top) == 0 }

// isLost is true for a key whose value, or a part of it, the record may lack.
func (j *Judge) isLost(top int) bool {
	return j.isCut(top) || j.env.BodiesRemoved && (top == topRequest || top == topResponse) || j.isMissing(topKeys[top])
}

// mayGoOn is true for a value in the body of a truncated event that may be longer than what is left of it: nothing but
// brackets that close others stands behind it.
func (j *Judge) mayGoOn(v span) bool {
	if !j.isCut(j.object.top) {
		return false
	}
	if v.x != j.doc.x {
		return true // it was built from what is left
	}
	for _, c := range v.x.Text()[v.to:j.doc.to] {
		if c > ' ' && c != ']' && c != '}' {
			return false
		}
	}
	return true
}

// isUnknown is true for a slot whose absence says nothing: the provider's form cannot carry it, or it lies
// behind a cut.
func (j *Judge) isUnknown(id int32) bool {
	switch flags := j.load(id).flags; {
	case flags&lost != 0:
		return true
	case flags&settled != 0:
		return false
	}
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
