package event

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzParseAddrBytes holds the bytes' reading against that of the standard library.
func FuzzParseAddrBytes(f *testing.F) {
	for _, s := range []string{
		"10.0.0.1", "255.255.255.255", "256.1.1.1", "01.2.3.4", "0.0.0.0", "1.2.3", "1.2.3.4.5", "1.2.3.", "::", "::1", "1::", "fe80::1%eth0", "::%", "::1%",
		"[::1]", "[10.0.0.1]", "::ffff:10.1.2.3", "::ffff:10.1.2.3%z", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1:2:3:4:5:6:7:1.2.3.4", "1::2::3", "12345::", "2001:DB8::aF", "gce-internal-ip", "private", "", ":", ":::",
		"1:", "1:2:3:4:5:6:7:", "%1.2.3.4", "1%.2.3.4", "1:2%.3", "a.b:c", "::1.2.3.400", "fe80::1%1.2.3.4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { compareAddr(t, text) })
}

// Words of what addresses are made of meet the rules' edges more often than random bytes do.
func TestParseAddrBytes(t *testing.T) {
	words := rapid.SampledFrom([]string{":", ":", "::", ".", "%", "0", "1", "25", "255", "256", "00", "a", "ffff", "FFFF", "10000", "g", "[", "]", "1.2.3.4", "1:2:3:4:5:6"})
	rapid.Check(t, func(t *rapid.T) {
		compareAddr(t, strings.Join(rapid.SliceOfN(words, 0, 18).Draw(t, "words"), ""))
	})
}

type fatal interface {
	Fatalf(format string, args ...any)
}

func compareAddr(t fatal, text string) {
	want, wantOK := ParseAddr(text)
	got, ok := ParseAddrBytes([]byte(text))
	if got != want || ok != wantOK {
		t.Fatalf("%q: %v %t, want %v %t", text, got, ok, want, wantOK)
	}
}

func TestParseAddrBytesDoesNotAllocate(t *testing.T) {
	texts := [][]byte{[]byte("203.0.113.24"), []byte("2001:db8::1%eth0"), []byte("::ffff:10.0.0.1"), []byte("private")}
	var addr netip.Addr
	if n := testing.AllocsPerRun(100, func() {
		for _, text := range texts {
			addr, _ = ParseAddrBytes(text)
		}
	}); n != 0 {
		t.Errorf("%v allocations; the last address is %v", n, addr)
	}
}
