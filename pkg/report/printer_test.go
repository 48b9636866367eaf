package report

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDisplayWidth(t *testing.T) {
	for in, want := range map[string]int{"": 0, "abc": 3, "grün": 4, "日本": 4, "e\u0301": 1, "🎉": 2, "…": 1, "ﾊ": 1, "한국": 4} {
		if got := displayWidth(in); got != want {
			t.Errorf("%q takes %d columns, want %d", in, got, want)
		}
	}
}

func TestTextIsCutByColumns(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"日本語", 6, "日本語"}, {"abc", 0, ""}, {"abc", 1, "…"},
		{"a\nb", 10, `a\nb`}, {"a\nb", 3, `a\…`}, {"e\u0301\u0301\u0301\u0301x", 9, "e\u0301\u0301…"},
	} {
		if got := fit(c.in, c.columns); got != c.want {
			t.Errorf("%q in %d columns: %q, want %q", c.in, c.columns, got, c.want)
		}
	}
}

func TestTablesFitAndHoldNoControls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(minWidth, 160).Draw(t, "width")
		cells := rapid.SliceOfN(rapid.SliceOfN(rapid.String(), 0, 5), 0, 6).Draw(t, "rows")
		var out bytes.Buffer
		p := NewPrinter(&out, PrinterOptions{Width: width})
		p.Table([]Column{{Title: "ONE"}, {Title: "TWO", Min: 5}, {Title: "THREE", Right: true}, {Title: "FOUR", Min: 3}}, cells)
		p.Labelled(rapid.String().Draw(t, "label"), "%s", rapid.String().Draw(t, "text"))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) < len(cells)+2 {
			t.Fatalf("%d lines for %d rows", len(lines), len(cells))
		}
		for _, line := range lines {
			if w := displayWidth(line); w > width {
				t.Fatalf("%d columns in %d: %q", w, width, line)
			}
			for _, r := range line {
				if actsOnTerminals(r) {
					t.Fatalf("%U in %q", r, line)
				}
			}
		}
	})
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	columns := []Column{{Title: "SEVERITY", Style: severityStyle}}
	var plain, colour bytes.Buffer
	NewPrinter(&plain, PrinterOptions{}).Table(columns, [][]string{{"high"}})
	NewPrinter(&colour, PrinterOptions{Color: true}).Table(columns, [][]string{{"high"}})
	if strings.Contains(plain.String(), "\x1b") {
		t.Errorf("%q", plain.String())
	}
	if !strings.Contains(colour.String(), string(Red)+"high\x1b[0m") {
		t.Errorf("%q", colour.String())
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p := ForFile(f); p.color || p.width != DefaultWidth {
		t.Errorf("a file is printed to with colour %v and %d columns", p.color, p.width)
	}
}

type failing struct{ after int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestTheFirstErrorOfTheWriterIsKept(t *testing.T) {
	p := NewPrinter(&failing{after: 1}, PrinterOptions{})
	p.Line("one")
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	p.Line("two")
	p.Line("three")
	if !errors.Is(p.Err(), errFull) {
		t.Errorf("got %v", p.Err())
	}
}
