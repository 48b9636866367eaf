package kafka

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// record is one record of a batch. Its bytes are the caller's.
type record struct {
	offset int64
	delta  int64 // milliseconds after the batch's first time
	// value is cut at the limit; size is its length in the log, -1 for a tombstone.
	value []byte
	size  int
	// key and headers are read only if asked for.
	key     []byte
	headers []header
}

type header struct {
	key   string
	value []byte
}

// recordLimits says what to read of a record, and how much at most.
type recordLimits struct {
	value, key  int
	withKey     bool
	withHeaders bool
}

// maxHeaders bounds the headers that are kept of one record; further ones are skipped.
const maxHeaders = 64

var errRecord = errors.New("a record contradicts its batch")

// recordReader reads the records of one batch after the other from their streams, and keeps its memory
// between batches. The zero value is ready to open a batch.
type recordReader struct {
	limits recordLimits
	slab   slab

	batch  *batch
	stream inflater
	in     *bufio.Reader
	left   int32 // records
	room   int   // bytes that the current record may still take
	err    error
}

// open starts to read x. An error shows at the first next.
func (r *recordReader) open(x *batch) {
	r.batch, r.left, r.err = x, x.count, x.broken
	if r.err != nil {
		return
	}
	stream, err := r.stream.open(x.codec(), x.payload)
	if err != nil {
		r.err = err
		return
	}
	if r.in == nil {
		r.in = bufio.NewReaderSize(stream, 32<<10)
	} else {
		r.in.Reset(stream)
	}
}

// close lets go of the batch.
func (r *recordReader) close() {
	r.stream.release()
	r.batch = nil
}

// next reads the next record into rec. After false, r.err tells the end of the batch (nil) from damage.
func (r *recordReader) next(rec *record) bool {
	if r.err != nil || r.left == 0 {
		return false
	}
	r.left--
	r.room = binary.MaxVarintLen64
	length := r.varint()
	if r.err == nil && (length < 0 || length > math.MaxInt32) {
		r.fail(errRecord)
	}
	r.room = int(length)
	*rec = record{headers: rec.headers[:0]}
	r.byte() // attributes, unused by Kafka
	rec.delta = r.varint()
	rec.offset = r.batch.base + r.varint()
	if rec.offset < r.batch.base || rec.offset > r.batch.last {
		r.fail(errRecord)
	}
	keyLimit := 0
	if r.limits.withKey {
		keyLimit = r.limits.key
	}
	rec.key, _ = r.bytes(keyLimit)
	rec.value, rec.size = r.bytes(r.limits.value)
	if r.limits.withHeaders {
		r.headers(rec)
	}
	r.discard(r.room)
	return r.err == nil
}

func (r *recordReader) headers(rec *record) {
	for n := r.varint(); n > 0 && r.err == nil && len(rec.headers) < maxHeaders; n-- {
		name, _ := r.bytes(r.limits.key)
		value, _ := r.bytes(r.limits.key)
		rec.headers = append(rec.headers, header{key: string(name), value: value})
	}
}

// bytes reads a value with its length before it, and keeps limit bytes of it. The length is -1 for null.
func (r *recordReader) bytes(limit int) ([]byte, int) {
	n := r.varint()
	if n < 0 || r.err != nil {
		return nil, -1
	}
	if n > int64(r.room) {
		r.fail(errRecord)
		return nil, -1
	}
	keep := min(int(n), limit)
	var v []byte
	if keep > 0 {
		v = r.slab.take(keep)
		_, err := io.ReadFull(r.in, v)
		r.room -= keep
		r.fail(err)
	}
	r.discard(int(n) - keep)
	if r.err != nil {
		return nil, -1
	}
	return v, int(n)
}

func (r *recordReader) varint() int64 {
	var u uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return int64(u>>1) ^ -int64(u&1)
		}
	}
	r.fail(errRecord)
	return 0
}

func (r *recordReader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.room <= 0 {
		r.fail(errRecord)
		return 0
	}
	r.room--
	b, err := r.in.ReadByte()
	r.fail(err)
	return b
}

func (r *recordReader) discard(n int) {
	if n <= 0 || r.err != nil {
		return
	}
	r.room -= n
	_, err := r.in.Discard(n)
	r.fail(err)
}

// fail keeps the first error. The end of the stream is one: the batch promised more records.
func (r *recordReader) fail(err error) {
	if err != nil && r.err == nil {
		r.err = unexpectedEOF(err)
	}
}

// slab hands out memory in small pieces from larger ones, so that a record costs no allocation of its own.
// A piece is never handed out twice: it lives until nobody refers to its slab any more.
type slab struct{ free []byte }

const slabSize = 64 << 10

func (s *slab) take(n int) []byte {
	if n > slabSize/4 {
		return make([]byte, n)
	}
	if n > len(s.free) {
		s.free = make([]byte, slabSize)
	}
	v := s.free[:n:n]
	s.free = s.free[n:]
	return v
}
