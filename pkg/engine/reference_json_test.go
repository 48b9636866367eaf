package engine_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// This file: values in the order of their members, and a writer that spells them in every way that JSON allows.

// members is an object whose order and duplicates matter.
type members []namedValue

type namedValue struct {
	key   string
	value any
}

// verbatim is JSON text that is written as it is.
type verbatim string

// spelling writes values as JSON. With seed 0 it writes them plainly; else white space, escapes, padding and, if it may,
// duplicate keys depend on the seed.
type spelling struct {
	out        []byte
	random     *rand.Rand
	duplicates bool
	density    uint32 // of 64: how often something unusual is done
}

func newSpelling(seed uint64, duplicates bool) *spelling {
	s := &spelling{duplicates: duplicates}
	if seed != 0 {
		s.random = rand.New(rand.NewPCG(seed, 1))
		s.density = []uint32{1, 1, 4, 16}[s.random.IntN(4)]
	}
	return s
}

// now decides whether to do something unusual here.
func (s *spelling) now() bool { return s.random != nil && s.random.Uint32N(64) < s.density }

func (s *spelling) space() {
	for s.now() {
		s.out = append(s.out, " \t\r\n"[s.random.IntN(4)])
	}
}

// lengths that lie at the bounds of words and blocks.
var lengths = []int{1, 6, 7, 8, 9, 15, 16, 17, 30, 31, 32, 33, 62, 63, 64, 65, 66, 127, 128, 129, 1023, 4095, 4096, 4097}

func (s *spelling) value(v any) {
	switch v := v.(type) {
	case members:
		s.object(v)
	case []any:
		s.out = append(s.out, '[')
		for i, e := range v {
			if i > 0 {
				s.out = append(s.out, ',')
			}
			s.space()
			s.value(e)
			s.space()
		}
		if len(v) == 0 {
			s.space()
		}
		s.out = append(s.out, ']')
	case string:
		s.text(v)
	case verbatim:
		s.out = append(s.out, v...)
	case int:
		s.number(v)
	case bool:
		s.out = strconv.AppendBool(s.out, v)
	case nil:
		s.out = append(s.out, "null"...)
	default:
		panic("no JSON value")
	}
}

func (s *spelling) object(o members) {
	s.out = append(s.out, '{')
	first := true
	member := func(key string, value any) {
		if !first {
			s.out = append(s.out, ',')
		}
		first = false
		s.space()
		s.text(key)
		s.space()
		s.out = append(s.out, ':')
		s.space()
		s.value(value)
		s.space()
	}
	for i, m := range o {
		if s.duplicates && s.now() {
			member(m.key, s.junk(2))
		}
		if s.duplicates && s.now() && i > 0 {
			member(m.key, o[s.random.IntN(i)].value)
		}
		if s.now() {
			member("pad"+strconv.Itoa(i), verbatim(s.padding()))
		}
		member(m.key, m.value)
	}
	s.space()
	s.out = append(s.out, '}')
}

// padding is a value that nobody asks for, of a length that moves what follows over the bounds of blocks.
func (s *spelling) padding() string {
	n := lengths[s.random.IntN(len(lengths))] + s.random.IntN(3)
	filler := []string{"x", " ", `\"`, `\\`, `\u0022`, `\u005c`, "{", "}", "[", "]", ",", ":", "ä", "€", "😀", "\x7f", "\\ud800", "\xff", `\n`}[s.random.IntN(19)]
	inside := strings.Repeat("x", s.random.IntN(9)) + strings.Repeat(filler, n/len(filler)) + strings.Repeat("y", s.random.IntN(9))
	switch s.random.IntN(6) {
	case 0:
		return `{"` + inside + `":[]}`
	case 1:
		return `[` + strings.Repeat(` {}, `, n/5) + `"` + inside + `"]`
	case 2:
		depth := min(n, 400)
		return strings.Repeat(`[{"k":`, depth/2) + `"` + inside + `"` + strings.Repeat(`}]`, depth/2)
	case 3:
		return strings.Repeat("7", n)
	}
	return `"` + inside + `"`
}

// junk is a value that stands where another one belongs.
func (s *spelling) junk(depth int) any {
	if s.random == nil {
		return nil
	}
	kinds := 10
	if depth == 0 {
		kinds = 6
	}
	switch s.random.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return s.random.IntN(2) == 0
	case 2:
		return verbatim([]string{"0", "-0", "1E400", "4.03e2", "1e-7", "123456789012345678901234567890"}[s.random.IntN(6)])
	case 3:
		return []any{}
	case 4:
		return members{}
	case 5:
		return []string{"", "x", "pods", "create", "true", "403"}[s.random.IntN(6)]
	case 6:
		return []any{s.junk(depth - 1), []any{s.junk(depth - 1)}}
	case 7:
		return members{{"", s.junk(depth - 1)}, {"name", s.junk(depth - 1)}, {"containers", s.junk(depth - 1)}}
	case 8:
		return []any{members{{"name", "a"}, {"image", s.junk(0)}}, s.junk(depth - 1)}
	}
	return verbatim([]string{`"\ud83d"`, `"\udc00x"`, "\"\xff\xc3\"", `"\ud83d\ude00"`, `"\u0000"`}[s.random.IntN(5)])
}

// number writes n in one of the spellings of numbers.
func (s *spelling) number(n int) {
	text := strconv.Itoa(n)
	if n != 0 && s.now() {
		text = []string{text + ".0", text + "e0", text + "E+00", text + ".000000000000000000000", strconv.FormatFloat(float64(n), 'e', -1, 64), text + "0e-1"}[s.random.IntN(6)]
	}
	s.out = append(s.out, text...)
}

// text writes a string, with some of its characters escaped.
func (s *spelling) text(text string) {
	s.out = append(s.out, '"')
	for _, r := range text {
		switch {
		case r < ' ' || r == '"' || r == '\\':
			s.escape(r)
		case s.now():
			s.escape(r)
		default:
			s.out = append(s.out, string(r)...)
		}
	}
	s.out = append(s.out, '"')
}

func (s *spelling) escape(r rune) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '/': `\/`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	if e, ok := short[r]; ok && !s.now() {
		s.out = append(s.out, e...)
		return
	}
	for _, unit := range utf16.Encode([]rune{r}) {
		hex := strconv.FormatInt(int64(unit)+0x10000, 16)[1:]
		if s.now() {
			hex = strings.ToUpper(hex)
		}
		s.out = append(append(s.out, `\u`...), hex...)
	}
}

// decoded reads JSON as encoding/json does, with numbers as they are written.
func decoded(doc []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(doc)))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// with gives o with one member replaced or added.
func (o members) with(key string, value any) members {
	o = slices.Clone(o)
	for i := range o {
		if o[i].key == key {
			o[i].value = value
			return o
		}
	}
	return append(o, namedValue{key, value})
}
