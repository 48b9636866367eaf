package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/foretop/foretop/deployments/kibana"
)

// minKibana is the oldest Kibana whose form of dashboards ours has.
const minKibana = "8.9"

// SetupKibana imports the dashboards, and what they rest on, into one space. It says first what it will
// do; objects of an earlier import are replaced, whatever users changed in them.
func SetupKibana(ctx context.Context, cfg KibanaConfig, o SetupOptions) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("kibana: %w", err)
	}
	k, err := newKibanaClient(cfg)
	if err != nil {
		return fmt.Errorf("kibana: %w", err)
	}
	defer k.access.close()
	version, err := k.version(ctx)
	if err != nil {
		return err
	}
	objects, err := objectsIn(kibana.SavedObjects)
	if err != nil {
		return err
	}
	p := &printer{out: o.Out}
	p.line("Kibana %sat %s, %s", version, k.url, k.spaceName())
	for _, s := range objects {
		p.line("  import  %-12s  %-26s  %s", s.kind(), s.ID, s.title())
	}
	if o.DryRun {
		p.line("Dry run: nothing was changed. Objects of an earlier import would be replaced.")
		return p.err
	}
	result, err := k.importObjects(ctx, kibana.SavedObjects)
	if err != nil {
		return err
	}
	return result.report(p)
}

// kibanaObject is what is printed about a saved object.
type kibanaObject struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	Attributes struct {
		Title string `json:"title"`
		Name  string `json:"name"`
	} `json:"attributes"`
}

// kind is the name that Kibana's own pages use for a type.
func (o *kibanaObject) kind() string { return kindOf(o.Type) }

func kindOf(objectType string) string {
	switch objectType {
	case "index-pattern":
		return "data view"
	case "search":
		return "saved search"
	}
	return objectType
}

func (o *kibanaObject) title() string {
	if o.Attributes.Name != "" {
		return o.Attributes.Name
	}
	return o.Attributes.Title
}

func objectsIn(ndjson []byte) ([]kibanaObject, error) {
	var out []kibanaObject
	for line := range bytes.Lines(ndjson) {
		var o kibanaObject
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("kibana: line %d of the built-in dashboards: %w", len(out)+1, err)
		}
		out = append(out, o)
	}
	return out, nil
}

type kibanaClient struct {
	url    string // without a slash at its end
	space  string
	access *access
	http   *http.Client
}

func newKibanaClient(cfg KibanaConfig) (*kibanaClient, error) {
	access, err := newAccess(cfg.access(), slog.Default())
	if err != nil {
		return nil, err
	}
	timeout := cfg.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &kibanaClient{
		url: strings.TrimRight(cfg.URL, "/"), space: cfg.Space, access: access,
		http: &http.Client{Transport: access, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a login page would answer with 200
		}},
	}, nil
}

func (k *kibanaClient) spaceName() string {
	if k.space == "" {
		return "the default space"
	}
	return "space " + k.space
}

// path is the address of an API in the space.
func (k *kibanaClient) path(api string) string {
	if k.space == "" {
		return k.url + api
	}
	return k.url + "/s/" + k.space + api
}

