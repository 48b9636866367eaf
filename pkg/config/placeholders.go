package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// maxPlaceholders bounds the file of site lists, in bytes.
const maxPlaceholders = 4 << 20

// ReadPlaceholders reads the site's lists for %name% in rules: a YAML mapping of names to lists of plain
// values. Anything else in the file is an error with its line.
func ReadPlaceholders(path string) (map[string][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPlaceholders+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPlaceholders {
		return nil, fmt.Errorf("%s is larger than %s", path, Bytes(maxPlaceholders))
	}
	lists, err := parsePlaceholders(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lists, nil
}

func parsePlaceholders(data []byte) (map[string][]string, error) {
	var doc yaml.Node
	lists := make(map[string][]string)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return lists, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: expected a mapping of names to lists", root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		name, list := root.Content[i], root.Content[i+1]
		if _, twice := lists[name.Value]; twice {
			return nil, fmt.Errorf("line %d: %q is there twice", name.Line, name.Value)
		}
		if name.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: names must be plain text", name.Line)
		}
		if list.Kind != yaml.SequenceNode {
			return nil, fmt.Errorf("line %d: %q must be a list", list.Line, name.Value)
		}
		values := make([]string, 0, len(list.Content))
		for _, entry := range list.Content {
			if entry.Kind != yaml.ScalarNode || entry.Tag == "!!null" {
				return nil, fmt.Errorf("line %d: %q must hold plain values only", entry.Line, name.Value)
			}
			values = append(values, entry.Value)
		}
		lists[name.Value] = values
	}
	return lists, nil
}
