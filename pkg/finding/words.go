package finding

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// secretFlags are short options that carry a password, by program.
var secretFlags = map[string][]string{
	"mysql": {"-p"}, "mysqldump": {"-p"}, "mysqladmin": {"-p"}, "mariadb": {"-p"}, "mariadb-dump": {"-p"},
	"sshpass": {"-p"}, "redis-cli": {"-a", "--pass"}, "mongo": {"-p"}, "mongosh": {"-p"}, "mongodump": {"-p"},
	"curl": {"-u", "--user", "--proxy-user"}, "wget": {"--http-user"}, "smbclient": {"-U"}, "ldapsearch": {"-w"},
	"docker": {"-p"}, "podman": {"-p"}, "helm": {"-p"}, "az": {"-p"},
}

// redactWords removes secrets from the words of a command line and counts the replacements. A word that
// is a whole shell line (sh -c "...") is read as one.
func redactWords(words []string) ([]string, int) {
	out := slices.Clone(words)
	n, program := 0, ""
	hideNext := false
	for i, w := range words {
		k := 0
		switch {
		case hideNext:
			hideNext = false
			out[i], k = mark("argument", len(w)), 1
		case strings.ContainsAny(w, " \t\n"):
			out[i], k = redactLine(w)
		default:
			if base := path.Base(w); secretFlags[base] != nil {
				program = base
			}
			out[i], hideNext, k = redactWord(w, program)
		}
		n += k
	}
	return out, n
}

// redactWord deals with one word; next says that the following word is the secret.
func redactWord(w, program string) (out string, next bool, n int) {
	if strings.HasPrefix(w, "-") && !strings.Contains(w, "=") && sensitiveName(w) {
		return w, true, 0
	}
	for _, flag := range secretFlags[program] {
		if w == flag {
			return w, true, 0
		}
		if len(flag) == 2 && strings.HasPrefix(w, flag) && !strings.HasPrefix(w, "--") {
			return flag + mark("argument", len(w)-len(flag)), false, 1
		}
	}
	out, n = redactText(w)
	return out, false, n
}

// redactLine is redactWords for words joined by blanks, whose blanks are kept.
func redactLine(line string) (string, int) {
	line, n := redactText(line) // first: a header's value may hold blanks
	var b strings.Builder
	program, hideNext := "", false
	for line != "" {
		end := strings.IndexAny(line, " \t\n")
		word, blanks := line, ""
		if end >= 0 {
			word = line[:end]
			blanks = line[end : end+1]
		}
		line = line[len(word)+len(blanks):]
		switch {
		case word == "":
		case strings.HasPrefix(word, marked[:len(marked)-1]):
			hideNext = false
		case hideNext:
			hideNext = false
			word, n = mark("argument", len(word)), n+1
		default:
			if base := path.Base(strings.Trim(word, `'"(`)); secretFlags[base] != nil {
				program = base
			}
			var k int
			word, hideNext, k = redactWord(word, program)
			n += k
		}
		b.WriteString(word)
		b.WriteString(blanks)
	}
	return b.String(), n
}

// redactURI removes secrets from a request URI: query parameters by their name, the words of an exec
// command, and everything that has the form of a secret. What is not touched stays as it was encoded.
func redactURI(uri string) (string, int) {
	pathPart, query, hasQuery := strings.Cut(uri, "?")
	pathPart, n := redactText(pathPart)
	if !hasQuery {
		return pathPart, n
	}
	params := strings.Split(query, "&")
	var words []string
	var at []int
	for i, p := range params {
		rawKey, rawValue, _ := strings.Cut(p, "=")
		key, value := unescape(rawKey), unescape(rawValue)
		switch {
		case key == "command":
			words, at = append(words, value), append(at, i)
		case sensitiveName(key) && !isBool(value):
			params[i], n = rawKey+"="+mark("parameter", len(value)), n+1
		default:
			if clean, k := redactText(value); k > 0 {
				params[i], n = rawKey+"="+clean, n+k
			}
		}
	}
	clean, k := redactWords(words)
	for j, i := range at {
		if clean[j] != words[j] {
			params[i] = "command=" + clean[j]
		}
	}
	return pathPart + "?" + strings.Join(params, "&"), n + k
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}
