package finding

import (
	"bytes"
	"slices"
	"strings"
)

// secretWords are parts of names that hold secrets; harmlessEnds the ends of names that only speak of
// them. Both are compared with names in lower case and without separators.
var (
	secretWords = []string{
		"password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey", "credential", "accountkey",
		"connectionstring", "sharedaccess", "clientkeydata", "dockerconfigjson", "dockercfg", "encryptionkey", "signingkey", "storagekey",
	}
	secretNames = []string{
		"auth", "authorization", "proxyauthorization", "cookie", "setcookie", "jwt", "bearer", "pwd", "pass", "sig", "signature",
		"cabundle", "lastappliedconfiguration",
	}
	// plainNames count even where they stand before a bare colon, as "token:x" in a log line.
	plainNames = []string{
		"password", "passwd", "pwd", "passphrase", "secret", "token", "accesstoken", "refreshtoken", "idtoken", "apikey", "secretkey",
		"authorization", "proxyauthorization", "clientsecret", "privatekey",
	}
	harmlessEnds = []string{
		"name", "names", "ref", "refs", "seconds", "id", "ids", "type", "types", "count", "secrets", "tokens", "path", "paths", "url", "uri", "policy",
		"audience", "audiences", "expiry", "expiration", "namespace", "kind", "version", "requests", "request", "reviews", "review", "enabled",
		"file", "endpoint", "issuer", "class", "provider", "store", "controller", "keyselector", "mount", "list", "keyref",
	}
	// bodyKeys hold values of users in Kubernetes bodies, objects as a whole.
	bodyKeys = []string{"data", "stringdata", "binarydata", "value"}
)

// secretWordsBy are secretWords by their first letter.
var secretWordsBy = func() (table [256][]string) {
	for _, w := range secretWords {
		table[w[0]] = append(table[w[0]], w)
	}
	return table
}()

// plain writes the end of a name into b, in lower case without separators.
func plain(b *[maxName]byte, name string) []byte {
	n := 0
	for i := max(0, len(name)-maxName); i < len(name); i++ {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b[n] = c
			n++
		}
	}
	return b[:n]
}

// sensitiveName is true for a name whose value is a secret: DB_PASSWORD, access_token, X-Api-Key; and
// false for what only speaks of one: secretName, automountServiceAccountToken, tokenExpirationSeconds.
func sensitiveName(name string) bool {
	var b [maxName]byte
	p := plain(&b, name)
	if slices.Contains(secretNames, string(p)) {
		return true
	}
	if !hasSecretWord(p) || bytes.HasPrefix(p, []byte("automount")) {
		return false
	}
	for _, end := range harmlessEnds {
		if len(p) >= len(end) && string(p[len(p)-len(end):]) == end {
			return false
		}
	}
	return true
}

func hasSecretWord(p []byte) bool {
	for i, c := range p {
		for _, w := range secretWordsBy[c] {
			if len(p)-i >= len(w) && string(p[i:i+len(w)]) == w {
				return true
			}
		}
	}
	return false
}

func plainSecret(name string) bool { return isOneOf(plainNames, name) }

// wholeObject is true for the keys of Kubernetes bodies whose objects are replaced as a whole.
func wholeObject(name string) bool { return isOneOf(bodyKeys, name) }

func isOneOf(list []string, name string) bool {
	var b [maxName]byte
	return slices.Contains(list, string(plain(&b, name)))
}

// secretKey is true if the value of name is to be replaced.
func (s *scanner) secretKey(name string, quoted bool) bool {
	return s.json && quoted && wholeObject(name) || sensitiveName(name)
}

// hiddenPath tells whether the value of a field is a secret by what it is: path is a field's path, with
// or without list indexes, resource the lower-case plural of the object's kind. kind says what is hidden.
func hiddenPath(resource, path string) (kind string, hide bool) {
	if path == "" || path == "keywords" { // a search over the whole event: the value may be from anywhere
		return strings.TrimSuffix(resource, "s") + " data", holdsSecrets(resource)
	}
	lower := strings.ToLower(path)
	switch {
	case strings.Contains(lower, "last-applied-configuration"):
		return "applied configuration", true
	case strings.Contains(lower, "apiserver.latency.k8s.io/"): // how long authorization took, and the like
		return "", false
	}
	steps := strings.Split(lower, ".")
	for i, step := range steps {
		steps[i], _, _ = strings.Cut(step, "[")
	}
	if steps[0] == "requestobject" || steps[0] == "responseobject" {
		if hiddenBody(resource, steps[1:]) {
			return strings.TrimSuffix(resource, "s") + " data", true
		}
	}
	if len(steps) >= 2 && steps[len(steps)-1] == "value" && steps[len(steps)-2] == "env" {
		return "environment variable", true
	}
	if slices.Contains(steps, "stringdata") { // a Secret inside another object
		return "value", true
	}
	last := path[strings.LastIndexAny(path, "./")+1:]
	if sensitiveName(last) || resource == "certificatesigningrequests" && (last == "request" || last == "certificate") {
		return "value", true
	}
	return "", false
}

func holdsSecrets(resource string) bool { return resource == "secrets" || resource == "configmaps" }

// hiddenBody is true for everything in a Secret or ConfigMap that is not known to be harmless.
func hiddenBody(resource string, steps []string) bool {
	if !holdsSecrets(resource) || len(steps) == 0 {
		return false
	}
	if steps[0] == "items" {
		steps = steps[1:]
	}
	if len(steps) == 0 {
		return false
	}
	switch steps[0] {
	case "metadata", "kind", "apiversion", "type", "immutable", "op", "path", "code", "status", "reason", "message", "details":
		return false
	}
	return true
}
