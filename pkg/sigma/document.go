package sigma

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/foretop/foretop/pkg/event"
)

// read finds out what the document is and adds it to the collection.
func (d *document) read() {
	if d.root.Kind != yaml.MappingNode {
		d.warn(d.root, "not a Sigma document: it is no mapping; ignored")
		return
	}
	if n := value(d.root, "title"); n != nil && n.Kind == yaml.ScalarNode {
		d.title = strings.TrimSpace(n.Value)
	}
	extension := value(d.root, "x-foretop")
	d.own = extension != nil
	detection, filter, correlation := value(d.root, "detection"), value(d.root, "filter"), value(d.root, "correlation")
	if correlation != nil && detection == nil && filter == nil {
		d.loader.pending = append(d.loader.pending, d)
		return
	}
	ls, ours := d.logsource(detection != nil || filter != nil)
	if !ours {
		return
	}
	d.checkStructure(d.root, 0)
	switch {
	case d.failed:
	case detection == nil && filter == nil:
		d.fail(d.root, "the document has no detection (a rule), filter or correlation; add one, or remove the document")
	case correlation != nil || detection != nil && filter != nil:
		d.fail(d.root, "the document has more than one of detection, filter and correlation; write one document for each, separated by ---")
	case filter != nil:
		d.readFilter(ls)
		return
	default:
		d.readRule(ls)
		return
	}
	d.register(refRejected)
}

// logsource reads the log source and decides whether the document is for us. Others are counted, whatever
// else is in them. sigma is true if the document otherwise looks like a Sigma document.
func (d *document) logsource(sigma bool) (ls Logsource, ours bool) {
	n := value(d.root, "logsource")
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		switch {
		case !sigma && !d.own && n == nil:
			d.warn(d.root, "not a Sigma document: it has no logsource and no detection; ignored")
		default:
			d.fail(d.root, "logsource is missing or empty; write logsource: {product: kubernetes, service: audit}")
			d.register(refRejected)
		}
		return ls, false
	}
	for _, part := range []struct {
		key string
		to  *string
	}{{"product", &ls.Product}, {"service", &ls.Service}, {"category", &ls.Category}} {
		if v := value(n, part.key); !isNull(v) && v.Kind == yaml.ScalarNode {
			*part.to = strings.ToLower(strings.TrimSpace(v.Value))
		}
	}
	_, known := event.CategoryOf(ls.Category)
	kubernetes := ls.Product == "" || ls.Product == "kubernetes"
	audit := ls.Service == "" || ls.Service == "audit"
	switch {
	case kubernetes && audit && known:
		return ls, true
	case d.own || ls.Product == "kubernetes" && ls.Service == "audit":
		d.fail(n, "log source %s is not judged here; use product kubernetes, service audit and no category or one of %s",
			clip(ls.key()), categoryNames())
		d.register(refRejected)
		return ls, false
	case ls.Product == "kubernetes" && audit:
		d.warn(n, "category %q is unknown and service is missing: taken as a rule for another log", clip(ls.Category))
	}
	d.skip(ls.key())
	return ls, false
}

func categoryNames() string {
	names := []string{"application"}
	for _, c := range event.Categories {
		if c != event.Request {
			names = append(names, string(c))
		}
	}
	return strings.Join(names, ", ")
}

// key is the log source in Collection.Skipped: the keys that are set, joined by slashes.
func (ls Logsource) key() string {
	var parts []string
	for _, p := range []string{ls.Product, ls.Service, ls.Category} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "/")
}

// skip counts a document that is for another log source.
func (d *document) skip(key string) {
	d.loader.collection.Skipped[key]++
	for _, ref := range d.references() {
		d.loader.skippedRef[ref] = key
	}
}

// references are the keys by which other documents may name this one.
func (d *document) references() []string {
	var refs []string
	for _, key := range []string{"id", "name"} {
		if n := value(d.root, key); !isNull(n) && n.Kind == yaml.ScalarNode {
			refs = append(refs, refKey(n.Value))
		}
	}
	return refs
}

// refKey makes ids comparable: UUIDs are the same in any case; names are not.
func refKey(ref string) string {
	ref = strings.TrimSpace(ref)
	if isUUID(ref) {
		return strings.ToLower(ref)
	}
	return ref
}

func (d *document) register(s refState) {
	for _, ref := range d.references() {
		if d.loader.state[ref] != refLoaded {
			d.loader.state[ref] = s
		}
	}
}

// claim reserves an id or a name. The later of two documents with one id is rejected.
func (d *document) claim(kind, text string, n *yaml.Node) {
	key := kind + " " + refKey(text)
	if first, dup := d.loader.seen[key]; dup {
		if kind == "id" || d.own {
			d.fail(n, "%s %s is already used at %s; give this document its own", kind, clip(text), first)
			return
		}
		d.warn(n, "%s %s is already used at %s; references to it mean the first", kind, clip(text), first)
		return
	}
	d.loader.seen[key] = d.pos(n)
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
	}
	return true
}
