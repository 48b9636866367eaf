package sigma

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// ReadDir reads the rule files below root, in lexical order: every *.yml and *.yaml but the tests
// (*_test.yml) and what is hidden (a leading dot), such as the internals of a mounted ConfigMap. Symbolic
// links are followed. A root that is a file is read itself. Names are paths within fsys.
func ReadDir(fsys fs.FS, root string) ([]File, error) {
	return readDir(fsys, root, isRuleFile)
}

// ReadTests reads the rules' tests below root, *_test.yml and *_test.yaml, by the same rules as ReadDir.
func ReadTests(fsys fs.FS, root string) ([]File, error) {
	return readDir(fsys, root, isTestFile)
}

func readDir(fsys fs.FS, root string, wanted func(name string) bool) ([]File, error) {
	r := dirReader{fsys: fsys, wanted: wanted}
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
	fsys   fs.FS
	wanted func(name string) bool
	files  []File
	bytes  int
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
		if strings.HasPrefix(e.Name(), ".") || !e.IsDir() && !linked(e) && !r.wanted(e.Name()) {
			continue
		}
		info, err := fs.Stat(r.fsys, full)
		switch {
		case err != nil && (r.wanted(e.Name()) || !errors.Is(err, fs.ErrNotExist)):
			return err
		case err != nil: // a dangling link to something that is no rule file
		case info.IsDir():
			for _, up := range above {
				if os.SameFile(up, info) {
					return fmt.Errorf("%s: the link leads back to a directory above it; remove it", full)
				}
			}
			if err := r.dir(full, append(slices.Clip(above), info)); err != nil {
				return err
			}
		case info.Mode().IsRegular() && r.wanted(e.Name()):
			if err := r.file(full); err != nil {
				return err
			}
		}
	}
	return nil
}

func linked(e fs.DirEntry) bool { return e.Type()&fs.ModeSymlink != 0 }

func isRuleFile(name string) bool {
	stem, yml := yamlStem(name)
	return yml && !strings.HasSuffix(stem, "_test")
}

func isTestFile(name string) bool {
	stem, yml := yamlStem(name)
	return yml && strings.HasSuffix(stem, "_test")
}

func yamlStem(name string) (stem string, ok bool) {
	if stem, ok = strings.CutSuffix(name, ".yml"); ok {
		return stem, true
	}
	return strings.CutSuffix(name, ".yaml")
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
