package sigma

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ReadDir reads the rule files below root, in lexical order: every *.yml and *.yaml but the tests
// (*_test.yml) and what is hidden (a leading dot), such as the internals of a mounted ConfigMap. Symbolic
// links are followed. A root that is a file is read itself. Names are paths within fsys.
func ReadDir(fsys fs.FS, root string) ([]File, error) {
	r := dirReader{fsys: fsys}
	info, err := fs.Stat(fsys, root)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	if !info.IsDir() {
		err = r.file(root)
	} else {
		err = r.dir(root, []fs.FileInfo{info})
	}
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	return r.files, nil
}

type dirReader struct {
	fsys  fs.FS
	files []File
	bytes int
}

// dir reads one directory. above are the directories that lead to it, to detect links in a circle.
func (r *dirReader) dir(name string, above []fs.FileInfo) error {
	if len(above) > maxDirDepth {
		return fmt.Errorf("%s: directories are nested deeper than %d levels", name, maxDirDepth)
	}
	entries, err := fs.ReadDir(r.fsys, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		full := path.Join(name, e.Name())
		if strings.HasPrefix(e.Name(), ".") || !e.IsDir() && !linked(e) && !isRuleFile(e.Name()) {
			continue
		}
		info, err := fs.Stat(r.fsys, full)
		switch {
		case err != nil && (isRuleFile(e.Name()) || !errors.Is(err, fs.ErrNotExist)):
			return err
		case err != nil: // a dangling link to something that is no rule file
		case info.IsDir():
			for _, up := range above {
				if os.SameFile(up, info) {
					return fmt.Errorf("%s: the link leads back to a directory above it; remove it", full)
				}
			}
			if err := r.dir(full, append(above[:len(above):len(above)], info)); err != nil {
				return err
			}
		case info.Mode().IsRegular() && isRuleFile(e.Name()):
			if err := r.file(full); err != nil {
				return err
			}
		}
	}
	return nil
}

func linked(e fs.DirEntry) bool { return e.Type()&fs.ModeSymlink != 0 }

func isRuleFile(name string) bool {
	stem, yml := strings.CutSuffix(name, ".yml")
	if !yml {
		if stem, yml = strings.CutSuffix(name, ".yaml"); !yml {
			return false
		}
	}
	return !strings.HasSuffix(stem, "_test")
}

// file reads one file, up to just beyond the limit, which Load then reports.
func (r *dirReader) file(name string) error {
	if len(r.files) == maxFiles {
		return fmt.Errorf("more than %d rule files", maxFiles)
	}
	f, err := r.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if r.bytes += len(data); r.bytes > maxTotalBytes {
		return fmt.Errorf("the rule files have more than %d bytes together", maxTotalBytes)
	}
	r.files = append(r.files, File{Name: name, Data: data})
	return nil
}
