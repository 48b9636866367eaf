package engine

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/foretop/foretop/pkg/jsonindex"
)

// operation is one step of a JSON Patch (RFC 6902). A move is two of them, and a copy adds a value that is not known.
type operation struct {
	kind  operationKind
	path  [][]byte // unescaped reference tokens; none for the whole object
	value span
}

type operationKind uint8

const (
	otherOperation operationKind = iota
	addOperation
	removeOperation
	replaceOperation
)

// places is true for a step that puts a known value somewhere.
func (o *operation) places() bool {
	return (o.kind == addOperation || o.kind == replaceOperation) && !o.value.none() && len(o.path) <= maxPatchDepth
}

// operations reads the JSON Patch of the current event, once; steps that are none are left out. A test changes nothing
// and is left out too.
func (j *Judge) operations(patch span) []operation {
	d := &j.derived
	if !j.take(operationsPart, eventScope) {
		return d.operations
	}
	d.operations, d.tokens = d.operations[:0], d.tokens[:0]
	if !patch.isArray() {
		return nil
	}
	for c := open(patch); c.element(); {
		var members [4]span
		c.value().pick(operationKeys, members[:])
		pointer, from, value := j.textOf(members[1]), j.textOf(members[2]), members[3]
		switch string(j.textOf(members[0])) {
		case "", "test":
		case "add":
			j.addOperation(addOperation, pointer, value)
		case "remove":
			j.addOperation(removeOperation, pointer, span{})
		case "replace":
			j.addOperation(replaceOperation, pointer, value)
		case "copy":
			j.addOperation(addOperation, pointer, span{})
		case "move":
			j.addOperation(removeOperation, from, span{})
			j.addOperation(addOperation, pointer, span{})
		default:
			j.addOperation(otherOperation, pointer, value)
		}
	}
	return d.operations
}

var operationKeys = []string{"op", "path", "from", "value"}

// addOperation takes a pointer as the API server does: what stands before the first slash counts for nothing, and only
// an empty one names the whole object.
func (j *Judge) addOperation(kind operationKind, pointer []byte, value span) {
	d := &j.derived
	first := len(d.tokens)
	_, rest, more := bytes.Cut(pointer, []byte{'/'})
	if !more && len(pointer) > 0 || pointer == nil {
		return
	}
	for more {
		var token []byte
		token, rest, more = bytes.Cut(rest, []byte{'/'})
		d.tokens = append(d.tokens, j.unescapeToken(token))
	}
	d.operations = append(d.operations, operation{kind, d.tokens[first:len(d.tokens):len(d.tokens)], value})
}

// unescapeToken undoes the escapes of a reference token: ~1 for a slash, ~0 for a tilde.
func (j *Judge) unescapeToken(token []byte) []byte {
	if bytes.IndexByte(token, '~') < 0 {
		return token
	}
	start := len(j.arena)
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '~' && i+1 < len(token) && token[i+1]-'0' <= 1 {
			i++
			c = "~/"[token[i]-'0']
		}
		j.arena = append(j.arena, c)
	}
	return j.arena[start:len(j.arena):len(j.arena)]
}

const (
	maxPatchIndex = 1000 // list indexes beyond it are appended
	maxPatchDepth = 64
)

// listPlace gives the index that a token names in a list, as the API server reads it: 01 and +1 are 1. It is negative
// for the end of the list and for what is counted from there. ok is false for other tokens.
func listPlace(token []byte) (number int, ok bool) {
	if string(token) == "-" {
		return -1, true
	}
	return numberOf(token)
}

// fromJSONPatch builds the object that a JSON Patch describes as far as it says: what it adds and replaces, at
// its place. The list of an element that is named by number is filled up with empty objects.
func (j *Judge) fromJSONPatch(patch span) span {
	var root any
	for _, o := range j.operations(patch) {
		if !o.places() {
			continue
		}
		var value any
		d := json.NewDecoder(bytes.NewReader(o.value.bytes()))
		d.UseNumber()
		if d.Decode(&value) == nil {
			root = placeAt(root, o.path, value, o.kind == addOperation)
		}
	}
	if root == nil {
		return span{}
	}
	text, err := json.Marshal(root)
	if err != nil {
		return span{}
	}
	return parsed(new(jsonindex.Index), text)
}

// placeAt puts value at the path below at and returns the new at. What is added to a list moves its elements on; an
// index that is counted from the end appends, since the list is not known.
func placeAt(at any, path [][]byte, value any, add bool) any {
	if len(path) == 0 {
		return value
	}
	if number, ok := listPlace(path[0]); ok {
		list, ok := at.([]any)
		if !ok && at != nil {
			return at
		}
		switch {
		case number < 0 || number > maxPatchIndex:
			number = len(list)
		case add && len(path) == 1 && number < len(list):
			return slices.Insert(list, number, value)
		}
		for len(list) <= number {
			list = append(list, map[string]any{})
		}
		list[number] = placeAt(list[number], path[1:], value, add)
		return list
	}
	token := string(path[0])
	object, ok := at.(map[string]any)
	if !ok {
		if at != nil {
			return at
		}
		object = make(map[string]any)
	}
	var inner any
	if len(path) > 1 {
		inner = object[token]
	}
	object[token] = placeAt(inner, path[1:], value, add)
	return object
}
