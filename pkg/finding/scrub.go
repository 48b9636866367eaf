package finding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxText bounds every string of a document: a longer one is not searchable anyway, and a keyword of
// more than 32766 bytes would make Elasticsearch refuse the whole document.
const maxText = 8191

// scrub is the one gate that every string of a finding passes: known forms of secrets are replaced and
// lengths bounded, whatever code put the string there. The tag redact exempts a field: "-" for text that
// is not the request's or was redacted by key, "name" for names of identities, in which an AWS access key
// id (which some clusters build user names from) is no secret. It returns the number of replacements.
func scrub(f *Finding) int {
	return scrubValue(reflect.ValueOf(f).Elem(), redactText)
}

func scrubValue(v reflect.Value, redact func(string) (string, int)) int {
	n := 0
	switch v.Kind() {
	case reflect.String:
		s, k := redact(v.String())
		v.SetString(cut(s, maxText))
		n = k
	case reflect.Slice:
		for i := range v.Len() {
			n += scrubValue(v.Index(i), redact)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if s := v.MapIndex(key); s.Kind() == reflect.String {
				text, k := redact(s.String())
				v.SetMapIndex(key, reflect.ValueOf(cut(text, maxText)))
				n += k
			}
		}
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			return 0
		}
		for i := range v.NumField() {
			switch tag := v.Type().Field(i).Tag.Get("redact"); {
			case tag == "-" || !v.Type().Field(i).IsExported():
			case tag == "name":
				n += scrubValue(v.Field(i), redactName)
			default:
				n += scrubValue(v.Field(i), redact)
			}
		}
	default: // numbers, booleans, and bodies, which are redacted as they are read
	}
	return n
}

// MarshalJSON writes one id as a string and several as a list.
func (ids AuditIDs) MarshalJSON() ([]byte, error) {
	if len(ids) == 1 {
		return json.Marshal(ids[0])
	}
	return json.Marshal([]string(head(ids, MaxAuditIDs)))
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
	if !bytes.ContainsFunc(in, acts) {
		return in
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

// WithIngested puts event.ingested, the time of writing, into a document that Document returned. The
// sink calls it for each attempt; body is not changed.
func WithIngested(body []byte, at time.Time) []byte {
	open := []byte(`,"event":{`)
	i := bytes.Index(body, open)
	if i < 0 {
		return body
	}
	i += len(open)
	out := make([]byte, 0, len(body)+48)
	out = append(out, body[:i]...)
	out = append(out, `"ingested":`...)
	out = strconv.AppendQuote(out, at.UTC().Format("2006-01-02T15:04:05.000Z"))
	out = append(out, ',')
	return append(out, body[i:]...)
}
