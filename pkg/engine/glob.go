package engine

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/sigma"
)

// glob is a compiled wildcard pattern. The common shapes (prefix, suffix, substring) have their own kind; the
// rest is matched part by part.
type glob struct {
	kind    globKind
	literal []byte
	parts   []sigma.Part
}

type globKind uint8

const (
	prefixGlob globKind = iota
	suffixGlob
	containsGlob
	partsGlob
)

func newGlob(parts []sigma.Part, cased bool) glob {
	folded := make([]sigma.Part, len(parts))
	for i, p := range parts {
		if !cased {
			p.Literal = strings.ToLower(p.Literal)
		}
		folded[i] = p
	}
	lit := func(i int) bool { return folded[i].Wild == sigma.Literal }
	many := func(i int) bool { return folded[i].Wild == sigma.Many }
	switch {
	case len(folded) == 2 && lit(0) && many(1):
		return glob{kind: prefixGlob, literal: []byte(folded[0].Literal)}
	case len(folded) == 2 && many(0) && lit(1):
		return glob{kind: suffixGlob, literal: []byte(folded[1].Literal)}
	case len(folded) == 3 && many(0) && lit(1) && many(2):
		return glob{kind: containsGlob, literal: []byte(folded[1].Literal)}
	}
	return glob{kind: partsGlob, parts: folded}
}

func (g *glob) match(text []byte) bool {
	switch g.kind {
	case prefixGlob:
		return bytes.HasPrefix(text, g.literal)
	case suffixGlob:
		return bytes.HasSuffix(text, g.literal)
	case containsGlob:
		return bytes.Contains(text, g.literal)
	}
	return matchParts(g.parts, text)
}

// matchParts matches with one point to fall back to, the last `*`: linear in practice, and at worst the
// product of both lengths, which the caps on rules and records bound.
func matchParts(parts []sigma.Part, text []byte) bool {
	at, pos := 0, 0
	star, retry := -1, 0
	for {
		if at < len(parts) && parts[at].Wild == sigma.Many {
			star, retry = at, pos
			at++
			continue
		}
		if at == len(parts) && pos == len(text) {
			return true
		}
		if at < len(parts) {
			if n := partLength(parts[at], text[pos:]); n >= 0 {
				at, pos = at+1, pos+n
				continue
			}
		}
		if star < 0 || retry >= len(text) {
			return false
		}
		_, n := utf8.DecodeRune(text[retry:])
		retry += n
		at, pos = star+1, retry
	}
}

// partLength is how many bytes of text the part takes, or -1 if it does not fit.
func partLength(p sigma.Part, text []byte) int {
	if p.Wild == sigma.One {
		if len(text) == 0 {
			return -1
		}
		_, n := utf8.DecodeRune(text)
		return n
	}
	if len(text) >= len(p.Literal) && string(text[:len(p.Literal)]) == p.Literal {
		return len(p.Literal)
	}
	return -1
}
