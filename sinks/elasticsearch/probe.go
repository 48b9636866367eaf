package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	templates "github.com/foretop/foretop/deployments/elasticsearch"
	"github.com/foretop/foretop/pkg/pipeline"
)

// writePrivileges are what a sink needs on its data stream. auto_configure is for the mapping of labels that are
// seen for the first time.
var writePrivileges = []string{"create_doc", "auto_configure", "read", "view_index_metadata"}

// maxSkew is how far the clocks here and there may be apart, beyond what a request takes.
const maxSkew = 30 * time.Second

// probe is one run of Probe.
type probe struct {
	*Sink
	report  func(pipeline.Check)
	secured bool // the server asks who we are
}

// Probe implements pipeline.Prober. It only reads, and what it asks for needs no more privileges than writing
// does, but for the version and the clock: those are left out where the credentials may not see them.
func (s *Sink) Probe(ctx context.Context, _ int, report func(pipeline.Check)) []pipeline.Record {
	p := &probe{Sink: s, report: report}
	if !p.nodes(ctx) || !p.login(ctx) {
		return nil
	}
	if p.secured {
		p.privileges(ctx)
	}
	p.template(ctx)
	p.blocks(ctx)
	p.clock(ctx)
	return nil
}

func (p *probe) ok(name, format string, args ...any) {
	p.report(pipeline.Check{Name: name, Detail: fmt.Sprintf(format, args...)})
}

func (p *probe) bad(state pipeline.CheckState, name string, err error, fix string) {
	p.report(pipeline.Check{Name: name, State: state, Detail: strings.TrimPrefix(err.Error(), "elasticsearch: "), Fix: fix})
}

// nodes asks every address by itself: the client would only notice one that is away when its turn comes.
func (p *probe) nodes(ctx context.Context) bool {
	reached := 0
	var failed []pipeline.Check
	for _, address := range p.cfg.Addresses {
		about, err := p.node(ctx, address)
		if err != nil {
			failed = append(failed, pipeline.Check{Name: "server " + address, Detail: strings.TrimPrefix(err.Error(), "elasticsearch: "), Fix: addressFix(err)})
			continue
		}
		reached++
		if access := p.cfg.access(); access.exposed(address) {
			p.report(pipeline.Check{
				Name: "server " + address, State: pipeline.CheckWarning, Detail: about + "; the credentials go there without encryption", Fix: "use an https address",
			})
			continue
		}
		p.ok("server "+address, "%s", about)
	}
	for _, c := range failed {
		if c.State = pipeline.CheckFailed; reached > 0 {
			c.State = pipeline.CheckWarning // the others do its work
		}
		p.report(c)
	}
	return reached > 0
}

func addressFix(err error) string {
	if _, ok := errors.AsType[*tooOldError](err); ok {
		return "upgrade Elasticsearch"
	}
	if pipeline.ClassOf(err) == pipeline.Fatal {
		return "correct the address, or the certificate and CA_FILE"
	}
	return "start the server, open the way to it (firewall, NetworkPolicy, proxy), or correct ADDRESSES"
}

func (p *probe) node(ctx context.Context, address string) (string, error) {
	cfg := p.cfg
	cfg.Addresses = []string{address}
	c, err := newClient(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer func() { _ = c.close(ctx) }()
	about := "asking for the version"
	a, err := c.do(ctx, about, &esapi.InfoRequest{}, maxAnswer)
	switch {
	case err != nil:
		return "", err
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return "it answers; these credentials may not see its version", nil
	}
	return versionOf(a, about)
}

// exposed is true if the credentials would go to address over a network in clear.
func (c *accessConfig) exposed(address string) bool {
	u, err := parseAddress(address)
	if err != nil || u.Scheme != "http" || c.username == "" && c.apiKey == "" && c.apiKeyFile == "" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback())
}

// login asks the server who we are: that needs no privilege.
func (p *probe) login(ctx context.Context) bool {
	const name = "login"
	about := "asking who we are"
	a, err := p.client.do(ctx, about, &esapi.SecurityAuthenticateRequest{}, maxAnswer)
	switch {
	case err != nil:
		p.bad(pipeline.CheckFailed, name, err, addressFix(err))
		return false
	case a.status == http.StatusUnauthorized:
		fix := "correct USERNAME and PASSWORD"
		switch access := p.cfg.access(); {
		case access.apiKey != "" || access.apiKeyFile != "":
			fix = "make a new API key: this one is unknown, expired or revoked"
		case access.username == "":
			fix = "set API_KEY, or USERNAME and PASSWORD"
		}
		p.bad(pipeline.CheckFailed, name, fmt.Errorf("the server refuses these credentials (HTTP %d)", a.status), fix)
		return false
	case a.product != "" && (fateOf(a.status, a.errorType()) == refused || a.status == http.StatusNotFound): // it knows no such request
		p.ok(name, "the server asks for none: its security is off")
		return true
	case a.status != http.StatusOK:
		p.bad(pipeline.CheckFailed, name, a.err(about), addressFix(a.err(about)))
		return false
	}
	p.secured = true
	var who struct {
		Username string `json:"username"`
		Key      *struct {
			Name string `json:"name"`
		} `json:"api_key"`
	}
	if err := decode(a, about, &who); err != nil {
		p.bad(pipeline.CheckFailed, name, err, "check that the address is that of Elasticsearch")
		return false
	}
	if who.Key != nil {
		p.ok(name, "API key %s of %s", printable(who.Key.Name), printable(who.Username))
		return true
	}
	p.ok(name, "user %s", printable(who.Username))
	return true
}

