//go:build kube

package kube

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// guide are the files and flags that the guide tells its reader to write.
type guide struct {
	policy, kubeconfig string
	flags              []string
	environment        map[string]string
}

func readGuide(t *testing.T) *guide {
	t.Helper()
	text, err := os.ReadFile("../../docs/guides/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	g := &guide{environment: make(map[string]string)}
	for _, block := range regexp.MustCompile("(?s)```[a-z]+\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		switch body := block[1]; {
		case strings.Contains(body, "kind: Policy"):
			g.policy = body
		case strings.Contains(body, "kind: Config"):
			g.kubeconfig = body
		case strings.Contains(body, "- --audit-"):
			for line := range strings.Lines(body) {
				g.flags = append(g.flags, strings.TrimPrefix(strings.TrimSpace(line), "- "))
			}
		case strings.Contains(body, "foretop run"):
			for line := range strings.Lines(body) {
				if name, value, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), " \\"), "="); ok {
					g.environment[name] = value
				}
			}
		}
	}
	if g.policy == "" || g.kubeconfig == "" || len(g.flags) < 5 || len(g.environment) < 5 {
		t.Fatalf("the guide has changed its form: %+v", g)
	}
	return g
}

// replace exchanges text that must be there.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the guide does not say %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}
