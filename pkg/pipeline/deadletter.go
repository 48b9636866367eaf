package pipeline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"time"
	"unicode/utf8"
)

// deadLetterSchema is part of every dead letter and of its id.
const deadLetterSchema = 1

// storedDeadLetter is the JSON form. Body is text where the item is valid UTF-8, else BodyBase64 holds it.
type storedDeadLetter struct {
	Schema     int       `json:"schema"`
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Class      string    `json:"class"`
	Detail     string    `json:"detail,omitempty"`
	Source     string    `json:"source"`
	Stream     string    `json:"stream"`
	Pos        string    `json:"pos"`
	Offset     int       `json:"offset"`
	Span       int       `json:"span,omitempty"`
	Key        string    `json:"key,omitempty"`
	SHA256     string    `json:"sha256"`
	Length     int       `json:"length"`
	Body       *string   `json:"body,omitempty"`
	BodyBase64 []byte    `json:"body_base64,omitempty"`
}

// EncodeDeadLetter is the default form of a dead letter: one JSON object. Its id depends on where the item
// was and on what it was, so that a redelivered item is one dead letter.
func EncodeDeadLetter(d DeadLetter) Document {
	s := storedDeadLetter{
		Schema: deadLetterSchema, ID: deadLetterID(d), Time: d.Time.UTC(), Class: d.Class, Detail: d.Detail,
		Source: d.Origin.Source, Stream: d.Origin.Stream, Pos: d.Origin.Pos,
		Offset: d.Origin.Offset, Span: d.Origin.Length, Key: d.Key, SHA256: d.SHA256, Length: d.Length,
	}
	if utf8.Valid(d.Body) {
		text := string(d.Body)
		s.Body = &text
	} else {
		s.BodyBase64 = d.Body
	}
	body, err := json.Marshal(s)
	if err != nil {
		// Only a time outside the years 0 to 9999 can fail here; the letter matters more than it.
		s.Time = time.Time{}
		body, _ = json.Marshal(s)
	}
	return Document{ID: s.ID, Body: body, Origin: d.Origin}
}

// DecodeDeadLetter reads what EncodeDeadLetter wrote.
func DecodeDeadLetter(body []byte) (DeadLetter, error) {
	var s storedDeadLetter
	if err := json.Unmarshal(body, &s); err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter: not in the form that this program writes: %w", err)
	}
	if s.Schema != deadLetterSchema {
		return DeadLetter{}, fmt.Errorf("dead letter: schema %d, this program reads schema %d", s.Schema, deadLetterSchema)
	}
	if s.Class == "" {
		return DeadLetter{}, errors.New("dead letter: it names no reason class")
	}
	d := DeadLetter{
		Origin: Origin{Source: s.Source, Stream: s.Stream, Pos: s.Pos, Offset: s.Offset, Length: s.Span},
		Class:  s.Class, Detail: s.Detail, Key: s.Key, SHA256: s.SHA256, Length: s.Length, Time: s.Time, Body: s.BodyBase64,
	}
	if s.Body != nil {
		d.Body = []byte(*s.Body)
	}
	return d, nil
}

func deadLetterID(d DeadLetter) string {
	h := sha256.New()
	writeNumber(h, deadLetterSchema)
	for _, text := range []string{d.Class, d.Origin.Source, d.Origin.Stream, d.Origin.Pos, d.Key} {
		writeText(h, text)
	}
	writeNumber(h, d.Origin.Offset)
	writeNumber(h, d.Origin.Length)
	if d.Key == "" { // with a key the bytes are an encoded document, which differs from one attempt to the next
		writeText(h, d.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeNumber(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

// writeText prefixes the length, so that no two lists of texts hash alike.
func writeText(h hash.Hash, text string) {
	writeNumber(h, len(text))
	h.Write([]byte(text))
}

// sinkRejected makes the dead letter of a document that sink refuses for ever. Documents are redacted
// where they are built, so the body is kept as it is.
func sinkRejected(sink string, doc Document, err error) DeadLetter {
	sum := sha256.Sum256(doc.Body)
	return DeadLetter{
		Origin: doc.Origin, Class: ClassSinkRejected, Key: sink + "/" + doc.ID,
		Detail: fmt.Sprintf("sink %s refused document %s: %v", sink, doc.ID, err),
		SHA256: hex.EncodeToString(sum[:]), Length: len(doc.Body), Time: time.Now(), Body: doc.Body,
	}
}

// panicked makes the dead letter of a record whose judging panicked.
func panicked(source, stream string, r *Record, redact func([]byte) []byte, cause any) DeadLetter {
	sum := sha256.Sum256(r.Body)
	d := DeadLetter{
		Origin: Origin{Source: source, Stream: stream, Pos: r.Pos}, Class: ClassPanic,
		// Only the kind of panic: its text may quote the record.
		Detail: fmt.Sprintf("judging the record panicked (%T); please report it", cause),
		SHA256: hex.EncodeToString(sum[:]), Length: len(r.Body), Time: time.Now(),
	}
	if redact == nil {
		d.Detail += "; no redaction is configured, so the body is left out"
		return d
	}
	body, err := redactSafely(redact, r.Body)
	if err != nil {
		d.Detail += "; the redaction panicked too, so the body is left out"
		return d
	}
	d.Body = body
	return d
}

var errRedaction = errors.New("pipeline: redaction panicked")

func redactSafely(redact func([]byte) []byte, body []byte) (out []byte, err error) {
	defer func() {
		if recover() != nil {
			out, err = nil, errRedaction
		}
	}()
	// The record's buffer is reused after settlement: what goes on from here must be a copy.
	return append([]byte(nil), redact(append([]byte(nil), body...))...), nil
}
