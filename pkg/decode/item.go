// Package decode turns records, in whichever wrapping a shipper or a cloud put around them, into
// canonical audit.k8s.io/v1 events. It recognises forms by content. Junk becomes an item with a reason
// class, never an error.
package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/jsonindex"
)

// Kind is what became of a stretch of a record.
type Kind int

const (
	// Event is one audit event: Canonical and Envelope are set.
	Event Kind = iota
	// Skipped is well-formed and no Kubernetes audit event; Class says which kind of other thing.
	Skipped
	// Broken could not be decoded; Class, Detail and Raw are set.
	Broken
)

// Item is one event, one skipped thing or one undecodable stretch of a record. All byte slices and
// strings in it alias the record or the decoder's buffers and are valid until emit returns.
type Item struct {
	Kind Kind
	// Canonical is one complete audit.k8s.io/v1 JSON object: a sub-slice of the record where the form
	// holds it unchanged, else rebuilt in the decoder's buffer. It is valid JSON (strictly: numbers,
	// escapes, UTF-8 in strings replaced as encoding/json does), at most MaxDepth deep.
	// For a truncated event it is the readable prefix, closed. It may hold members of a shipper beside
	// the event's own.
	Canonical []byte
	// Index is that of the text that Canonical stands in at Root, and knows the ends of all containers in it.
	Index    *jsonindex.Index
	Root     int
	Envelope event.Envelope
	// Class is one of SkippedClasses or BrokenClasses.
	Class string
	// Detail says what is wrong with a broken item, without quoting it.
	Detail string
	// Raw are the bytes of a broken item: what Offset and Length bound, else what stood inside the encoding.
	Raw []byte
	// Offset and Length bound the smallest stretch of the record body that stands there in clear and
	// holds the item: decoding that stretch alone gives the item again (but for what wrappers around a
	// batch say). Length is zero where all of the record is encoded; then the whole record is meant.
	Offset, Length int
}

// Member gives the value of a member of the event as it is written; tag is event.Tag of its name. Of several it is the
// last, as for every reader; nil if there is none.
func (it *Item) Member(tag uint8) []byte {
	var found []byte
	text, all := it.Index.Text(), it.Index.Members(it.Root)
	for i := 0; i < len(all); i = int(all[i].Next) {
		m := &all[i]
		if m.Tag == tag || m.Tag == 0 && it.tagOf(text[m.Name:m.NameEnd]) == tag {
			found = text[m.From:m.To]
		}
	}
	return found
}

// tagOf is the tag of a name as it is written, where decoding has left none: in an event that it has rebuilt.
func (it *Item) tagOf(name []byte) uint8 {
	if bytes.IndexByte(name, '\\') >= 0 {
		name = jsonindex.AppendUnescaped(nil, name)
	}
	return event.Tag(string(name))
}
