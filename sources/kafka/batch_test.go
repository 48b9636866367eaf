package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// testRecord is a record to encode. A nil value is a tombstone.
type testRecord struct {
	offset, time int64 // relative to the batch
	key, value   []byte
	headers      []kmsg.Header
}

// encodeBatch writes a record batch, with another implementation than the one under test.
func encodeBatch(base int64, codec compress.Compression, attributes int16, records ...testRecord) []byte {
	var payload []byte
	for _, r := range records {
		rec := kmsg.Record{TimestampDelta64: r.time, OffsetDelta: int32(r.offset), Key: r.key, Value: r.value, Headers: r.headers}
		whole := rec.AppendTo(nil) // begins with a length of 0, one byte
		payload = binary.AppendVarint(payload, int64(len(whole)-1))
		payload = append(payload, whole[1:]...)
	}
	if codec != compress.None {
		var buf bytes.Buffer
		w := codec.Codec().NewWriter(&buf)
		_, _ = w.Write(payload)
		_ = w.Close()
		payload = buf.Bytes()
	}
	b := kmsg.RecordBatch{
		FirstOffset: base, Magic: 2, Attributes: attributes | int16(codec), FirstTimestamp: 1_700_000_000_000, MaxTimestamp: 1_700_000_009_000,
		ProducerID: 7, NumRecords: int32(len(records)), Records: payload,
	}
	if n := len(records); n > 0 {
		b.LastOffsetDelta = int32(records[n-1].offset)
	}
	return seal(b.AppendTo(nil))
}

// seal corrects length and checksum.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func batchOf(t *testing.T, raw []byte) batch {
	t.Helper()
	x, rest, ok := nextBatch(raw)
	if !ok || len(rest) > 0 {
		t.Fatalf("nextBatch: ok %v, %d bytes left", ok, len(rest))
	}
	return x
}

// readAll reads all records of a batch.
func readAll(x *batch, limits recordLimits) (out []record, err error) {
	r := recordReader{limits: limits}
	defer r.close()
	var rec record
	for r.open(x); r.next(&rec); {
		keep := rec
		keep.headers = append([]header(nil), rec.headers...)
		out = append(out, keep)
	}
	return out, r.err
}

var everything = recordLimits{value: 1 << 20, key: 100, withKey: true, withHeaders: true}

func TestRecordsAreReadInEveryCompression(t *testing.T) {
	big := bytes.Repeat([]byte("kubernetes "), 7_000)
	records := []testRecord{
		{offset: 0, time: 5, key: []byte("k"), value: []byte("one"), headers: []kmsg.Header{{Key: "h", Value: []byte("v")}, {Key: "null"}}},
		{offset: 3, time: 6},
		{offset: 4, time: -7, value: []byte{}},
		{offset: 9, value: big},
	}
	want := []record{
		{offset: 100, delta: 5, key: []byte("k"), value: []byte("one"), size: 3, headers: []header{{"h", []byte("v")}, {key: "null"}}},
		{offset: 103, delta: 6, size: -1},
		{offset: 104, delta: -7},
		{offset: 109, value: big, size: len(big)},
	}
	for _, codec := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			x := batchOf(t, encodeBatch(100, codec, 0, records...))
			got, err := readAll(&x, everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}, header{})); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if x.base != 100 || x.last != 109 {
				t.Errorf("offsets %d to %d", x.base, x.last)
			}
			if at := x.time(5); !at.Equal(time.UnixMilli(1_700_000_000_005)) {
				t.Errorf("time %s", at)
			}
		})
	}
}

func TestSnappyWithoutFramingIsRead(t *testing.T) {
	raw := encodeBatch(0, compress.None, 0, testRecord{value: []byte("one")}, testRecord{offset: 1, value: []byte("two")})
	raw = append(raw[:headerEnd:headerEnd], snappy.Encode(nil, raw[headerEnd:])...)
	raw[22] |= byte(compress.Snappy)
	x := batchOf(t, seal(raw))
	if got, err := readAll(&x, everything); err != nil || len(got) != 2 {
		t.Errorf("%d records, error %v", len(got), err)
	}
}

func TestTheBrokersTimeWinsWhereItIsKept(t *testing.T) {
	x := batchOf(t, encodeBatch(0, compress.None, logAppendTimeBit, testRecord{time: 5}))
	if at := x.time(5); !at.Equal(time.UnixMilli(1_700_000_009_000)) {
		t.Errorf("time %s", at)
	}
	x.attributes, x.firstTime = 0, -1
	if !x.time(0).IsZero() {
		t.Error("a record without a time has one")
	}
}

