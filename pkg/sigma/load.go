package sigma

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// File is one rule file. Name is how problems and positions call it.
type File struct {
	Name string
	Data []byte
}

// Options steer Load.
type Options struct {
	// Placeholders are the site's lists for the modifier expand, by name without percent signs. Their
	// values may hold wildcards. An empty list counts as not given.
	Placeholders map[string][]string
}

// Load reads every document of files. It never fails as a whole: what cannot be used is in Problems, and
// the rest is loaded. The files' order decides which of two documents with one id stands.
func Load(files []File, o Options) *Collection {
	l := &loader{
		options:    o,
		files:      files,
		collection: &Collection{Skipped: map[string]int{}, Waiting: map[string]string{}},
		seen:       map[string]Position{},
		state:      map[string]refState{},
		skippedRef: map[string]string{},
		told:       map[toldKey]int{},
	}
	sum := sha256.New()
	for i, f := range files {
		hashField(sum, f.Data)
		l.fileIndex = i
		l.file(f)
	}
	hashPlaceholders(sum, o.Placeholders)
	l.collection.Hash = hex.EncodeToString(sum.Sum(nil))
	l.correlations()
	l.checkFilters()
	l.checkCorrelations()
	l.sortProblems()
	return l.collection
}

func hashField(h hash.Hash, data []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(data)))
	h.Write(size[:])
	h.Write(data)
}

func hashPlaceholders(h hash.Hash, lists map[string][]string) {
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		hashField(h, []byte(name))
		for _, v := range lists[name] {
			hashField(h, []byte(v))
		}
	}
}

// refState is what became of a document that others may refer to by id or name.
type refState int

const (
	refUnknown refState = iota
	refLoaded
	refWaiting
	refRejected
)

// loader is the state of one Load.
type loader struct {
	options    Options
	files      []File
	collection *Collection
	fileIndex  int
	problems   []filedProblem
	told       map[toldKey]int
	// seen are the ids and names of documents so far.
	seen map[string]Position
	// state is by lower-case id, and by name.
	state map[string]refState
	// skippedRef maps ids and names of documents for other log sources to their key in Skipped.
	skippedRef map[string]string
	// pending are correlations: which log source they are for depends on the rules they name.
	pending []*document
}

type filedProblem struct {
	Problem
	file int
}

type toldKey struct {
	file    int
	warning bool
}

// tell adds a problem. A file can have more of them than anybody reads: then the last one told says so.
func (l *loader) tell(file int, p Problem) {
	key := toldKey{file, p.Warning}
	switch l.told[key]++; {
	case l.told[key] == maxProblems:
		p.Message = fmt.Sprintf("%s; this is problem %d of the file, further ones are not told", p.Message, maxProblems)
	case l.told[key] > maxProblems:
		return
	}
	l.problems = append(l.problems, filedProblem{Problem: p, file: file})
}

func (l *loader) sortProblems() {
	sort.SliceStable(l.problems, func(i, j int) bool {
		a, b := l.problems[i], l.problems[j]
		if a.file != b.file {
			return a.file < b.file
		}
		return a.Source.Line < b.Source.Line
	})
	for _, p := range l.problems {
		l.collection.Problems = append(l.collection.Problems, p.Problem)
	}
}

// file reads all documents of one file.
func (l *loader) file(f File) {
	whole := &document{loader: l, file: f.Name, fileIndex: l.fileIndex, offset: 0, last: 1}
	switch {
	case len(f.Data) > maxFileBytes:
		whole.failAt(1, "the file has %d bytes, more than %d; split it", len(f.Data), maxFileBytes)
		return
	case !utf8.Valid(f.Data):
		whole.failAt(1, "the file is not UTF-8; save it as UTF-8")
		return
	}
	data := bytes.TrimPrefix(f.Data, []byte("\xef\xbb\xbf"))
	last := bytes.Count(data, []byte("\n")) + 1
	chunks := split(data)
	if len(chunks) > maxDocuments {
		whole.failAt(1, "the file has more than %d documents; split it", maxDocuments)
		return
	}
	for _, c := range chunks {
		d := &document{loader: l, file: f.Name, fileIndex: l.fileIndex, offset: c.line - 1, last: last}
		root, err := parse(c.text)
		if err != nil {
			d.badSyntax(c.text, err)
			continue
		}
		d.root = root
		d.read()
	}
}

// document is one YAML document on its way into the collection.
type document struct {
	loader    *loader
	file      string
	fileIndex int
	offset    int // lines of the file before the document
	last      int // last line of the file
	root      *yaml.Node
	title     string
	failed    bool

	own       bool
	extension *Extension
	// missing are placeholders that the site did not give and that x-foretop.needs allows to miss.
	missing []string
	values  int // so far, of maxDocValues
	insts   int // so far, of maxDocInsts
}

func (d *document) pos(n *yaml.Node) Position {
	line := d.offset + 1
	if n != nil && n.Line > 0 {
		line = d.offset + n.Line
	}
	return d.at(line)
}

// at clamps: the YAML parser counts a few exotic line breaks that editors do not.
func (d *document) at(line int) Position {
	return Position{File: d.file, Line: max(1, min(line, d.last))}
}

func (d *document) problem(p Position, warning bool, message string) {
	d.loader.tell(d.fileIndex, Problem{Source: p, Title: d.title, Message: message, Warning: warning})
	if !warning {
		d.failed = true
	}
}

// fail reports what rejects the document; reading goes on, to find all problems at once.
func (d *document) fail(n *yaml.Node, format string, args ...any) {
	d.problem(d.pos(n), false, fmt.Sprintf(format, args...))
}

func (d *document) failAt(line int, format string, args ...any) {
	d.problem(d.at(line), false, fmt.Sprintf(format, args...))
}

func (d *document) warn(n *yaml.Node, format string, args ...any) {
	d.problem(d.pos(n), true, fmt.Sprintf(format, args...))
}

var productLine = regexp.MustCompile(`(?m)^[ \t]*product:[ \t]*["']?([A-Za-z0-9_.-]+)`)

// badSyntax reports a document that is no YAML. It is an error unless the text plainly names another
// product: a broken rule for another system is not ours to stop on.
func (d *document) badSyntax(text []byte, err error) {
	line := d.offset + 1
	s := &syntaxError{}
	if errors.As(err, &s) {
		line = d.offset + s.line
	}
	products := productLine.FindAllSubmatch(text, -1)
	foreign := len(products) > 0 && !bytes.Contains(text, []byte("x-foretop"))
	for _, m := range products {
		foreign = foreign && !strings.EqualFold(string(m[1]), "kubernetes")
	}
	if foreign {
		d.problem(d.at(line), true, "not YAML: "+err.Error()+"; ignored, for it names another product")
		return
	}
	d.problem(d.at(line), false, "not YAML: "+err.Error()+"; fix the syntax (indentation, quotes, brackets)")
}
