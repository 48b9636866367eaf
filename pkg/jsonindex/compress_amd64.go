//go:build amd64 && !purego

package jsonindex

import "golang.org/x/sys/cpu"

// compressVBMI2 copies words of 64 bytes from src to dst without the bytes that drop has a bit for, up to the first word
// in which such a byte comes before anything but a quote or a backslash. n is the most words that it may do: there must
// be n*64+1 bytes to read, and n*64 to write.
//
//go:noescape
func compressVBMI2(dst, src *byte, n int, drop *uint64) (words, written int)

var hasVBMI2 = cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI2

// compress leaves the backslashes of escaped quotes and backslashes out of n words of src, and stops at the first word
// with another escape. It may write up to n*64 bytes to dst, and reads one byte beyond the last word.
func compress(dst, src []byte, n int, begins []uint64) (words, written int) {
	if !hasVBMI2 || n <= 0 {
		return 0, 0
	}
	_, _, _ = dst[n*64-1], src[n*64], begins[n-1] // the assembly checks no bounds
	return compressVBMI2(&dst[0], &src[0], n, &begins[0])
}
