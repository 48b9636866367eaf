package config

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
)

// Section is a part of the reference: the variables of one struct, with what they are for.
type Section struct {
	Title string
	// Intro says when the section applies; it is plain text with backquotes around names.
	Intro     string
	Variables []Variable
}

// WriteText prints the reference for a terminal.
func WriteText(w io.Writer, sections []Section) error {
	var out strings.Builder
	out.WriteString("Each variable has a twin with _FILE at its end that names a file to read the value from.\n")
	for _, s := range sections {
		fmt.Fprintf(&out, "\n%s\n%s\n\n", strings.ToUpper(s.Title), strings.ReplaceAll(s.Intro, "`", ""))
		for _, v := range s.Variables {
			fmt.Fprintf(&out, "  %s  (%s)\n      %s\n", v.Name, aside(v), v.Meaning)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func aside(v Variable) string {
	switch {
	case v.Required:
		return v.Type + ", required"
	case v.Default != "":
		return v.Type + ", default " + v.Default
	default:
		return v.Type
	}
}

// WriteMarkdown prints the reference as the page of the documentation.
func WriteMarkdown(w io.Writer, sections []Section) error {
	var out strings.Builder
	out.WriteString("# Configuration\n\nThis page is made by `foretop config --markdown`.\n\n" +
		"Foretop is configured by environment variables. Each of them also has a twin with `_FILE` at its end that names\n" +
		"a file to read the value from, as Kubernetes mounts secrets; one newline at the end of the file is ignored.\n" +
		"An empty variable counts as not set. A variable that starts with `FORETOP_` and is no setting stops the start,\n" +
		"except those that Kubernetes injects for Services.\n")
	for _, s := range sections {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n| variable | default | type | meaning |\n|---|---|---|---|\n", s.Title, s.Intro)
		for _, v := range s.Variables {
			def := ""
			switch {
			case v.Required:
				def = "required"
			case v.Default != "":
				def = "`" + cell(v.Default) + "`"
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", v.Name, def, v.Type, cell(v.Meaning))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// WriteEffective prints the values in force with their origins.
func WriteEffective(w io.Writer, values []Value) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tORIGIN\tVALUE")
	for _, v := range values {
		fmt.Fprintf(table, "%s\t%s\t%s\n", v.Name, v.Origin, v.Text)
	}
	return table.Flush()
}

// userinfo is the name and password part of a URL, in a list of URLs too.
var userinfo = regexp.MustCompile(`(://)[^,\s]*@`)

// shown is the value as it may be printed: secrets masked, credentials in URLs too, control characters
// escaped.
func shown(v Variable, raw string) string {
	if v.Secret {
		return Secret(raw).String()
	}
	text := fmt.Sprintf("%q", userinfo.ReplaceAllString(raw, "${1}***@"))
	return text[1 : len(text)-1]
}
