package finding

import (
	"slices"
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/engine"
)

const maxContainers = 100

// containers are those that matched; where the rule is not about containers, all of the object, or the
// one that an exec request names.
func (c *facts) containers() Container {
	var out Container
	for _, e := range c.match.Elements {
		if e.Category == "container" {
			out.addElement(c, &e)
		}
	}
	if len(out.Name) > 0 {
		return out
	}
	spec := podSpec(c.object)
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, o := range objects(spec[list]) {
			out.add(text(o, "name"), text(o, "image"), at(o, "securityContext", "privileged") == true)
		}
	}
	if len(out.Name) == 0 && isExec(c.ev.ObjectRef) && len(c.query["container"]) > 0 {
		out.Name = []string{c.query["container"][0]}
	}
	return out
}

func (out *Container) addElement(c *facts, e *engine.Element) {
	if o, ok := c.resolve(e.Path).(map[string]any); ok {
		out.add(text(o, "name"), text(o, "image"), at(o, "securityContext", "privileged") == true)
		return
	}
	out.add(e.Name, "", first(e.Fields["container.securityContext.privileged"]) == "true")
	image := imageName{
		repository: strings.Trim(first(e.Fields["image.registry"])+"/"+first(e.Fields["image.repository"]), "/"),
		tag:        first(e.Fields["image.tag"]), digest: first(e.Fields["image.digest"]),
	}
	if full := first(e.Fields["container.image"]); full != "" {
		image = splitImage(full)
	}
	out.Image.add(image)
}

func (out *Container) add(name, image string, privileged bool) {
	if name != "" && !slices.Contains(out.Name, name) && len(out.Name) < maxContainers {
		out.Name = append(out.Name, name)
	}
	out.Image.add(splitImage(image))
	out.Security.Privileged = out.Security.Privileged || privileged
}

func (i *Image) add(n imageName) {
	push := func(list *[]string, s string) {
		if s != "" && !slices.Contains(*list, s) && len(*list) < maxContainers {
			*list = append(*list, s)
		}
	}
	push(&i.Name, n.repository)
	push(&i.Tag, n.tag)
	push(&i.Hash.All, n.digest)
}

// imageName is an image reference taken apart: repository[:tag][@digest].
type imageName struct{ repository, tag, digest string }

func splitImage(ref string) imageName {
	var n imageName
	ref, n.digest, _ = strings.Cut(ref, "@")
	n.repository = ref
	// A colon before the last slash is a registry's port.
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		n.repository, n.tag = ref[:i], ref[i+1:]
	}
	return n
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// resolve finds what stands at an element's path, for example
// "requestObject.spec.template.spec.containers[1]"; nil if nothing does.
func (c *facts) resolve(path string) any {
	root, rest, _ := strings.Cut(path, ".")
	if root == "" || root != c.root {
		return nil
	}
	v := any(c.object)
	for rest != "" {
		var step string
		step, rest, _ = strings.Cut(rest, ".")
		name, index, indexed := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		v = at(v, name)
		if !indexed {
			continue
		}
		list, _ := v.([]any)
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(list) {
			return nil
		}
		v = list[i]
	}
	return v
}
