package traffic

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	seed = 20261122
	// chunk is how many bytes of lines are allocated at once.
	chunk = 1 << 22
)

// A round is one pass over the recording: how its events differ from the recorded ones. The same text becomes the same text
// in the whole round, so what belonged together still does.
type round struct {
	shift    time.Duration
	keys     [64]byte // random, for hexadecimal digits and random names, by position
	suffix   [2]byte  // of names that people chose
	network  int      // of the nodes, 0 to 65535
	versions uint64   // added to each resourceVersion
}

// replay goes round the templates, of which there is one at least, until there are as many events as wanted. No two lines are
// the same: identifiers, names and times differ in each round. The same arguments give the same bytes.
func replay(name string, all []template, events int) *File {
	length, newest := extent(all)
	f := &File{Name: name, Lines: make([][]byte, 0, events)}
	var r round
	var buf []byte
	for i := range events {
		if i%len(all) == 0 {
			r = newRound(i/len(all), length, newest)
		}
		if cap(buf)-len(buf) < chunk/16 {
			buf = make([]byte, 0, chunk)
		}
		start := len(buf)
		buf = r.appendLine(buf, &all[i%len(all)])
		f.Lines = append(f.Lines, buf[start:len(buf):len(buf)])
		f.Bytes += int64(len(buf)-start) + 1
	}
	return f
}

// extent returns by how much a round must move on, in whole seconds, and the highest resourceVersion.
func extent(all []template) (time.Duration, uint64) {
	var first, last time.Time
	var newest uint64
	for _, t := range all {
		for _, p := range t.parts {
			switch p.kind {
			case clock:
				// The event's own times are the only ones that count: an object may be years old.
				if !bytes.HasSuffix(t.text[:p.start], []byte(`"stageTimestamp":"`)) {
					continue
				}
				if first.IsZero() || p.at.Before(first) {
					first = p.at
				}
				if p.at.After(last) {
					last = p.at
				}
			case version:
				v, err := strconv.ParseUint(string(t.text[p.start:p.end]), 10, 64)
				if err == nil && v > newest {
					newest = v
				}
			}
		}
	}
	return last.Sub(first).Truncate(time.Second) + time.Second, newest
}

func newRound(n int, length time.Duration, newest uint64) round {
	// #nosec G404 -- the same bytes on every run are the point
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	r := round{
		shift:    time.Duration(n) * length,
		suffix:   [2]byte{hexAlphabet[n/16%16], hexAlphabet[n%16]},
		network:  n % (1 << 16),
		versions: uint64(n) * newest,
	}
	for i := range r.keys {
		r.keys[i] = byte(random.Uint32())
	}
	return r
}

func (r *round) appendLine(dst []byte, t *template) []byte {
	at := 0
	for i := range t.parts {
		p := &t.parts[i]
		dst = append(dst, t.text[at:p.start]...)
		dst = r.appendPart(dst, p, t.text[p.start:p.end])
		at = p.end
	}
	return append(dst, t.text[at:]...)
}

func (r *round) appendPart(dst []byte, p *part, old []byte) []byte {
	switch p.kind {
	case clock:
		layout := seconds
		if len(old) > len(layout) {
			layout = micros
		}
		return p.at.Add(r.shift).AppendFormat(dst, layout)
	case uuid:
		for i, c := range old {
			if c == '-' || i == 14 || i == 19 { // the version and the variant stay
				dst = append(dst, c)
			} else {
				dst = append(dst, r.turn(c, i, hexAlphabet))
			}
		}
	case hex:
		for i, c := range old {
			dst = append(dst, r.turn(c, i, hexAlphabet))
		}
	case random:
		for i, c := range old {
			dst = append(dst, r.turn(c, i, randomAlphabet))
		}
	case version:
		v, err := strconv.ParseUint(string(old), 10, 64)
		if err != nil || v == 0 { // 0 asks for any version: it means something
			return append(dst, old...)
		}
		dst = strconv.AppendUint(dst, v+r.versions, 10)
	case node:
		dst = strconv.AppendInt(dst, int64(r.network>>8), 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(r.network&0xff), 10)
	case chosen:
		dst = append(append(dst, old...), r.suffix[:]...)
	}
	return dst
}

// turn moves a character on in its alphabet by the round's key for the position: one to one, so that what differed still does.
func (r *round) turn(c byte, i int, alphabet string) byte {
	at := strings.IndexByte(alphabet, c)
	return alphabet[(at+int(r.keys[i%len(r.keys)]))%len(alphabet)]
}
