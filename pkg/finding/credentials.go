package finding

import (
	"encoding/base64"
	"strings"
)

// form is a credential that is known by how it begins: at least min characters of set follow the prefix.
type form struct {
	prefix, kind string
	min          int
	set          func(byte) bool
}

// forms by first byte. Sources: the vendors' documentation of their token formats.
var forms = func() (table [256][]form) {
	for _, f := range []form{
		{"AKIA", "aws key id", 16, isUpperNum}, {"ASIA", "aws key id", 16, isUpperNum},
		{"ghp_", "github token", 20, isAlnum}, {"gho_", "github token", 20, isAlnum}, {"ghu_", "github token", 20, isAlnum},
		{"ghs_", "github token", 20, isAlnum}, {"ghr_", "github token", 20, isAlnum}, {"github_pat_", "github token", 20, isIdent},
		{"glpat-", "gitlab token", 16, isIdent},
		{"xoxb-", "slack token", 8, isIdent}, {"xoxp-", "slack token", 8, isIdent}, {"xoxa-", "slack token", 8, isIdent},
		{"xoxr-", "slack token", 8, isIdent}, {"xoxs-", "slack token", 8, isIdent}, {"xoxe-", "slack token", 8, isIdent}, {"xapp-", "slack token", 8, isIdent},
		{"AIza", "google api key", 35, isIdent}, {"ya29.", "google token", 16, isIdent}, {"GOCSPX-", "google secret", 16, isIdent},
		{"hvs.", "vault token", 16, isIdent}, {"sk_live_", "stripe key", 16, isAlnum}, {"npm_", "npm token", 30, isAlnum},
		{"SG.", "sendgrid key", 40, isIdentDot}, {"dckr_pat_", "docker token", 16, isIdent}, {"k8s-aws-v1.", "eks token", 16, isIdent},
		// base64 of "-----BEGIN " and of the head of a JWT, as they stand in Secrets and kubeconfigs
		{"LS0tLS1CRUdJTi", "pem", 8, isBase64}, {"ZXlKaGJHY2lP", "jwt", 8, isBase64},
	} {
		table[f.prefix[0]] = append(table[f.prefix[0]], f)
	}
	return table
}()

func isUpperNum(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
func isAlnum(c byte) bool    { return isIdent(c) && c != '_' && c != '-' }
func isIdentDot(c byte) bool { return isIdent(c) || c == '.' }
func isBase64(c byte) bool   { return isAlnum(c) || c == '+' || c == '/' || c == '=' }
func isToken68(c byte) bool {
	return isIdent(c) || c == '.' || c == '~' || c == '+' || c == '/' || c == '='
}

// run is the end of the longest run of set at i.
func (s *scanner) run(i int, set func(byte) bool) int {
	for i < len(s.src) && set(s.src[i]) {
		i++
	}
	return i
}

// credential finds a credential at i: what to replace is src[start:end], and end is i if there is none.
func (s *scanner) credential(i int) (start, end int, kind string) {
	c := s.src[i]
	for _, f := range forms[c] {
		if strings.HasPrefix(s.src[i:], f.prefix) && !(s.keyIDs && f.kind == "aws key id") {
			if end := s.run(i+len(f.prefix), f.set); end-i-len(f.prefix) >= f.min {
				return i, end, f.kind
			}
		}
	}
	switch c {
	case 'e':
		if strings.HasPrefix(s.src[i+1:], "yJ") {
			return i, s.jwt(i), "jwt"
		}
	case '-':
		return i, s.pem(i), "pem"
	case ':':
		start, end = s.userinfo(i)
		return start, end, "password"
	case 'B', 'b':
		start, end = s.scheme(i)
		return start, end, "credential"
	}
	return i, i, ""
}

// jwt is a JSON Web Token: two or three runs of base64url with dots between, the first begins with the
// text of an object. A run that no dot follows is remembered, since none of its other positions can
// begin a token either.
func (s *scanner) jwt(i int) int {
	if i < s.noJWT {
		return i
	}
	end := s.run(i, isIdent)
	if end-i < 8 || end >= len(s.src) || s.src[end] != '.' {
		s.noJWT = end
		return i
	}
	payload := s.run(end+1, isIdent)
	if payload-end-1 < 4 {
		s.noJWT = end
		return i
	}
	if payload < len(s.src) && s.src[payload] == '.' {
		return s.run(payload+1, isIdent)
	}
	return payload
}

// pem is a PEM block, up to its end line; without one, up to the end of the string or the text.
func (s *scanner) pem(i int) int {
	const begin, finish, dashes = "-----BEGIN ", "-----END ", "-----"
	if !strings.HasPrefix(s.src[i:], begin) {
		return i
	}
	rest := s.src[i+len(begin):]
	quote := strings.IndexByte(rest, '"')
	if quote < 0 {
		quote = len(rest)
	}
	if n := strings.Index(rest[:quote], finish); n >= 0 {
		tail := n + len(finish)
		if m := strings.Index(rest[tail:quote], dashes); m >= 0 {
			return i + len(begin) + tail + m + len(dashes)
		}
	}
	if quote < len(rest) {
		return s.beforeSlashes(i+len(begin), i+len(begin)+quote)
	}
	return len(s.src)
}

const maxUserinfo = 1024

// userinfo is the password in "://user:password@host".
func (s *scanner) userinfo(i int) (start, end int) {
	rest := s.src[i:]
	if !strings.HasPrefix(rest, "://") {
		return i, i
	}
	rest = rest[3:min(len(rest), maxUserinfo)]
	n := strings.IndexAny(rest, "@/?# \t\r\n\"'<>\\")
	if n <= 0 || rest[n] != '@' {
		return i, i
	}
	colon := strings.IndexByte(rest[:n], ':')
	if colon < 0 || colon+1 == n || strings.HasPrefix(rest[colon+1:], marked) {
		return i, i
	}
	return i + 3 + colon + 1, i + 3 + n
}

// scheme is the credential behind "Bearer" or "Basic", wherever it stands.
func (s *scanner) scheme(i int) (start, end int) {
	if i > 0 && isAlnum(s.src[i-1]) && !(i > 1 && s.src[i-2] == '%') && !(i > 2 && s.src[i-3] == '%') {
		return i, i
	}
	rest := s.src[i:]
	word, ok := "", false
	for _, w := range []string{"bearer", "basic"} {
		if hasFoldPrefix(rest, w) {
			word, ok = w, true
		}
	}
	if !ok {
		return i, i
	}
	p := i + len(word)
	blanks := p
	for p < len(s.src) && (s.src[p] == ' ' || s.src[p] == '+' || s.src[p] == '\t') {
		p++
	}
	for strings.HasPrefix(s.src[p:], "%20") {
		p += 3
	}
	if p == blanks {
		return i, i
	}
	end = s.run(p, isToken68)
	if end == p || !credentialAfter(word, s.src[p:end]) {
		return i, i
	}
	return p, end
}

// credentialAfter tells a credential from a word that goes on the sentence: "bearer token expired",
// "Basic authentication".
func credentialAfter(scheme, value string) bool {
	if scheme == "basic" {
		plain, err := base64.StdEncoding.DecodeString(value[:min(len(value), 1024)&^3])
		return err == nil && strings.Contains(string(plain), ":")
	}
	switch strings.ToLower(strings.TrimRight(value, ".")) {
	case "token", "tokens", "auth", "authentication", "authorization", "is", "was":
		return false
	}
	return true
}
