package engine

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// Bounds of what a match copies out of an event.
const (
	maxEvidenceValues = 10
	maxEvidenceText   = 1024 // bytes of one value
)

// standardFields are copied into every element of a record kind, beside those that the rule's reason names.
var standardFields = map[event.Category][]string{
	event.Pod: {"workload.kind", "workload.name", "workload.controlled", "workload.owner.kind", "workload.owner.name",
		"pod.serviceAccountName", "pod.nodeName", "element.injected"},
	event.Container: {"workload.kind", "workload.name", "workload.controlled", "workload.owner.kind", "workload.owner.name",
		"pod.serviceAccountName", "container.name", "container.type", "container.image", "container.securityContext.privileged",
		"image.registry", "image.repository", "image.tag", "image.digest", "element.injected"},
	event.Volume: {"workload.kind", "workload.name", "workload.controlled", "workload.owner.kind", "workload.owner.name",
		"pod.serviceAccountName", "volume.name", "volume.hostPath.path", "volume.hostPath.cleaned", "mount.containers", "mount.writable", "element.injected"},
	event.Subject:    {"subject.kind", "subject.name", "subject.namespace", "subject.identity", "roleRef.kind", "roleRef.name"},
	event.PolicyRule: {"rule.verbs", "rule.apiGroups", "rule.resources", "rule.resourceNames", "rule.nonResourceURLs"},
}

// describe copies what a match must keep of the current record; decided is the row that gave it its level.
func (j *Judge) describe(r *rule, decided levelWhen) Element {
	e := Element{
		Category: string(r.category),
		Path:     j.elementPath(r.category),
		Name:     clip(j.elementName()),
		Injected: j.injected(),
		Fields:   make(map[string][]string),
	}
	for _, field := range r.templates {
		j.copyField(e.Fields, r.category, field)
	}
	for _, field := range standardFields[r.category] {
		j.copyField(e.Fields, r.category, field)
	}
	j.collectEvidence(&e, r, r.condition)
	if decided.when != nil {
		j.collectEvidence(&e, r, decided.when)
	}
	return e
}

func (j *Judge) copyField(into map[string][]string, c event.Category, field string) {
	if _, done := into[field]; done {
		return
	}
	if values := j.values(c, field); len(values) > 0 {
		into[field] = values
	}
}

func (j *Judge) elementPath(c event.Category) string {
	if c == event.Request {
		return ""
	}
	parts := []string{j.object.source}
	if base := j.pod.place(); base != "" {
		parts = append(parts, base)
	}
	if list := j.element.list; list != noList {
		parts = append(parts, fmt.Sprintf("%s[%d]", recordLists[list], j.element.number))
	}
	return strings.Join(parts, ".")
}

// values gives a field of the current record as text, whether or not a rule compares it: the slow way, for
// findings only.
func (j *Judge) values(c event.Category, field string) []string {
	if id, ok := j.set.computed[field]; ok && applies(c, field) {
		var all []string
		for _, v := range j.load(id).vals {
			all = append(all, clip(v.text))
		}
		return all
	}
	from, below := j.holderOf(c, field)
	return gather(nil, from, strings.Split(below, "."))
}

// holderOf gives the value that a captured field lies in, and its path there.
func (j *Judge) holderOf(c event.Category, field string) (span, string) {
	if c != event.Request {
		for _, p := range [...]struct {
			prefix string
			value  span
		}{
			{"container.", j.element.value}, {"volume.", j.element.value}, {"subject.", j.element.value},
			{"rule.", j.element.value}, {"roleRef.", j.object.body.get("roleRef")}, {"metadata.", j.object.metadata},
			{"pod.metadata.", j.pod.meta}, {"pod.", j.pod.spec},
		} {
			if below, ok := strings.CutPrefix(field, p.prefix); ok && applies(c, field) {
				return p.value, below
			}
		}
	}
	return j.doc, field
}

// gather collects the scalars at a path, through lists, with keys that take one or more segments.
func gather(all []string, v span, segments []string) []string {
	if len(all) >= maxEvidenceValues {
		return all
	}
	if v.isArray() {
		for c := open(v); c.element(); {
			all = gather(all, c.value(), segments)
		}
		return all
	}
	if len(segments) == 0 {
		if t := v.text(); t != nil {
			all = append(all, clip(t))
		}
		return all
	}
	for n := 1; n <= len(segments) && v.isObject(); n++ {
		if child := v.get(strings.Join(segments[:n], ".")); !child.none() {
			all = gather(all, child, segments[n:])
		}
	}
	return all
}

// collectEvidence adds the compared fields of the true selections that the condition demands.
func (j *Judge) collectEvidence(e *Element, r *rule, x sigma.Expr) {
	switch x := x.(type) {
	case sigma.And:
		for _, y := range x {
			j.collectEvidence(e, r, y)
		}
	case sigma.Or:
		for _, y := range x {
			if j.condition(&r.program, y) == yes {
				j.collectEvidence(e, r, y)
			}
		}
	case sigma.Ref:
		j.evidenceOf(e, r.names[x], &r.selections[x])
	}
}

func (j *Judge) evidenceOf(e *Element, selection string, t *tree) {
	if j.tree(t) != yes {
		return
	}
	if t.kind != leafTree {
		for i := range t.kids {
			j.evidenceOf(e, selection, &t.kids[i])
		}
		return
	}
	p := &j.set.preds[t.pred]
	found := Evidence{Selection: selection, Field: p.field}
	if p.field == "" {
		found.Field = "keywords"
	}
	for _, id := range p.slots {
		for _, v := range j.load(id).vals {
			if len(found.Values) < maxEvidenceValues && j.supports(p, v) {
				found.Values = append(found.Values, clip(v.text))
			}
		}
	}
	for i := range e.Evidence {
		if e.Evidence[i].Selection == found.Selection && e.Evidence[i].Field == found.Field {
			return
		}
	}
	e.Evidence = append(e.Evidence, found)
}

// supports is true for a value that made the predicate true.
func (j *Judge) supports(p *predicate, v value) bool {
	if p.negate || p.op == sigma.OpExists || p.op == sigma.OpFieldRef {
		return true
	}
	for i := range p.alternatives {
		if j.fits(p, &p.alternatives[i], &v) {
			return true
		}
	}
	return false
}

// clip copies text, cut on a rune's boundary.
func clip(text []byte) string {
	if len(text) > maxEvidenceText {
		text = text[:maxEvidenceText]
		for len(text) > 0 && !utf8.RuneStart(text[len(text)-1]) {
			text = text[:len(text)-1]
		}
		if len(text) > 0 && text[len(text)-1] >= utf8.RuneSelf {
			text = text[:len(text)-1]
		}
	}
	return string(text)
}
