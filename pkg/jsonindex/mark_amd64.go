//go:build amd64 && !purego

package jsonindex

import "golang.org/x/sys/cpu"

// markAVX2 is markWords for n words of 64 bytes, by AVX2. The pointers must lead to as many words, and to n*64 bytes.
//
//go:noescape
func markAVX2(text *byte, n int, quotes, backslashes, controls *uint64) (slashes, lowest uint64)

var hasAVX2 = cpu.X86.HasAVX2

// mark marks the quotes, backslashes and control characters of text, and returns all marks of the last two, or-ed
// together.
func mark(text []byte, quotes, backslashes, controls []uint64) (slashes, lowest uint64) {
	if !hasAVX2 {
		return markPlain(text, quotes, backslashes, controls)
	}
	n := len(text) / 64
	if n > 0 {
		_, _, _ = quotes[n-1], backslashes[n-1], controls[n-1] // the assembly checks no bounds
		slashes, lowest = markAVX2(&text[0], n, &quotes[0], &backslashes[0], &controls[0])
	}
	if n*64 < len(text) {
		last := tail(text[n*64:])
		s, c := markAVX2(&last[0], 1, &quotes[n], &backslashes[n], &controls[n])
		slashes, lowest = slashes|s, lowest|c
	}
	return slashes, lowest
}
