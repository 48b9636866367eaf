package finding

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fieldPaths are the fields that t is written as, by their paths.
func fieldPaths(t reflect.Type, prefix string) []string {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		return fieldPaths(t.Elem(), prefix)
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[Point]() {
		return []string{strings.TrimPrefix(prefix, ".")}
	}
	var out []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			out = append(out, fieldPaths(f.Type, prefix)...)
		case f.IsExported():
			out = append(out, fieldPaths(f.Type, prefix+"."+name)...)
		}
	}
	return out
}

// closedSets are the values of the constants of identities, by the first word of their names: kind, type, confidence,
// shared.
func closedSets(t testing.TB) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("identity*.go")
	if err != nil {
		t.Fatal(err)
	}
	sets := make(map[string][]string)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
				return true
			}
			value, ok := spec.Values[0].(*ast.BasicLit)
			word := regexp.MustCompile(`^(kind|type|confidence|shared)[A-Z]`).FindStringSubmatch(spec.Names[0].Name)
			if ok && word != nil {
				text, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				sets[word[1]] = append(sets[word[1]], text)
			}
			return true
		})
	}
	return sets
}

func TestTheReferenceOfFindingsIsComplete(t *testing.T) {
	raw, err := os.ReadFile("../../docs/reference/finding.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("`([a-z][a-z0-9_.]*)`").FindAllStringSubmatch(string(raw), -1) {
		documented = append(documented, m[1])
	}
	paths := fieldPaths(reflect.TypeFor[Finding](), "")
	for _, path := range paths {
		for _, about := range []string{"user.", "cloud.", "orchestrator.cluster.", "source.", "client.", "related.", "foretop.identity.", "foretop.address_forwarded"} {
			if strings.HasPrefix(path, about) && !strings.HasPrefix(path, "foretop.identity.effective.") && !slices.Contains(documented, path) {
				t.Errorf("%s is not documented", path)
			}
		}
	}
	for _, name := range documented {
		if strings.Contains(name, ".") && !strings.HasSuffix(name, ".") && !slices.Contains(paths, name) {
			t.Errorf("%s is documented, and no finding has it", name)
		}
	}
	sets := closedSets(t)
	if len(sets["kind"]) < 6 || len(sets["type"]) < 15 || len(sets["confidence"]) < 6 || len(sets["shared"]) < 8 {
		t.Fatalf("the constants were not found: %v", sets)
	}
	for set, values := range sets {
		for _, value := range values {
			if !slices.Contains(documented, value) {
				t.Errorf("%s %q is not documented", set, value)
			}
		}
	}
}
