// Package elasticsearch holds the component templates and index templates of Foretop's data streams. Each
// file is the body of a PUT request; its path, with an underscore in front and without .json, is the path
// of the request:
//
//	curl -X PUT "$ES/_component_template/foretop@settings" -H 'Content-Type: application/json' \
//	     --data-binary @'component_template/foretop@settings.json'
//
// `foretop setup elasticsearch` installs them, component templates first. What a site wants to add goes
// into the component templates foretop.findings@custom and foretop.deadletters@custom, which these files
// leave alone.
package elasticsearch

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

//go:embed component_template/*.json index_template/*.json
var files embed.FS

// Version is the version that every file carries. A data stream whose template is older lacks fields that
// this program writes.
const Version = 1

// Kind is the kind of a template, as in the path of its request.
type Kind string

// The kinds of templates.
const (
	ComponentTemplate Kind = "component_template"
	IndexTemplate     Kind = "index_template"
)

// Template is one file.
type Template struct {
	Kind Kind
	Name string
	Body []byte
}

// Templates are all templates, in the order in which they must be installed.
func Templates() ([]Template, error) {
	var out []Template
	for _, kind := range []Kind{ComponentTemplate, IndexTemplate} {
		entries, err := files.ReadDir(string(kind))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			body, err := files.ReadFile(path.Join(string(kind), e.Name()))
			if err != nil {
				return nil, err
			}
			if !json.Valid(body) {
				return nil, fmt.Errorf("%s: no JSON", e.Name())
			}
			out = append(out, Template{Kind: kind, Name: strings.TrimSuffix(e.Name(), ".json"), Body: body})
		}
	}
	return out, nil
}
