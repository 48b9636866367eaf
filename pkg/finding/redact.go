package finding

import (
	"fmt"
	"math/bits"
	"strings"
)

// Redact removes secrets from an item that could not be decoded, or not be judged, before it is kept as
// a dead letter. It works on the text alone, so on broken JSON too: it replaces what stands after keys
// such as data, stringData, value, token, password and authorization, at whatever depth of JSON text
// inside JSON strings, and everything that has the form of a known credential. A replacement tells kind
// and length only. The result is at most eight times as long as the item (a marker is longer than a very
// short value), and the time linear in it.
func Redact(item []byte) []byte {
	out, _ := redact(string(item), scanner{json: true})
	return []byte(out)
}

// redactText replaces what has the form of a secret in a single value, and counts the replacements.
func redactText(s string) (string, int) {
	if t := strings.TrimLeft(s, " \t\r\n"); t != "" && (t[0] == '{' || t[0] == '[') {
		return redact(s, scanner{json: true})
	}
	return redact(s, scanner{})
}

// redactName is redactText for names of identities, where an access key id may stay.
func redactName(s string) (string, int) { return redact(s, scanner{keyIDs: true}) }

// mark is what stands in the place of a secret.
func mark(kind string, length int) string {
	return fmt.Sprintf("[redacted %s, %d bytes]", kind, length)
}

const marked = "[redacted "

// scanner walks over a text once. Its position only goes forward, and what it looks ahead is either
// consumed or bounded: that keeps it linear.
type scanner struct {
	src    string
	json   bool // src is, or was meant to be, JSON: the keys of Kubernetes bodies count too
	keyIDs bool // AWS access key ids may stay
	out    strings.Builder
	copied int // src[:copied] has been dealt with
	count  int
	noJWT  int // no JWT begins before here
}

func redact(src string, s scanner) (string, int) {
	s.src = src
	word := -1 // start of the identifier we are in
	for i := 0; i < len(src); {
		what := kinds[src[i]]
		if what&beginsCredential != 0 {
			if start, end, kind := s.credential(i); end > i {
				s.replace(start, end, kind)
				i, word = end, -1
				continue
			}
		}
		if what&inIdentifier != 0 {
			if word < 0 {
				word = i
			}
			i++
			continue
		}
		if word >= 0 {
			next := s.assignment(word, i)
			word = -1
			if next > i {
				i = next
				continue
			}
		}
		i++
	}
	if s.copied == 0 {
		return src, 0
	}
	s.out.WriteString(src[s.copied:])
	return s.out.String(), s.count
}

// replace puts a marker in the place of src[start:end].
func (s *scanner) replace(start, end int, kind string) {
	s.put(start, end, mark(kind, end-start))
}

func (s *scanner) put(start, end int, text string) {
	s.out.WriteString(s.src[s.copied:start])
	s.out.WriteString(text)
	s.copied = end
	s.count++
}

// kinds says of each byte whether it stands in identifiers and whether a credential may begin with it.
var kinds = func() (table [256]byte) {
	for c := range 256 {
		b := byte(c)
		if isIdent(b) {
			table[c] |= inIdentifier
		}
		if forms[c] != nil || strings.IndexByte("e-:Bb", b) >= 0 {
			table[c] |= beginsCredential
		}
	}
	return table
}()

const (
	inIdentifier = 1 << iota
	beginsCredential
)

