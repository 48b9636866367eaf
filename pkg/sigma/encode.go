package sigma

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// transform applies one transforming modifier to one value; some give several, which then are
// alternatives. The literals of parts are bytes from here on: UTF-16 is not valid UTF-8.
func transform(parts []Part, modifier string) ([][]Part, error) {
	switch modifier {
	case "base64":
		data, err := plainBytes(parts, modifier)
		if err != nil {
			return nil, err
		}
		return [][]Part{{{Literal: base64.StdEncoding.EncodeToString(data)}}}, nil
	case "base64offset":
		data, err := plainBytes(parts, modifier)
		if err != nil {
			return nil, err
		}
		return base64Offsets(data), nil
	case "utf16le", "wide", "utf16be", "utf16":
		return [][]Part{toUTF16(parts, modifier)}, nil
	case "windash":
		return dashes(parts)
	}
	return nil, fmt.Errorf("modifier %q is not implemented", modifier) // unreachable: the plan admits no other
}

func plainBytes(parts []Part, modifier string) ([]byte, error) {
	if wildcards(parts) > 0 {
		return nil, fmt.Errorf("modifier %q cannot encode a wildcard; put contains, startswith or endswith after it, or escape * and ? with a backslash", modifier)
	}
	var data []byte
	for _, p := range parts {
		data = append(data, p.Literal...)
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("modifier %q cannot encode an empty value", modifier)
	}
	return data, nil
}

// base64Offsets gives what stays the same of data's encoding whatever stands around it, for each of the
// three positions that data can have relative to the groups of three bytes.
func base64Offsets(data []byte) [][]Part {
	var out [][]Part
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), data...))
		start := [3]int{0, 2, 3}[shift]
		end := len(text) - [3]int{0, 3, 2}[(len(data)+shift)%3]
		if start < end {
			out = append(out, []Part{{Literal: text[start:end]}})
		}
	}
	return out
}

func toUTF16(parts []Part, modifier string) []Part {
	out := make([]Part, 0, len(parts)+1)
	if modifier == "utf16" {
		out = append(out, Part{Literal: "\xff\xfe"})
	}
	for _, p := range parts {
		if p.Wild != Literal {
			out = append(out, p)
			continue
		}
		var b strings.Builder
		for _, unit := range utf16.Encode([]rune(p.Literal)) {
			high, low := byte(unit>>8), byte(unit)
			if modifier == "utf16be" {
				b.Write([]byte{high, low})
			} else {
				b.Write([]byte{low, high})
			}
		}
		out = append(out, Part{Literal: b.String()})
	}
	return joinParts(out)
}

// readableText turns literals back into valid UTF-8 where that is possible: a byte order mark of UTF-16
// becomes the character that it is.
func readableText(parts []Part) ([]Part, error) {
	out := make([]Part, len(parts))
	for i, p := range parts {
		if rest, ok := strings.CutPrefix(p.Literal, "\xff\xfe"); ok && i == 0 {
			p.Literal = "\ufeff" + rest
		}
		if !utf8.ValidString(p.Literal) {
			return nil, errors.New("the encoded value is no text that an event could hold; add base64 or base64offset after the UTF-16 modifier")
		}
		out[i] = p
	}
	return out, nil
}

// dashRunes are the characters that Windows programs take for one another at the start of an option.
var dashRunes = []rune{'-', '/', '\u2013', '\u2014', '\u2015'}

const maxDashes = 5

// dashes gives all spellings of a value's options. A dash counts if a word begins after it and none ends
// before it, so that the second dash of -some-option stays.
func dashes(parts []Part) ([][]Part, error) {
	variants := [][]Part{nil}
	found := 0
	for _, p := range parts {
		if p.Wild != Literal {
			for i := range variants {
				variants[i] = append(variants[i], p)
			}
			continue
		}
		runes := []rune(p.Literal)
		for i, r := range runes {
			if !isDash(runes, i) {
				for j := range variants {
					variants[j] = append(variants[j], Part{Literal: string(r)})
				}
				continue
			}
			if found++; found > maxDashes {
				return nil, fmt.Errorf("modifier %q finds more than %d dashes in one value; split the value into several with the modifier all", "windash", maxDashes)
			}
			var next [][]Part
			for _, v := range variants {
				for _, d := range dashRunes {
					next = append(next, append(slices.Clip(v), Part{Literal: string(d)}))
				}
			}
			variants = next
		}
	}
	for i := range variants {
		variants[i] = joinParts(variants[i])
	}
	return variants, nil
}

func isDash(runes []rune, i int) bool {
	if slices.Contains(dashRunes, runes[i]) {
		return (i == 0 || !isWord(runes[i-1])) && i+1 < len(runes) && isWord(runes[i+1])
	}
	return false
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
}
