package finding

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

const maxTargets = 100

// readObject reads what is needed of the object that the request wrote. Reads, deletes and the
// subresources that carry another object than the one named have none.
func (c *facts) readObject() {
	if ref := c.ev.ObjectRef; ref != nil {
		c.name, c.uid = ref.Name, ref.UID
	}
	if !slices.Contains([]string{"create", "update", "patch"}, c.ev.Verb) {
		return
	}
	c.object = c.writtenObject()
	meta, _ := c.object["metadata"].(map[string]any)
	if c.name == "" {
		c.name = text(meta, "name")
	}
	if c.uid == "" {
		c.uid = text(meta, "uid")
	}
	for _, o := range objects(meta["ownerReferences"]) {
		if o["controller"] == true {
			c.owner = Owner{Kind: text(o, "kind"), Name: text(o, "name")}
		}
	}
	if ref, ok := c.object["roleRef"].(map[string]any); ok {
		c.roleRef = Owner{Kind: text(ref, "kind"), Name: text(ref, "name")}
	}
}

// writtenObject is the body that the engine judged; where it judged none, the response if it is an
// object, else the request.
func (c *facts) writtenObject() map[string]any {
	roots := []string{"responseObject", "requestObject"}
	if c.bodySource() == "requestObject" {
		slices.Reverse(roots)
	}
	bodies := map[string]json.RawMessage{"responseObject": c.ev.ResponseObject, "requestObject": c.ev.RequestObject}
	for _, root := range roots {
		if o, ok := decodeBody(bodies[root]).(map[string]any); ok && isObject(o) {
			c.root = root
			return o
		}
	}
	return nil
}

// bodySource is the body that the engine judged, empty if it judged none.
func (c *facts) bodySource() string {
	if c.match.BodySource == "" && len(c.match.Elements) > 0 {
		root, _, _ := strings.Cut(c.match.Elements[0].Path, ".")
		return root
	}
	return c.match.BodySource
}

// isObject tells an API object from the other things that stand in for one.
func isObject(o map[string]any) bool {
	kind := text(o, "kind")
	return kind != "Status" && kind != "Table" && !strings.HasSuffix(kind, "Options") && !strings.HasSuffix(kind, "List")
}

// decodeBody decodes one JSON value, numbers as they are written; nil if it is none, or too large.
func decodeBody(raw json.RawMessage) any {
	if len(raw) > maxDecodedBody {
		return nil
	}
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// at walks down objects by key.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// text is the string at a path, empty if there is none.
func text(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}

// objects are the objects in a list.
func objects(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// podSpec is the pod spec in an object of whatever kind.
func podSpec(o map[string]any) map[string]any {
	for _, path := range [][]string{
		{"spec", "jobTemplate", "spec", "template", "spec"}, {"spec", "template", "spec"}, {"template", "spec"}, {"spec"},
	} {
		if spec, ok := at(o, path...).(map[string]any); ok {
			if _, ok := spec["containers"].([]any); ok {
				return spec
			}
			if _, ok := spec["ephemeralContainers"].([]any); ok {
				return spec
			}
		}
	}
	return nil
}

func (c *facts) orchestrator() Orchestrator {
	o := Orchestrator{Type: "kubernetes", Cluster: Cluster{Name: c.env.Cluster.Name, ID: c.env.Cluster.ID}}
	ref := c.ev.ObjectRef
	if ref == nil {
		return o
	}
	o.Namespace = ref.Namespace
	o.APIVersion = strings.Trim(ref.APIGroup+"/"+ref.APIVersion, "/")
	o.Resource = Resource{Type: ref.Resource, Name: c.name, ID: c.uid, Parent: Parent{Type: c.owner.Kind}}
	labels, _ := at(c.object, "metadata", "labels").(map[string]any)
	for _, key := range head(sortedKeys(labels), maxAnnotations) {
		if value, ok := labels[key].(string); ok {
			o.Resource.Label = append(o.Resource.Label, key+":"+value)
		}
	}
	return o
}

// targetsOf are the identities that the request acts upon.
func (c *facts) targetsOf() UserTarget {
	var users, groups []string
	ref := c.ev.ObjectRef
	switch {
	case ref == nil:
	case c.resource == "rolebindings" || c.resource == "clusterrolebindings":
		for _, s := range objects(c.object["subjects"]) {
			switch name := text(s, "name"); text(s, "kind") {
			case "Group":
				groups = append(groups, name)
			case "ServiceAccount":
				namespace := text(s, "namespace")
				if namespace == "" {
					namespace = ref.Namespace
				}
				users = append(users, serviceAccountPrefix+namespace+":"+name)
			default:
				users = append(users, name)
			}
		}
	case c.resource == "serviceaccounts" && isWrite(c.ev.Verb) && c.name != "":
		users = append(users, serviceAccountPrefix+ref.Namespace+":"+c.name)
	case c.resource == "certificatesigningrequests":
		name, orgs := requestedIdentity(text(c.object, "spec", "request"))
		users, groups = append(users, name, text(c.object, "spec", "username")), orgs
	}
	return UserTarget{Name: head(distinct(users), maxTargets), Group: Names{head(distinct(groups), maxTargets)}}
}

func isWrite(verb string) bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, verb)
}

// requestedIdentity reads the user name (CN) and the groups (O) out of spec.request of a
// CertificateSigningRequest, base64 of a PEM block.
func requestedIdentity(request string) (name string, groups []string) {
	raw, err := base64.StdEncoding.DecodeString(request)
	if err != nil {
		return "", nil
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return "", nil
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", nil
	}
	return csr.Subject.CommonName, csr.Subject.Organization
}

// process is the command of an exec request, its secrets removed.
func (c *facts) process() Process {
	if !isExec(c.ev.ObjectRef) {
		return Process{}
	}
	args, n := redactWords(head(c.query["command"], maxArgs))
	c.redactions += n
	return Process{CommandLine: strings.Join(args, " "), Args: args}
}

const maxArgs = 100

func isExec(ref *event.ObjectRef) bool {
	return ref != nil && (ref.Subresource == "exec" || ref.Subresource == "attach")
}
