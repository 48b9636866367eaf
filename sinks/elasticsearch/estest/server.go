// Package estest is an Elasticsearch for tests: enough of one to install templates and to write to data
// streams, with a script for everything that can go wrong.
package estest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Server is a running fake. Its methods may be called while requests are served.
type Server struct {
	*httptest.Server

	mu        sync.Mutex
	templates map[string]json.RawMessage // "index_template/NAME", "component_template/NAME"
	streams   map[string]*stream
	requests  []Request
	onRequest func(w http.ResponseWriter, r *http.Request, body []byte) bool
	onItem    func(id string, doc json.RawMessage) *Item
	version   string
}

// Request is one that the server got. Body is decompressed.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// Item is a scripted result of one document in a bulk request.
type Item struct {
	Status       int
	Type         string // of the error
	Reason       string
	FailureStore string
}

type stream struct {
	backing   []map[string]json.RawMessage // by id, newest last
	meta      []json.RawMessage            // _meta of each mapping
	template  string
	lifecycle json.RawMessage
	block     string // the setting that keeps documents out of the newest index, in the eyes of who asks
}

// New starts a server that is empty: no templates and no data streams. It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{templates: make(map[string]json.RawMessage), streams: make(map[string]*stream), version: "8.19.21"}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// SetVersion makes the server call itself another version.
func (s *Server) SetVersion(v string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = v
}

// OnRequest puts f before the server's own behaviour. f answers the request and returns true, or returns
// false to let it through. Nil ends the script.
func (s *Server) OnRequest(f func(w http.ResponseWriter, r *http.Request, body []byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = f
}

// OnItem decides about single documents of bulk requests; nil from f means the server's own behaviour.
func (s *Server) OnItem(f func(id string, doc json.RawMessage) *Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onItem = f
}

// Documents are those of a data stream, by id. An id that is in two backing indices fails the test.
func (s *Server) Documents(t testing.TB, name string) map[string]json.RawMessage {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]json.RawMessage)
	if st := s.streams[name]; st != nil {
		for _, index := range st.backing {
			for id, doc := range index {
				if _, twice := out[id]; twice {
					t.Errorf("the id %s is stored twice in %s", id, name)
				}
				out[id] = doc
			}
		}
	}
	return out
}

// Requests are those whose path ends with suffix, in order; all of them for "".
func (s *Server) Requests(suffix string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.requests {
		if strings.HasSuffix(r.Path, suffix) {
			out = append(out, r)
		}
	}
	return out
}

// Rollover gives a data stream a new backing index.
func (s *Server) Rollover(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addIndex(name)
}

// PutTemplate installs a template, as "index_template/NAME" or "component_template/NAME".
func (s *Server) PutTemplate(path, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.templates[path] = json.RawMessage(body)
}

// Template is what is installed under such a path, nil if nothing is.
func (s *Server) Template(path string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.templates[path]
}

// DeleteTemplate removes one.
func (s *Server) DeleteTemplate(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.templates, path)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body})
	script := s.onRequest
	s.mu.Unlock()
	if script != nil && script(w, r, body) {
		return
	}
	s.mu.Lock()
	status, answer := s.answer(r, body)
	s.mu.Unlock()
	Reply(w, status, answer)
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	zip, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zip)
}

// Reply answers as Elasticsearch does: with its product header, and JSON.
func Reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// Failure is the body of an error.
func Failure(status int, kind, reason string) map[string]any {
	return map[string]any{"error": map[string]any{"type": kind, "reason": reason}, "status": status}
}

