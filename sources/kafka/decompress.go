package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// Bounds of decompression. Nothing is ever inflated as a whole: records are read from the stream one by
// one, so the memory is that of a codec's window and of the records in flight.
const (
	// maxWindow is the largest zstd window that Java producers can ask for and their consumers accept.
	maxWindow = 128 << 20
	// maxSnappyBlock bounds one block, which snappy can only inflate as a whole. Producers write 32 KiB
	// to 1 MiB; those without framing write a batch as one block.
	maxSnappyBlock = 64 << 20
)

// inflater opens compressed payloads, one at a time, and keeps its memory between them.
type inflater struct {
	plain  bytes.Reader
	snappy snappyReader
	zstd   *zstd.Decoder
	pooled io.Closer
}

// open returns a reader of the inflated payload. It is valid until the next open or release.
func (f *inflater) open(codec compress.Compression, payload []byte) (io.Reader, error) {
	f.release()
	f.plain.Reset(payload)
	switch codec {
	case compress.None:
		return &f.plain, nil
	case compress.Snappy:
		f.snappy.reset(payload)
		return &f.snappy, nil
	case compress.Zstd:
		return f.openZstd(payload)
	default: // gzip and lz4 have small windows, and kafka-go keeps a pool of them
		r := codec.Codec().NewReader(&f.plain)
		f.pooled = r
		return r, nil
	}
}

// keptWindow is the largest window whose memory is kept for the next payload.
const keptWindow = 8 << 20

func (f *inflater) openZstd(payload []byte) (io.Reader, error) {
	var head zstd.Header
	if err := head.Decode(payload); err != nil {
		return nil, err
	}
	d := f.zstd
	if d == nil || head.WindowSize > keptWindow {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		if head.WindowSize <= keptWindow {
			f.zstd = d
		}
	}
	return d, d.Reset(&f.plain)
}

// release lets go of the payload.
func (f *inflater) release() {
	if f.pooled != nil {
		_ = f.pooled.Close() // nothing was written
		f.pooled = nil
	}
	f.plain.Reset(nil)
	f.snappy.reset(nil)
}

// xerial starts the framing that Java puts around snappy blocks: a magic of 8 bytes, two versions of 4,
// then blocks with a length of 4 bytes before each. Other clients write one block without framing.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

var errSnappy = errors.New("snappy: a block is cut or corrupt")

// snappyReader inflates one block after the other. kafka-go's reader allocates whatever a block announces.
type snappyReader struct {
	src    []byte
	framed bool
	begun  bool
	block  []byte // memory of the current block
	unread []byte
}

func (s *snappyReader) reset(src []byte) {
	*s = snappyReader{src: src, block: s.block[:0]}
	if cap(s.block) > keptWindow {
		s.block = nil
	}
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.unread) == 0 {
		if err := s.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

func (s *snappyReader) nextBlock() error {
	if !s.begun {
		s.begun = true
		if s.framed = bytes.HasPrefix(s.src, xerial) && len(s.src) >= xerialHeader; s.framed {
			s.src = s.src[xerialHeader:]
		}
	}
	if len(s.src) == 0 {
		return io.EOF
	}
	block := s.src
	s.src = nil
	if s.framed {
		if len(block) < 4 {
			return errSnappy
		}
		size := int(binary.BigEndian.Uint32(block))
		if size > len(block)-4 {
			return errSnappy
		}
		block, s.src = block[4:4+size], block[4+size:]
	}
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return errSnappy
	}
	if size > maxSnappyBlock {
		return fmt.Errorf("snappy: a block of %d bytes is over the limit of %d MiB", size, maxSnappyBlock>>20)
	}
	if s.block, err = snappy.Decode(s.block[:cap(s.block)], block); err != nil {
		return errSnappy
	}
	s.unread = s.block
	return nil
}