func isIdent(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// maxName bounds how much of an identifier is looked at.
const maxName = 64

// assignment looks at the identifier src[start:end]: if it names a secret and a value follows, the value
// is replaced. It returns where to go on: end if there is nothing to do.
func (s *scanner) assignment(start, end int) int {
	name := s.src[max(start, end-maxName):end]
	level, p := 0, end
	quoted := false
	if q := s.quoteAt(end); q >= 0 {
		quoted, level, p = true, levelOf(q-end), q+1
	}
	p = s.skipSpace(p)
	spaced := p > end
	if p >= len(s.src) {
		return end
	}
	flag := strings.HasPrefix(name, "-")
	switch rest := s.src[p:]; {
	case rest[0] == ':' || rest[0] == '=':
		tight := rest[0] == ':' && !quoted && p+1 < len(s.src) && !strings.ContainsRune(" \t\"'\\", rune(s.src[p+1]))
		if tight && !plainSecret(name) || !quoted && rest[0] == ':' && start > 0 && strings.IndexByte(":/.@", s.src[start-1]) >= 0 {
			return end // part of a name: system:serviceaccount:<namespace>:<name>, image:tag
		}
		p++
	case !quoted && hasFoldPrefix(rest, "%3d"):
		p += 3
	case flag && quoted && rest[0] == ',': // "--password","x"
		p++
	case flag && strings.HasPrefix(rest, "&command="): // command=--password&command=x
		p += len("&command=")
	case flag && spaced && !quoted: // --password x
	default:
		return end
	}
	if !s.secretKey(name, quoted) {
		return end
	}
	return s.value(s.skipSpace(p), level, quoted, name, end)
}

// value replaces the value that begins at p; none is the answer if it is left as it is. level is the
// depth of JSON strings that the key's own quotes stand at.
func (s *scanner) value(p, level int, quoted bool, name string, none int) int {
	if p >= len(s.src) || strings.HasPrefix(s.src[p:], marked) {
		return none
	}
	if q := s.quoteAt(p); q >= 0 {
		if quoted && levelOf(q-p) < level || !quoted && s.json && s.closes(q) {
			return none // the end of the string around the key
		}
		return s.quotedValue(q+1, levelOf(q-p), name, none)
	}
	switch c := s.src[p]; {
	case (c == '{' || c == '[') && quoted:
		if c == '{' && !wholeObject(name) {
			return none
		}
		end := s.balanced(p, level)
		quote := strings.Repeat(`\`, 1<<level-1) + `"`
		s.put(p, end, quote+mark("object", end-p)+quote)
		return end
	case c == '\'':
		end := len(s.src)
		if n := strings.IndexAny(s.src[p+1:], `'"`); n >= 0 {
			end = s.beforeSlashes(p+1, p+1+n)
		}
		s.replaceNonEmpty(p+1, end)
		return end
	}
	end := s.bareEnd(p, quoted, name)
	if end == p || isLiteral(s.src[p:end]) {
		return none
	}
	if quoted { // a number in JSON
		quote := strings.Repeat(`\`, 1<<level-1) + `"`
		s.put(p, end, quote+mark("value", end-p)+quote)
		return end
	}
	s.replace(p, end, "value")
	return end
}

// closes is true if the quote at q ends a JSON string ("... token=") rather than begins a value.
func (s *scanner) closes(q int) bool {
	rest := strings.TrimLeft(s.src[q+1:min(len(s.src), q+maxName)], " \t\r\n")
	return rest == "" || strings.IndexByte(",:]}", rest[0]) >= 0
}

// beforeSlashes moves end back before the backslashes that escape what stands there.
func (s *scanner) beforeSlashes(start, end int) int {
	for end > start && s.src[end-1] == '\\' {
		end--
	}
	return end
}

// quotedValue replaces the string that begins at p, behind its opening quote.
func (s *scanner) quotedValue(p, level int, name string, none int) int {
	end := s.stringEnd(p, level)
	if s.json && wholeObject(name) && end > p && (s.src[p] == '{' || s.src[p] == '[') && !strings.HasPrefix(s.src[p:], marked) {
		return none // JSON text: its own keys are dealt with as we come to them
	}
	s.replaceNonEmpty(p, end)
	return max(end, none)
}

func (s *scanner) replaceNonEmpty(start, end int) {
	if start < end && !isLiteral(s.src[start:end]) && !strings.HasPrefix(s.src[start:end], marked) {
		s.replace(start, end, "value")
	}
}

func isLiteral(v string) bool { return v == "true" || v == "false" || v == "null" }

// quoteAt is the index of a double quote at i, or behind backslashes at i; -1 if there is none.
func (s *scanner) quoteAt(i int) int {
	for i < len(s.src) && s.src[i] == '\\' {
		i++
	}
	if i < len(s.src) && s.src[i] == '"' {
		return i
	}
	return -1
}

// levelOf is the depth of JSON strings inside strings at which a quote behind n backslashes delimits.
// Writing a text into a string turns b backslashes before a quote into 2b+1; at depth 0 a delimiter has
// an even number of them. So the depth is the number of trailing ones of n in binary.
func levelOf(n int) int { return bits.TrailingZeros(^uint(n)) }

// stringEnd finds the end of the string at a depth that begins at p: before its closing quote, before
// the closing quote of a string around it, or the end of the text.
func (s *scanner) stringEnd(p, level int) int {
	for i := p; ; {
		n := strings.IndexByte(s.src[i:], '"')
		if n < 0 {
			return len(s.src)
		}
		quote := i + n
		slashes := quote
		for slashes > p && s.src[slashes-1] == '\\' {
			slashes--
		}
		if l := levelOf(quote - slashes); l <= level {
			return quote - (1<<l - 1)
		}
		i = quote + 1
	}
}

// balanced finds the end of the object or list that begins at p, behind its closing bracket, or where
// the text or the string around it ends.
func (s *scanner) balanced(p, level int) int {
	depth := 0
	for i := p; i < len(s.src); i++ {
		switch s.src[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '\\', '"':
			quote := s.quoteAt(i)
			if quote < 0 {
				for i+1 < len(s.src) && s.src[i+1] == '\\' {
					i++ // each run of backslashes is looked at once
				}
				continue
			}
			l := levelOf(quote - i)
			if l < level {
				return quote - (1<<l - 1)
			}
			end := s.stringEnd(quote+1, l)
			if closing := s.quoteAt(end); closing >= 0 && levelOf(closing-end) == l {
				i = closing
			} else {
				return end
			}
		}
	}
	return len(s.src)
}

// bareEnd finds the end of an unquoted value. That of an authorization header runs to the end of line.
func (s *scanner) bareEnd(p int, quoted bool, name string) int {
	stop := " \t\r\n&;\"'`<>"
	switch {
	case quoted:
		stop += ",}]"
	case strings.Contains(strings.ToLower(name), "authorization"):
		stop = "\r\n\"'`"
	}
	for i := p; i < len(s.src); i++ {
		switch {
		case s.src[i] == '\\':
			end := s.run(i, isBackslash)
			if s.escaped(end) {
				return i
			}
			i = end - 1
		case strings.IndexByte(stop, s.src[i]) >= 0:
			return i
		}
	}
	return len(s.src)
}

func isBackslash(c byte) bool { return c == '\\' }

// escaped is true if backslashes before i make an escaped quote or, in JSON, an escaped line break of it.
func (s *scanner) escaped(i int) bool {
	if i >= len(s.src) {
		return false
	}
	return s.src[i] == '"' || s.json && (s.src[i] == 'n' || s.src[i] == 'r' || s.src[i] == 't')
}

// skipSpace skips blanks, and in JSON a few escaped line breaks of a pretty-printed text inside a string:
// not any number, since the n of each looks like an identifier from where the next search would begin.
func (s *scanner) skipSpace(i int) int {
	const maxBreaks = 8
	breaks := 0
	for i < len(s.src) {
		switch c := s.src[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
		case c == '\\' && s.json && breaks < maxBreaks:
			end := s.run(i, isBackslash)
			if !s.escaped(end) || s.src[end] == '"' {
				return i
			}
			breaks++
			i = end + 1
		default:
			return i
		}
	}
	return i
}

func hasFoldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
