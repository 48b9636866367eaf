package engine

import (
	"bytes"
	"slices"

	"github.com/foretop/foretop/pkg/sigma"
)

// doubt takes back a result that rests on more than an inferred value says: the decoder may know the path of
// a request without its query, and the kind of an answer without its exact code.
func (j *Judge) doubt(p *predicate, result tri) tri {
	if len(p.slots) != 1 {
		return result
	}
	switch j.set.slots[p.slots[0]].path {
	case "requestURI":
		if j.isMissing("request.query") {
			return j.withoutQuery(p)
		}
	case "responseStatus.code":
		if result == no && slices.Contains(j.env.Inferred, "responseStatus.code") && j.mayBeCode(p) {
			return unknown
		}
	}
	return result
}

// withoutQuery decides a comparison with a requestURI whose query is lost: yes and no are what holds whatever
// the query was.
func (j *Judge) withoutQuery(p *predicate) tri {
	s := j.load(p.slots[0])
	if len(s.vals) != 1 {
		return triOf(j.holds(p))
	}
	path := s.vals[0].text
	separator := byte('?')
	if bytes.IndexByte(path, '?') >= 0 {
		separator = '&'
	}
	alone := j.holds(p)
	start := len(j.arena)
	j.arena = append(append(append(j.arena, path...), separator), "\x00=\x00"...)
	s.vals[0].text, s.vals[0].folded = j.arena[start:len(j.arena):len(j.arena)], nil
	queried := j.holds(p)
	s.vals[0].text, s.vals[0].folded = path, nil
	switch {
	case alone && queried:
		return yes
	case !alone && !queried && !j.queryCanFit(p, &s.vals[0]):
		return no
	}
	return unknown
}

// queryCanFit is true if path, with some query behind it, can satisfy the predicate.
func (j *Judge) queryCanFit(p *predicate, path *value) bool {
	switch p.op {
	case sigma.OpMatch:
	case sigma.OpRegexp, sigma.OpFieldRef:
		return true
	default:
		return false
	}
	text := path.text
	if !p.cased {
		text = bytes.ToLower(text)
	}
	for i := range p.alternatives {
		if m := &p.alternatives[i]; !j.fits(p, m, path) && !m.canContinue(text) {
			return false
		}
	}
	return true
}

// canContinue is true if one of the values can begin with text and go on.
func (m *matcher) canContinue(text []byte) bool {
	for _, want := range m.exact.all {
		if len(want) > len(text) && want[:len(text)] == string(text) {
			return true
		}
	}
	for i := range m.globs {
		start := m.globs[i].start()
		n := min(len(start), len(text))
		if bytes.Equal(start[:n], text[:n]) {
			return true
		}
	}
	return false
}

// start is the literal text that whatever matches begins with.
func (g *glob) start() []byte {
	switch {
	case g.kind == prefixGlob:
		return g.literal
	case g.kind == partsGlob && len(g.parts) > 0 && g.parts[0].Wild == sigma.Literal:
		return []byte(g.parts[0].Literal)
	}
	return nil
}

// mayBeCode is true if the predicate asks for a code that the inferred one may stand for.
func (j *Judge) mayBeCode(p *predicate) bool {
	if p.op != sigma.OpMatch {
		return false
	}
	verb := string(j.tops[topVerb].text())
	for _, v := range j.load(p.slots[0]).vals {
		code, _ := parseNumber(v.text)
		for i := range p.alternatives {
			for _, want := range p.alternatives[i].numbers {
				if slices.Contains(indistinct(int(code), verb), int(want)) {
					return true
				}
			}
		}
	}
	return false
}

// indistinct are the other codes that the API server gives where a gRPC code leads to this one: server-side
// apply creates with a patch, a delete may only have begun.
func indistinct(code int, verb string) []int {
	switch {
	case code == 200 && verb == "patch":
		return []int{201}
	case code == 200 && (verb == "delete" || verb == "deletecollection"):
		return []int{202}
	case code == 400:
		return []int{410, 412, 416, 422}
	case code == 501:
		return []int{405}
	}
	return nil
}
