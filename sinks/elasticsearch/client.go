package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/foretop/foretop/pkg/pipeline"
)

// client sends one request at a time and turns what comes back into an answer or a classified error.
type client struct {
	transport *elastictransport.Client
	access    *access
	timeout   time.Duration
}

func newClient(cfg Config, log *slog.Logger) (*client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("elasticsearch: %w", err)
	}
	cfg = cfg.withDefaults()
	access, err := newAccess(cfg.access(), log)
	if err != nil {
		return nil, fmt.Errorf("elasticsearch: %w", err)
	}
	var urls []*url.URL
	for _, a := range cfg.Addresses {
		u, err := parseAddress(a)
		if err != nil {
			return nil, fmt.Errorf("elasticsearch: %w", err)
		}
		urls = append(urls, u)
	}
	transport, err := elastictransport.NewClient(
		elastictransport.WithURLs(urls...),
		elastictransport.WithTransport(access),
		elastictransport.WithUserAgent("foretop"),
		// The pipeline repeats, with its own backoff. The transport still takes a dead node out of the
		// rotation, so that the next attempt goes to another one.
		elastictransport.WithDisableRetry(),
	)
	if err != nil {
		return nil, fmt.Errorf("elasticsearch: %w", err)
	}
	return &client{transport: transport, access: access, timeout: cfg.BulkTimeout}, nil
}

// close ends the goroutines and connections of the client. It does not wait for requests.
func (c *client) close(ctx context.Context) error {
	err := c.transport.Close(ctx)
	c.access.close()
	if errors.Is(err, elastictransport.ErrAlreadyClosed) {
		return nil
	}
	return err
}

// answer is a response that was read to its end.
type answer struct {
	status     int
	body       []byte
	retryAfter time.Duration
	product    string // header X-Elastic-Product, "Elasticsearch" from the real one
	date       string // header Date, which only servers in front of Elasticsearch set
}

// maxAnswer bounds an answer to anything but a bulk, in bytes. Mappings are the largest.
const maxAnswer = 8 << 20

// errTimeout is our own time limit, not that of the caller's context.
var errTimeout = errors.New("no answer in time")

// do sends req. The error, if any, is classified and says what it was about; an answer of any status is
// none.
func (c *client) do(ctx context.Context, about string, req esapi.Request, limit int64) (*answer, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	res, err := req.Do(bounded, c.transport)
	if err != nil {
		return nil, networkError(bounded, about, c.timeout, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, networkError(bounded, about, c.timeout, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("elasticsearch: %s: the answer is longer than %d bytes", about, limit)
	}
	return &answer{
		status: res.StatusCode, body: body,
		retryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now()),
		product:    res.Header.Get("X-Elastic-Product"),
		date:       res.Header.Get("Date"),
	}, nil
}

// ask sends req and decodes the answer into out if its status is 2xx; otherwise it returns the error that
// the status stands for.
func (c *client) ask(ctx context.Context, about string, req esapi.Request, out any) error {
	a, err := c.do(ctx, about, req, maxAnswer)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return a.err(about)
	}
	if out == nil {
		return nil
	}
	return decode(a, about, out)
}

// find is ask for what may not be there: found is false if Elasticsearch says so.
func (c *client) find(ctx context.Context, about string, req esapi.Request, out any) (found bool, err error) {
	a, err := c.do(ctx, about, req, maxAnswer)
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusNotFound && a.product != "":
		return false, nil
	case a.status != http.StatusOK:
		return false, a.err(about)
	}
	return true, decode(a, about, out)
}

func decode(a *answer, about string, out any) error {
	if json.Unmarshal(a.body, out) != nil {
		return a.unreadable(about)
	}
	return nil
}

// errorType is the type of the error in the answer, empty if it has none that looks like one.
func (a *answer) errorType() string {
	var e struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(a.body, &e) != nil {
		return ""
	}
	var typed struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(e.Error, &typed) != nil {
		return ""
	}
	return plainType(typed.Type)
}

// err is the classified error that an answer with a status of failure stands for. It has the status and
// the error's type, and never the reason, which may quote the document.
func (a *answer) err(about string) error {
	kind := a.errorType()
	text := fmt.Sprintf("elasticsearch: %s: HTTP %d", about, a.status)
	if kind != "" {
		text += " " + kind
	}
	switch fateOf(a.status, kind) {
	case retry, stored, duplicate:
		return pipeline.RetryAfter(errors.New(text), a.retryAfter)
	case denied:
		return pipeline.FatalError(errors.New(text + ": check the API key or the user, and its privileges on logs-foretop.*"))
	case missing:
		return pipeline.FatalError(errors.New(text + ": run `foretop setup elasticsearch`, and check that the address is that of Elasticsearch"))
	default:
		return pipeline.FatalError(errors.New(text + ": the server does not take our requests; check the address and that it is Elasticsearch " + minVersion + " or newer"))
	}
}

// unreadable is the error for an answer of success whose body is not what it should be: cut, or not from
// Elasticsearch.
func (a *answer) unreadable(about string) error {
	what := "the answer is cut short or is no JSON"
	if b := strings.TrimLeft(string(a.body[:min(len(a.body), 64)]), " \t\r\n"); strings.HasPrefix(b, "<") {
		what = "the answer is a web page; does the address point at a proxy?"
	}
	return fmt.Errorf("elasticsearch: %s: HTTP %d, but %s", about, a.status, what)
}
