package engine

import "bytes"

// image is a container image reference, taken apart.
type image struct {
	registry, repository, tag, digest []byte
}

var (
	dockerHub      = []byte("docker.io")
	dockerHubIndex = []byte("index.docker.io")
	dockerLibrary  = []byte("library/")
	localhost      = []byte("localhost")
)

// parseImage takes a reference apart as container runtimes do: the first part is a registry if it holds a dot
// or a colon or is localhost; without one the registry is docker.io, where a single name is below library/.
// The parts lie in the reference or in the arena.
func (j *Judge) parseImage(ref []byte) (i image) {
	ref, i.digest, _ = bytes.Cut(ref, []byte{'@'})
	if colon := bytes.LastIndexByte(ref, ':'); colon > bytes.LastIndexByte(ref, '/') {
		ref, i.tag = ref[:colon], ref[colon+1:]
	}
	i.registry, i.repository = dockerHub, ref
	if first, rest, ok := bytes.Cut(ref, []byte{'/'}); ok && (bytes.ContainsAny(first, ".:") || bytes.Equal(first, localhost)) {
		i.registry, i.repository = j.lower(first), rest
	}
	if bytes.Equal(i.registry, dockerHubIndex) {
		i.registry = dockerHub
	}
	if bytes.Equal(i.registry, dockerHub) && bytes.IndexByte(i.repository, '/') < 0 {
		i.repository = j.join(dockerLibrary, i.repository)
	}
	return i
}

// join writes texts one behind the other into the arena.
func (j *Judge) join(texts ...[]byte) []byte {
	start := len(j.arena)
	for _, t := range texts {
		j.arena = append(j.arena, t...)
	}
	return j.arena[start:len(j.arena):len(j.arena)]
}
