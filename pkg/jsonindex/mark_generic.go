//go:build !amd64 || purego

package jsonindex

// mark marks the quotes, backslashes and control characters of text, and returns all marks of the last two, or-ed
// together.
func mark(text []byte, quotes, backslashes, controls []uint64) (slashes, lowest uint64) {
	return markPlain(text, quotes, backslashes, controls)
}
