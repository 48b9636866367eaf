// Package integration holds the tests that need real servers, and the checks of what is shipped beside the binary: the
// compose file, the image, the manifests.
package integration

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// imageUser is the user that the image declares and deployments/docker/rootfs.sh gives the state folder to.
const imageUser = 65532

var documented = sync.OnceValues(func() (map[string]bool, error) {
	page, err := os.ReadFile("../docs/reference/configuration.md")
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(FORETOP_[A-Z0-9_]+)`").FindAllStringSubmatch(string(page), -1) {
		names[m[1]] = true
	}
	return names, nil
})

// knownVariable fails the test if name looks like a setting of ours and the reference does not have it. Every setting
// can also be given as a file.
func knownVariable(t *testing.T, where, name string) {
	t.Helper()
	names, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(name, "FORETOP_") || names[name] || names[strings.TrimSuffix(name, "_FILE")] {
		return
	}
	t.Errorf("%s sets %s, which docs/reference/configuration.md does not know", where, name)
}
