package jsonindex

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzUnescape compares what the index unescapes with what the function does without one, for every string of a text,
// and the words that an instruction does with the runs of plain Go.
func FuzzUnescape(f *testing.F) {
	add(f)
	long := strings.Repeat(`\"kind\":\"Pod\",`, 40)
	for n := range 70 {
		f.Add([]byte(strings.Repeat(" ", n) + `"` + long[n:] + `"`))
		f.Add([]byte(strings.Repeat(" ", n) + `"` + long[:200] + `\n\u00e9\ud83d\ude00\ud83dx` + strings.Repeat(`\\`, n) + `\t` + long + `"`))
	}
	x := new(Index)
	f.Fuzz(func(t *testing.T, text []byte) {
		x.Load(text)
		for i := x.quote(0); i < len(text); {
			end := x.quote(i + 1)
			if end >= len(text) {
				break
			}
			want := AppendUnescaped([]byte("before"), text[i+1:end])
			if got := x.AppendUnescaped([]byte("before"), i+1, end); !bytes.Equal(got, want) {
				t.Fatalf("%q: %q, not %q", text[i:end+1], got, want)
			}
			if x.invalid {
				break
			}
			out, n, at := make([]byte, len(text)+64), 0, i+1
			for at < end {
				at, n = x.runs(out, n, at, min(at&^63+64, end), end)
			}
			if want = want[len("before"):]; !bytes.Equal(out[:n], want) {
				t.Fatalf("%q: runs give %q, not %q", text[i:end+1], out[:n], want)
			}
			i = x.quote(end + 1)
		}
	})
}

func BenchmarkUnescape(b *testing.B) {
	text := []byte(`"` + strings.Repeat(`\"requestURI\":\"/api/v1/namespaces/default/pods\",\"verb\":\"get\",`, 30) + `"`)
	x := new(Index)
	x.Load(text)
	dst := make([]byte, 0, 2*len(text))
	b.Run("index", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			dst = x.AppendUnescaped(dst[:0], 1, len(text)-1)
		}
	})
	b.Run("runs", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			for i, n := 1, 0; i < len(text)-1; {
				i, n = x.runs(dst[:cap(dst)], n, i, min(i&^63+64, len(text)-1), len(text)-1)
			}
		}
	})
	b.Run("bytes", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			dst = AppendUnescaped(dst[:0], text[1:len(text)-1])
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			x.Load(text)
		}
	})
}
