package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// frames reads all records of r, the unfinished last one included.
func frames(t *testing.T, r io.Reader, limit int) []Frame {
	t.Helper()
	return allFrames(t, NewFramer(r, limit))
}

func allFrames(t *testing.T, f *Framer) []Frame {
	t.Helper()
	var all []Frame
	for {
		frame, err := f.Next()
		if errors.Is(err, io.EOF) {
			if frame, ok := f.Flush(); ok {
				all = append(all, frame)
			}
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, frame)
	}
}

func texts(all []Frame) []string {
	var out []string
	for _, f := range all {
		out = append(out, string(f.Bytes))
	}
	return out
}

func TestFramerCutsStreams(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"lines", "{\"a\":1}\n{\"b\":2}\n", []string{`{"a":1}`, `{"b":2}`}},
		{"the last line without newline", "{\"a\":1}\n{\"b\":2}", []string{`{"a":1}`, `{"b":2}`}},
		{"CRLF, empty lines and a BOM", "\xef\xbb\xbf{\"a\":1}\r\n\r\n  \n{\"b\":2} \r\n", []string{`{"a":1}`, `{"b":2}`}},
		{"pretty-printed values", "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n{\n  \"c\": 2\n}\n", []string{"{\n  \"a\": {\n    \"b\": 1\n  }\n}", "{\n  \"c\": 2\n}"}},
		{"concatenated values without newline", `{"a":1}{"b":"}{"}{"c":3}`, []string{`{"a":1}`, `{"b":"}{"}`, `{"c":3}`}},
		{"concatenated values in a line are one record", "{\"a\":1}{\"b\":2}\n{\"c\":3}\n", []string{`{"a":1}{"b":2}`, `{"c":3}`}},
		{"an array, element by element", "[{\"a\":1},{\"b\":[2]}]\n{\"c\":3}\n", []string{`{"a":1}`, `{"b":[2]}`, `{"c":3}`}},
		{"a pretty-printed array", "[\n  {\n    \"a\": 1\n  },\n  {\n    \"b\": 2\n  }\n]\n", []string{"{\n    \"a\": 1\n  }", "{\n    \"b\": 2\n  }"}},
		{"empty arrays", "[]\n[ ]\n", []string{"[]", "[ ]"}},
		{"reading resumed inside an array", ",\n{\"b\":2},{\"c\":3}]\n{\"d\":4}\n", []string{`{"b":2}`, `{"c":3}`, `{"d":4}`}},
		{"text lines", "not json\n[INFO] x\n\"str\"\nnull\n", []string{"not json", "[INFO] x", `"str"`, "null"}},
		{"a cut line leaves the next one intact", "{\"a\":\"xy\n{\"b\":2}\n", []string{`{"a":"xy`, `{"b":2}`}},
		{"a line cut between members", "{\"a\":1,\n{\"b\":2}\n", []string{`{"a":1,`, `{"b":2}`}},
		{"a line cut inside an escape", "{\"a\":\"\\\n{\"b\":2}\n", []string{`{"a":"\`, `{"b":2}`}},
		{"a cut line with CRLF", "{\"a\":\"xy\r\n{\"b\":2}\r\n", []string{`{"a":"xy`, `{"b":2}`}},
		{"a broken line ends at its newline", "{\"a\":x,\"b\":[1}\n{\"b\":2}\n", []string{`{"a":x,"b":[1}`, `{"b":2}`}},
		{"a broken line that ends openly", "{\"a\":x, \"b\n{\"b\":2}\n", []string{`{"a":x, "b`, `{"b":2}`}},
		{"a broken element of an array", "[{\"a\":1},\n{\"b\":},\n{\"c\":3}]\n", []string{`{"a":1}`, `{"b":},`, `{"c":3}`}},
		{"the rest of a cut line", "{\"a\":1}],\"b\":2}}\n{\"c\":3}\n", []string{`{"a":1}],"b":2}}`, `{"c":3}`}},
		{"values with commas between their lines", "{\"a\":1},\n{\"b\":2},\n{\"c\":3}\n", []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}},
		{"an event behind text", "2026-03-04T10:15:20Z cp1 {\"a\":1}\n", []string{`2026-03-04T10:15:20Z cp1 {"a":1}`}},
		{"zeros of a truncated file", "\x00\x00\x00{\"a\":1}\n", []string{`{"a":1}`}},
		{"nothing", "", nil},
		{"whitespace only", " \n\r\n\t", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(c.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
				"data and EOF": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				all := frames(t, r, 1000)
				if diff := cmp.Diff(c.want, texts(all)); diff != "" {
					t.Errorf("%s: (-want +got)\n%s", name, diff)
				}
				for _, f := range all {
					if c.in[f.Offset:f.Offset+f.Length] != string(f.Bytes) {
						t.Errorf("%s: offset %d, length %d do not bound %q", name, f.Offset, f.Length, f.Bytes)
					}
				}
			}
		})
	}
}

