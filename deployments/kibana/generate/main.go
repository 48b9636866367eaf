// Command generate writes the dashboards as a file for Kibana's import.
//
// The form follows exports of Kibana 8.9: each object carries the oldest version of its type that has the
// form used here, since Kibana migrates older objects and refuses newer ones.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "foretop.ndjson", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	data, err := generate()
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644) //nolint:gosec // a file of the source tree
}

// generate is the whole file.
func generate() ([]byte, error) {
	var out bytes.Buffer
	for _, o := range []savedObject{dataView(), newestFindings(), overview()} {
		line, err := encode(o)
		if err != nil {
			return nil, err
		}
		out.WriteString(line + "\n")
	}
	return out.Bytes(), nil
}

// encode is JSON on one line, with <, > and & as they are: queries hold them.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b.Bytes(), "\n")), nil
}
