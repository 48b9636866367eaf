package decode

import (
	"slices"
	"strings"
)

// resourceRef is what an entry's methodName and resourceName say about the request.
type resourceRef struct {
	group, version, namespace, resource, name, subresource string
	verb, uri                                              string
	tail                                                   string // of the path, behind the name
}

func (r *resourceRef) upgrades() bool {
	switch r.subresource {
	case "exec", "attach", "portforward", "proxy":
		return true
	}
	return false
}

// sendsBody reports whether the request may have had a body: nothing is known to be missing from those that
// never have one.
func (r *resourceRef) sendsBody() bool {
	switch r.verb {
	case "get", "list", "watch", "head", "options":
		return false
	}
	return r.resource != "" && !r.upgrades()
}

// parseResourceName reads <group>/<version>[/namespaces/<ns>]/<resource>[/<name>[/<subresource>...]], in
// which the core group is called core. Anything else is a path without an object. The verb, and where the
// name ends and a subresource begins, come from the method; the group never does, since it is written
// backwards there.
func parseResourceName(path, method string) resourceRef {
	r := resourceRef{verb: method[strings.LastIndexByte(method, '.')+1:], uri: "/" + path}
	seg := strings.Split(path, "/")
	if len(seg) < 3 || !isVersion(seg[1]) || seg[0] == "api" || seg[0] == "apis" || seg[2] == "" {
		return r
	}
	r.group, r.version = seg[0], seg[1]
	r.uri = "/apis/" + path
	if r.group == "core" {
		r.group, r.uri = "", "/api/"+strings.TrimPrefix(path, "core/")
	}
	rest := seg[2:]
	if rest[0] == "namespaces" && len(rest) > 1 {
		r.namespace = rest[1]
		if len(rest) > 2 && !isNamespaceSubresource(rest, method) {
			rest = rest[2:]
		}
	}
	r.resource = rest[0]
	r.readName(rest[1:], method)
	r.repairURI()
	return r
}

// isNamespaceSubresource tells a subresource of a Namespace from a resource in it. There are two:
// https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/request/requestinfo.go
func isNamespaceSubresource(rest []string, method string) bool {
	if len(rest) != 3 || rest[2] != "status" && rest[2] != "finalize" {
		return false
	}
	_, ok := methodSubresource(method, rest[2]) // a resource of that name, of somebody's own
	return !ok
}

// readName splits what follows the resource into the object's name and the subresource. Behind exec and its
// kind the name may stand once more, behind proxy the path goes on.
func (r *resourceRef) readName(rest []string, method string) {
	if len(rest) == 0 {
		return
	}
	sub, ok := methodSubresource(method, r.resource)
	at := 1
	if ok {
		at = len(rest)
		if i := slices.Index(rest[1:], sub); sub != "" && i >= 0 {
			at = i + 1
		}
	}
	r.name, r.tail = strings.Join(rest[:at], "/"), strings.Join(rest[at:], "/")
	r.subresource = sub
	if !ok && at < len(rest) {
		r.subresource = rest[at]
	}
}

// repairURI undoes what the entry's path has differently from the request's.
func (r *resourceRef) repairURI() {
	switch {
	case r.verb == "create" && r.subresource == "" && r.name != "":
		r.uri = strings.TrimSuffix(r.uri, "/"+r.name) // a create's path has no name
		if r.resource == "namespaces" && r.namespace == r.name {
			r.namespace = "" // nor is the Namespace within one before it exists
		}
	case r.upgrades() && r.subresource != "proxy":
		r.uri = strings.TrimSuffix(strings.TrimSuffix(r.uri, r.tail), "/") + "/" + r.subresource
	}
}

// methodSubresource reads the subresource from ...<version>.<resource>[.<subresource>].<verb>. ok is false
// if the method is not of that form.
func methodSubresource(method, resource string) (sub string, ok bool) {
	seg := strings.Split(method, ".")
	for i, s := range seg {
		if !isVersion(s) || len(seg)-i < 3 || seg[i+1] != resource {
			continue
		}
		if len(seg)-i > 3 {
			sub = seg[i+2]
		}
		return sub, true
	}
	return "", false
}

// isVersion recognises v1, v1beta2, v2alpha1.
func isVersion(s string) bool {
	rest, ok := strings.CutPrefix(s, "v")
	if !ok || rest == "" || rest[0]-'0' > 9 {
		return false
	}
	rest = strings.TrimLeft(rest, "0123456789")
	if rest == "" {
		return true
	}
	for _, stage := range [...]string{"alpha", "beta"} {
		if n, ok := strings.CutPrefix(rest, stage); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return true
		}
	}
	return false
}

// append writes objectRef, if there is an object.
func (r *resourceRef) append(b, name []byte) []byte {
	if r.resource == "" {
		return b
	}
	b = append(b, `,"objectRef":{"resource":`...)
	b = appendQuoted(b, []byte(r.resource))
	for _, f := range [...]struct{ name, value string }{
		{"namespace", r.namespace}, {"name", string(name)}, {"apiGroup", r.group}, {"apiVersion", r.version}, {"subresource", r.subresource},
	} {
		if f.value != "" {
			b = append(append(append(b, `,"`...), f.name...), `":`...)
			b = appendQuoted(b, []byte(f.value))
		}
	}
	return append(b, '}')
}