func TestFramerStreamsPastRecordsOverTheLimit(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 3<<20) + `"}`
	pretty := "{\n \"a\": [\n" + strings.Repeat("  1,\n", 500_000) + "  1\n ]\n}"
	text := strings.Repeat("junk ", 1<<19)
	openEnd := `{"a":"` + strings.Repeat("x", 3<<20)
	in := "{\"n\":1}\n" + long + "\n{\"n\":2}\n" + pretty + "\n{\"n\":3}\n" + text + "\n{\"n\":4}\n" + openEnd + "\n{\"n\":5}\n" + openEnd
	var got []string
	for _, f := range frames(t, strings.NewReader(in), 1<<20) {
		if !f.TooLarge {
			got = append(got, string(f.Bytes))
			continue
		}
		if len(f.Bytes) != tooLargePrefix || !strings.HasPrefix(in[f.Offset:], string(f.Bytes)) {
			t.Errorf("a prefix of %d bytes that is not at offset %d", len(f.Bytes), f.Offset)
		}
		got = append(got, fmt.Sprint(f.Length))
	}
	want := []string{`{"n":1}`, fmt.Sprint(len(long)), `{"n":2}`, fmt.Sprint(len(pretty)), `{"n":3}`, fmt.Sprint(len(text)),
		`{"n":4}`, fmt.Sprint(len(openEnd)), `{"n":5}`, fmt.Sprint(len(openEnd))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// growing is a file that is being written: it ends, and goes on.
type growing struct{ bytes.Buffer }

func TestFramerKeepsAnUnfinishedLineForAFollower(t *testing.T) {
	var file growing
	f := NewFramer(&file, 1<<20)
	next := func() string {
		t.Helper()
		frame, err := f.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return "EOF, pending " + string(f.Pending())
		}
		return fmt.Sprintf("%d %s", frame.Offset, frame.Bytes)
	}
	steps := []struct{ write, want string }{
		{"", "EOF, pending "},
		{"{\"a\":1}\n{\"b\":{}", `0 {"a":1}`},
		{"", `EOF, pending {"b":{}`},
		{"", `EOF, pending {"b":{}`},
		{",\"c\":2}\nte", `8 {"b":{},"c":2}`},
		{"", `EOF, pending te`},
		{"xt\n", `23 text`},
		{"{\"d\":4}", `28 {"d":4}`}, // complete, though its newline is still to come
		{"\n", "EOF, pending "},
	}
	for i, s := range steps {
		file.WriteString(s.write)
		if got := next(); got != s.want {
			t.Fatalf("step %d: %q, want %q", i, got, s.want)
		}
	}
	file.WriteString("rest")
	if got, want := next(), "EOF, pending rest"; got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	if frame, ok := f.Flush(); !ok || string(frame.Bytes) != "rest" || frame.Offset != 36 {
		t.Fatalf("flushed %q at %d, %v", frame.Bytes, frame.Offset, ok)
	}
	if _, ok := f.Flush(); ok {
		t.Fatal("flushed twice")
	}
}