func (s *Server) answer(r *http.Request, body []byte) (int, any) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	switch {
	case r.URL.Path == "/" || r.URL.Path == "":
		return 200, map[string]any{"version": map[string]any{"number": s.version, "build_flavor": "default"}}
	case parts[0] == "_index_template" || parts[0] == "_component_template":
		return s.template(r.Method, parts, body)
	case parts[0] == "_data_stream" && last == "_lifecycle":
		s.streams[parts[1]].lifecycle = body
		return 200, acknowledged
	case parts[0] == "_data_stream":
		return s.dataStream(r.Method, last)
	case len(parts) > 1 && parts[1] == "_settings":
		return s.settings(parts[0])
	case last == "_mapping":
		return s.mapping(parts[0])
	case last == "_rollover":
		s.addIndex(parts[0])
		return 200, acknowledged
	case last == "_search":
		return s.search(parts[0], body)
	case last == "_bulk":
		return s.bulk(parts[0], r, body)
	}
	return 400, map[string]any{"error": fmt.Sprintf("no handler found for uri [%s] and method [%s]", r.URL.Path, r.Method)}
}

var acknowledged = map[string]any{"acknowledged": true}

func (s *Server) template(method string, parts []string, body []byte) (int, any) {
	kind, name := strings.TrimPrefix(parts[0], "_"), parts[1]
	path := kind + "/" + name
	if method == http.MethodPut {
		if !json.Valid(body) {
			return 400, Failure(400, "parse_exception", "no JSON")
		}
		s.templates[path] = body
		return 200, acknowledged
	}
	t, ok := s.templates[path]
	if !ok {
		return 404, Failure(404, "resource_not_found_exception", "not found")
	}
	return 200, map[string]any{kind + "s": []any{map[string]any{"name": name, kind: t}}}
}

// addIndex appends a backing index, or makes the data stream if a template matches. It returns nil if
// none does.
func (s *Server) addIndex(name string) *stream {
	st := s.streams[name]
	if st == nil {
		st = &stream{}
	}
	for path, body := range s.templates {
		var t struct {
			Patterns []string `json:"index_patterns"`
			Composed []string `json:"composed_of"`
			Template struct {
				Lifecycle json.RawMessage `json:"lifecycle"`
			} `json:"template"`
		}
		if !strings.HasPrefix(path, "index_template/") || json.Unmarshal(body, &t) != nil || len(t.Patterns) == 0 ||
			!strings.HasPrefix(name, strings.TrimSuffix(t.Patterns[0], "*")) {
			continue
		}
		if s.streams[name] == nil {
			st.template, st.lifecycle = strings.TrimPrefix(path, "index_template/"), t.Template.Lifecycle
		}
		st.backing, st.meta = append(st.backing, make(map[string]json.RawMessage)), append(st.meta, s.composedMeta(t.Composed))
		s.streams[name] = st
		return st
	}
	return nil
}

func (s *Server) composedMeta(components []string) json.RawMessage {
	meta := json.RawMessage("{}")
	for _, c := range components {
		var t struct {
			Template struct {
				Mappings struct {
					Meta json.RawMessage `json:"_meta"`
				} `json:"mappings"`
			} `json:"template"`
		}
		if json.Unmarshal(s.templates["component_template/"+c], &t) == nil && t.Template.Mappings.Meta != nil {
			meta = t.Template.Mappings.Meta
		}
	}
	return meta
}

func (s *Server) dataStream(method, name string) (int, any) {
	st := s.streams[name]
	if method == http.MethodPut {
		if st != nil || s.addIndex(name) == nil {
			return 400, Failure(400, "illegal_argument_exception", "no matching index template found for data stream ["+name+"]")
		}
		return 200, acknowledged
	}
	if st == nil {
		return 404, Failure(404, "index_not_found_exception", "no such index")
	}
	var indices []any
	for i := range st.backing {
		indices = append(indices, map[string]any{"index_name": indexName(name, i)})
	}
	one := map[string]any{"name": name, "template": st.template, "indices": indices}
	if st.lifecycle != nil {
		one["lifecycle"] = st.lifecycle
	}
	return 200, map[string]any{"data_streams": []any{one}}
}

func indexName(name string, i int) string { return fmt.Sprintf(".ds-%s-2026.01.01-%06d", name, i+1) }

