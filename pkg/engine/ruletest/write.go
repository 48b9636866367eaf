package ruletest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for a terminal: one line a test file, the details of what failed, the problems
// and a sum. verbose lists every case.
func WriteTable(w io.Writer, r *Report, verbose bool) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, s := range r.Suites {
		failed := 0
		for _, c := range s.Cases {
			if !c.Passed {
				failed++
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%d cases\t%s\n", mark(failed == 0), clean(s.Rule), len(s.Cases), failures(failed))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			if c.Passed && !verbose {
				continue
			}
			if !c.Passed {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s %s: %s (%s)\n", mark(c.Passed), clean(s.Rule), clean(c.Name), clean(c.Source.String()))
			if !c.Passed {
				b.WriteString(indent(c.Detail) + "\n")
			}
		}
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "FAIL %s\n%s\n", clean(p.Source.String()), indent(p.Message))
	}
	cases, failed := r.Count()
	fmt.Fprintf(&b, "%d cases of %d files, %d failed, %d other problems\n", cases, len(r.Suites), failed, len(r.Problems))
	_, err := io.WriteString(w, b.String())
	return err
}

func mark(ok bool) string {
	if ok {
		return "ok  "
	}
	return "FAIL"
}

func failures(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d failed", n)
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString("     " + clean(line) + "\n")
	}
	return b.String()
}

// clean keeps what a file says from steering the terminal. Values of events are quoted where they are put into
// a detail.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\ufffd'
		}
		return r
	}, s)
}

// The elements of a JUnit report that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		File     string      `xml:"file,attr,omitempty"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit XML. What is wrong beside cases becomes a suite named "rules".
func WriteJUnit(w io.Writer, r *Report) error {
	var all junitSuites
	for _, s := range r.Suites {
		suite := junitSuite{Name: s.Rule, File: s.Source.File}
		for _, c := range s.Cases {
			suite.add(junitCase{Name: c.Name, Class: s.Rule, File: c.Source.File, Line: c.Source.Line}, c.Passed, c.Detail)
		}
		all.Suites = append(all.Suites, suite)
	}
	if len(r.Problems) > 0 {
		suite := junitSuite{Name: "rules"}
		for _, p := range r.Problems {
			suite.add(junitCase{Name: p.Source.String(), Class: "rules", File: p.Source.File, Line: p.Source.Line}, false, p.Message)
		}
		all.Suites = append(all.Suites, suite)
	}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase, passed bool, detail string) {
	s.Tests++
	if !passed {
		s.Failures++
		first, _, _ := strings.Cut(detail, "\n")
		c.Failure = &junitFailure{Message: first, Text: detail}
	}
	s.Cases = append(s.Cases, c)
}
