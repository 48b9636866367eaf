package finding

import (
	"encoding/json"
	"strings"
)

// Bounds of a body in a document. Elasticsearch refuses a document whose flattened field is deeper than
// the mapping's depth_limit (20).
const (
	maxBodyDepth = 16
	maxBodyBytes = 256 << 10
	// maxDecodedBody is more than an API server takes in one request. A longer body is not decoded, which takes many times
	// its size in memory, for the little of it that a finding holds.
	maxDecodedBody = 4 << 20
)

const leftOut = "[left out: the body is larger than a finding holds]"

// bodyField is a body as foretop.request_object or foretop.response_object: an object (or list of
// objects) without secrets, as Elasticsearch's flattened type takes it.
func (c *facts) bodyField(raw json.RawMessage, root string) any {
	if len(raw) == 0 {
		return nil
	}
	if len(raw) > maxDecodedBody {
		return map[string]any{"value": leftOut}
	}
	r := bodyRedactor{resource: c.resource, left: maxBodyBytes}
	body := r.clean(decodeBody(raw), root, 0)
	c.redactions += r.count
	switch v := body.(type) {
	case map[string]any:
		return v
	case []any:
		list := make([]any, 0, len(v))
		for _, o := range v {
			if m, ok := o.(map[string]any); ok {
				list = append(list, m)
			}
		}
		return list
	case nil:
		return nil
	default: // a marker that a service put in the place of the body
		return map[string]any{"value": v}
	}
}

// bodyRedactor copies a decoded body, bounded in depth and size.
type bodyRedactor struct {
	resource string
	left     int // bytes
	count    int
}

func (r *bodyRedactor) clean(v any, path string, depth int) any {
	if r.left <= 0 || depth > maxBodyDepth {
		return leftOut
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range sortedKeys(v) {
			r.left -= len(key)
			out[safeKey(key)] = r.field(v[key], path+"."+key, depth+1)
			if r.left <= 0 {
				break
			}
		}
		return out
	case []any:
		if isCommand(path) {
			return r.words(v)
		}
		out := make([]any, 0, len(v))
		for _, e := range v {
			if r.left <= 0 {
				break
			}
			out = append(out, r.clean(e, path, depth+1))
		}
		return out
	case string:
		return r.text(v)
	case json.Number:
		r.left -= len(v)
		return v.String()
	default:
		r.left -= 4
		return v
	}
}

// field is the value of a key, hidden as a whole where its place says that it is a secret.
func (r *bodyRedactor) field(v any, path string, depth int) any {
	_, isText := v.(string)
	if s, ok := v.(string); ok && (s == "" || isBool(s)) {
		return s
	}
	kind, hide := hiddenPath(r.resource, path)
	if hide && (isText || hiddenBody(r.resource, strings.Split(strings.ToLower(path), ".")[1:])) {
		r.count++
		return r.hide(v, kind)
	}
	if _, number := v.(json.Number); number && hide {
		r.count++
		return mark(kind, len(v.(json.Number)))
	}
	return r.clean(v, path, depth)
}

// hide replaces v, but keeps the keys of an object: they tell which entries there were.
func (r *bodyRedactor) hide(v any, kind string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range sortedKeys(v) {
			if r.left -= len(key); r.left <= 0 {
				break
			}
			out[safeKey(key)] = r.hide(v[key], kind)
		}
		return out
	case string:
		return mark(kind, len(v))
	case nil:
		return nil
	}
	return mark(kind, 0)
}

func (r *bodyRedactor) words(list []any) any {
	words := make([]string, 0, len(list))
	for _, e := range list {
		if s, ok := e.(string); ok {
			words = append(words, s)
			r.left -= len(s)
		}
	}
	clean, n := redactWords(words)
	r.count += n
	for i, w := range clean {
		clean[i] = cut(w, maxText)
	}
	return clean
}

func (r *bodyRedactor) text(s string) string {
	s, n := redactText(s)
	r.count += n
	s = cut(s, maxText)
	r.left -= len(s)
	return s
}
