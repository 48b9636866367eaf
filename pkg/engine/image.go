package engine

import "strings"

// image is a container image reference, taken apart.
type image struct {
	registry, repository, tag, digest string
}

// parseImage takes a reference apart as container runtimes do: the first part is a registry if it holds a dot
// or a colon or is localhost; without one the registry is docker.io, where a single name is below library/.
func parseImage(ref string) image {
	var i image
	ref, i.digest, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref, i.tag = ref[:colon], ref[colon+1:]
	}
	first, rest, ok := strings.Cut(ref, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		i.registry, i.repository = strings.ToLower(first), rest
	} else {
		i.registry, i.repository = "docker.io", ref
	}
	if i.registry == "index.docker.io" {
		i.registry = "docker.io"
	}
	if i.registry == "docker.io" && !strings.Contains(i.repository, "/") {
		i.repository = "library/" + i.repository
	}
	return i
}
