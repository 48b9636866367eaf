package decode

import "bytes"

// resourceRef is what an entry's methodName and resourceName say about the request. Its texts are parts of those.
type resourceRef struct {
	group, version, namespace, resource, name, subresource []byte
	verb, tail                                             []byte // tail: of the path, behind the name
	root, path, end                                        []byte // together the path of the request
}

var (
	slash, dot = []byte("/"), []byte(".")

	rootOther, rootCore, rootGroup = []byte("/"), []byte("/api/"), []byte("/apis/")
	coreGroup                      = []byte("core/")
)

func (r *resourceRef) upgrades() bool {
	switch string(r.subresource) {
	case "exec", "attach", "portforward", "proxy":
		return true
	}
	return false
}

func (r *resourceRef) isProxy() bool { return string(r.subresource) == "proxy" }

func (r *resourceRef) creates() bool { return string(r.verb) == "create" }

func (r *resourceRef) patches() bool { return string(r.verb) == "patch" }

// sendsBody reports whether the request may have had a body: nothing is known to be missing from those that
// never have one.
func (r *resourceRef) sendsBody() bool {
	switch string(r.verb) {
	case "get", "list", "watch", "head", "options":
		return false
	}
	return len(r.resource) > 0 && !r.upgrades()
}

// parseResourceName reads <group>/<version>[/namespaces/<ns>]/<resource>[/<name>[/<subresource>...]], in
// which the core group is called core. Anything else is a path without an object. The verb, and where the
// name ends and a subresource begins, come from the method; the group never does, since it is written
// backwards there.
func parseResourceName(path, method []byte) resourceRef {
	r := resourceRef{verb: method[bytes.LastIndexByte(method, '.')+1:], root: rootOther, path: path}
	group, rest, _ := bytes.Cut(path, slash)
	version, rest, ok := bytes.Cut(rest, slash)
	if !ok || !isVersion(version) || string(group) == "api" || string(group) == "apis" || len(rest) == 0 || rest[0] == '/' {
		return r
	}
	r.group, r.version, r.root = group, version, rootGroup
	if string(group) == "core" {
		r.group, r.root, r.path = nil, rootCore, bytes.TrimPrefix(path, coreGroup)
	}
	if first, inside, ok := bytes.Cut(rest, slash); ok && string(first) == "namespaces" {
		var more bool
		r.namespace, inside, more = bytes.Cut(inside, slash)
		if more && !isNamespaceSubresource(inside, method) {
			rest = inside
		}
	}
	var named bool
	if r.resource, rest, named = bytes.Cut(rest, slash); named {
		r.readName(rest, method)
	}
	r.repairURI()
	return r
}

// isNamespaceSubresource tells a subresource of a Namespace from a resource in it. There are two:
// https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/request/requestinfo.go
func isNamespaceSubresource(rest, method []byte) bool {
	if string(rest) != "status" && string(rest) != "finalize" {
		return false
	}
	_, ok := methodSubresource(method, rest) // a resource of that name, of somebody's own
	return !ok
}

// readName splits what follows the resource into the object's name and the subresource. Behind exec and its
// kind the name may stand once more, behind proxy the path goes on.
func (r *resourceRef) readName(rest, method []byte) {
	sub, ok := methodSubresource(method, r.resource)
	if !ok {
		r.name, r.tail, _ = bytes.Cut(rest, slash)
		r.subresource, _, _ = bytes.Cut(r.tail, slash)
		return
	}
	r.name, r.subresource = rest, sub
	for at := 0; len(sub) > 0; {
		next := bytes.IndexByte(rest[at:], '/')
		if next < 0 {
			return
		}
		at += next + 1
		if segment, _, _ := bytes.Cut(rest[at:], slash); bytes.Equal(segment, sub) {
			r.name, r.tail = rest[:at-1], rest[at:]
			return
		}
	}
}

// repairURI undoes what the entry's path has differently from the request's.
func (r *resourceRef) repairURI() {
	switch {
	case r.creates() && len(r.subresource) == 0 && len(r.name) > 0:
		if path, ok := bytes.CutSuffix(r.path, r.name); ok && bytes.HasSuffix(path, slash) {
			r.path = path[:len(path)-1] // a create's path has no name
		}
		if string(r.resource) == "namespaces" && bytes.Equal(r.namespace, r.name) {
			r.namespace = nil // nor is the Namespace within one before it exists
		}
	case r.upgrades() && !r.isProxy():
		r.path = bytes.TrimSuffix(bytes.TrimSuffix(r.path, r.tail), slash)
		r.end = r.subresource
	}
}

// methodSubresource reads the subresource from ...<version>.<resource>[.<subresource>].<verb>. ok is false
// if the method is not of that form.
func methodSubresource(method, resource []byte) (sub []byte, ok bool) {
	for more := true; more; {
		var version []byte
		if version, method, more = bytes.Cut(method, dot); !more || !isVersion(version) {
			continue
		}
		name, rest, verb := bytes.Cut(method, dot)
		if !verb || !bytes.Equal(name, resource) {
			continue
		}
		if sub, _, ok = bytes.Cut(rest, dot); !ok {
			sub = nil
		}
		return sub, true
	}
	return nil, false
}

// isVersion recognises v1, v1beta2, v2alpha1.
func isVersion(s []byte) bool {
	if len(s) < 2 || s[0] != 'v' {
		return false
	}
	s, ok := cutDigits(s[1:])
	if !ok || len(s) == 0 {
		return ok
	}
	for _, stage := range [...]string{"alpha", "beta"} {
		if n := len(stage); len(s) > n && string(s[:n]) == stage {
			s, ok = cutDigits(s[n:])
			return ok && len(s) == 0
		}
	}
	return false
}

// cutDigits takes the digits off the front of s; ok is false if there are none.
func cutDigits(s []byte) (rest []byte, ok bool) {
	end := skipDigits(s, 0)
	return s[end:], end > 0
}

// appendURI writes the path of the request and, behind it, query.
func (r *resourceRef) appendURI(b []byte, query string) []byte {
	b = append(append(b, '"'), r.root...)
	b = appendEscaped(b, r.path)
	if r.end != nil {
		b = appendEscaped(append(b, '/'), r.end)
	}
	return append(append(b, query...), '"')
}

// append writes objectRef, if there is an object.
func (r *resourceRef) append(b, name []byte) []byte {
	if len(r.resource) == 0 {
		return b
	}
	b = append(b, `,"objectRef":{"resource":`...)
	b = appendQuoted(b, r.resource)
	for _, f := range [...]struct {
		name  string
		value []byte
	}{
		{"namespace", r.namespace}, {"name", name}, {"apiGroup", r.group}, {"apiVersion", r.version}, {"subresource", r.subresource},
	} {
		if len(f.value) > 0 {
			b = append(append(append(b, `,"`...), f.name...), `":`...)
			b = appendQuoted(b, f.value)
		}
	}
	return append(b, '}')
}
