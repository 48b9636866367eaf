//go:build integration

package integration

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The whole content of the image: mode, owner and path. What is not here is no help to somebody who got in.
const imageContent = `drwxr-xr-x 0 etc
-rw-r--r-- 0 etc/group
-rw-r--r-- 0 etc/passwd
drwxr-xr-x 0 etc/ssl
drwxr-xr-x 0 etc/ssl/certs
-rw-r--r-- 0 etc/ssl/certs/ca-certificates.crt
-rwxr-xr-x 0 foretop
dtrwxrwxrwx 0 tmp
drwxr-xr-x 0 var
drwxr-xr-x 0 var/lib
drwx------ 65532 var/lib/foretop
`

func imageRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "../deployments/docker/rootfs.sh", root).CombinedOutput(); err != nil {
		t.Fatalf("rootfs.sh: %v\n%s", err, out)
	}
	return root
}

func TestTheImageHoldsTheBinaryAndWhatItNeeds(t *testing.T) {
	root := imageRoot(t)
	var got strings.Builder
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		fmt.Fprintf(&got, "%s %d %s\n", info.Mode(), info.Sys().(*syscall.Stat_t).Uid, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := imageContent
	if os.Getuid() != 0 {
		// Only root can give files away: the modes are compared, and one owner.
		want = regexp.MustCompile(`(?m)^(\S+) \d+ `).ReplaceAllString(want, fmt.Sprintf("$1 %d ", os.Getuid()))
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("the image's content differs (-want +got):\n%s", diff)
	}
	binary, err := elf.Open(filepath.Join(root, "foretop"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is linked dynamically, and the image has no libraries")
		}
	}
}

func TestTheImageRunsAsItsUser(t *testing.T) {
	root := imageRoot(t)
	user, confine := imageUser, []string{"chroot", fmt.Sprintf("--userspec=%d:%d", imageUser, imageUser), root}
	if os.Getuid() != 0 {
		user, confine = os.Getuid(), []string{"unshare", "--user", "--map-root-user", "chroot", root}
	}
	story, err := os.ReadFile(storyFile)
	if err != nil {
		t.Fatal(err)
	}
	// The file is given to nobody in the tree: it stands for a volume.
	if err := os.WriteFile(filepath.Join(root, "story.ndjson.gz"), append(story, gzipOf(t, "{broken\n")...), 0o444); err != nil {
		t.Fatal(err)
	}
	inside := func(args ...string) string {
		t.Helper()
		return start(t, "foretop in the image", environment(nil), slices.Concat(confine, []string{"/foretop"}, args)...).succeed(t, time.Minute)
	}
	if out := inside("config"); !strings.Contains(out, "FORETOP_ELASTICSEARCH_ADDRESSES") {
		t.Errorf("foretop config printed %q", out)
	}
	found := inside("scan", "/story.ndjson.gz", "--output", "ndjson", "--dead-letter", "/var/lib/foretop/dead-letters.ndjson")
	if strings.Count(found, `"kind":"alert"`) == 0 {
		t.Errorf("no finding in the recorded story:\n%s", found)
	}
	letters, err := os.Stat(filepath.Join(root, "var/lib/foretop/dead-letters.ndjson"))
	if err != nil {
		t.Fatalf("the state folder did not take the dead letter: %v", err)
	}
	if owner := letters.Sys().(*syscall.Stat_t).Uid; int(owner) != user || letters.Mode() != 0o600 || letters.Size() == 0 {
		t.Errorf("the dead letters are %s of user %d with %d bytes, want -rw------- of %d and not empty", letters.Mode(), owner, letters.Size(), user)
	}
}
