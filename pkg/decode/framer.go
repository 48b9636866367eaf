package decode

import (
	"bytes"
	"io"
)

// Frame is one record of a stream. Bytes is a part of a block that the Framer never writes to again, so
// it stays valid; it keeps the block of about a MiB in memory.
type Frame struct {
	Bytes []byte
	// Offset and Length bound the record in the stream. Length is len(Bytes), or more where TooLarge is
	// true: then the record is longer than the limit, and Bytes is only its beginning.
	Offset, Length int64
	TooLarge       bool
}

const (
	blockSize = 1 << 20
	// lineWindow is how far a line may reach before it is read as JSON rather than searched for its end,
	// so that values without newlines between them come out one by one.
	lineWindow = 256 << 10
	// tooLargePrefix is how much of a record over the limit is kept: enough for what comes before the
	// bodies of an event, so that it can be judged as a truncated one.
	tooLargePrefix = 64 << 10
)

// Framer cuts a stream of bytes into records: lines, values that are pretty-printed or follow one another
// without newlines, and the elements of an array at the top. A line that begins with { and ends with } is
// one record, and is not looked into. A broken value ends with its line. Records depend on the bytes only,
// not on how they arrive. It holds one block, or one record where that is larger.
type Framer struct {
	r           io.Reader
	max, window int
	size        int // of a block

	block      []byte // block[start:end] has been read and not handed out
	start, end int
	base       int64 // stream offset of block[0]
	eof        bool
	err        error

	scan     scanner
	scanning bool // the record at start is being followed by scan, up to scanned
	scanned  int
	searched int  // no newline in block[start:searched]
	toLine   bool // the record is no JSON: it ends with its line
	array    bool // start stands between the elements of an array at the top

	skipping bool  // the record is over the limit, and its bytes are dropped
	large    Frame // its beginning
}

// NewFramer returns a Framer over r. Records longer than maxRecord bytes come as their beginning, with
// TooLarge set; they are never held in full.
func NewFramer(r io.Reader, maxRecord int) *Framer {
	if maxRecord <= 0 {
		maxRecord = 16 << 20
	}
	return &Framer{r: r, max: maxRecord, window: min(lineWindow, maxRecord), size: blockSize, scan: newScanner(maxFrameDepth)}
}

// maxFrameDepth is more than the decoder takes: it is for the decoder to say that a value is too deep.
const maxFrameDepth = 4096

// Next returns the next record. At the end of the stream it returns io.EOF, once only an unfinished last
// line is left: see Pending and Flush. After io.EOF it may be called again, for a file that has grown.
func (f *Framer) Next() (Frame, error) {
	for {
		if f.skipping {
			if frame, done := f.skip(); done {
				return frame, nil
			}
		} else if f.separators() {
			if frame, ok := f.cut(); ok {
				return frame, nil
			}
			if f.skipping {
				continue
			}
		}
		if err := f.fill(); err != nil {
			return Frame{}, err
		}
	}
}

// Pending is what has been read of a last record that has no end yet.
func (f *Framer) Pending() []byte { return f.block[f.start:f.end] }

// Flush returns the unfinished last record, after which the Framer begins a new one. ok is false if there
// is none.
func (f *Framer) Flush() (frame Frame, ok bool) {
	if f.skipping {
		f.drop(f.end)
		f.advance(f.end)
		f.skipping = false
		return f.large, true
	}
	if f.start == f.end {
		return Frame{}, false
	}
	return f.take(f.end), true
}

// take hands out block[start:end) as a record.
func (f *Framer) take(end int) Frame {
	b := f.block[f.start:end:end]
	frame := Frame{Bytes: b, Offset: f.base + int64(f.start), Length: int64(len(b))}
	if len(b) > f.max {
		frame.TooLarge = true
		frame.Bytes = bytes.Clone(b[:min(len(b), tooLargePrefix)])
	}
	f.advance(end)
	return frame
}

func (f *Framer) advance(to int) {
	f.start, f.scanned, f.searched = to, to, max(f.searched, to)
	f.scanning, f.toLine = false, false
}

// separators steps over what stands between records, and reports whether a record begins at start.
func (f *Framer) separators() bool {
	for f.start < f.end {
		switch c := f.block[f.start]; {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == 0:
		case c == ',':
			f.array = true // also where reading began inside an array
		case c == ']' && f.array:
			f.array = false
		case c == '[' && !f.array && !f.scanning && !f.toLine:
			opens, known := f.opensArray()
			if !known {
				return false
			}
			if !opens {
				return true
			}
			f.array = true
		case c == 0xef && f.base+int64(f.start) == 0:
			if f.end < len(utf8BOM) && !f.eof {
				return false
			}
			if !bytes.HasPrefix(f.block[:f.end], utf8BOM) {
				return true
			}
			f.start += len(utf8BOM) - 1
		default:
			return true
		}
		f.advance(f.start + 1)
	}
	return false
}

// opensArray reports whether the bracket at start opens an array of objects whose elements are records.
// known is false if more bytes are needed to tell. The rest of a cut line can begin with such an array: it
// is recognised as long as it is no longer than the window.
func (f *Framer) opensArray() (opens, known bool) {
	next := skipSpace(f.block[:f.end], f.start+1)
	nl := f.newline()
	if !f.eof && (next == f.end || nl < 0 && f.end-f.start <= f.window) {
		return false, false
	}
	if next == f.end || f.block[next] != '{' {
		return false, true
	}
	if nl < 0 {
		nl = f.end
	}
	if nl-f.start <= f.window {
		if end, v := f.scan.value(f.block[:nl], f.start); v == valueDone && goesOn(f.block[:nl], end) {
			f.toLine = true
			return false, true
		}
	}
	return true, true
}

