package ruletest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const maxBaseBytes = 8 << 20

// bases finds recorded events: in testdata at or above the test file, then in the testdata directories of the
// other directories' roots.
type bases struct {
	dir  *Dir
	from string
	all  []Dir
}

// load decodes a fresh copy of a recorded event.
func (b *bases) load(name string) (map[string]any, error) {
	if !fs.ValidPath(name) || strings.HasPrefix(path.Base(name), ".") {
		return nil, fmt.Errorf("base %q is no name of a file under testdata", name)
	}
	data, err := b.read(name)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("base %s is no JSON object: %w", name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("base %s holds more than one JSON value; keep one event", name)
	}
	return doc, nil
}

func (b *bases) read(name string) ([]byte, error) {
	for at := b.from; ; at = path.Dir(at) {
		data, err := readLimited(b.dir.FS, path.Join(at, "testdata", name+".json"))
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
		if at == "." || at == "/" {
			break
		}
	}
	for _, d := range b.all {
		for _, at := range []string{d.Root, "."} {
			data, err := readLimited(d.FS, path.Join(at, "testdata", name+".json"))
			if !errors.Is(err, fs.ErrNotExist) {
				return data, err
			}
		}
	}
	return nil, fmt.Errorf("base %s is not there; record an event as testdata/%s.json beside the test or above it", name, name)
}

func readLimited(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBaseBytes+1))
	if err == nil && len(data) > maxBaseBytes {
		err = fmt.Errorf("base %s has more than %d bytes", name, maxBaseBytes)
	}
	return data, err
}

// apiServerOrder is the order in which kube-apiserver writes the keys of an event. The engine takes any order,
// but a rule is best tested on what it will see.
var apiServerOrder = []string{
	"kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser",
	"authenticationMetadata", "sourceIPs", "userAgent", "objectRef", "responseStatus", "requestObject", "responseObject",
	"requestReceivedTimestamp", "stageTimestamp", "annotations",
}

// encode writes an event as one line of JSON.
func encode(doc map[string]any) ([]byte, error) {
	keys := make([]string, 0, len(doc))
	for k := range doc {
		keys = append(keys, k)
	}
	rank := func(k string) int {
		if i := slices.Index(apiServerOrder, k); i >= 0 {
			return i
		}
		return len(apiServerOrder)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var out bytes.Buffer
	out.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		for j, v := range []any{k, doc[k]} {
			if j > 0 {
				out.WriteByte(':')
			}
			enc := json.NewEncoder(&out)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(v); err != nil {
				return nil, err
			}
			out.Truncate(out.Len() - 1) // the encoder's line end
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
