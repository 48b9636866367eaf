package engine

import "hash/maphash"

const (
	searchedTexts = 2048 // verdicts that are kept, a power of two
	maxSearched   = 110  // a longer text is searched each time
)

// regexpVerdict is what a matcher's regular expressions said of a text. Images and registries come again and again, and
// a regular expression costs as much as a hundred other items. It is the memo of items on derived records, of which an
// event has many.
type regexpVerdict struct {
	matcher *matcher
	length  uint8
	found   bool
	text    [maxSearched]byte
}

// matches is true if one of m's regular expressions matches text.
func (j *Judge) matches(m *matcher, text []byte) bool {
	if len(text) > maxSearched {
		return m.matches(text)
	}
	known := &j.searched[(maphash.Bytes(seed, text)+uint64(m.number))%searchedTexts]
	if known.matcher != m || string(known.text[:known.length]) != string(text) {
		known.matcher, known.found = m, m.matches(text)
		known.length = uint8(copy(known.text[:], text))
	}
	return known.found
}

func (m *matcher) matches(text []byte) bool {
	for i := range m.items {
		if m.items[i].Regexp.Match(text) {
			return true
		}
	}
	return false
}
