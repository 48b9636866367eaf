package file

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// input is one file to read.
type input struct {
	path string
	size int64 // 0 where it is not known
	info fs.FileInfo
}

// stream is what batches of the file are named after.
func (in input) stream() string {
	if in.path == Stdin {
		return "stdin"
	}
	return in.path
}

var errNoMatch = errors.New("no file matches the pattern")

// expand finds the files behind the paths, each once even where several paths lead to it, in the order of
// the paths and by name within one. fail is told of what cannot be read.
func expand(paths []string, fail func(path string, err error)) []input {
	x := expansion{fail: fail}
	for _, path := range paths {
		switch {
		case path == Stdin:
			x.inputs = append(x.inputs, input{path: Stdin})
		case isPattern(path) && !exists(path): // a file may really be named so
			x.pattern(path)
		default:
			x.path(path)
		}
	}
	return x.inputs
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

type expansion struct {
	inputs []input
	fail   func(path string, err error)
	seen   map[fileID]bool
}

func (x *expansion) pattern(pattern string) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		x.fail(pattern, err)
		return
	}
	if len(matches) == 0 {
		x.fail(pattern, errNoMatch)
	}
	slices.Sort(matches)
	for _, path := range matches {
		x.path(path)
	}
}

func (x *expansion) path(path string) {
	info, err := os.Stat(path)
	if err != nil {
		x.fail(path, cause(err))
		return
	}
	if info.IsDir() {
		x.directory(path)
		return
	}
	x.add(path, info)
}

// directory takes every file below root that is not hidden. Links to files are followed, as they are how
// Kubernetes mounts volumes; links to directories are not, since they may lead in circles.
func (x *expansion) directory(root string) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		hidden := path != root && strings.HasPrefix(d.Name(), ".")
		switch {
		case err != nil:
			x.fail(path, cause(err))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden || d.IsDir():
			return nil
		}
		info, err := os.Stat(path)
		if err != nil {
			x.fail(path, cause(err))
			return nil
		}
		if info.Mode().IsRegular() {
			x.add(path, info)
		}
		return nil
	})
	if err != nil {
		x.fail(root, err)
	}
}

func (x *expansion) add(path string, info fs.FileInfo) {
	in := input{path: path, info: info}
	if info.Mode().IsRegular() {
		in.size = info.Size()
		id := idOf(path, info)
		if x.seen[id] {
			return
		}
		if x.seen == nil {
			x.seen = make(map[fileID]bool)
		}
		x.seen[id] = true
	}
	x.inputs = append(x.inputs, in)
}

// cause takes the path out of an error that is printed beside the path.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// fileID tells files apart whatever they are called.
type fileID struct{ dev, ino uint64 }

func (id fileID) String() string { return fmt.Sprintf("%x-%x", id.dev, id.ino) }

// idOfPath stands in where the system gives a file no number.
func idOfPath(path string) fileID {
	h := fnv.New64a()
	h.Write([]byte(filepath.Clean(path)))
	return fileID{ino: h.Sum64()}
}
