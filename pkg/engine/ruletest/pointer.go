package ruletest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// apply makes one change on a decoded JSON document (RFC 6901 pointers). Setting creates the objects and lists
// on the way; `-` and the index one past the end append.
func apply(doc any, c change) (any, error) {
	tokens := strings.Split(strings.TrimPrefix(c.pointer, "/"), "/")
	for i, t := range tokens {
		tokens[i] = unescape.Replace(t)
	}
	var err error
	if c.remove {
		doc, err = remove(doc, tokens)
	} else {
		doc, err = set(doc, tokens, clone(c.value))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.pointer, err)
	}
	return doc, nil
}

func set(at any, tokens []string, value any) (any, error) {
	if len(tokens) == 0 {
		return value, nil
	}
	key := tokens[0]
	if at == nil {
		at = map[string]any{}
		if _, err := strconv.ParseUint(key, 10, 31); err == nil || key == "-" {
			at = []any{}
		}
	}
	switch at := at.(type) {
	case map[string]any:
		child, err := set(at[key], tokens[1:], value)
		if err != nil {
			return nil, err
		}
		at[key] = child
		return at, nil
	case []any:
		i, err := position(at, key)
		if err != nil {
			return nil, err
		}
		if i == len(at) {
			at = append(at, nil)
		}
		at[i], err = set(at[i], tokens[1:], value)
		return at, err
	}
	return nil, fmt.Errorf("%q lies below a plain value", key)
}

func position(list []any, key string) (int, error) {
	if key == "-" {
		return len(list), nil
	}
	i, err := strconv.ParseUint(key, 10, 31)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q stands at a list; write an index, or - to append", key)
	case int(i) > len(list):
		return 0, fmt.Errorf("index %d is beyond the list's end (%d elements)", i, len(list))
	}
	return int(i), nil
}

var errNothing = errors.New("there is nothing to remove; correct the pointer")

func remove(at any, tokens []string) (any, error) {
	key := tokens[0]
	switch at := at.(type) {
	case map[string]any:
		child, ok := at[key]
		if !ok {
			return nil, errNothing
		}
		if len(tokens) == 1 {
			delete(at, key)
			return at, nil
		}
		var err error
		at[key], err = remove(child, tokens[1:])
		return at, err
	case []any:
		i, err := position(at, key)
		if err != nil {
			return nil, err
		}
		if i == len(at) {
			return nil, errNothing
		}
		if len(tokens) == 1 {
			return append(at[:i:i], at[i+1:]...), nil
		}
		at[i], err = remove(at[i], tokens[1:])
		return at, err
	}
	return nil, errNothing
}

// clone copies a value, so that one case cannot change what another sets.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = clone(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = clone(x)
		}
		return out
	}
	return v
}
