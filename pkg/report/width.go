package report

import (
	"unicode"

	"github.com/foretop/foretop/pkg/finding"
)

// wide are the ranges that terminals show two columns wide (Unicode's East Asian Wide and Fullwidth, and
// emoji), coarsely: a character counted too wide only wastes a column.
var wide = [][2]rune{
	{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2329, 0x232a}, {0x23e9, 0x23f3}, {0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2648, 0x2653},
	{0x267f, 0x267f}, {0x2693, 0x2693}, {0x26a1, 0x26a1}, {0x26aa, 0x26ab}, {0x26bd, 0x26be}, {0x26c4, 0x26c5}, {0x26ce, 0x26d4},
	{0x26ea, 0x26fd}, {0x2705, 0x2705}, {0x270a, 0x270b}, {0x2728, 0x2728}, {0x274c, 0x2757}, {0x2795, 0x2797}, {0x27b0, 0x27bf},
	{0x2b1b, 0x2b1c}, {0x2b50, 0x2b55}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff},
	{0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x18cff}, {0x1aff0, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf},
	{0x1f18e, 0x1f19a}, {0x1f1e6, 0x1f265}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f7e0, 0x1f7f0}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
}

func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if r < w[0] {
			break
		}
		if r <= w[1] {
			return 2
		}
	}
	return 1
}

// displayWidth is the number of columns that s takes, s being free of control characters.
func displayWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// fit escapes s and cuts it to a number of columns. Combining marks take no column but are bounded too:
// a pile of them would run over the neighbouring lines.
func fit(s string, columns int) string {
	const marksPerRune = 2
	if columns <= 0 {
		return ""
	}
	s = finding.Visible(s)
	end, width, marks := 0, 0, 0
	for i, r := range s {
		w := runeWidth(r)
		if w == 0 {
			if marks++; marks > marksPerRune {
				return cutTo(s[:i], columns-1) + "…"
			}
		} else {
			marks = 0
		}
		if width += w; width > columns {
			return cutTo(s[:end], columns-1) + "…"
		}
		end = i + len(string(r))
	}
	return s
}

// cutTo is the longest head of s that takes at most columns.
func cutTo(s string, columns int) string {
	width := 0
	for i, r := range s {
		if width += runeWidth(r); width > columns {
			return s[:i]
		}
	}
	return s
}
