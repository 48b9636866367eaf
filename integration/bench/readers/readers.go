// Package readers holds what Foretop is measured against: the cheapest pass over the bytes, and the ways in which others
// read an audit event.
package readers

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/valyala/fastjson"
)

// Newlines finds the ends of lines in NDJSON, over and over: one pass at memory speed, and nothing of what stands there.
type Newlines struct {
	text []byte
	rest []byte
}

// NewNewlines reads text, each line of which ends with a newline. It keeps text.
func NewNewlines(text []byte) *Newlines { return &Newlines{text: text, rest: text} }

// Next returns the length of the next line, its newline left out; after the last line comes the first.
func (n *Newlines) Next() int {
	if len(n.rest) == 0 {
		n.rest = n.text
	}
	end := bytes.IndexByte(n.rest, '\n')
	n.rest = n.rest[end+1:]
	return end
}

// Fields are the twenty fields that Fastjson takes from an event. They point into the reader's buffer and are valid until
// its next call.
type Fields struct {
	AuditID, Stage, Level, RequestURI, Verb                      []byte
	Username, ImpersonatedUsername                               []byte
	Groups                                                       [][]byte
	SourceIP, UserAgent                                          []byte
	Resource, Namespace, Name, APIGroup, APIVersion, Subresource []byte
	Code                                                         int
	RequestReceived, StageTime                                   []byte
	Decision, Reason                                             []byte
}

// Fastjson reads events with one reused parser, as its documentation recommends for speed. It parses all of the event and
// looks into no field that nobody asked for. It is for one goroutine.
type Fastjson struct {
	parser fastjson.Parser
	fields Fields
}

// Read parses one event and takes its fields.
func (r *Fastjson) Read(event []byte) (*Fields, error) {
	v, err := r.parser.ParseBytes(event)
	if err != nil {
		return nil, err
	}
	f := &r.fields
	f.AuditID = v.GetStringBytes("auditID")
	f.Stage = v.GetStringBytes("stage")
	f.Level = v.GetStringBytes("level")
	f.RequestURI = v.GetStringBytes("requestURI")
	f.Verb = v.GetStringBytes("verb")
	user := v.Get("user")
	f.Username = user.GetStringBytes("username")
	f.Groups = f.Groups[:0]
	for _, g := range user.GetArray("groups") {
		f.Groups = append(f.Groups, g.GetStringBytes())
	}
	f.ImpersonatedUsername = v.GetStringBytes("impersonatedUser", "username")
	f.SourceIP = v.GetStringBytes("sourceIPs", "0")
	f.UserAgent = v.GetStringBytes("userAgent")
	object := v.Get("objectRef")
	f.Resource = object.GetStringBytes("resource")
	f.Namespace = object.GetStringBytes("namespace")
	f.Name = object.GetStringBytes("name")
	f.APIGroup = object.GetStringBytes("apiGroup")
	f.APIVersion = object.GetStringBytes("apiVersion")
	f.Subresource = object.GetStringBytes("subresource")
	f.Code = v.GetInt("responseStatus", "code")
	f.RequestReceived = v.GetStringBytes("requestReceivedTimestamp")
	f.StageTime = v.GetStringBytes("stageTimestamp")
	annotations := v.Get("annotations")
	f.Decision = annotations.GetStringBytes("authorization.k8s.io/decision")
	f.Reason = annotations.GetStringBytes("authorization.k8s.io/reason")
	return f, nil
}

// Map decodes one event with encoding/json into a map, as most programs begin.
func Map(event []byte) (map[string]any, error) {
	var m map[string]any
	if err := json.Unmarshal(event, &m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("the event is null")
	}
	return m, nil
}
