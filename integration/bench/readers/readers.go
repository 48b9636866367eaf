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

// Fastjson reads events with one reused parser. It parses all of the event, and looks into no field that nobody asked for. Going
// through the members of an object once is faster here than asking for each by its key: to be sure that a key is
// missing, the library unescapes all of them. It is for one goroutine.
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
	o, err := v.Object()
	if err != nil {
		return nil, err
	}
	f := &r.fields
	*f = Fields{Groups: f.Groups[:0]}
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "auditID":
			f.AuditID = v.GetStringBytes()
		case "stage":
			f.Stage = v.GetStringBytes()
		case "level":
			f.Level = v.GetStringBytes()
		case "requestURI":
			f.RequestURI = v.GetStringBytes()
		case "verb":
			f.Verb = v.GetStringBytes()
		case "user":
			f.user(v.GetObject())
		case "impersonatedUser":
			f.ImpersonatedUsername = v.GetStringBytes("username")
		case "sourceIPs":
			if ips := v.GetArray(); len(ips) > 0 {
				f.SourceIP = ips[0].GetStringBytes()
			}
		case "userAgent":
			f.UserAgent = v.GetStringBytes()
		case "objectRef":
			f.object(v.GetObject())
		case "responseStatus":
			f.Code = v.GetInt("code")
		case "requestReceivedTimestamp":
			f.RequestReceived = v.GetStringBytes()
		case "stageTimestamp":
			f.StageTime = v.GetStringBytes()
		case "annotations":
			f.Decision = v.GetStringBytes("authorization.k8s.io/decision")
			f.Reason = v.GetStringBytes("authorization.k8s.io/reason")
		}
	})
	return f, nil
}

func (f *Fields) user(o *fastjson.Object) {
	if o == nil {
		return
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "username":
			f.Username = v.GetStringBytes()
		case "groups":
			for _, g := range v.GetArray() {
				f.Groups = append(f.Groups, g.GetStringBytes())
			}
		}
	})
}

func (f *Fields) object(o *fastjson.Object) {
	if o == nil {
		return
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "resource":
			f.Resource = v.GetStringBytes()
		case "namespace":
			f.Namespace = v.GetStringBytes()
		case "name":
			f.Name = v.GetStringBytes()
		case "apiGroup":
			f.APIGroup = v.GetStringBytes()
		case "apiVersion":
			f.APIVersion = v.GetStringBytes()
		case "subresource":
			f.Subresource = v.GetStringBytes()
		}
	})
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
