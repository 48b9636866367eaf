package sigma

import (
	"strings"
	"unicode"
)

// Rule files come from people, but also from downloads: every number below bounds what one of them can
// cost at load time or per event. They lie far above what published rule sets use.
const (
	maxFileBytes   = 1 << 20   // one file
	maxFiles       = 50_000    // of one ReadDir
	maxTotalBytes  = 256 << 20 // of one ReadDir
	maxDocuments   = 5000      // of one file
	maxProblems    = 500       // errors told of one file, and as many warnings
	maxDirDepth    = 32
	maxDepth       = 24     // nesting of YAML collections
	maxValueBytes  = 8192   // one value of an item
	maxWildcards   = 64     // in one value
	maxItemValues  = 10_000 // of one item, after expansion
	maxDocValues   = 50_000 // of one document, after expansion
	maxSelections  = 1000
	maxRegexpBytes = 2048
	maxRegexpInsts = 5000   // instructions of one compiled regexp
	maxDocInsts    = 50_000 // of all regexps of a document
	maxCondBytes   = 8192
	maxCondDepth   = 64
	maxCondNodes   = 5000
)

// clip makes text fit to be quoted in a message: short, on one line, and unable to steer a terminal.
func clip(s string) string {
	const most = 80
	end := ""
	if len(s) > most {
		s, end = s[:most], "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, strings.ToValidUTF8(s, "")) + end
}
