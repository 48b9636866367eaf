package finding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the text in a document. A keyword of more than 32766 bytes would make Elasticsearch refuse
// the whole document, and what is longer than maxText is not searchable anyway. Once a document holds
// textBudget bytes, further strings are cut to shortText: an event may have thousands of them.
const (
	maxText    = 8191
	shortText  = 256
	textBudget = 512 << 10
)

// scrubber is the one gate that every string of a finding passes: known forms of secrets are replaced and
// lengths bounded, whatever code put the string there. The tag redact exempts a field: "-" for text that
// is not the request's or was redacted by key, "name" for names of identities, in which an AWS access key
// id (which some clusters build user names from) is no secret.
type scrubber struct {
	left  int // bytes
	count int // replacements
}

// scrub cleans f and returns the number of replacements.
func scrub(f *Finding) int {
	s := scrubber{left: textBudget}
	s.value(reflect.ValueOf(f).Elem(), redactText)
	return s.count
}

func (s *scrubber) value(v reflect.Value, redact func(string) (string, int)) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s.text(v.String(), redact))
	case reflect.Slice:
		for i := range v.Len() {
			s.value(v.Index(i), redact)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if text := v.MapIndex(key); text.Kind() == reflect.String {
				v.SetMapIndex(key, reflect.ValueOf(s.text(text.String(), redact)))
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			switch tag := v.Type().Field(i).Tag.Get("redact"); {
			case tag == "-" || !v.Type().Field(i).IsExported():
			case tag == "name":
				s.value(v.Field(i), redactName)
			default:
				s.value(v.Field(i), redact)
			}
		}
	default: // numbers, booleans, and bodies, which are redacted as they are read
	}
}

func (s *scrubber) text(in string, redact func(string) (string, int)) string {
	limit := maxText
	if s.left <= 0 {
		limit = shortText
	}
	// What is cut off anyway need not be searched, but for a part that a secret may reach into.
	out, n := redact(strings.ToValidUTF8(in[:min(len(in), 2*maxText)], "\ufffd"))
	out = cut(out, limit)
	s.count += n
	s.left -= encodedLen(out)
	return out
}

// encodedLen is about what s takes as JSON.
func encodedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if s[i] < ' ' {
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// MarshalJSON writes one id as a string and several as a list.
func (ids AuditIDs) MarshalJSON() ([]byte, error) {
	if len(ids) == 1 {
		return json.Marshal(ids[0])
	}
	return json.Marshal(head(ids, MaxAuditIDs))
}

// encode writes the document. Characters that could act on a terminal are written as JSON escapes, so
// that a document can be printed as it is.
func encode(f *Finding) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		// Every type in a Finding can be encoded; bodies come out of a JSON decoder.
		panic(fmt.Sprintf("finding: encoding %s: %v", f.Event.ID, err))
	}
	return escapeActing(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// escapeActing replaces acting characters by \u escapes. They occur in JSON inside strings only.
func escapeActing(in []byte) []byte {
	if !slices.ContainsFunc(in, func(b byte) bool { return b >= 0x7f }) {
		return in // the encoder has escaped the controls below
	}
	out := make([]byte, 0, len(in)+64)
	for len(in) > 0 {
		r, size := utf8.DecodeRune(in)
		switch {
		case r == utf8.RuneError || !acts(r):
			out = append(out, in[:size]...)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		in = in[size:]
	}
	return out
}
