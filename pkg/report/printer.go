// Package report shows findings to people: a summary on the terminal, CSV, and a self-contained HTML
// page. Nothing that came from an event reaches an output unescaped.
package report

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/foretop/foretop/pkg/finding"
)

// Printer writes lines to a terminal or a file. Everything it is given is escaped: control characters,
// terminal sequences, bidirectional and invisible characters come out as visible escapes. It is not safe
// for concurrent use. The first error of the writer is kept, and stops output.
type Printer struct {
	w     io.Writer
	width int
	color bool
	err   error
}

// PrinterOptions say how to write. The zero value is for files: no colours, DefaultWidth columns.
type PrinterOptions struct {
	Width int // columns; default DefaultWidth
	Color bool
}

// DefaultWidth is the width of output that goes to no terminal.
const DefaultWidth = 140

const minWidth = 40

// NewPrinter makes a Printer.
func NewPrinter(w io.Writer, o PrinterOptions) *Printer {
	if o.Width == 0 {
		o.Width = DefaultWidth
	}
	return &Printer{w: w, width: max(o.Width, minWidth), color: o.Color}
}

// ForFile makes a Printer that suits f: as wide as the terminal, in colour if f is one and the
// environment variable NO_COLOR (https://no-color.org) is empty.
func ForFile(f *os.File) *Printer {
	o := PrinterOptions{}
	if fd := int(f.Fd()); term.IsTerminal(fd) {
		if width, _, err := term.GetSize(fd); err == nil {
			o.Width = width
		}
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return NewPrinter(f, o)
}

// Err is the first error of the writer.
func (p *Printer) Err() error { return p.err }

// Style is how a piece of text is shown where colours are allowed.
type Style string

// Styles.
const (
	Plain  Style = ""
	Bold   Style = "\x1b[1m"
	Dim    Style = "\x1b[2m"
	Red    Style = "\x1b[1;31m"
	Yellow Style = "\x1b[33m"
	Cyan   Style = "\x1b[36m"
)

// paint puts a style around text that is escaped already.
func (p *Printer) paint(s Style, text string) string {
	if !p.color || s == Plain || text == "" {
		return text
	}
	return string(s) + text + "\x1b[0m"
}

func (p *Printer) write(line string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, line+"\n")
	}
}

// Line writes one line. What format and args give is escaped as a whole, line breaks too.
func (p *Printer) Line(format string, args ...any) {
	p.write(finding.Visible(fmt.Sprintf(format, args...)))
}

// Labelled writes a text under a label in the margin, wrapped between words.
func (p *Printer) Labelled(label, format string, args ...any) {
	const margin = 12
	text := finding.Visible(fmt.Sprintf(format, args...))
	label = fit(label, margin-1)
	head := p.paint(Bold, label) + strings.Repeat(" ", margin-displayWidth(label))
	for _, line := range wrap(text, p.width-margin) {
		p.write(strings.TrimRight(head+line, " "))
		head = strings.Repeat(" ", margin)
	}
}

// wrap breaks s, which has no line breaks, into lines of at most width columns.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		for displayWidth(word) > width { // a word that fits no line
			if line != "" {
				lines, line = append(lines, line), ""
			}
			head := cutTo(word, width)
			if head == "" {
				break
			}
			lines, word = append(lines, head), word[len(head):]
		}
		switch {
		case line == "":
			line = word
		case displayWidth(line)+1+displayWidth(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// Column describes a column of a table.
type Column struct {
	Title string
	// Min is the width below which the column is not made narrower for want of room; 0 means that it
	// keeps its natural width.
	Min   int
	Right bool
	// Style of a cell, by its text; nil means plain.
	Style func(text string) Style
}

// Table writes rows under titles, so that every line fits the width. Cells are escaped and cut.
func (p *Printer) Table(columns []Column, rows [][]string) {
	cells := make([][]string, 0, len(rows)+1)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.Title
	}
	widths := make([]int, len(columns))
	for _, row := range append([][]string{titles}, rows...) {
		clean := make([]string, len(columns))
		for i := range columns {
			if i < len(row) {
				clean[i] = fit(row[i], p.width)
			}
			widths[i] = max(widths[i], displayWidth(clean[i]))
		}
		cells = append(cells, clean)
	}
	shrink(widths, columns, p.width-gutter*(len(columns)-1))
	for n, row := range cells {
		p.row(columns, widths, row, n == 0)
	}
}

const gutter = 2

// shrink takes columns from the widest column that may give, until all fit.
func shrink(widths []int, columns []Column, room int) {
	for {
		total, widest := 0, -1
		for i, w := range widths {
			total += w
			if columns[i].Min > 0 && w > columns[i].Min && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if total <= room || widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (p *Printer) row(columns []Column, widths []int, row []string, title bool) {
	var b strings.Builder
	left := p.width
	for i, c := range columns {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", min(gutter, left)))
			left -= min(gutter, left)
		}
		width := min(widths[i], left)
		text := fit(row[i], width)
		pad := strings.Repeat(" ", max(0, width-displayWidth(text)))
		left -= width
		style := Plain
		switch {
		case title:
			style = Dim
		case c.Style != nil:
			style = c.Style(text)
		}
		if c.Right {
			b.WriteString(pad + p.paint(style, text))
		} else {
			b.WriteString(p.paint(style, text) + pad)
		}
	}
	p.write(strings.TrimRight(b.String(), " "))
}
