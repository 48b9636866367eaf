package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
)

// SetupOptions steer a setup.
type SetupOptions struct {
	// DryRun prints the plan and changes nothing.
	DryRun bool
	// Out gets the plan, and then what was done.
	Out io.Writer
}

// Setup installs the component templates, the index templates with their lifecycle, and the data streams
// of cfg.Namespace. It says first what it will do, with versions, and can be repeated: what is as it
// should be is left alone. It refuses to replace what a newer version of Foretop installed, and what is
// not Foretop's.
//
// Findings are deleted by the lifecycle of the data stream itself, which every Elasticsearch since 8.14
// has; index lifecycle management is not needed.
func Setup(ctx context.Context, cfg Config, o SetupOptions) (err error) {
	c, err := newClient(cfg, slog.Default())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	i := &installer{client: c, cfg: cfg.withDefaults()}
	about, err := i.server(ctx)
	if err != nil {
		return err
	}
	steps, err := i.plan(ctx)
	if err != nil {
		return err
	}
	p := &printer{out: o.Out}
	p.line("%s at %s", about, strings.Join(cfg.Addresses, ", "))
	for _, s := range steps {
		p.line("  %-9s  %-18s  %-34s  %s", s.action, s.kind, s.name, s.detail)
	}
	if o.DryRun {
		p.line("Dry run: nothing was changed.")
		return p.err
	}
	done := 0
	for _, s := range steps {
		if s.do == nil {
			continue
		}
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s %s %s: %w (%d of the changes above were made; setup can be repeated)", s.action, s.kind, s.name, err, done)
		}
		done++
	}
	if err := i.checkStreams(ctx); err != nil {
		return err
	}
	p.line("Done: %s.", plural(done, "change"))
	return p.err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// printer keeps the first error of a writer, so that its caller checks once.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.out == nil || p.err != nil {
		return
	}
	_, p.err = fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// step is one line of the plan. do is nil where nothing needs doing.
type step struct {
	action, kind, name, detail string
	do                         func(context.Context) error
}

type installer struct {
	client *client
	cfg    Config
	// replaced are datasets whose templates the plan changes: their newest index has the old mapping.
	replaced map[Dataset]bool
}

// server checks that it is Elasticsearch and new enough, and names it.
func (i *installer) server(ctx context.Context) (string, error) {
	about := "asking for the version"
	a, err := i.client.do(ctx, about, &esapi.InfoRequest{}, maxAnswer)
	if err != nil {
		return "", err
	}
	return versionOf(a, about)
}

// tooOldError is for a server without what we need.
type tooOldError struct{ version string }

func (e *tooOldError) Error() string {
	return fmt.Sprintf("elasticsearch: version %q is too old: Foretop needs %s or newer, for the lifecycle of data streams", e.version, minVersion)
}

// versionOf reads the answer to InfoRequest: it makes sure that it is from Elasticsearch of a version that will
// do, and names it.
func versionOf(a *answer, about string) (string, error) {
	if a.status != 200 {
		return "", a.err(about)
	}
	var got struct {
		Version struct {
			Number string `json:"number"`
			Flavor string `json:"build_flavor"`
		} `json:"version"`
	}
	if err := decode(a, about, &got); err != nil {
		return "", err
	}
	if a.product != "Elasticsearch" {
		return "", errors.New("elasticsearch: the server at the address is not Elasticsearch (it sends no X-Elastic-Product)")
	}
	// Serverless has no versions; the number that it shows is fixed.
	if got.Version.Flavor != "serverless" && olderThan(got.Version.Number, minVersion) {
		return "", &tooOldError{plainVersion(got.Version.Number)}
	}
	return "Elasticsearch " + plainVersion(got.Version.Number), nil
}

// olderThan compares major and minor version.
func olderThan(have, want string) bool {
	h, w := majorMinor(have), majorMinor(want)
	return h[0] < w[0] || h[0] == w[0] && h[1] < w[1]
}

func majorMinor(v string) (out [2]int) {
	for i, part := range strings.SplitN(v, ".", 3) {
		if i < len(out) {
			out[i], _ = strconv.Atoi(part)
		}
	}
	return out
}

// plainVersion bounds what a server says before it is printed.
func plainVersion(v string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' {
			return r
		}
		return -1
	}, v[:min(len(v), 32)])
}

// plan looks at everything and decides; it changes nothing.
func (i *installer) plan(ctx context.Context) ([]step, error) {
	all, err := templates.Templates()
	if err != nil {
		return nil, err
	}
	i.replaced = make(map[Dataset]bool)
	var steps []step
	for _, t := range all {
		s, err := i.planTemplate(ctx, t)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	for _, d := range []Dataset{Findings, DeadLetters} {
		s, err := i.planStream(ctx, d)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s...)
	}
	return steps, nil
}

// installed is a template as the server has it.
type installed struct {
	Version int  `json:"version"`
	Meta    meta `json:"_meta"`
}

func (i *installer) planTemplate(ctx context.Context, t templates.Template) (step, error) {
	body, err := i.body(t)
	if err != nil {
		return step{}, err
	}
	s := step{kind: strings.ReplaceAll(string(t.Kind), "_", " "), name: t.Name, do: func(ctx context.Context) error { return i.put(ctx, t, body) }}
	raw, err := i.get(ctx, t)
	if err != nil {
		return step{}, err
	}
	if raw == nil {
		s.action, s.detail = "create", fmt.Sprintf("version %d", templates.Version)
		return s, nil
	}
	var there installed
	if json.Unmarshal(raw, &there) != nil {
		return step{}, fmt.Errorf("elasticsearch: the %s %s cannot be read", s.kind, t.Name)
	}
	switch {
	case there.Meta.ManagedBy != owner:
		return step{}, fmt.Errorf("elasticsearch: there is a %s %s that is not Foretop's (its _meta does not say so): rename or delete it first", s.kind, t.Name)
	case there.Version > templates.Version:
		return step{}, fmt.Errorf("elasticsearch: the %s %s has version %d, and this program has version %d: a newer Foretop installed it, use that one", s.kind, t.Name, there.Version, templates.Version)
	case there.Version < templates.Version:
		s.action, s.detail = "update", fmt.Sprintf("version %d -> %d", there.Version, templates.Version)
		i.replace(t.Name)
		return s, nil
	}
	same, err := sameTemplate(body, raw)
	if err != nil {
		return step{}, err
	}
	if same {
		s.action, s.detail, s.do = "unchanged", fmt.Sprintf("version %d", there.Version), nil
		return s, nil
	}
	s.action, s.detail = "update", fmt.Sprintf("version %d, which was changed after it was installed", there.Version)
	i.replace(t.Name)
	return s, nil
}

// replace notes the datasets that a template is for: one, or both.
func (i *installer) replace(template string) {
	for _, d := range []Dataset{Findings, DeadLetters} {
		if template == owner+"@settings" || strings.HasPrefix(template, string(d)+"@") {
			i.replaced[d] = true
		}
	}
}

// body is the template with the retention that is configured.
func (i *installer) body(t templates.Template) ([]byte, error) {
	if i.cfg.Retention == "" || t.Name != Findings.template() {
		return t.Body, nil
	}
	var doc map[string]any
	if err := json.Unmarshal(t.Body, &doc); err != nil {
		return nil, err
	}
	inner, ok := doc["template"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("elasticsearch: the built-in template %s has no template in it", t.Name)
	}
	inner["lifecycle"] = map[string]any{"data_retention": i.cfg.Retention}
	return json.Marshal(doc)
}
