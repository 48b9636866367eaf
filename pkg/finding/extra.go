package finding

import (
	"slices"
	"strings"
)

// extraValue is the first value that is not empty (aws-iam-authenticator writes [""]) whose key is name, or ends in
// /name: authenticators put their domain before it ("authentication.kubernetes.io/pod-name").
func extraValue(extra map[string][]string, name string) string {
	for _, key := range sortedKeys(extra) {
		if extraName(key) != name {
			continue
		}
		for _, value := range extra[key] {
			if value != "" {
				return value
			}
		}
	}
	return ""
}

func extraName(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// openExtra are the keys of user.extra that name a credential or its holder and give nothing away. Whoever may
// impersonate can write anything under them, so what has the form of a secret goes all the same.
var openExtra = []string{
	"pod-name", "pod-uid", "node-name", "node-uid", "credential-id", "arn", "canonicalArn", "sessionName", "accessKeyId", "principalId", "oid",
}

const (
	maxExtra       = 50 // keys
	maxExtraValues = 10 // per key
	maxExtraText   = 1024
)

// extraKey is a key of a flattened field: dots and slashes stay, a NUL would make Elasticsearch refuse it.
func extraKey(key string) string {
	if key == "" {
		return "_"
	}
	return cut(strings.ReplaceAll(key, "\x00", "_"), shortText)
}

// extraOf copies user.extra without its secrets. Values under keys that are known to be harmless stay as
// they are, access key ids too.
func extraOf(extra map[string][]string) map[string][]string {
	if len(extra) == 0 {
		return nil
	}
	out := make(map[string][]string, min(len(extra), maxExtra))
	for _, key := range sortedKeys(extra) {
		if len(out) == maxExtra {
			break
		}
		values := head(extra[key], maxExtraValues)
		for i, v := range values {
			switch {
			case slices.Contains(openExtra, extraName(key)):
				values[i], _ = redactName(v)
			case sensitiveName(key):
				values[i] = mark("value", len(v))
			default:
				values[i], _ = redactText(v)
			}
			values[i] = cut(strings.ToValidUTF8(values[i], "\ufffd"), maxExtraText)
		}
		out[extraKey(key)] = values
	}
	return out
}