func (s *Server) mapping(name string) (int, any) {
	st := s.streams[name]
	if st == nil {
		return 404, Failure(404, "index_not_found_exception", "no such index")
	}
	out := make(map[string]any)
	for i := range st.backing {
		out[indexName(name, i)] = map[string]any{"mappings": map[string]any{"_meta": st.meta[i]}}
	}
	return 200, out
}

// settings shows those of the backing indices that were set with BlockNewest.
func (s *Server) settings(name string) (int, any) {
	st := s.streams[name]
	if st == nil {
		return 404, Failure(404, "index_not_found_exception", "no such index")
	}
	out := make(map[string]any)
	for i := range st.backing {
		settings := map[string]any{}
		if st.block != "" && i == len(st.backing)-1 {
			settings[st.block] = "true"
		}
		out[indexName(name, i)] = map[string]any{"settings": settings}
	}
	return 200, out
}

// BlockNewest sets a block, such as index.blocks.read_only_allow_delete, on the newest index of a data stream.
func (s *Server) BlockNewest(name, block string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[name].block = block
}

func (s *Server) search(name string, body []byte) (int, any) {
	var q struct {
		Size  int `json:"size"`
		Query struct {
			IDs struct {
				Values []string `json:"values"`
			} `json:"ids"`
		} `json:"query"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return 400, Failure(400, "parsing_exception", err.Error())
	}
	hits := []any{}
	if st := s.streams[name]; st != nil {
		for _, id := range q.Query.IDs.Values {
			for _, index := range st.backing {
				if _, ok := index[id]; ok && len(hits) < q.Size {
					hits = append(hits, map[string]any{"_id": id})
				}
			}
		}
	}
	return 200, map[string]any{"timed_out": false, "_shards": map[string]any{"failed": 0}, "hits": map[string]any{"hits": hits}}
}

func (s *Server) bulk(name string, r *http.Request, body []byte) (int, any) {
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	if len(lines)%2 != 0 {
		return 400, Failure(400, "illegal_argument_exception", "an action without a document")
	}
	st := s.streams[name]
	if st == nil {
		st = s.addIndex(name)
	}
	var items []any
	for i := 0; i < len(lines); i += 2 {
		var action map[string]struct {
			ID string `json:"_id"`
		}
		if err := json.Unmarshal([]byte(lines[i]), &action); err != nil || len(action) != 1 {
			return 400, Failure(400, "illegal_argument_exception", "Malformed action/metadata line")
		}
		for op := range maps.Keys(action) {
			id := action[op].ID
			items = append(items, map[string]any{op: s.item(st, op, id, json.RawMessage(lines[i+1])).answer(id)})
		}
	}
	return 200, map[string]any{"items": items}
}

func (s *Server) item(st *stream, op, id string, doc json.RawMessage) *Item {
	if s.onItem != nil {
		if it := s.onItem(id, doc); it != nil {
			return it
		}
	}
	switch {
	case op != "create":
		return &Item{Status: 400, Type: "illegal_argument_exception", Reason: "only create is allowed in data streams"}
	case st == nil:
		return &Item{Status: 404, Type: "index_not_found_exception", Reason: "no such index"}
	case !json.Valid(doc):
		return &Item{Status: 400, Type: "document_parsing_exception", Reason: "failed to parse: " + string(doc)}
	}
	newest := st.backing[len(st.backing)-1]
	if _, there := newest[id]; there {
		return &Item{Status: 409, Type: "version_conflict_engine_exception"}
	}
	newest[id] = doc
	return &Item{Status: 201}
}

func (it *Item) answer(id string) map[string]any {
	out := map[string]any{"_id": id, "status": it.Status}
	if it.Type != "" {
		out["error"] = map[string]any{"type": it.Type, "reason": it.Reason}
	}
	if it.FailureStore != "" {
		out["failure_store"] = it.FailureStore
	}
	return out
}