func TestBatchesThatCannotBeReadSayWhy(t *testing.T) {
	good := func() []byte {
		return encodeBatch(10, compress.None, 0, testRecord{value: []byte("one")}, testRecord{offset: 1, value: []byte("two")})
	}
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   string
		last   int64
	}{
		"flipped bit":                   {func(b []byte) []byte { b[70] ^= 1; return b }, "wrong checksum", 11},
		"old message format":            {func(b []byte) []byte { b[magicAt] = 1; return b }, "message of format 1", 10},
		"format of tomorrow":            {func(b []byte) []byte { b[magicAt] = 3; return b }, "unknown format 3", 10},
		"unknown compression":           {func(b []byte) []byte { b[22] = 6; return seal(b) }, "unknown compression 6", 11},
		"negative count":                {func(b []byte) []byte { b[57] = 0xff; return seal(b) }, "negative count", 11},
		"negative last":                 {func(b []byte) []byte { b[23] = 0xff; return seal(b) }, "negative count", 10},
		"more records than there are":   {func(b []byte) []byte { b[60] = 9; return seal(b) }, io.ErrUnexpectedEOF.Error(), 11},
		"record beyond the last offset": {func(b []byte) []byte { b[26] = 0; return seal(b) }, errRecord.Error(), 10},
		"record longer than the batch":  {func(b []byte) []byte { b[headerEnd] = 0x7e; return seal(b) }, io.ErrUnexpectedEOF.Error(), 11},
		"not the compression it says":   {func(b []byte) []byte { b[22] = byte(compress.Gzip); return seal(b) }, "gzip", 11},
		"cut to a header":               {func(b []byte) []byte { return seal(b[:40]) }, "shorter than its header", 10},
	} {
		t.Run(name, func(t *testing.T) {
			x := batchOf(t, tt.change(good()))
			_, err := readAll(&x, everything)
			if err == nil || !strings.Contains(err.Error(), tt.want) || x.last != tt.last {
				t.Errorf("error %v, last offset %d; want %q, %d", err, x.last, tt.want, tt.last)
			}
		})
	}
}

func TestACutBatchIsLeftForTheNextAnswer(t *testing.T) {
	raw := encodeBatch(10, compress.None, 0, testRecord{value: []byte("one")})
	for n := range raw {
		if _, _, ok := nextBatch(raw[:n]); ok {
			t.Fatalf("%d of %d bytes count as a batch", n, len(raw))
		}
	}
	two := append(bytes.Clone(raw), raw[:30]...)
	if x, rest, ok := nextBatch(two); !ok || len(x.raw) != len(raw) || len(rest) != 30 {
		t.Errorf("ok %v, %d bytes, %d left", ok, len(x.raw), len(rest))
	}
}

func TestALargeRecordIsCutAndTheNextOneIsWhole(t *testing.T) {
	x := batchOf(t, encodeBatch(0, compress.Zstd, 0,
		testRecord{value: bytes.Repeat([]byte("x"), 5000)}, testRecord{offset: 1, key: bytes.Repeat([]byte("y"), 5000), value: []byte("next")}))
	got, err := readAll(&x, recordLimits{value: 1000, key: 10, withKey: true})
	if err != nil || len(got) != 2 {
		t.Fatal(len(got), err)
	}
	if len(got[0].value) != 1000 || got[0].size != 5000 || string(got[1].value) != "next" || len(got[1].key) != 10 {
		t.Errorf("value of %d bytes, size %d, next %q with a key of %d", len(got[0].value), got[0].size, got[1].value, len(got[1].key))
	}
}

// A megabyte can inflate to gigabytes. It has to be read, since a record may hide behind, but not kept.
func TestABombIsReadInLittleMemory(t *testing.T) {
	const bombs, each = 4, 128 << 20
	raw := kmsg.RecordBatch{Magic: 2, Attributes: int16(compress.Zstd), LastOffsetDelta: bombs, NumRecords: bombs + 1}
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for i := range int64(bombs) {
		head := []byte{0, 0} // attributes, time
		head = binary.AppendVarint(head, i)
		head = binary.AppendVarint(head, -1) // no key
		head = binary.AppendVarint(head, each)
		_, _ = w.Write(binary.AppendVarint(nil, int64(len(head)+each+1)))
		_, _ = w.Write(head)
		for range each / len(zeros) {
			_, _ = w.Write(zeros)
		}
		_, _ = w.Write([]byte{0}) // no headers
	}
	last := kmsg.Record{OffsetDelta: bombs, Value: []byte("behind")}
	whole := last.AppendTo(nil)
	_, _ = w.Write(append(binary.AppendVarint(nil, int64(len(whole)-1)), whole[1:]...))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw.Records = packed.Bytes()
	x := batchOf(t, seal(raw.AppendTo(nil)))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := readAll(&x, recordLimits{value: 1 << 20})
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != bombs+1 || string(got[bombs].value) != "behind" || got[0].size != each {
		t.Fatalf("%d records, error %v", len(got), err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("%d MiB allocated to read %d KiB that inflate to %d MiB", used>>20, len(x.raw)>>10, bombs*each>>20)
	}
}

func TestSnappyBlocksAreBounded(t *testing.T) {
	announced := binary.AppendUvarint(nil, 1<<31)
	_, err := io.ReadAll(&snappyReader{src: append(announced, 0, 0)})
	if err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("error %v", err)
	}
	framed := append(append([]byte(nil), xerial...), 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff)
	if _, err := io.ReadAll(&snappyReader{src: framed}); !errors.Is(err, errSnappy) {
		t.Errorf("error %v", err)
	}
}