func TestFramerReturnsAReadersErrorBehindWhatWasRead(t *testing.T) {
	broken := errors.New("disk")
	f := NewFramer(io.MultiReader(strings.NewReader("{\"a\":1}\n{\"b\""), iotest.ErrReader(broken)), 100)
	if frame, err := f.Next(); err != nil || string(frame.Bytes) != `{"a":1}` {
		t.Fatalf("%q, %v", frame.Bytes, err)
	}
	if _, err := f.Next(); !errors.Is(err, broken) {
		t.Fatalf("error %v, want %v", err, broken)
	}
	if string(f.Pending()) != `{"b"` {
		t.Fatalf("pending %q", f.Pending())
	}
}

func TestFramerNeverWritesToBytesItHandedOut(t *testing.T) {
	var in bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&in, "{\"n\":%d,\"pad\":\"%s\"}\n", i, strings.Repeat("p", i%97))
	}
	whole := in.Bytes()
	for _, f := range frames(t, iotest.HalfReader(bytes.NewReader(whole)), 1<<20) {
		if !bytes.Equal(f.Bytes, whole[f.Offset:f.Offset+f.Length]) {
			t.Fatalf("the record at %d has changed", f.Offset)
		}
	}
}

func TestFramerAllocatesOnlyBlocks(t *testing.T) {
	in := bytes.Repeat([]byte(nativeEvent+"\n"), 5000)
	n := testing.AllocsPerRun(5, func() {
		f := NewFramer(bytes.NewReader(in), 1<<20)
		for {
			if _, err := f.Next(); err != nil {
				return
			}
		}
	})
	if limit := float64(len(in)/blockSize + 6); n > limit {
		t.Errorf("%v allocations for %d lines, want at most %v", n, 5000, limit)
	}
}

func FuzzFramerAgreesWithTheModel(f *testing.F) {
	for _, s := range []string{
		"{\"a\":1}\n{\"b\":2}\n", "[{\"a\":1},{\"b\":2}]", "{\n\"a\":1\n}\n", "{\"a\":\"x\n{\"b\":1}\n", "text\n{}{}\n[1]\n",
		"\xef\xbb\xbf{}\r\n", ",{},]{", "[{\"a\":[},\n{\"b\":1}\n]x", "{\"a\":1}x\n", "[[{}]]\n", "{\"\\u00\n{}", "[{}],1\n{}",
	} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		want := modelFrames(in)
		var got []string
		framer := NewFramer(&chunks{in: in, rng: rand.New(rand.NewPCG(seed, 0))}, 1<<20)
		framer.size = 16 + int(seed%64) // small blocks, so that records lie across them
		last := int64(0)
		for _, f := range allFrames(t, framer) {
			if f.Offset < last || f.Offset+f.Length > int64(len(in)) || !bytes.Equal(f.Bytes, in[f.Offset:f.Offset+f.Length]) {
				t.Fatalf("a record of %d bytes at %d, behind %d", f.Length, f.Offset, last)
			}
			last = f.Offset + f.Length
			got = append(got, string(f.Bytes))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got)\n%s", in, diff)
		}
	})
}

// chunks hands out its input in pieces of random sizes.
type chunks struct {
	in  []byte
	rng *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:1+c.rng.IntN(min(len(c.in), 9))])
	c.in = c.in[n:]
	return n, nil
}

