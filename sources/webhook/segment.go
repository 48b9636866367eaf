package webhook

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"
)

// segmentBytes is the size from which on a segment takes no more. It is also what is judged again after a crash
// at most, beside what was not settled.
const segmentBytes = 4 << 20

// A frame is one body in a segment: magic, checksum of what follows it, length of the head, length of the body,
// head, body. Numbers are big endian.
const (
	frameMagic  = "FTW1"
	framePrefix = 16
	maxHead     = 16 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameHead is what is known of a body beside it.
type frameHead struct {
	Time    int64  `json:"time"` // of reception, Unix nanoseconds
	Cluster string `json:"cluster,omitempty"`
	ID      string `json:"id,omitempty"`
}

// appendFrame returns the frame without the body, which follows it in the file.
func appendFrame(from cluster, received time.Time, body []byte) ([]byte, error) {
	head, err := json.Marshal(frameHead{Time: received.UnixNano(), Cluster: from.name, ID: from.id})
	if err != nil {
		return nil, err
	}
	frame := make([]byte, framePrefix, framePrefix+len(head))
	copy(frame, frameMagic)
	binary.BigEndian.PutUint32(frame[8:], uint32(len(head)))
	binary.BigEndian.PutUint32(frame[12:], uint32(len(body)))
	frame = append(frame, head...)
	sum := crc32.Update(crc32.Checksum(frame[8:], castagnoli), castagnoli, body)
	binary.BigEndian.PutUint32(frame[4:], sum)
	return frame, nil
}

var (
	errTorn    = errors.New("the file ends within a frame")
	errDamaged = errors.New("the file is damaged")
)

// readFrame reads the next frame, of which limit bytes are there at most. It returns io.EOF at the end, errTorn
// where a frame was not written to its end, and errDamaged where it is not what was written.
func readFrame(r io.Reader, limit int64) (head frameHead, body []byte, length int64, err error) {
	if limit <= 0 {
		return head, nil, 0, io.EOF
	}
	var prefix [framePrefix]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return head, nil, 0, tornOr(err)
	}
	n, m := int64(binary.BigEndian.Uint32(prefix[8:])), int64(binary.BigEndian.Uint32(prefix[12:]))
	length = framePrefix + n + m
	if string(prefix[:4]) != frameMagic || n > maxHead {
		if prefix == ([framePrefix]byte{}) { // a file system may have grown the file before it wrote the data
			return head, nil, 0, errTorn
		}
		return head, nil, 0, errDamaged
	}
	if length > limit {
		return head, nil, 0, errTorn
	}
	data := make([]byte, n+m)
	if _, err := io.ReadFull(r, data); err != nil {
		return head, nil, 0, tornOr(err)
	}
	sum := crc32.Update(crc32.Checksum(prefix[8:], castagnoli), castagnoli, data)
	if sum != binary.BigEndian.Uint32(prefix[4:]) || json.Unmarshal(data[:n], &head) != nil {
		return head, nil, 0, errDamaged
	}
	return head, data[n:], length, nil
}

// tornOr turns the end of the file into errTorn; other errors are the disk's.
func tornOr(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

// segment is one file of the queue. The fields below mu are guarded by the queue's.
type segment struct {
	name, path string

	syncing sync.Mutex // held while the file is synced, so that those who wait share one sync
	file    *os.File   // for appending; nil in segments of a process before this one

	size   int64 // bytes in the file that are whole
	synced int64 // of these, bytes that are durable, so that they may be read
	sealed bool  // nothing is appended any more
	taken  int64 // of these, bytes that were emitted
	open   int   // batches that were emitted and are not settled
	again  bool  // one was given back: the segment is read again
}

// done says that nobody needs the segment any more.
func (s *segment) done() bool {
	return s.sealed && s.synced == s.size && s.taken == s.size && s.open == 0 && !s.again
}

// cursor reads a segment.
type cursor struct {
	file *os.File
	r    *bufio.Reader
	pos  int64
}

func (s *segment) cursor(from int64) (*cursor, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &cursor{file: f, r: bufio.NewReaderSize(f, 64<<10), pos: from}, nil
}

// next reads a frame that ends before limit, and tells where it begins.
func (c *cursor) next(limit int64) (head frameHead, body []byte, at int64, err error) {
	head, body, length, err := readFrame(c.r, limit-c.pos)
	at = c.pos
	c.pos += length
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s at byte %d: %w", c.file.Name(), at, err)
	}
	return head, body, at, err
}

// skip goes on reading at pos.
func (c *cursor) skip(pos int64) error {
	_, err := c.file.Seek(pos, io.SeekStart)
	c.r.Reset(c.file)
	c.pos = pos
	return err
}

// rest reads what is left, but no more than a dead letter should hold.
func (c *cursor) rest(at int64) ([]byte, error) {
	if _, err := c.file.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(c.file, 64<<10))
}
