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
		case errors.Is(err, io.EOF):
			return g.out, nil
		case err != nil:
			return g.out, err
		}
	}
}

// gzip decodes what a producer or a service has compressed. What comes before damage is decoded.
func (d *Decoder) gzip(body []byte, sc *scope) outcome {
	if d.zipped >= len(d.unzips) {
		return broken(ClassTooDeep, "gzip inside gzip inside gzip", body)
	}
	limit := min(d.opts.MaxDecompressed, max(minUnzipped, len(body)*maxRatio))
	plain, err := d.unzips[d.zipped].unzip(body, limit)
	inner := *sc
	inner.unit, inner.narrow, inner.inList = sc.stretch(body), false, false
	d.zipped++
	var out outcome
	switch {
	case isGzip(plain):
		out = d.gzip(plain, &inner)
	case err == nil || len(plain) > 0:
		out = d.sequence(bytes.TrimPrefix(plain, utf8BOM), &inner)
	}
	d.zipped--
	if out.remark.raw = body; err == nil {
		return out
	}
	damage := broken(ClassBadCompression, "gzip data is damaged; what came before the damage was read", body)
	if errors.Is(err, errUnzippedTooLarge) {
		damage = broken(ClassTooLarge, "gzip data is larger than the limit when decompressed; only its beginning was read", body)
	}
	if !out.isBroken() {
		d.settle(out, inner.unit)
	}
	damage.events = out.events
	return damage
}
