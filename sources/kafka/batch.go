package kafka

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// Layout of a record batch of format 2. https://kafka.apache.org/documentation/#recordbatch
const (
	lengthEnd  = 12 // base offset and length come before what length counts
	magicAt    = 16
	checksumAt = 21 // the checksum covers everything from here
	headerEnd  = 61
)

// Bits of a batch's attributes.
const (
	codecBits        = 0x07
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is one stretch of a partition's log.
type batch struct {
	// base and last are the first and last offsets that the batch covers; compaction may have taken
	// any of the records between them.
	base, last int64
	attributes int16
	// firstTime and maxTime are milliseconds since 1970.
	firstTime, maxTime int64
	producer           int64
	count              int32
	// payload holds the records, compressed or not; raw is the whole batch.
	payload, raw []byte
	// broken is set if the batch cannot be read, whatever comes, and unknown if not even its end is known.
	broken  error
	unknown bool
}

// nextBatch cuts the first batch off b. ok is false when b holds no whole batch: brokers cut their answers
// at a size, not at a batch.
func nextBatch(b []byte) (x batch, rest []byte, ok bool) {
	if len(b) <= magicAt {
		return x, nil, false
	}
	w := &wire{b: b}
	base, size := w.int64(), int(w.int32())
	if size < 0 || size > len(b)-lengthEnd {
		return x, nil, false
	}
	end := lengthEnd + size
	x = batch{base: base, last: base, producer: -1, raw: b[:end:end]}
	switch magic := b[magicAt]; {
	case end <= magicAt:
		x.broken = errors.New("a record batch without a format")
	case magic < 2:
		// A message set of Kafka 0.10 or older. The offset is that of the last message inside.
		x.broken = fmt.Errorf("a message of format %d, older than Kafka 0.11", magic)
	case magic > 2:
		x.broken, x.unknown = fmt.Errorf("a record batch of the unknown format %d: a newer version of Foretop may read it", magic), true
	case end < headerEnd:
		x.broken = errors.New("a record batch shorter than its header")
	default:
		x.parse()
	}
	return x, b[end:], true
}

func (x *batch) parse() {
	checksum := binary.BigEndian.Uint32(x.raw[magicAt+1:])
	w := &wire{b: x.raw[checksumAt:]}
	x.attributes = w.int16()
	delta := w.int32()
	x.firstTime, x.maxTime, x.producer = w.int64(), w.int64(), w.int64()
	w.int16() // producer epoch
	w.int32() // base sequence
	x.count = w.int32()
	x.payload = w.b
	switch {
	case delta < 0 || x.count < 0:
		x.broken = errors.New("a record batch with a negative count")
	case crc32.Checksum(x.raw[checksumAt:], castagnoli) != checksum:
		x.broken = errors.New("a record batch with a wrong checksum")
	case int(x.attributes&codecBits) >= len(compress.Codecs):
		x.broken = fmt.Errorf("a record batch with the unknown compression %d", x.attributes&codecBits)
	}
	if delta >= 0 {
		x.last = x.base + int64(delta)
	}
}

func (x *batch) codec() compress.Compression { return compress.Compression(x.attributes & codecBits) }
func (x *batch) control() bool               { return x.attributes&controlBit != 0 }
func (x *batch) transactional() bool         { return x.attributes&transactionalBit != 0 }

// time is the broker's time of a record with the given delta.
func (x *batch) time(delta int64) time.Time {
	ms := x.firstTime + delta
	if x.attributes&logAppendTimeBit != 0 {
		ms = x.maxTime
	}
	if ms < 0 {
		return time.Time{} // -1: the producer gave none
	}
	return time.UnixMilli(ms).UTC()
}

// isAbort reads the marker in a control batch, which is never compressed: its one record has a key of
// version and type, type 0 being an abort.
func (x *batch) isAbort() bool {
	r := recordReader{limits: recordLimits{key: 64, withKey: true}, in: bufio.NewReaderSize(nil, 64)}
	r.open(x)
	defer r.close()
	var rec record
	return r.next(&rec) && len(rec.key) >= 4 && binary.BigEndian.Uint16(rec.key[2:]) == 0
}

// transactions tells which batches of one answer were taken back. Under read_committed the broker lists
// the aborted transactions that touch the answer, and leaves it to the reader to drop their batches.
type transactions struct {
	pending []abortedTransaction // ascending by first offset
	aborted map[int64]bool       // producers inside an aborted transaction
}

func newTransactions(list []abortedTransaction) *transactions {
	return &transactions{pending: list, aborted: make(map[int64]bool)}
}

// drops is asked for every batch in order, and is true for those that hold nothing to deliver.
func (t *transactions) drops(x *batch) bool {
	for len(t.pending) > 0 && t.pending[0].first <= x.last {
		t.aborted[t.pending[0].producer] = true
		t.pending = t.pending[1:]
	}
	if x.control() {
		if t.aborted[x.producer] && x.isAbort() {
			delete(t.aborted, x.producer)
		}
		return true
	}
	return x.transactional() && t.aborted[x.producer]
}