func TestAbortedTransactionsAreDropped(t *testing.T) {
	marker := func(base int64, kind byte) batch {
		return batchOf(t, encodeBatch(base, compress.None, controlBit|transactionalBit, testRecord{key: []byte{0, 0, 0, kind}, value: make([]byte, 6)}))
	}
	data := func(base int64, attributes int16) batch {
		return batchOf(t, encodeBatch(base, compress.Snappy, attributes, testRecord{value: []byte("x")}))
	}
	log := []struct {
		batch batch
		drop  bool
	}{
		{data(0, transactionalBit), false}, {marker(1, 1), true},
		{data(2, transactionalBit), true}, {data(3, 0), false}, {data(4, transactionalBit), true}, {marker(5, 0), true},
		{data(6, transactionalBit), false}, {marker(7, 1), true},
	}
	txns := newTransactions([]abortedTransaction{{producer: 7, first: 2}})
	for _, entry := range log {
		if got := txns.drops(&entry.batch); got != entry.drop {
			t.Errorf("batch at %d: dropped %v, want %v", entry.batch.base, got, entry.drop)
		}
	}
}

func TestReadingARecordAllocatesNothing(t *testing.T) {
	records := make([]testRecord, 1000)
	for i := range records {
		records[i] = testRecord{offset: int64(i), value: bytes.Repeat([]byte("a"), 500)}
	}
	for _, codec := range []compress.Compression{compress.None, compress.Snappy, compress.Lz4, compress.Zstd} {
		x := batchOf(t, encodeBatch(0, codec, 0, records...))
		r := recordReader{limits: recordLimits{value: 1 << 20}}
		perBatch := testing.AllocsPerRun(20, func() {
			var rec record
			n := 0
			for r.open(&x); r.next(&rec); n++ {
			}
			if n != len(records) || r.err != nil {
				t.Fatal(n, r.err)
			}
			r.close()
		})
		if perBatch > 30 { // the slabs: 500 kB in pieces of 64 KiB
			t.Errorf("%s: %v allocations for %d records", codec, perBatch, len(records))
		}
	}
}

func BenchmarkReadRecords(b *testing.B) {
	records := make([]testRecord, 700)
	for i := range records {
		records[i] = testRecord{offset: int64(i), value: bytes.Repeat([]byte(`{"kind":"Event","verb":"get"},`), 50)}
	}
	for _, codec := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		raw := encodeBatch(0, codec, 0, records...)
		b.Run(codec.String(), func(b *testing.B) {
			r := recordReader{limits: recordLimits{value: 1 << 20}}
			b.ReportAllocs()
			b.SetBytes(700 * 1500)
			for b.Loop() {
				x, _, _ := nextBatch(raw)
				var rec record
				for r.open(&x); r.next(&rec); {
				}
				r.close()
			}
			b.ReportMetric(float64(b.N)*700/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func FuzzBatches(f *testing.F) {
	for _, codec := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		f.Add(encodeBatch(3, codec, 0, testRecord{key: []byte("k"), value: []byte("v"), headers: []kmsg.Header{{Key: "h"}}}, testRecord{offset: 2}), true)
	}
	f.Add(encodeBatch(3, compress.None, controlBit, testRecord{key: []byte{0, 0, 0, 0}, value: []byte("v")}), false)
	f.Fuzz(func(t *testing.T, raw []byte, fix bool) {
		if fix && len(raw) > headerEnd {
			raw = seal(bytes.Clone(raw)) // so that the checksum does not hide what is behind it
		}
		txns := newTransactions([]abortedTransaction{{producer: 7, first: 0}})
		for rest := raw; ; {
			x, tail, ok := nextBatch(rest)
			if !ok {
				break
			}
			if len(tail) >= len(rest) || x.last < x.base {
				t.Fatalf("no progress: %d of %d bytes, offsets %d to %d", len(tail), len(rest), x.base, x.last)
			}
			rest = tail
			txns.drops(&x)
			got, _ := readAll(&x, recordLimits{value: 100, key: 10, withKey: true, withHeaders: true})
			for _, rec := range got {
				if rec.offset < x.base || rec.offset > x.last || len(rec.value) > 100 || len(rec.key) > 10 || len(rec.headers) > maxHeaders {
					t.Fatalf("a record at %d of a batch from %d to %d: value %d, key %d, headers %d",
						rec.offset, x.base, x.last, len(rec.value), len(rec.key), len(rec.headers))
				}
			}
		}
	})
}
