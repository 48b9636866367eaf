package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
)

// get is the template as the server has it, nil if it has none of that name.
func (i *installer) get(ctx context.Context, t templates.Template) (json.RawMessage, error) {
	flat := true
	var req esapi.Request = &esapi.IndicesGetIndexTemplateRequest{Name: t.Name, FlatSettings: &flat}
	if t.Kind == templates.ComponentTemplate {
		req = &esapi.ClusterGetComponentTemplateRequest{Name: []string{t.Name}}
	}
	var got struct {
		Component []struct {
			Template json.RawMessage `json:"component_template"`
		} `json:"component_templates"`
		Index []struct {
			Template json.RawMessage `json:"index_template"`
		} `json:"index_templates"`
	}
	if _, err := i.client.find(ctx, "looking for the template "+t.Name, req, &got); err != nil {
		return nil, err
	}
	switch {
	case len(got.Component) == 1:
		return got.Component[0].Template, nil
	case len(got.Index) == 1:
		return got.Index[0].Template, nil
	}
	return nil, nil
}

func (i *installer) put(ctx context.Context, t templates.Template, body []byte) error {
	var req esapi.Request = &esapi.IndicesPutIndexTemplateRequest{Name: t.Name, Body: bytes.NewReader(body)}
	if t.Kind == templates.ComponentTemplate {
		req = &esapi.ClusterPutComponentTemplateRequest{Name: t.Name, Body: bytes.NewReader(body)}
	}
	return i.change(ctx, "installing the template "+t.Name, req)
}

// change sends a request that changes something. Unlike errors about documents, those about templates may
// give the reason, since there is nothing in them but our own files.
func (i *installer) change(ctx context.Context, about string, req esapi.Request) error {
	a, err := i.client.do(ctx, about, req, maxAnswer)
	switch {
	case err != nil:
		return err
	case a.status >= 200 && a.status < 300:
		return nil
	}
	var e struct {
		Error struct {
			Reason string `json:"reason"`
		} `json:"error"`
	}
	if json.Unmarshal(a.body, &e) == nil && e.Error.Reason != "" && fateOf(a.status, "") == refused {
		return fmt.Errorf("elasticsearch: %s: HTTP %d: %s", about, a.status, printable(e.Error.Reason))
	}
	return a.err(about)
}

// printable is one line of text that a terminal cannot be upset with, at most 500 characters.
func printable(s string) string {
	text := []rune(strings.Trim(strconv.QuoteToGraphic(s), `"`))
	return string(text[:min(len(text), 500)])
}

// dataStream is what setup needs to know of one.
type dataStream struct {
	Template  string `json:"template"`
	Lifecycle struct {
		Retention string `json:"data_retention"`
	} `json:"lifecycle"`
	Indices []struct {
		Name string `json:"index_name"`
	} `json:"indices"`
}

func (i *installer) dataStream(ctx context.Context, name string) (*dataStream, error) {
	var got struct {
		Streams []dataStream `json:"data_streams"`
	}
	_, err := i.client.find(ctx, "looking for the data stream "+name, &esapi.IndicesGetDataStreamRequest{Name: []string{name}}, &got)
	if err != nil || len(got.Streams) == 0 {
		return nil, err
	}
	return &got.Streams[0], nil
}

func (i *installer) planStream(ctx context.Context, d Dataset) ([]step, error) {
	name := d.Stream(i.cfg.Namespace)
	there, err := i.dataStream(ctx, name)
	if err != nil {
		return nil, err
	}
	if there == nil {
		return []step{{action: "create", kind: "data stream", name: name, do: func(ctx context.Context) error {
			return i.change(ctx, "creating the data stream "+name, &esapi.IndicesCreateDataStreamRequest{Name: name})
		}}}, nil
	}
	if there.Template != d.template() {
		return nil, fmt.Errorf("elasticsearch: the data stream %s was made from the template %q, not from Foretop's: rename or delete it first", name, printable(there.Template))
	}
	var steps []step
	old, err := i.outdated(ctx, name)
	if err != nil {
		return nil, err
	}
	if i.replaced[d] || old {
		steps = append(steps, step{action: "roll over", kind: "data stream", name: name, detail: "a new index takes the new template; nothing is lost or moved", do: func(ctx context.Context) error {
			return i.change(ctx, "rolling over "+name, &esapi.IndicesRolloverRequest{Alias: name})
		}})
	}
	if want := i.cfg.Retention; d == Findings && want != "" && there.Lifecycle.Retention != want {
		steps = append(steps, step{action: "update", kind: "lifecycle", name: name, detail: fmt.Sprintf("retention %s -> %s", printable(there.Lifecycle.Retention), want), do: func(ctx context.Context) error {
			body, err := json.Marshal(map[string]string{"data_retention": want})
			if err != nil {
				return err
			}
			return i.change(ctx, "setting the lifecycle of "+name, &esapi.IndicesPutDataLifecycleRequest{Name: []string{name}, Body: bytes.NewReader(body)})
		}})
	}
	if steps == nil {
		steps = []step{{action: "unchanged", kind: "data stream", name: name, detail: fmt.Sprintf("%d backing, retention %s", len(there.Indices), printable(there.Lifecycle.Retention))}}
	}
	return steps, nil
}

// outdated is true if the newest index of a data stream has mappings of an older version, as after a setup
// that was interrupted.
func (i *installer) outdated(ctx context.Context, name string) (bool, error) {
	m, err := mappingMeta(ctx, i.client, name)
	return m.ManagedBy == owner && m.Version < templates.Version, err
}

// checkStreams makes sure at the end that no other template got hold of the data streams.
func (i *installer) checkStreams(ctx context.Context) error {
	for _, d := range []Dataset{Findings, DeadLetters} {
		name := d.Stream(i.cfg.Namespace)
		m, err := mappingMeta(ctx, i.client, name)
		if err != nil {
			return err
		}
		if m.ManagedBy != owner || m.Version < templates.Version {
			return fmt.Errorf("elasticsearch: %s did not get Foretop's mappings: another index template with a higher priority matches its name", name)
		}
	}
	return nil
}

// sameTemplate compares what we install with what the server shows. The server writes settings as text and
// under one of two spellings, and adds defaults to the parts data_stream and lifecycle.
func sameTemplate(ours, theirs []byte) (bool, error) {
	a, err := flatten(ours)
	if err != nil {
		return false, err
	}
	b, err := flatten(theirs)
	return maps.Equal(a, b), err
}

func flatten(doc []byte) (map[string]string, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("elasticsearch: a template is no JSON")
	}
	out := make(map[string]string)
	flattenInto(out, "", v)
	for _, added := range []string{"data_stream.hidden", "data_stream.allow_custom_routing", "template.lifecycle.enabled"} {
		delete(out, added)
	}
	return out, nil
}

func flattenInto(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			flattenInto(out, strings.TrimPrefix(path+"."+k, "."), inner)
		}
	case []any:
		for k, inner := range v {
			flattenInto(out, path+"."+strconv.Itoa(k), inner)
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}