// cut finds the end of the record that begins at start. ok is false if more bytes are needed.
func (f *Framer) cut() (Frame, bool) {
	c := f.block[f.start]
	if c != '{' && c != '[' {
		f.toLine = true
	}
	if f.toLine {
		if nl := f.newline(); nl >= 0 {
			return f.take(trimmedEnd(f.block, f.start, nl)), true
		}
		return f.needMore()
	}
	if c == '{' && !f.array && !f.scanning {
		nl := f.newline()
		if nl < 0 && f.end-f.start <= f.window && !f.eof {
			return Frame{}, false
		}
		if nl >= 0 && nl-f.start <= f.window {
			if end := trimmedEnd(f.block, f.start, nl); f.block[end-1] == '}' {
				return f.take(end), true
			}
		}
	}
	if !f.scanning {
		f.scanning, f.scanned = true, f.start
		f.scan.depth, f.scan.state = 0, atValue
	}
	pos, v := f.scan.resume(f.block[:f.end], f.scanned)
	switch v {
	case valueDone:
		return f.endValue(pos)
	case valueCut:
		f.scanned = pos
		return f.needMore()
	}
	// A broken record ends with the last line before the fault; if it is of one line so far, with that.
	nl := pos
	if f.block[pos] != '\n' {
		nl = f.start + bytes.LastIndexByte(f.block[f.start:pos], '\n')
	}
	if nl > f.start {
		return f.take(trimmedEnd(f.block, f.start, nl)), true
	}
	f.toLine = true
	return f.cut()
}

// endValue hands out the value that ends at pos, unless its line goes on with what can only be the rest of
// a record whose beginning is missing: then the line is one record, for the decoder to say so.
func (f *Framer) endValue(pos int) (Frame, bool) {
	if f.array || bytes.IndexByte(f.block[f.start:pos], '\n') >= 0 {
		return f.take(pos), true
	}
	next := skipBlank(f.block[:f.end], pos)
	if next < f.end && f.block[next] == ',' {
		next = skipBlank(f.block[:f.end], next+1)
	}
	if next == f.end && !f.eof && pos-f.start <= f.max {
		f.scanned, f.scan.state = pos, afterValue
		return Frame{}, false
	}
	if goesOn(f.block[:f.end], pos) {
		f.toLine = true
		return f.cut()
	}
	return f.take(pos), true
}

// newline gives the position of the first newline at or after start, -1 if none has been read. It looks at
// each byte once, however many records begin before the newline.
func (f *Framer) newline() int {
	nl := bytes.IndexByte(f.block[f.searched:f.end], '\n')
	if nl < 0 {
		f.searched = f.end
		return -1
	}
	f.searched += nl
	return f.searched
}

// trimmedEnd is the end of block[start:end) without whitespace, at least one byte behind start.
func trimmedEnd(block []byte, start, end int) int {
	for end > start+1 && (block[end-1] == ' ' || block[end-1] == '\r' || block[end-1] == '\t') {
		end--
	}
	return end
}

// needMore begins to drop the record if it has grown over the limit.
func (f *Framer) needMore() (Frame, bool) {
	if f.end-f.start <= f.max {
		return Frame{}, false
	}
	b := f.block[f.start:f.end]
	f.large = Frame{Bytes: bytes.Clone(b[:min(len(b), tooLargePrefix)]), Offset: f.base + int64(f.start), TooLarge: true}
	f.skipping = true
	if f.toLine {
		f.drop(f.end)
	} else {
		f.drop(f.scanned)
	}
	return Frame{}, false
}

// drop counts bytes of the record over the limit and forgets them.
func (f *Framer) drop(to int) {
	f.large.Length += int64(to - f.start)
	f.start, f.scanned, f.searched = to, to, max(f.searched, to)
}

// skip goes on with the record over the limit, and hands its beginning out once its end is found.
func (f *Framer) skip() (Frame, bool) {
	end := -1
	if !f.toLine {
		pos, v := f.scan.resume(f.block[:f.end], f.start)
		switch {
		case v == valueCut:
			f.drop(pos)
			return Frame{}, false
		case v == valueDone || f.block[pos] == '\n':
			end = pos
		default:
			if nl := bytes.LastIndexByte(f.block[f.start:pos], '\n'); nl >= 0 {
				end = f.start + nl
			}
			f.toLine = true
		}
	}
	if end < 0 {
		if end = f.newline(); end < 0 {
			f.drop(f.end)
			return Frame{}, false
		}
	}
	f.drop(end)
	f.advance(end)
	f.skipping = false
	return f.large, true
}

// fill reads more bytes behind end, into a new block if this one is full.
func (f *Framer) fill() error {
	if f.eof && f.err != nil {
		err := f.err
		f.err, f.eof = nil, false
		return err
	}
	if cap(f.block)-f.end < 1+f.size/256 {
		rest := f.block[f.start:f.end]
		block := make([]byte, max(f.size, min(2*len(rest), len(rest)+8*f.size)+f.size/256+1))
		copy(block, rest)
		f.base += int64(f.start)
		f.scanned, f.searched = f.scanned-f.start, f.searched-f.start
		f.block, f.start, f.end = block, 0, len(rest)
	}
	for range 100 {
		n, err := f.r.Read(f.block[f.end:cap(f.block)])
		f.end += n
		if err != nil {
			// What has been read is cut once more before the error is returned.
			f.eof, f.err = true, err
			return nil //nolint:nilerr // Next returns it when the rest is out
		}
		if n > 0 {
			f.eof = false
			return nil
		}
	}
	return io.ErrNoProgress
}
