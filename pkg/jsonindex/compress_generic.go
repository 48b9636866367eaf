//go:build !amd64 || purego

package jsonindex

// compress does nothing: where a processor has no instruction for it, runs between escapes are copied.
func compress([]byte, []byte, int, []uint64) (words, written int) { return 0, 0 }