// send makes a request and decodes the answer if it is one of success.
func (k *kibanaClient) send(ctx context.Context, about, method, url, contentType string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return fmt.Errorf("kibana: %s: %w", about, err)
	}
	req.Header.Set("User-Agent", "foretop")
	req.Header.Set("kbn-xsrf", "foretop") // Kibana refuses changes without it
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := k.http.Do(req)
	if err != nil {
		return fmt.Errorf("kibana: %s: %w", about, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("kibana: %s: %w", about, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("kibana: %s: HTTP %d%s", about, res.StatusCode, k.hint(res.StatusCode, data))
	}
	if json.Unmarshal(data, out) != nil {
		return fmt.Errorf("kibana: %s: the answer is no JSON: is %s the address of Kibana?", about, k.url)
	}
	return nil
}

// hint says what to do about a status, with Kibana's own message if there is one: nothing of ours is in it
// but these dashboards.
func (k *kibanaClient) hint(status int, body []byte) string {
	var e struct {
		Message string `json:"message"`
	}
	message := ""
	if json.Unmarshal(body, &e) == nil && e.Message != "" {
		message = ": " + printable(e.Message)
	}
	switch status {
	case http.StatusUnauthorized:
		return message + ": check the API key, or the user and password"
	case http.StatusForbidden:
		return message + ": the privilege Saved Objects Management: All is needed in " + k.spaceName()
	case http.StatusNotFound:
		return message + ": check the address (with its base path, if Kibana has one) and that there is the " + strings.TrimPrefix(k.spaceName(), "the ")
	case http.StatusInternalServerError:
		return message + ": a Kibana older than " + minKibana + " fails like this"
	}
	return message
}

// version is the version with a space behind it, empty if Kibana does not tell it to this user. One that
// is too old is an error.
func (k *kibanaClient) version(ctx context.Context) (string, error) {
	var status struct {
		Version struct {
			Number string `json:"number"`
			Flavor string `json:"build_flavor"`
		} `json:"version"`
	}
	if err := k.send(ctx, "asking for the version", http.MethodGet, k.url+"/api/status", "", nil, &status); err != nil {
		return "", err
	}
	v := plainVersion(status.Version.Number)
	if v == "" {
		return "", nil
	}
	if status.Version.Flavor != "serverless" && olderThan(v, minKibana) {
		return "", fmt.Errorf("kibana: version %s is too old for the dashboards: they need %s or newer", v, minKibana)
	}
	return v + " ", nil
}

// importResult is Kibana's answer. Its status is 200 even when nothing was imported.
// https://www.elastic.co/docs/api/doc/kibana/operation/operation-post-saved-objects-import
type importResult struct {
	Success bool `json:"success"`
	Results []struct {
		Type          string `json:"type"`
		ID            string `json:"id"`
		DestinationID string `json:"destinationId"`
		Overwrite     bool   `json:"overwrite"`
	} `json:"successResults"`
	Errors []struct {
		Type  string `json:"type"`
		ID    string `json:"id"`
		Error struct {
			Type       string `json:"type"`
			Message    string `json:"message"`
			References []struct {
				Type string `json:"type"`
				ID   string `json:"id"`
			} `json:"references"`
		} `json:"error"`
	} `json:"errors"`
}

func (k *kibanaClient) importObjects(ctx context.Context, ndjson []byte) (*importResult, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "foretop.ndjson") // the ending is checked
	if err != nil {
		return nil, err
	}
	if _, err := part.Write(ndjson); err != nil {
		return nil, err
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	var result importResult
	err = k.send(ctx, "importing the dashboards", http.MethodPost, k.path("/api/saved_objects/_import?overwrite=true"), form.FormDataContentType(), &body, &result)
	return &result, err
}

// report prints what became of each object, and returns an error if one of them is not there now.
func (r *importResult) report(p *printer) error {
	for _, s := range r.Results {
		did := "created"
		if s.Overwrite {
			did = "replaced"
		}
		id := s.ID
		if s.DestinationID != "" && s.DestinationID != s.ID {
			id += " as " + s.DestinationID
		}
		p.line("  %-8s  %-12s  %s", did, kindOf(printable(s.Type)), printable(id))
	}
	for _, e := range r.Errors {
		why := []string{e.Error.Type}
		if e.Error.Message != "" {
			why = append(why, e.Error.Message)
		}
		for _, ref := range e.Error.References {
			why = append(why, "needs "+kindOf(ref.Type)+" "+ref.ID)
		}
		p.line("  failed    %-12s  %s  %s", kindOf(printable(e.Type)), printable(e.ID), printable(strings.Join(why, ", ")))
	}
	if !r.Success || len(r.Errors) > 0 {
		return errors.Join(fmt.Errorf("kibana: %s of the dashboards could not be imported", plural(len(r.Errors), "object")), p.err)
	}
	p.line("Done: %s.", plural(len(r.Results), "object"))
	return p.err
}
