package decode

import "strings"

// httpStatus gives the HTTP status for a gRPC code, which is what entries have. Code 2 (unknown) is what
// becomes of 101, which gRPC cannot say: https://cloud.google.com/apis/design/errors#handling_errors
func httpStatus(grpc int, ref *resourceRef) int {
	switch grpc {
	case 0:
		switch {
		case ref.upgrades() && ref.subresource != "proxy":
			return 101
		case ref.verb == "create" && ref.resource != "":
			return 201
		}
		return 200
	case 2:
		if ref.upgrades() {
			return 101
		}
		return 500
	case 1:
		return 499
	case 3, 9, 11:
		return 400
	case 4:
		return 504
	case 5:
		return 404
	case 6, 10:
		return 409
	case 7:
		return 403
	case 8:
		return 429
	case 12:
		return 501
	case 14:
		return 503
	case 16:
		return 401
	}
	return 500
}

// resourceRef is what an entry's methodName and resourceName say about the request.
type resourceRef struct {
	group, version, namespace, resource, name, subresource string
	verb, uri                                              string
}

func (r *resourceRef) upgrades() bool {
	switch r.subresource {
	case "exec", "attach", "portforward", "proxy":
		return true
	}
	return false
}

// parseResourceName reads <group>/<version>[/namespaces/<ns>]/<resource>[/<name>[/<subresource>...]], in
// which the core group is called core. Anything else is a path without an object. The verb, and what kind
// of subresource it is, come from the method; the group never does, since it is written backwards there.
func parseResourceName(path, method string) resourceRef {
	r := resourceRef{verb: method[strings.LastIndexByte(method, '.')+1:], uri: "/" + path}
	seg := strings.Split(path, "/")
	if len(seg) < 3 || !isVersion(seg[1]) || seg[0] == "api" || seg[0] == "apis" {
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
		if r.group == "" && (len(rest) == 2 || len(rest) == 3 && (rest[2] == "status" || rest[2] == "finalize")) {
			r.name = rest[1] // the Namespace itself
		} else if len(rest) > 2 {
			rest = rest[2:]
		}
	}
	r.resource = rest[0]
	if len(rest) > 1 {
		r.name = rest[1]
	}
	if len(rest) > 2 {
		r.subresource = rest[2]
	}
	if sub, ok := methodSubresource(method, r.resource); ok {
		r.subresource = sub
	}
	if r.verb == "create" && r.subresource == "" && r.name != "" {
		r.uri = strings.TrimSuffix(r.uri, "/"+r.name) // a create's path has no name
	}
	// exec and its kind repeat the pod's name behind the subresource, which no request's path does.
	if r.upgrades() && r.subresource != "proxy" {
		r.uri = strings.TrimSuffix(r.uri, "/"+r.subresource+"/"+r.name)
		if !strings.HasSuffix(r.uri, "/"+r.subresource) {
			r.uri += "/" + r.subresource
		}
	}
	return r
}

// methodSubresource reads the subresource from ...<version>.<resource>[.<subresource>].<verb>. ok is false
// if the method is not of that form.
func methodSubresource(method, resource string) (sub string, ok bool) {
	seg := strings.Split(method, ".")
	for i, s := range seg {
		if !isVersion(s) || len(seg)-i < 3 || seg[i+1] != resource {
			continue
		}
		return strings.Join(seg[i+2:len(seg)-1], "."), true
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
