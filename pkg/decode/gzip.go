package decode

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 }

// maxRatio bounds how much larger a record may become, beyond minUnzipped bytes: audit events compress
// about twenty times, and rarely more than a hundred.
const (
	maxRatio    = 300
	minUnzipped = 4 << 20
)

// gunzipper keeps a gzip reader and its output from record to record.
type gunzipper struct {
	in     bytes.Reader
	reader *gzip.Reader
	out    []byte
}

func (g *gunzipper) release(keep int) {
	if cap(g.out) > keep {
		g.out = nil
	}
}

var errUnzippedTooLarge = errors.New("too large when decompressed")

// unzip decompresses all members of b, at most limit bytes. With an error it returns what it could read.
func (g *gunzipper) unzip(b []byte, limit int) ([]byte, error) {
	g.in.Reset(b)
	g.out = g.out[:0]
	if g.reader == nil {
		g.reader = new(gzip.Reader)
	}
	if err := g.reader.Reset(&g.in); err != nil {
		return nil, err
	}
	for {
		if len(g.out) == cap(g.out) {
			g.out = append(g.out, make([]byte, max(64<<10, len(g.out)))...)[:len(g.out)]
		}
		n, err := g.reader.Read(g.out[len(g.out):cap(g.out)])
		g.out = g.out[:len(g.out)+n]
		switch {
		case len(g.out) > limit:
			return g.out[:limit], errUnzippedTooLarge
		case err == io.EOF:
			return g.out, nil
		case err != nil:
			return g.out, err
		}
	}
}

// gzip decodes a record that its producer compressed. What comes before damage is decoded.
func (d *Decoder) gzip(body []byte, sc *scope) outcome {
	limit := min(d.opts.MaxDecompressed, max(minUnzipped, len(body)*maxRatio))
	plain, err := d.unzip.unzip(body, limit)
	inner := *sc
	inner.wraps++
	inner.unit, inner.narrow = nil, false
	var out outcome
	if err == nil || len(plain) > 0 {
		if isGzip(plain) && sc.wraps < 2 {
			return d.gzipTwice(plain, &inner)
		}
		out = d.sequence(bytes.TrimPrefix(plain, utf8BOM), &inner)
	}
	if err == nil {
		return out
	}
	damage := broken(ClassBadCompression, "gzip data is damaged; what came before the damage was read", body)
	if errors.Is(err, errUnzippedTooLarge) {
		damage = broken(ClassTooLarge, "gzip data is larger than the limit when decompressed; only its beginning was read", body)
	}
	if !out.isBroken() {
		d.settle(out, nil)
	}
	damage.events = out.events
	return damage
}

// gzipTwice decodes gzip inside gzip: a compressing delivery stream around compressed records.
func (d *Decoder) gzipTwice(plain []byte, sc *scope) outcome {
	outer := d.unzip
	d.unzip = gunzipper{}
	out := d.gzip(plain, sc)
	d.unzip = outer
	return out
}