// privileges asks which of those that writing needs are missing: that needs no privilege either.
func (p *probe) privileges(ctx context.Context) {
	const name = "privileges"
	body, err := json.Marshal(map[string]any{"index": []any{map[string]any{"names": []string{p.stream}, "privileges": writePrivileges}}})
	if err != nil {
		p.bad(pipeline.CheckFailed, name, err, "")
		return
	}
	var got struct {
		Index map[string]map[string]bool `json:"index"`
	}
	if err := p.client.ask(ctx, "asking for our privileges", &esapi.SecurityHasPrivilegesRequest{Body: strings.NewReader(string(body))}, &got); err != nil {
		p.bad(pipeline.CheckWarning, name, err, "")
		return
	}
	var missing []string
	for _, privilege := range writePrivileges {
		if !got.Index[p.stream][privilege] {
			missing = append(missing, privilege)
		}
	}
	if len(missing) > 0 {
		p.bad(pipeline.CheckFailed, name, fmt.Errorf("missing on %s: %s", p.stream, strings.Join(missing, ", ")),
			"grant the user or API key "+strings.Join(missing, ", ")+" on logs-foretop.*")
		return
	}
	p.ok(name, "%s on %s", strings.Join(writePrivileges, ", "), p.stream)
}

func (p *probe) template(ctx context.Context) {
	const name = "templates"
	err := p.checkTemplate(ctx)
	if err == nil {
		p.ok(name, "%s is installed in version %d", p.dataset.template(), templates.Version)
		return
	}
	text, needed := strings.CutSuffix(err.Error(), setupAdvice)
	fix := ""
	if needed {
		fix = "foretop setup elasticsearch"
	}
	p.bad(pipeline.CheckFailed, name, errors.New(text), fix)
}

// blocks looks whether the data stream takes documents: Elasticsearch closes it when the disk is nearly full.
func (p *probe) blocks(ctx context.Context) {
	name := "data stream"
	var got map[string]struct {
		Settings map[string]any `json:"settings"`
	}
	flat := true
	found, err := p.client.find(ctx, "looking at the data stream "+p.stream,
		&esapi.IndicesGetSettingsRequest{Index: []string{p.stream}, Name: []string{"index.blocks.*"}, FlatSettings: &flat}, &got)
	switch {
	case err != nil:
		p.bad(pipeline.CheckWarning, name, err, "")
		return
	case !found:
		p.ok(name, "%s is made with the first document", p.stream)
		return
	}
	newest := ""
	for index := range got {
		if newerIndex(index, newest) {
			newest = index
		}
	}
	for _, block := range slices.Sorted(maps.Keys(got[newest].Settings)) {
		if on, _ := strconv.ParseBool(fmt.Sprint(got[newest].Settings[block])); on && block != "index.blocks.metadata" {
			p.bad(pipeline.CheckFailed, name, fmt.Errorf("the newest index of %s takes no documents: %s is set", p.stream, printable(block)),
				"free disk space if it is read_only_allow_delete, which ends by itself then; else take the block away")
			return
		}
	}
	p.ok(name, "%s takes documents", p.stream)
}

// clock compares the clocks: by the Date of a server in front of Elasticsearch, else by what its health says.
func (p *probe) clock(ctx context.Context) {
	before := time.Now()
	a, err := p.client.do(ctx, "asking for the time", &esapi.CatHealthRequest{Format: "json", H: []string{"epoch"}}, maxAnswer)
	if err != nil {
		return // the other checks have told what is wrong
	}
	after := time.Now()
	there, err := http.ParseTime(a.date)
	if err != nil {
		var rows []struct {
			Epoch string `json:"epoch"`
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &rows) != nil || len(rows) != 1 {
			return
		}
		seconds, err := strconv.ParseInt(rows[0].Epoch, 10, 64)
		if err != nil {
			return
		}
		there = time.Unix(seconds, 0)
	}
	const name = "clock"
	var skew time.Duration // how far the server's clock, which counts seconds, is surely ahead
	if d := there.Sub(after); d > 0 {
		skew = d
	} else if d := there.Add(time.Second).Sub(before); d < 0 {
		skew = d
	}
	if skew.Abs() > maxSkew {
		direction := "ahead of"
		if skew < 0 {
			direction = "behind"
		}
		p.bad(pipeline.CheckWarning, name, fmt.Errorf("the server's clock is %s %s the one here", skew.Abs().Round(time.Second), direction), "let both follow a time server (NTP)")
		return
	}
	p.ok(name, "agrees with the server's")
}

var _ pipeline.Prober = (*Sink)(nil)
