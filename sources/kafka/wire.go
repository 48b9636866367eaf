package kafka

import (
	"encoding/binary"
	"errors"
)

// errCut is a value that ends before its length says it does.
var errCut = errors.New("kafka: the answer ends in the middle of a value")

// wire reads the fields of a Kafka answer from b. After the first error every further read yields zero
// values, so that a caller checks err once. It never allocates.
type wire struct {
	b   []byte
	err error
}

func (w *wire) take(n int) []byte {
	if w.err != nil || n < 0 || n > len(w.b) {
		w.fail(errCut)
		return nil
	}
	v := w.b[:n:n]
	w.b = w.b[n:]
	return v
}

func (w *wire) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.b = nil
}

func (w *wire) int16() int16 {
	if v := w.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (w *wire) int32() int32 {
	if v := w.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (w *wire) int64() int64 {
	if v := w.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// string16 reads a string with a 16-bit length.
func (w *wire) string16() []byte { return w.take(int(w.int16())) }

// bytes32 reads bytes with a 32-bit length, of which -1 stands for none.
func (w *wire) bytes32() []byte {
	n := w.int32()
	if n < 0 {
		return nil
	}
	return w.take(int(n))
}

// count reads the length of an array whose elements take at least size bytes each, so that a length that
// cannot be true costs nothing. An array of -1 is an empty one.
func (w *wire) count(size int) int {
	n := int(w.int32())
	if n > len(w.b)/size {
		w.fail(errCut)
		return 0
	}
	return max(n, 0)
}
