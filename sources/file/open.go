package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxLayers is how many compressions may lie over one another: one by a delivery service, one by whoever
// stored its output.
const maxLayers = 3

// maxWindow bounds the memory that a zstd stream may ask for: what `zstd --long` needs at its default.
const maxWindow = 128 << 20

const sniffLength = 6

var (
	gzipMagic  = []byte{0x1f, 0x8b}
	zstdMagic  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	otherMagic = []struct {
		magic []byte
		name  string
	}{
		{[]byte{0xfd, '7', 'z', 'X', 'Z', 0}, "xz"},
		{[]byte("BZh"), "bzip2"},
		{[]byte("PK\x03\x04"), "zip"},
	}
)

// content is the decompressed content of a file. A fault in the file ends it like its end does, so that
// what came before the fault is judged; err then says what was wrong.
type content struct {
	ctx        context.Context //nolint:containedctx // a Reader has no other way to learn that reading is over
	r          io.Reader
	close      []func()
	compressed bool
	err        error
}

// newContent finds out how raw is compressed, from its bytes alone. Its own error is one of raw's.
func newContent(ctx context.Context, raw io.Reader) (*content, error) {
	c := &content{ctx: ctx}
	buffered := bufio.NewReaderSize(raw, 64<<10)
	for range maxLayers {
		magic, err := buffered.Peek(sniffLength)
		if err != nil && !errors.Is(err, io.EOF) {
			c.Close()
			return nil, err
		}
		next, err := c.layer(magic, buffered)
		if err != nil {
			c.Close()
			return nil, err
		}
		if next == nil {
			break
		}
		c.compressed = true
		buffered = bufio.NewReaderSize(next, 64<<10)
	}
	c.r = buffered
	return c, nil
}

// layer makes the decompressor that magic asks for, nil if the content is plain.
func (c *content) layer(magic []byte, r io.Reader) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(r) // reads all members of the file
		if err != nil {
			return nil, damaged(err)
		}
		return z, nil
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, damaged(err)
		}
		c.close = append(c.close, z.Close)
		return z, nil
	}
	for _, other := range otherMagic {
		if bytes.HasPrefix(magic, other.magic) {
			return nil, fmt.Errorf("%s is not read: decompress the file first", other.name)
		}
	}
	return nil, nil
}

func damaged(err error) error { return fmt.Errorf("compressed data is damaged: %w", err) }

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // the contract of Reader: io.EOF itself
		return n, err
	case c.ctx.Err() != nil:
		return n, c.ctx.Err()
	case c.compressed:
		err = damaged(err)
	}
	c.err = err
	return n, io.EOF
}

// Close frees what the decompressors hold; the file under them is the caller's.
func (c *content) Close() {
	for _, f := range c.close {
		f()
	}
	c.close = nil
}

// counting counts the bytes that are read.
type counting struct {
	r io.Reader
	n *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// pump reads a stream that may make its reader wait: the standard input, a pipe. Before it waits it calls
// idle, so that what has been read is not held back; and it stops waiting when ctx ends.
type pump struct {
	ctx    context.Context //nolint:containedctx // a Reader has no other way to learn that reading is over
	idle   func() error
	chunks <-chan []byte
	rest   []byte
	err    *error // set before chunks is closed
}

// startPump reads r in a goroutine, which ends when r does, or soon after ctx if r can be closed. One that
// hangs in a read of the standard input can only end with the process.
func startPump(ctx context.Context, r io.Reader, idle func() error) *pump {
	chunks := make(chan []byte)
	p := &pump{ctx: ctx, idle: idle, chunks: chunks, err: new(error)}
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 64<<10)
			n, err := r.Read(buf)
			if n > 0 {
				select {
				case chunks <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				*p.err = err
				return
			}
		}
	}()
	return p
}

// Read implements io.Reader.
func (p *pump) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pump) next() error {
	var ok bool
	select {
	case p.rest, ok = <-p.chunks:
	default:
		if err := p.idle(); err != nil {
			return err
		}
		select {
		case p.rest, ok = <-p.chunks:
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
	if !ok {
		if *p.err == nil {
			return p.ctx.Err()
		}
		return *p.err
	}
	return nil
}

// openRaw opens a file, and tells whether its reads may have to wait. Opening a pipe waits for its writer
// unless it is opened for both ends, which would hide the writer's end; so it waits in a goroutine.
func openRaw(ctx context.Context, in input) (f *os.File, waits bool, err error) {
	if in.info.Mode().IsRegular() {
		f, err = os.Open(in.path)
		return f, false, err
	}
	type result struct {
		f   *os.File
		err error
	}
	opened := make(chan result)
	go func() {
		f, err := os.Open(in.path)
		select {
		case opened <- result{f, err}:
		case <-ctx.Done():
			if err == nil {
				f.Close()
			}
		}
	}()
	select {
	case r := <-opened:
		return r.f, true, r.err
	case <-ctx.Done():
		return nil, true, ctx.Err()
	}
}