// modelFrames says what records a stream has, by the plainest means.
func modelFrames(in []byte) []string {
	var out []string
	array, i := false, 0
	if bytes.HasPrefix(in, utf8BOM) {
		i = 3
	}
	lineEnd := func(from int) int {
		if nl := bytes.IndexByte(in[from:], '\n'); nl >= 0 {
			return from + nl
		}
		return len(in)
	}
	for i < len(in) {
		c := in[i]
		switch {
		case strings.IndexByte(" \n\r\t\x00", c) >= 0:
			i++
			continue
		case c == ',':
			array = true
			i++
			continue
		case c == ']' && array:
			array = false
			i++
			continue
		case c == '[' && !array && bytes.HasPrefix(bytes.TrimLeft(in[i+1:], " \t\r\n"), []byte("{")):
			p := modelParser{b: in[:lineEnd(i)], i: i}
			if p.value() && modelPiece(in, p.i, lineEnd(p.i)) {
				out, i = append(out, modelLine(in, i, lineEnd(i))), lineEnd(i)
				continue
			}
			array = true
			i++
			continue
		}
		end := lineEnd(i)
		line := bytes.TrimRight(in[i:end], " \r\t")
		if c == '{' && !array && end < len(in) && bytes.HasSuffix(line, []byte("}")) {
			out, i = append(out, string(line)), end
			continue
		}
		if c == '{' || c == '[' {
			p := modelParser{b: in, i: i}
			if p.value() {
				if !modelPiece(in, p.i, lineEnd(p.i)) || array || bytes.IndexByte(in[i:p.i], '\n') >= 0 {
					out, i = append(out, string(in[i:p.i])), p.i
					continue
				}
				p.i = i // its line is one record
			}
			if p.i >= len(in) {
				out, i = append(out, string(in[i:])), len(in)
				continue
			}
			if in[p.i] == '\n' {
				end = p.i
			} else if nl := bytes.LastIndexByte(in[i:p.i], '\n'); nl >= 0 {
				end = i + nl
			}
		}
		out, i = append(out, modelLine(in, i, end)), end
	}
	return out
}

// modelLine is a line without the whitespace at its end; a last line without newline keeps it.
func modelLine(in []byte, i, end int) string {
	if end == len(in) {
		return string(in[i:])
	}
	return string(bytes.TrimRight(in[i:end], " \r\t"))
}

// modelPiece reports whether a value that ends at i is a part of a record whose beginning is missing.
func modelPiece(in []byte, i, lineEnd int) bool {
	rest := string(bytes.Trim(in[i:lineEnd], " \t\r"))
	return rest != "" && rest != "," && strings.IndexByte(",:}]", rest[0]) >= 0
}

// modelParser is a recursive parser of strict JSON that stops at the byte it cannot take.
type modelParser struct {
	b []byte
	i int
}

func (p *modelParser) space() {
	for p.i < len(p.b) && strings.IndexByte(" \n\r\t", p.b[p.i]) >= 0 {
		p.i++
	}
}

func (p *modelParser) take(set string) bool {
	if p.i < len(p.b) && strings.IndexByte(set, p.b[p.i]) >= 0 {
		p.i++
		return true
	}
	return false
}

func (p *modelParser) value() bool {
	if p.space(); p.i >= len(p.b) {
		return false
	}
	switch p.b[p.i] {
	case '{':
		return p.members('}', func() bool {
			if !p.take(`"`) || !p.text() {
				return false
			}
			p.space()
			return p.take(":") && p.value()
		})
	case '[':
		return p.members(']', p.value)
	case '"':
		p.i++
		return p.text()
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	}
	p.take("-")
	if !p.take("0") && !p.digits() {
		return false
	}
	if p.take(".") && !p.digits() {
		return false
	}
	if p.take("eE") {
		p.take("+-")
		return p.digits()
	}
	return p.i < len(p.b)
}

func (p *modelParser) members(closing byte, one func() bool) bool {
	p.i++
	if p.space(); p.take(string(closing)) {
		return true
	}
	for {
		if !one() {
			return false
		}
		if p.space(); p.take(string(closing)) {
			return true
		}
		if !p.take(",") {
			return false
		}
		p.space()
	}
}

func (p *modelParser) digits() bool {
	first := p.i
	for p.take("0123456789") {
	}
	return p.i > first
}

func (p *modelParser) word(w string) bool {
	for _, c := range w {
		if !p.take(string(c)) {
			return false
		}
	}
	return true
}

func (p *modelParser) text() bool {
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return true
		case c < ' ':
			return false
		case c == '\\':
			p.i++
			if p.take(`"\/bfnrt`) {
				continue
			}
			if !p.take("u") {
				return false
			}
			for range 4 {
				if !p.take("0123456789abcdefABCDEF") {
					return false
				}
			}
		default:
			p.i++
		}
	}
	return false
}

func BenchmarkFramer(b *testing.B) {
	in := bytes.Repeat([]byte(nativeEvent+"\n"), 10_000)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		f := NewFramer(bytes.NewReader(in), 1<<20)
		for {
			if _, err := f.Next(); err != nil {
				break
			}
		}
	}
}
