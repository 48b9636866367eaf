package sigma

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func names(files []File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Name)
	}
	return out
}

func TestRuleFilesAreReadRecursivelyInOrder(t *testing.T) {
	fsys := fstest.MapFS{}
	for _, name := range []string{
		"rules/b.yml", "rules/a.yaml", "rules/a_test.yml", "rules/c_test.yaml", "rules/sub/deep/d.yml",
		"rules/.hidden.yml", "rules/.git/x.yml", "rules/README.md", "rules/yml", "other/z.yml", "rules/test.yml",
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(name)}
	}
	got, err := ReadDir(fsys, "rules")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"rules/a.yaml", "rules/b.yml", "rules/sub/deep/d.yml", "rules/test.yml"}
	if diff := cmp.Diff(want, names(got)); diff != "" {
		t.Error(diff)
	}
	if string(got[1].Data) != "rules/b.yml" {
		t.Errorf("data %q", got[1].Data)
	}
	tests, err := ReadTests(fsys, "rules")
	if diff := cmp.Diff([]string{"rules/a_test.yml", "rules/c_test.yaml"}, names(tests)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if one, err := ReadDir(fsys, "rules/a_test.yml"); err != nil || len(one) != 1 {
		t.Errorf("a root that is a file: %v, %v", one, err)
	}
	if _, err := ReadDir(fsys, "nowhere"); err == nil {
		t.Error("a missing root is no error")
	}
}

// configMap lays out a directory as the kubelet mounts a ConfigMap.
func configMap(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "..2026_01_01")
	for _, step := range []error{
		os.Mkdir(data, 0o755),
		os.WriteFile(filepath.Join(data, "rule.yml"), []byte("title: x\n"), 0o644),
		os.Symlink("..2026_01_01", filepath.Join(dir, "..data")),
		os.Symlink("..data/rule.yml", filepath.Join(dir, "rule.yml")),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	return dir
}

func TestAMountedConfigMapIsReadOnce(t *testing.T) {
	got, err := ReadDir(os.DirFS(configMap(t)), ".")
	if diff := cmp.Diff([]string{"rule.yml"}, names(got)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestLinkedDirectoriesAreFollowedButNotInCircles(t *testing.T) {
	dir, other := t.TempDir(), configMap(t)
	if err := os.Symlink(other, filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	got, err := ReadDir(os.DirFS(dir), ".")
	if diff := cmp.Diff([]string{"current/rule.yml"}, names(got)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "self")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(os.DirFS(dir), "."); err == nil || !strings.Contains(err.Error(), "leads back") {
		t.Errorf("got %v", err)
	}
}

func TestADanglingRuleFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dir, "readme")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(os.DirFS(dir), "."); err != nil {
		t.Errorf("a dangling link that is no rule: %v", err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "rule.yml")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(os.DirFS(dir), "."); err == nil || !strings.Contains(err.Error(), "rule.yml") {
		t.Errorf("got %v", err)
	}
}

func TestAHugeFileIsReadOnlyUpToTheLimit(t *testing.T) {
	fsys := fstest.MapFS{"huge.yml": &fstest.MapFile{Data: make([]byte, 3*maxFileBytes)}}
	got, err := ReadDir(fsys, ".")
	if err != nil || len(got) != 1 || len(got[0].Data) != maxFileBytes+1 {
		t.Fatalf("%v", err)
	}
	if c := Load(got, Options{}); !mentions(c.Problems, "split it") {
		t.Errorf("problems %v", c.Problems)
	}
}
